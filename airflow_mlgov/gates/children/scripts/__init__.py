"""Stand-alone scripts that run in another Python environment. They import nothing of ours, and nothing imports them."""
