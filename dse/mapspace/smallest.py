"""The mapping with the smallest tiles: what a mapspace that seems empty is judged by."""

from __future__ import annotations

from dse.domain.mapping import Mapping
from dse.mapspace.space import Mapspace, Slot


def smallest(space: Mapspace) -> Mapping | None:
    """Return the mapping whose loops run as far outside as the constraints let them.

    Where even this one does not fit the hardware, hardly any does: fixed factors stay, all else
    goes to the outermost place that may hold it, and tensors are kept only where they must be.
    None when a dimension cannot be split over the levels at all.
    """
    if space.infeasible:
        return None
    mapping = space.empty_batch(1)[0]
    for d, name in enumerate(space.problem.dimensions):
        factors = _outside(space.slots[d], space.problem.bounds[name])
        if factors is None:
            return None
        for slot, factor in zip(space.slots[d], factors, strict=True):
            table = mapping.spatial if slot.spatial else mapping.temporal
            table[slot.level, d] = factor
    mapping.keep[space.arrays.keep == 2] = False
    return mapping


def _outside(slots: list[Slot], bound: int) -> list[int] | None:
    """Return a factor for every slot (listed from the inside), the outermost as large as can be."""
    left = bound
    factors = [slot.fixed or 1 for slot in slots]
    for factor in factors:
        if left % factor:
            return None
        left //= factor
    for index in range(len(slots) - 1, -1, -1):
        slot = slots[index]
        if not slot.fixed:
            factors[index] = _largest_divisor(left, slot.cap)
            left //= factors[index]
    return factors if left == 1 else None


def _largest_divisor(number: int, cap: int) -> int:
    if number <= cap:
        return number
    low = 1
    for divisor in range(2, min(cap, int(number**0.5) + 1) + 1):
        if number % divisor == 0:
            if number // divisor <= cap:
                return number // divisor
            low = divisor
    return low
