"""Pipelines of every platform in one form, and whether the gates in them guard.

Reads files; runs and fetches nothing.
"""
