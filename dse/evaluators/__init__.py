"""Evaluators: what prices mappings."""
