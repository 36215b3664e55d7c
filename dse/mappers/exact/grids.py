"""All choices of spatial factors, level by level from the inside out."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from dse.mappers.exact.shape import MapspaceShape
from dse.mappers.exact.tables import MOST_GRIDS, TooLargeError
from dse.mapspace.factorization import divisors
from dse.mapspace.outline import Slot


class Grids:
    """All spatial factors up to each level: grid 0 has none; each level multiplies its choices."""

    def __init__(self, shape: MapspaceShape) -> None:
        levels, space = shape.levels, shape.space
        self.vectors: dict[int, list[tuple[tuple[int, ...], tuple[bool, ...]]]] = {}
        for s in range(levels):
            choices = _spatial_choices(shape, s)
            if choices is not None:
                self.vectors[s] = choices
        count = 1
        self.span: dict[int, tuple[int, int]] = {}
        at = 1
        for s, choices in self.vectors.items():
            count *= len(choices)
            self.span[s] = (at, at + count)
            at += count
        if at > MOST_GRIDS:
            raise TooLargeError(f"{at} choices of spatial factors, at most {MOST_GRIDS}")
        dimensions = len(shape.active)
        self.factor = np.ones((at, levels, dimensions), np.int16)
        self.on_y = np.zeros((at, levels, dimensions), np.bool_)
        self.parents: dict[int, tuple[int, int]] = {}
        before = (0, 1)
        for s, choices in self.vectors.items():
            self.parents[s] = before
            low, high = self.span[s]
            parents = np.repeat(np.arange(*before), len(choices))
            self.factor[low:high] = self.factor[parents]
            self.on_y[low:high] = self.on_y[parents]
            times = before[1] - before[0]
            self.factor[low:high, s] = np.tile(
                np.array([f for f, _ in choices], np.int16), (times, 1)
            )
            self.on_y[low:high, s] = np.tile(
                np.array([y for _, y in choices], np.bool_), (times, 1)
            )
            before = (low, high)
        #: those with factors of all levels
        self.whole = slice(*before)
        self.fan = self.factor.astype(np.float64).prod(axis=2)
        index = {d: i for i, d in enumerate(shape.active)}
        axis_order = space.spatial_order
        self.axes = np.array(
            [[index[d] for d in axis_order[s].tolist() if d in index] for s in range(levels)],
            np.int8,
        ).reshape(levels, dimensions)


def _spatial_choices(
    shape: MapspaceShape, s: int
) -> list[tuple[tuple[int, ...], tuple[bool, ...]]] | None:
    """Factors and axes that level s may have; None where it can have none above 1.

    Where two assignments to the axes differ in nothing but place, the first is taken; where
    windows run on the grid, neighbours matter, and all are.
    """
    space = shape.space
    most_x, most_y = space.most_along(s)
    macs = int(shape.hardware.mac_instances[0])
    slots: list[Slot | None] = [shape.slot(d, s, spatial=True) for d in range(len(shape.active))]
    if all(x is None for x in slots):
        return None
    options: list[list[tuple[int, bool]]] = []
    fan_x, fan_y = int(space.arrays.fanout_x[s]), int(space.arrays.fanout_y[s])
    for d, slot, bound in zip(shape.active, slots, shape.bounds, strict=True):
        axis = int(space.arrays.axis[s, d])
        places = (False, True) if axis == 2 else (axis == 1,)
        unused = slot is None or not (slot.fixed or slot.least > 1)
        here: list[tuple[int, bool]] = [(1, places[0])] if unused else []
        if slot is not None:
            low = max(2, slot.least)
            values = (
                [slot.fixed] if slot.fixed else [n for n in divisors(bound) if low <= n <= slot.cap]
            )
            here += [(n, y) for n in values for y in places if n <= (fan_y if y else fan_x)]
        options.append(here)
    windows = (shape.space.problem.projection[:, :, shape.active] > 0).sum(axis=2) > 1
    hit = shape.space.problem.projection[:, :, shape.active] != 0
    in_window = (hit & windows[:, :, None]).any(axis=(0, 1))
    seen: set[tuple[int, ...]] = set()
    result = []
    limits = (fan_x, fan_y, macs, most_x, most_y)
    for choice in _combined(options, limits, (1, 1, 0, 0)):
        factors = tuple(n for n, _ in choice)
        if any(n > 1 and w for n, w in zip(factors, in_window, strict=True)):
            pass
        elif factors in seen:
            continue
        seen.add(factors)
        result.append((factors, tuple(y for _, y in choice)))
    return result


def _combined(
    options: list[list[tuple[int, bool]]],
    limits: tuple[int, int, int, int, int],
    taken: tuple[int, int, int, int],
) -> Iterator[tuple[tuple[int, bool], ...]]:
    """Yield all choices of one option each that keep within limits, in the order of a product.

    Args:
        options: factors, and whether they run along Y.
        limits: most along X, along Y and in all; most dimensions along X and along Y.
        taken: width, height, and dimensions along X and along Y of the options before.
    """
    if not options:
        yield ()
        return
    fan_x, fan_y, macs, most_x, most_y = limits
    for n, on_y in options[0]:
        width, height, count_x, count_y = taken
        if on_y:
            height, count_y = height * n, count_y + (n > 1)
        else:
            width, count_x = width * n, count_x + (n > 1)
        if width > fan_x or height > fan_y or width * height > macs:
            continue
        if count_x <= most_x and count_y <= most_y:
            for rest in _combined(options[1:], limits, (width, height, count_x, count_y)):
                yield ((n, on_y), *rest)
