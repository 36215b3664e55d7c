"""Counter-based random numbers for compiled code: a choice depends on nothing around it."""

from __future__ import annotations

from dse.jit import inner
from dse.numeric import uint64


@inner
def uniform(seed: int, draw: int, choice: int) -> float:
    """Uniform number in [0, 1) for one choice of one draw (SplitMix64)."""
    z = seed + uint64(draw * 64 + choice + 1) * uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> uint64(30))) * uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> uint64(27))) * uint64(0x94D049BB133111EB)
    z = z ^ (z >> uint64(31))
    return float(z >> uint64(11)) * 2.0**-53
