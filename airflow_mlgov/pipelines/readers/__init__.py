"""Readers: one file for each platform, each with ``matches`` and ``read``."""
