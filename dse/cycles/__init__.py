"""Cycles that are true: of our own accelerator, whose RTL lies in ``rtl/``, to the cycle.

Import ``hardware.Machine``, ``lower.lower``, ``model.cycles`` and ``values.outputs``.
``firesim`` is about another machine: Gemmini, as the DOSA authors recorded it.
"""
