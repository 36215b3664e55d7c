"""Bayesian optimisation of designs: their encoding, Gaussian processes, acquisition, candidates.

`surrogate` and `acquisition` load PyTorch, so they are imported where they are used.
"""
