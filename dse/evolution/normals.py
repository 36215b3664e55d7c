"""Standard normal numbers for compiled code, each from 64 random bits.

The ziggurat of Marsaglia and Tsang (2000), as Doornik has it ("An improved ziggurat method to
generate normal random samples", 2005), so that no bit serves twice: the density's right half is
covered by 256 layers of one area.
"""

from __future__ import annotations

import math

import numpy as np

from dse.jit import inner
from dse.mapspace.random_bits import fraction, hashed
from dse.numeric import Floats, int64, uint64

#: Where the tail begins, and the area of each layer (of the unscaled density, 1 at 0).
_TAIL, _AREA = 3.6541528853610088, 4.92867323399e-3
_LAYERS = 256


def _edges() -> Floats:
    """Return the right edge of each layer, the lowest first; that one is as wide as its area."""
    edges = [_AREA / math.exp(-0.5 * _TAIL**2), _TAIL]
    for _ in range(_LAYERS - 2):
        height = _AREA / edges[-1] + math.exp(-0.5 * edges[-1] ** 2)
        edges.append(math.sqrt(-2.0 * math.log(height)))
    return np.array([*edges, 0.0])


_EDGE = _edges()
#: Share of each layer that lies below the density as a whole.
_INSIDE = _EDGE[1:] / _EDGE[:-1]


@inner
def _tail(bits: int, negative: bool) -> float:
    """Return a number beyond the layers (Marsaglia 1964)."""
    number = int64(0)
    while True:
        x = math.log(1.0 - fraction(hashed(bits, number))) / _TAIL
        y = math.log(1.0 - fraction(hashed(bits, number + 1)))
        number += 2
        if -2.0 * y >= x * x:
            return x - _TAIL if negative else _TAIL - x


@inner
def _edge_case(bits: int) -> float:
    """Return the number where the layer alone does not decide; ``bits`` seed what else it takes."""
    while True:
        layer = int64(bits & uint64(0xFF))
        u = 2.0 * fraction(bits) - 1.0
        x: float = u * _EDGE[layer]
        if abs(u) < _INSIDE[layer]:
            return x
        if layer == 0:
            return _tail(bits, u < 0.0)
        low = math.exp(-0.5 * _EDGE[layer] ** 2)
        high = math.exp(-0.5 * _EDGE[layer + 1] ** 2)
        if low + fraction(hashed(bits, -1)) * (high - low) < math.exp(-0.5 * x * x):
            return x
        bits = hashed(bits, int64(0))


@inner
def normal(bits: int) -> float:
    """Return the standard normal number that 64 random bits stand for."""
    layer = int64(bits & uint64(0xFF))
    u = 2.0 * fraction(bits) - 1.0
    x: float = u * _EDGE[layer]
    if abs(u) < _INSIDE[layer]:
        return x
    return _edge_case(bits)
