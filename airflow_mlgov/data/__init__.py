"""A data set, bound to its bytes or rows."""
