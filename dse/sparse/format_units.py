"""What a rank's format takes: of one occupancy in compiled code, of an array of them in Python."""

from __future__ import annotations

from typing import TypeVar

import numpy as np

from dse.domain.sparse import FORMATS
from dse.jit import inlined
from dse.numeric import Floats

Likely = TypeVar("Likely", float, Floats)

#: Numbers of the formats.
UOP, UB, B, CP, RLE = range(5)
FORMAT_CODES = dict(zip(("uop", "ub", "b", "cp", "rle"), range(len(FORMATS)), strict=True))


@inlined
def format_units(
    code: int, fibers: int, length: int, empty_fiber: Likely, empty_element: Likely
) -> tuple[Likely, Likely]:
    """Return metadata and payload units of a rank.

    Args:
        code: of its format.
        fibers: how many there are at most.
        length: elements of a fiber.
        empty_fiber: how likely one is empty; 0 where the format is ``UB``.
        empty_element: how likely one is; not looked at for ``UOP``.
    """
    if code == UB:
        bits = 0.0 * empty_fiber + float(fibers * length)
        return bits, bits
    held = fibers * (1 - empty_fiber)
    if code == UOP:
        return 0.0 * held, held * (length + 1)
    elements = length * (1 - empty_element)
    if code == RLE:
        runs = elements * held
        return runs, runs
    elements = np.ceil(elements)
    if code == B:
        return held * length, held * elements
    coordinates = elements * held
    return coordinates, coordinates
