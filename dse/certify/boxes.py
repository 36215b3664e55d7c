"""The recheck of two-tier spaces: every tile and order by the plain model, boxes of hardware."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from dse.certify.choices import Choices
from dse.certify.layers import (
    BoxLayer,
    largest_divisor,
    mappings_of,
    spatial_pairs,
    tile_words,
    usable_words,
)
from dse.cosearch.frames import Frame, HardwareSpace, UnsolvableSpace
from dse.cosearch.goal import CoSearchGoal
from dse.cosearch.two_tier.roles import ACCUMULATOR, SCRATCHPAD
from dse.domain.architecture import AccessEnergy, Architecture
from dse.errors import SpecError
from dse.evaluators.native import NativeEvaluator
from dse.mapspace.factorization import divisors
from dse.space.search_space import SearchSpace

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

#: What a recheck proves may lie below the claim by so much, relatively: rounding of its sums.
SLACK = 1e-11
#: Boxes of a range of frames before it is halved.
_PATIENCE = 24


@dataclass
class Count:
    """What a recheck has looked at."""

    boxes: int = 0
    mappings: int = 0


class RefutedError(Exception):
    """A design lies below the claim."""


@dataclass(frozen=True)
class _Range:
    """Mappings of all layers on a range of frames: arrays over all layers' rows."""

    frames: tuple[Frame, ...]
    first: Ints
    cycles: Floats
    base: Floats
    parts: tuple[Floats, ...]  # accesses to each sized level, or their words
    need: tuple[Ints, ...]  # smallest value of each size variable that holds the tiles
    prices: tuple[Floats, ...]  # least from each value up, of each size variable


class Boxes:
    """Covers the hardware by boxes, none of which holds anything below the claim."""

    def __init__(
        self, space: SearchSpace, goal: CoSearchGoal, value: float, hardware: HardwareSpace,
        layers: Sequence[BoxLayer], count: Count, say: Callable[[str], None],
    ) -> None:  # fmt: skip
        self._space, self._goal, self._claim = space, goal, value * (1.0 - SLACK)
        self._hardware, self._layers, self._count, self._say = hardware, layers, count, say
        self._weight = np.array([layer.weight for layer in layers])
        self._evaluator = NativeEvaluator(space.timeloop_version)
        self._rng = np.random.default_rng(0)

    def check(self) -> None:
        """Raise where a design lies below the claim."""
        count = len(self._hardware.frames)
        frames = [self._hardware.frame(i) for i in range(count)]
        for frame in frames:
            if any(x.energy.leak_pj for x in frame.architecture.levels) or any(
                np.nan_to_num(t.price_pj[:, 3]).any() for t in frame.tables
            ):
                raise UnsolvableSpace("prices with leakage are not rechecked")
        frames.sort(key=lambda f: f.architecture.compute.instances)
        self._check_largest(frames[-1])
        pending = [tuple(frames)]
        done = 0
        while pending:
            part = pending.pop()
            if self._range_holds(part):
                done += len(part)
                self._say(
                    f"{done} of {count} arrays rechecked, {self._count.boxes:,} boxes, "
                    f"{self._count.mappings:,} mappings"
                )
                continue
            middle = len(part) // 2
            pending += [part[:middle], part[middle:]]

    def _check_largest(self, frame: Frame) -> None:
        """Check by the model that larger spatial factors cost no more, on random tiles."""
        machine = self._machine((frame,))
        for layer in self._layers:
            pick = self._rng.integers(0, len(layer.tiles), 64)
            dims = layer.roles.rows, layer.roles.columns
            for row in layer.tiles[pick]:
                lists = [
                    [d for d in divisors(int(row[dim])) if d <= max(machine.fanout(level))]
                    for dim, level in zip(dims, (ACCUMULATOR, SCRATCHPAD), strict=True)
                ]
                pairs = np.array(list(itertools.product(*lists)), np.int64)
                tiles = np.repeat(row[None], len(pairs), axis=0)
                costs = self._costs(machine, layer, tiles, pairs[:, 0], pairs[:, 1])
                for cost in costs:
                    if (cost[-1] > cost * (1.0 + 1e-12)).any():
                        raise RefutedError("a smaller spatial factor costs less")

    def _machine(self, frames: tuple[Frame, ...]) -> Architecture:
        """Return the range's largest machine without prices; by the word where it has frames."""
        parts = [f.architecture for f in frames]
        widest = max(parts, key=lambda p: p.compute.instances)
        levels = []
        for s, level in enumerate(widest.levels):
            both = [p.levels[s] for p in parts]
            levels.append(
                replace(
                    level,
                    size_words=None if level.is_dram else 1 << 40,
                    block_size=level.block_size if len(parts) == 1 else 1,
                    # Timeloop's division may make a whole number of cycles one too large
                    read_bandwidth=max(x.read_bandwidth for x in both) * (1.0 + 1e-9),
                    write_bandwidth=max(x.write_bandwidth for x in both) * (1.0 + 1e-9),
                    shared_bandwidth=max(x.shared_bandwidth for x in both) * (1.0 + 1e-9),
                    energy=AccessEnergy(),
                )
            )
        return replace(widest, levels=tuple(levels), compute=replace(widest.compute, energy_pj=0.0))

    def _costs(
        self, machine: Architecture, layer: BoxLayer, tiles: Ints, rows: Ints, columns: Ints
    ) -> list[Floats]:
        """Return cycles, and the accesses to every level, by the plain model."""
        mappings = mappings_of(layer, tiles, rows, columns)
        machines = [
            machine.with_levels(**{x.name: replace(x, energy=AccessEnergy(1.0, 1.0, 1.0))})
            for x in machine.levels
        ]
        found = [self._evaluator.evaluate(m, layer.problem, mappings) for m in machines]
        self._count.mappings += len(mappings) * len(machines)
        assert all(m.valid.all() for m in found)
        return [found[0].cycles, *(m.energy_pj for m in found)]

    def _range(self, frames: tuple[Frame, ...]) -> _Range:
        """Evaluate every tile and order on a range of frames."""
        machine = self._machine(frames)
        one = len(frames) == 1
        sized = {size.level: v for v, size in enumerate(self._hardware.sizes)}
        price = np.min([_by_word(f, one) for f in frames], axis=0)
        mac_pj = min(f.architecture.compute.energy_pj for f in frames)
        usable = [
            np.max([f.tables[v].usable_words for f in frames], axis=0) for v in range(len(sized))
        ]
        columns: list[list[Floats]] = [[] for _ in range(2 + 2 * len(sized))]
        counts = []
        for layer in self._layers:
            pe_rows, pe_columns = (max(machine.fanout(s)) for s in (ACCUMULATOR, SCRATCHPAD))
            r, dims = layer.roles, len(layer.problem.dimensions)
            sizes = layer.problem.sizes
            rows = largest_divisor(sizes[r.rows], layer.tiles[:, r.rows], pe_rows)
            wide = largest_divisor(sizes[r.columns], layer.tiles[:, r.columns], pe_columns)
            cycles, *accesses = self._costs(machine, layer, layer.tiles, rows, wide)
            words = tile_words(layer.problem, layer.tiles[:, :dims])
            need = {
                ACCUMULATOR: words[:, r.output] // wide,
                SCRATCHPAD: words[:, r.stationary] + words[:, r.moving],
            }
            energy = np.full(len(cycles), layer.problem.macs * mac_pj)
            fits = np.ones(len(cycles), np.bool_)
            for s, count in enumerate(accesses):
                if s not in sized:
                    energy += count * price[s]
                    capacity = max(usable_words(f.architecture, s) for f in frames)
                    fits &= need.get(s, np.ones(1, np.int64)) <= capacity
            energy[~fits] = np.inf
            columns[0].append(cycles)
            columns[1].append(energy)
            for s, v in sized.items():
                columns[2 + v].append(accesses[s])
                place = np.searchsorted(usable[v], need.get(s, np.ones(1, np.int64)))
                columns[2 + len(sized) + v].append(
                    np.broadcast_to(place, len(cycles)).astype(np.int64)
                )
            counts.append(len(cycles))
        joined = [np.concatenate(column) for column in columns]
        prices = []
        for v, size in enumerate(self._hardware.sizes):
            blocks = [1 if one else f.architecture.levels[size.level].block_size for f in frames]
            least = np.min(
                [
                    np.nan_to_num(f.tables[v].price_pj[:, :3].min(axis=1), nan=np.inf) / block
                    for f, block in zip(frames, blocks, strict=True)
                ],
                axis=0,
            )
            if one and (np.ptp(frames[0].tables[v].price_pj[:, :3], axis=1) > 0).any():
                raise UnsolvableSpace("prices that differ by kind of access are not rechecked")
            prices.append(least)
        return _Range(
            frames,
            np.cumsum([0, *counts]).astype(np.int64),
            joined[0],
            joined[1],
            tuple(joined[2 : 2 + len(sized)]),
            tuple(joined[2 + len(sized) :]),  # type: ignore[arg-type]
            tuple(prices),
        )

    def _range_holds(self, frames: tuple[Frame, ...]) -> bool:
        """Whether no box of the range holds anything below the claim; False: halve the range."""
        found = self._range(frames)
        high = tuple(size.variable.count - 1 for size in self._hardware.sizes)
        boxes = [(tuple(0 for _ in high), high)]
        seen = 0
        while boxes:
            low, high = boxes.pop()
            seen += 1
            self._count.boxes += 1
            if len(frames) > 1 and seen > _PATIENCE:
                return False
            if self._box_holds(found, low, high):
                continue
            if low == high:
                if len(frames) > 1:
                    return False
                if not self._point_holds(frames[0], low):
                    raise RefutedError(f"a design with sizes {low} of {frames[0].values} is better")
                continue
            v = max(range(len(low)), key=lambda i: (high[i] + 1.0) / (low[i] + 1.0))
            if low[v] == high[v]:
                v = max(range(len(low)), key=lambda i: high[i] - low[i])
            middle = round(math.sqrt((low[v] + 1.0) * (high[v] + 1.0))) - 1
            middle = min(max(middle, low[v]), high[v] - 1)
            boxes.append((low, (*high[:v], middle, *high[v + 1 :])))
            boxes.append(((*low[:v], middle + 1, *low[v + 1 :]), high))
        return True

    def _box_holds(self, r: _Range, low: tuple[int, ...], high: tuple[int, ...]) -> bool:
        area = 0.0
        if self._goal.needs_area:
            area = min(
                f.fixed_area_um2
                + sum(
                    float(np.nanmin(t.area_um2[a : b + 1]))
                    for t, a, b in zip(f.tables, low, high, strict=True)
                )
                for f in r.frames
            ) * (1.0 - 1e-13)
            if self._goal.excludes_from(area):
                return True
        bits = min(
            f.fixed_bits + sum(float(t.bits[a]) for t, a in zip(f.tables, low, strict=True))
            for f in r.frames
        )
        if bits > self._hardware.budget_bits:
            return True
        energy = r.base.copy()
        for v, price in enumerate(r.prices):
            upward = np.minimum.accumulate(price[low[v] : high[v] + 1][::-1])[::-1]
            place = np.maximum(r.need[v] - low[v], 0)
            inside = place < len(upward)
            with np.errstate(invalid="ignore"):
                energy += r.parts[v] * upward[np.where(inside, place, 0)]
            energy[~inside] = np.inf
        kept = np.isfinite(energy)
        if not kept.any():
            return True
        before = np.concatenate([[0], np.cumsum(kept)])
        choices = Choices(
            self._weight, before[r.first].astype(np.int64), energy[kept], r.cycles[kept]
        )
        claim = self._claim / self._goal.factor(area) if self._goal.factor(area) > 0 else math.inf
        return not choices.below(self._goal.mode, claim)

    def _point_holds(self, frame: Frame, point: tuple[int, ...]) -> bool:
        """Whether no design on one hardware is below the claim: every mapping by the model."""
        sizes = zip(self._hardware.sizes, point, strict=True)
        values = {**frame.values, **{s.variable.name: s.variable.value_at(i) for s, i in sizes}}
        try:
            architecture = self._space.architecture(values)
        except SpecError:
            return True
        if not self._goal.admits(architecture.area_um2):
            return True
        energy, cycles, counts = [], [], []
        for layer in self._layers:
            costs = [
                self._on(architecture, layer, pair) for pair in spatial_pairs(architecture, layer)
            ]
            energy += [e for e, _ in costs]
            cycles += [t for _, t in costs]
            counts.append(sum(len(e) for e, _ in costs))
        first = np.cumsum([0, *counts]).astype(np.int64)
        choices = Choices(self._weight, first, np.concatenate(energy), np.concatenate(cycles))
        claim = self._claim / self._goal.factor(architecture.area_um2)
        return not choices.below(self._goal.mode, claim)

    def _on(
        self, architecture: Architecture, layer: BoxLayer, pair: tuple[int, int]
    ) -> tuple[Floats, Floats]:
        """Return energy and cycles of a layer's tiles with these spatial factors."""
        dims = len(layer.problem.dimensions)
        words = tile_words(layer.problem, layer.tiles[:, :dims])
        r = layer.roles
        fits = (layer.tiles[:, r.rows] % pair[0] == 0) & (layer.tiles[:, r.columns] % pair[1] == 0)
        fits &= words[:, r.output] // pair[1] <= usable_words(architecture, ACCUMULATOR)
        fits &= words[:, r.stationary] + words[:, r.moving] <= usable_words(
            architecture, SCRATCHPAD
        )
        tiles = layer.tiles[fits]
        if not len(tiles):
            return np.empty(0), np.empty(0)
        ones = np.ones(len(tiles), np.int64)
        batch = mappings_of(layer, tiles, ones * pair[0], ones * pair[1])
        m = self._evaluator.evaluate(architecture, layer.problem, batch)
        self._count.mappings += len(batch)
        return m.energy_pj[m.valid], m.cycles[m.valid]


def _by_word(frame: Frame, one: bool) -> Floats:
    """Return the price of a level's access ``(L,)``, or its least per word for ranges."""
    prices = frame.prices[:, :3]
    if one:
        if (np.ptp(prices, axis=1) > 0).any():
            raise UnsolvableSpace("prices that differ by kind of access are not rechecked")
        return prices[:, 0]
    blocks = np.array([level.block_size for level in frame.architecture.levels])
    least: Floats = prices.min(axis=1) / blocks
    return least
