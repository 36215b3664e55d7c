"""Exact searches: the best there is, with proof."""
