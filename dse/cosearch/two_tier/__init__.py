"""Layer tables for accelerators of two tiers: a scratchpad above accumulators.

``table`` is what ``dse.cosearch`` imports; ``roles`` says whether a template has that shape. The
kernels enumerate tiles and rows of such accelerators much faster than the exact mapper.
"""
