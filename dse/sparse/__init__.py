"""Timeloop's model of sparse tensors (Sparseloop), one mapping at a time.

Import `design` for what files say, and `evaluate` for what the model makes of it.
"""
