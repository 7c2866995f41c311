"""The operators. Each module imports cheaply: what a gate needs is imported when it runs."""
