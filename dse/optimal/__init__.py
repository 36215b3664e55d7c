"""Proven optima: exact mappings, exact co-search, and the certificates of both."""
