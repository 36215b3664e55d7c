"""Numbers as Timeloop's sparse analysis makes them: doubles cut to counts without sign.

Where its count would wrap around, or come of what is no number, there is no answer to give.
"""

from __future__ import annotations

import math

from dse.errors import SpecError

#: The first count that 64 bits do not hold.
WRAPS = 2.0**64


class Senseless(SpecError):
    """Timeloop's numbers make no sense."""


def no_number() -> Senseless:
    """Return the error that Timeloop divides by 0."""
    return Senseless("sparse: Timeloop's answer is no number: it divides by 0")


def unsigned(value: float) -> int:
    """Return a number as a count.

    Raises:
        Senseless: it is not finite, or Timeloop's count would wrap around.
    """
    if not math.isfinite(value):
        raise no_number()
    count = int(value)
    if not 0 <= count < WRAPS:
        raise Senseless("sparse: Timeloop's answer makes no sense: a count wraps around to 2^64")
    return count


def floored(value: float) -> int:
    """Return the next lower integer; Senseless where there is none."""
    return math.floor(_finite(value))


def ceiled(value: float) -> int:
    """Return the next higher integer; Senseless where there is none."""
    return math.ceil(_finite(value))


def rounded(value: float) -> float:
    """Round half away from zero, as C does, a number that is not negative."""
    whole = math.floor(_finite(value))
    return float(whole + 1 if value - whole >= 0.5 else whole)


def millionth(value: float) -> float:
    """Return a number rounded to a millionth."""
    return rounded(1000000 * value) / 1000000


def _finite(value: float) -> float:
    if not math.isfinite(value):
        raise no_number()
    return value
