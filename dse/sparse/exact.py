"""Hypergeometric probabilities to the last digit, compiled.

Of N words, r are not 0; a tile has n of the words. Values are carried as the sum of two doubles
(106 bits; T. J. Dekker, "A floating-point technique for extending the available precision",
Numerische Mathematik 18, 1971) and a power of two, and rounded once.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from dse.jit import compiled, inlined, inner

Floats = npt.NDArray[np.float64]

#: Values below 2^-300 are carried with a power of 2^300.
_STEP = 300
_SMALL = 2.0**-_STEP
_LARGE = 2.0**_STEP
#: Powers of it that no double holds.
_NOTHING = -4
#: Of tensors of fewer words the product of two counts is exact as a double.
_PRODUCTS = 94_000_000


@inlined
def _times(high: float, low: float, factor: float) -> tuple[float, float]:
    """Multiply by a number."""
    product = high * factor
    split = 134217729.0 * high
    a = split - (split - high)
    b = high - a
    split = 134217729.0 * factor
    c = split - (split - factor)
    d = factor - c
    error = ((a * c - product) + a * d + b * c) + b * d + low * factor
    total = product + error
    return total, error - (total - product)


@inlined
def _over(high: float, low: float, divisor: float) -> tuple[float, float]:
    """Divide by a number."""
    first = high / divisor
    product, error = _times(divisor, 0.0, first)
    second = (((high - product) - error) + low) / divisor
    total = first + second
    return total, second - (total - first)


@inlined
def _scaled(high: float, low: float, steps: int) -> tuple[float, float, int]:
    """Keep the leading part between 2^-300 and 1, or at 0."""
    if high < _SMALL and high > 0.0:
        return high * _LARGE, low * _LARGE, steps - 1
    if high >= 1.0 and steps < 0:
        return high * _SMALL, low * _SMALL, steps + 1
    return high, low, steps


@inlined
def _double(high: float, steps: int) -> float:
    return high if steps == 0 else math.ldexp(high, _STEP * max(steps, -8))


@inlined
def _ratio(
    n: int, r: int, whole: int, o: int, high: float, low: float, steps: int, up: bool
) -> tuple[float, float, int]:
    """Go from the value of an occupancy to that of the next one, or of the one before."""
    if not up:
        o -= 1
    a, b = float(r - o), float(n - o)
    c, d = float(o + 1), float(whole - r - n + o + 1)
    if not up:
        a, b, c, d = c, d, a, b
    if whole < _PRODUCTS:
        high, low = _times(high, low, a * b)
        high, low = _over(high, low, c * d)
        return _scaled(high, low, steps)
    high, low = _times(high, low, a)
    high, low = _over(high, low, c)
    high, low = _times(high, low, b)
    high, low = _over(high, low, d)
    return _scaled(high, low, steps)


@compiled
def find_occupancies(n: int, r: int, whole: int, likely: Floats) -> tuple[int, int]:
    """See `occupancies`, which compiled code calls."""
    return occupancies(n, r, whole, likely)


@compiled
def find_empty(n: int, whole: int, first: int, likely: Floats) -> None:
    """See `empty`, which compiled code calls."""
    empty(n, whole, first, likely)


@inner
def occupancies(n: int, r: int, whole: int, likely: Floats) -> tuple[int, int]:
    """Fill in how likely each occupancy of a tile is, from the first to the last possible one.

    They are worked out as ratios to the likeliest one, whose own is what all come to 1 with.

    Args:
        n: words of the tile; of one larger than the tensor nothing is likely.
        r: words of the tensor that are not 0.
        whole: words of the tensor.
        likely: ``(K,)``; those that are 0 as a double are left out at both ends.

    Returns:
        The first occupancy, and how many there are; beyond K they are not filled in.
    """
    if n > whole:
        return 0, 0
    least, last = max(0, n + r - whole), min(n, r)
    middle = min(max((n + 1) * (r + 1) // (whole + 2), least), last)
    total, rest = 1.0, 0.0
    for up in (True, False):
        high, low, steps, o = 1.0, 0.0, 0, middle
        while steps == 0 and o != (last if up else least):
            high, low, steps = _ratio(n, r, whole, o, high, low, steps, up)
            if steps == 0:
                more = total + high
                part = more - total
                rest += ((total - (more - part)) + (high - part)) + low
                total = more
            o += 1 if up else -1
    more = total + rest
    total, rest = more, rest - (more - total)
    own = 1.0 / total
    product, error = _times(total, rest, own)
    correction = ((1.0 - product) - error) / total
    one = own + correction
    own, own_low = one, correction - (one - own)
    first = middle
    high, low, steps = own, own_low, 0
    while first > least:
        high, low, steps = _ratio(n, r, whole, first, high, low, steps, False)
        if _double(high, steps) == 0.0:
            break
        first -= 1
    high, low, steps = own, own_low, 0
    for o in range(middle, first - 1, -1):
        if o - first < likely.shape[0]:
            likely[o - first] = _double(high, steps)
        if o > first:
            high, low, steps = _ratio(n, r, whole, o, high, low, steps, False)
    high, low, steps = own, own_low, 0
    count = middle - first + 1
    for o in range(middle, last):
        high, low, steps = _ratio(n, r, whole, o, high, low, steps, True)
        value = _double(high, steps)
        if value == 0.0:
            break
        if count < likely.shape[0]:
            likely[count] = value
        count += 1
    return first, count


@inner
def empty(n: int, whole: int, first: int, likely: Floats) -> None:
    """Fill in how likely n of ``whole`` words are all 0.

    Args:
        n: words of a tile; one larger than the whole is never empty.
        whole: words that it lies in.
        first: of the ``whole`` so many are not 0 in the first case, one more in each other.
        likely: ``(K,)``.
    """
    high, low, steps = 1.0, 0.0, 0
    fewer, more = min(n, first), max(n, first)
    if n + first > whole:
        high = 0.0
    i = 0
    while i < fewer and high > 0.0:
        high, low = _times(high, low, float(whole - more - i))
        high, low = _over(high, low, float(whole - i))
        high, low, steps = _scaled(high, low, steps)
        i += 1
        if steps < _NOTHING:  # it only becomes less
            high = 0.0
    k = 0
    while k < likely.shape[0] and high > 0.0 and steps >= _NOTHING:
        likely[k] = _double(high, steps)
        o = first + k
        if whole - n - o <= 0:
            high = 0.0
        else:
            high, low = _times(high, low, float(whole - n - o))
            high, low = _over(high, low, float(whole - o))
            high, low, steps = _scaled(high, low, steps)
        k += 1
    for j in range(k, likely.shape[0]):
        likely[j] = 0.0
