"""Measures the gates against the libraries that they save people from calling by hand: ``make bench``. Not shipped."""
