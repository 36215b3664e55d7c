"""The optimum, with proof."""
