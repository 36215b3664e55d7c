"""Covers hardware by boxes, none of which holds anything below the claim.

A box is a range of chips, and of every capacity a range of values. On the range's most generous
hardware every mapping costs no more than on any of it, with the least price in the box of a buffer
that holds its tiles; lines below all choices of one mapping per layer then bound what the box may
hold. Boxes that might hold something are halved, and in them only those mappings are looked at of
which something below the claim may be (:mod:`dse.certify.needed`); on single hardware these are
evaluated at their true cost.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from dse.certify.hardware import Chip, Hardware
from dse.certify.networks import NetworkPoints
from dse.certify.objective import CheckedGoal
from dse.certify.rows import Rows, RowSource
from dse.certify.tiled_rows import TiledRows
from dse.certify.verdict import Effort, RefutedError
from dse.errors import SpecError

Ints = npt.NDArray[np.int64]
Point = tuple[int, ...]

#: A claim that is proven may lie too high by so much, relatively: rounding of sums.
SLACK = 1e-11
#: Boxes of a range of chips before it is halved.
_PATIENCE = 24


class Boxes:
    """See the module.

    Args:
        hardware: of the space.
        goal: what is minimised.
        claim: below which there is nothing; infinite: there is nothing at all.
        effort: counts boxes.
        say: called with a line of progress now and then.
    """

    def __init__(
        self, hardware: Hardware, goal: CheckedGoal, claim: float, effort: Effort,
        say: Callable[[str], None],
    ) -> None:  # fmt: skip
        self._hardware, self._goal, self._workload = hardware, goal, hardware.space.workload
        self._claim = claim * (1.0 - SLACK)
        self._effort, self._say, self._done = effort, say, 0

    def check(self, source: RowSource, chips: Sequence[Chip]) -> None:
        """Check all hardware of some chips.

        Raises:
            RefutedError: a design lies below the claim.
            NotCoveredError: that takes too long.
        """
        pending: list[tuple[tuple[Chip, ...], Rows | None]] = [(tuple(chips), None)]
        while pending:
            part, within = pending.pop()
            left = self._left_of(source, part, within)
            if left is None:
                self._done += len(part)
                self._say(
                    f"{self._done} of {len(self._hardware.chips)} chips rechecked, "
                    f"{self._effort.boxes:,} boxes, {self._effort.mappings:,} mappings"
                )
                continue
            pending += [(half, left) for half in _halves(source, part)]

    def _left_of(
        self, source: RowSource, chips: tuple[Chip, ...], within: Rows | None
    ) -> Rows | None:
        """Return the rows of which something below the claim may be, to look at in halves.

        None: no box of the range holds anything below the claim.
        """
        high = tuple(c.variable.count - 1 for c in self._hardware.capacities)
        low = tuple(0 for _ in high)
        boxes: list[tuple[Point, Point, Rows]] = [(low, high, source.rows(chips, within))]
        of_all: Rows | None = None
        seen = 0
        while boxes:
            low, high, rows = boxes.pop()
            seen += 1
            self._effort.spend(boxes=1)
            if of_all is not None and len(chips) > 1 and seen > _PATIENCE:
                return of_all
            left = self._left_in(rows, low, high)
            if left is None:
                continue
            of_all = left if of_all is None else of_all
            if low != high:
                boxes += [(*part, left) for part in _parts(low, high)]
            elif len(chips) > 1:
                return of_all
            else:
                self._check_point(source, chips[0], low, left)
        return None

    def _left_in(self, rows: Rows, low: Point, high: Point) -> Rows | None:
        """Return the rows of which something below the claim may be in a box; None: nothing is."""
        area = 0.0
        if self._goal.needs_area:
            area = min(_least_area(chip, low, high) for chip in rows.chips)
            if self._goal.forbids_from(area):
                return None
        if min(_least_bits(chip, low, high) for chip in rows.chips) > self._hardware.most_bits:
            return None
        energy = rows.energy(low, high)
        kept = np.isfinite(energy)
        if not kept.any():
            return None
        before = np.concatenate([[0], np.cumsum(kept)])
        first = before[rows.first].astype(np.int64)
        points = NetworkPoints(self._workload, self._goal, first, energy[kept], rows.cycles[kept])
        if not points.may_be_below(self._claim, area):
            return None
        kept[kept] = points.needed(self._claim, area)
        return rows.only(kept)

    def _check_point(self, source: RowSource, chip: Chip, point: Point, within: Rows) -> None:
        """Evaluate mappings on one piece of hardware; raise where a design is better."""
        values = self._hardware.values(chip, point)
        space = self._hardware.space
        try:
            architecture = space.architecture(values)
        except SpecError:
            return
        area = architecture.area_um2
        if not self._goal.allows(area):
            return
        points = NetworkPoints(
            self._workload, self._goal, *source.points(chip, architecture, within)
        )
        found = points.below(self._claim, area)
        if found:
            labels = ", ".join(
                f"{v.name}={v.label(values[v.name])}" for v in space.template.variables
            )
            value = self._goal.value(found, area)
            said = "better" if math.isfinite(self._claim) else "valid"
            raise RefutedError(f"a design with {labels} is {said}: {value!r}")


def _least_area(chip: Chip, low: Point, high: Point) -> float:
    """Return the least area in a box, a little too low: the template adds in another order."""
    least = (
        float(s.area_um2[a : b + 1].min()) for s, a, b in zip(chip.sizes, low, high, strict=True)
    )
    return (chip.area_um2 + sum(least)) * (1.0 - 1e-13)


def _least_bits(chip: Chip, low: Point, high: Point) -> float:
    """Return the least bits on the chip in a box; infinite where there is no such hardware."""
    total = chip.bits
    for s, a, b in zip(chip.sizes, low, high, strict=True):
        inside = slice(a, b + 1)
        bits = np.where(s.usable_words[inside] < 0, math.inf, s.bits[inside])
        total += float(bits.min())
    return total * (1.0 - 1e-13)


def _parts(low: Point, high: Point) -> list[tuple[Point, Point]]:
    """Halve a box along the capacity whose values differ most."""
    v = max(range(len(low)), key=lambda i: (high[i] + 1.0) / (low[i] + 1.0))
    middle = round(math.sqrt((low[v] + 1.0) * (high[v] + 1.0))) - 1
    middle = min(max(middle, low[v]), high[v] - 1)
    return [
        (low, (*high[:v], middle, *high[v + 1 :])),
        ((*low[:v], middle + 1, *low[v + 1 :]), high),
    ]


def _halves(source: RowSource, chips: tuple[Chip, ...]) -> list[tuple[Chip, ...]]:
    """Halve a range of chips along what tells them apart most."""
    table = np.array([_features(source, chip) for chip in chips])
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.nan_to_num(table.max(axis=0) / table.min(axis=0), nan=1.0)
    order = np.argsort(table[:, int(ratio.argmax())], kind="stable")
    middle = len(chips) // 2
    return [tuple(chips[i] for i in half) for half in (order[:middle], order[middle:])]


def _features(source: RowSource, chip: Chip) -> list[float]:
    """Return what decides how well mappings do on a chip."""
    found = [chip.architecture.compute.energy_pj]
    if isinstance(source, TiledRows):
        found += [float(n) for pair in source.most(chip) for n in pair]
    for level in chip.architecture.levels:
        bandwidths = (level.read_bandwidth, level.write_bandwidth, level.shared_bandwidth)
        found += [min(b, 1e300) for b in bandwidths]
        found += [float(level.block_size), level.energy.read_pj / level.block_size]
    found += [float(s.usable_words.max()) for s in chip.sizes]
    return found
