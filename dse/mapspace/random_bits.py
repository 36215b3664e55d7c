"""Counter-based random numbers for compiled code: a choice depends on nothing around it."""

from __future__ import annotations

import numpy as np

from dse.jit import inner


@inner
def uniform(seed: int, draw: int, choice: int) -> float:
    """Uniform number in [0, 1) for one choice of one draw (SplitMix64)."""
    z = seed + np.uint64(draw * 64 + choice + 1) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z = z ^ (z >> np.uint64(31))
    return float(z >> np.uint64(11)) * 2.0**-53
