"""Counter-based random numbers for compiled code: a choice depends on nothing around it."""

from __future__ import annotations

from dse.jit import inner
from dse.numeric import uint64


@inner
def hashed(seed: int, number: int) -> int:
    """Return 64 random bits for each number, at least -1 (SplitMix64)."""
    z = seed + uint64(number + 1) * uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> uint64(30))) * uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> uint64(27))) * uint64(0x94D049BB133111EB)
    return z ^ (z >> uint64(31))


@inner
def fraction(bits: int) -> float:
    """Return the upper 53 of 64 bits as a number in [0, 1)."""
    return float(bits >> uint64(11)) * 2.0**-53


@inner
def uniform(seed: int, draw: int, choice: int) -> float:
    """Uniform number in [0, 1) for one choice of one draw."""
    return fraction(hashed(seed, draw * 64 + choice))
