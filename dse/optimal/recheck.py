"""A second, slower argument for the bound of a co-search, which shares no pruning with it.

The hardware is cut by the variables that are no sizes of buffers, into ranges that are halved where
they are too coarse, and each range into boxes of sizes. Every mapping of every layer is evaluated by
the plain model on a machine with the range's largest arrays, bandwidths and buffers, three times,
with prices that tell apart what its accesses to each sized buffer cost. Then, in a box, a mapping
costs at least what it costs with the smallest buffers of the box that hold its tiles. From the least
values of ``energy + l * cycles`` over all mappings of each layer follows a line that no design of the
box lies below; lines are added until every corner between them is at the claimed value or beyond, or
until a corner is a choice of mappings itself; then the box is halved.

Two-tier spaces (:mod:`dse.optimal.two_tier`) are rechecked so, with all orders of the outer loops and
with the largest spatial factors, whose claim to be best is checked on random tiles by the model. Other
spaces, which the search enumerates, are rechecked by brute force: every mapping on every hardware.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from dse.architecture import AccessEnergy, Architecture
from dse.errors import SpecError
from dse.evaluators.native import NativeEvaluator
from dse.mapping import MappingBatch
from dse.mapspace.enumeration import enumerate_valid
from dse.mapspace.factorization import divisors
from dse.mapspace.space import Mapspace, MapspaceCache
from dse.model.arrays import version_number
from dse.optimal import recheck_kernel
from dse.optimal.frames import Frame, HardwareSpace, TooLarge
from dse.optimal.goal import Goal
from dse.optimal.hull import DELAY, ENERGY
from dse.optimal.two_tier import ACCUMULATOR, MEMORY, SCRATCHPAD, Roles, roles
from dse.problem import Problem
from dse.study.space import SearchSpace

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

#: What the recheck proves may lie below the claim by so much, relatively: rounding of its sums.
SLACK = 1e-11
#: Boxes of a range of frames before it is halved.
_PATIENCE = 24
#: Mappings x hardware points up to which brute force is tried.
_MOST_EVALUATIONS = 500_000_000


@dataclass(frozen=True)
class Verdict:
    """What a recheck found.

    Attributes:
        holds: whether no design lies below the claim.
        bound: what was proven.
        boxes: parts of the hardware that were looked at.
        mappings: mappings evaluated.
        how: the argument in a few words.
        reason: why it does not hold, or could not be rechecked.
    """

    holds: bool
    bound: float
    boxes: int
    mappings: int
    how: str
    reason: str = ""


@dataclass
class _Count:
    boxes: int = 0
    mappings: int = 0


class _RefutedError(Exception):
    """A design lies below the claim."""


def recheck(
    space: SearchSpace, goal: Goal, value: float, report: Callable[[str], None] | None = None
) -> Verdict:
    """Check that no design of a space has an objective below ``value``.

    Args:
        space: the space.
        goal: the objective and its limits.
        value: the claim.
        report: called with a line of progress now and then.

    Returns:
        The verdict; where the space is too large, it does not hold, with the reason.
    """
    count = _Count()
    say = report or (lambda _: None)
    how = "brute force over all hardware and mappings"
    try:
        hardware = HardwareSpace(space, areas=goal.needs_area)
        layers = _two_tier_layers(space, hardware)
        if layers is None:
            _brute_force(space, goal, value, count, say)
        else:
            how = "all tiles and orders by the plain model, boxes of hardware"
            _Boxes(space, goal, value, hardware, layers, count, say).check()
    except TooLarge as error:
        return Verdict(False, 0.0, count.boxes, count.mappings, how, f"too large: {error}")
    except _RefutedError as error:
        return Verdict(False, 0.0, count.boxes, count.mappings, how, str(error))
    return Verdict(True, value * (1.0 - SLACK), count.boxes, count.mappings, how)


# -- lines and corners ---------------------------------------------------------------------------


class _Choices:
    """Points of all layers; finds lines below all choices of one per layer."""

    def __init__(self, weight: Floats, first: Ints, energy: Floats, cycles: Floats) -> None:
        self._weight, self._first = weight, first
        self._energy, self._cycles = energy, cycles

    def line(self, x: float, y: float) -> tuple[float, float, float]:
        """Return the least ``x * energy + y * cycles``, and energy and cycles of a choice that has it."""
        value = self._cycles * y if x == 0.0 else self._energy * x + self._cycles * y
        total = energy = cycles = 0.0
        for n, weight in enumerate(self._weight):
            part = value[self._first[n] : self._first[n + 1]]
            best = int(part.argmin()) if len(part) else -1
            if best < 0 or not math.isfinite(self._energy[self._first[n] + best]):
                return math.inf, math.inf, math.inf
            r = self._first[n] + best
            total += weight * value[r]
            energy += weight * self._energy[r]
            cycles += weight * self._cycles[r]
        return total, energy, cycles

    def below(self, mode: int, claim: float) -> bool:
        """Whether some choice has a value below the claim."""
        if mode == ENERGY:
            return self.line(1.0, 0.0)[0] < claim
        if mode == DELAY:
            return self.line(0.0, 1.0)[0] < claim
        one, other = (1.0, 0.0, self.line(1.0, 0.0)), (0.0, 1.0, self.line(0.0, 1.0))
        if math.isinf(one[2][0]):
            return False
        if min(one[2][1] * one[2][2], other[2][1] * other[2][2]) < claim:
            return True
        stack = [(one, other)]
        while stack:
            one, other = stack.pop()
            energy, cycles = _corner(one, other)
            if energy * cycles >= claim:
                continue
            # the line along both choices: what no choice is below, only their segment bounds,
            # and the product is least at its ends
            x, y = other[2][2] - one[2][2], one[2][1] - other[2][1]
            x, y = abs(x), abs(y)
            if x == 0.0 or y == 0.0:
                continue
            found = (x, y, self.line(x, y))
            if found[2][0] >= (x * one[2][1] + y * one[2][2]) * (1.0 - 1e-12):
                continue
            if found[2][1] * found[2][2] < claim:
                return True
            stack += [(one, found), (found, other)]
        return False


_Line = tuple[float, float, tuple[float, float, float]]


def _corner(one: _Line, other: _Line) -> tuple[float, float]:
    """Return where two lines ``x * energy + y * cycles = total`` meet."""
    (a, b, (c, _, _)), (d, e, (f, _, _)) = one, other
    determinant = a * e - b * d
    if determinant == 0.0:
        return 0.0, 0.0
    return (c * e - b * f) / determinant, (a * f - c * d) / determinant


# -- two-tier spaces -----------------------------------------------------------------------------


@dataclass(frozen=True)
class _Layer:
    """A layer with all its tiles and orders: ``(R, 2 D)`` of :mod:`dse.optimal.recheck_kernel`."""

    problem: Problem
    space: Mapspace
    roles: Roles
    tiles: Ints
    weight: float


def _two_tier_layers(space: SearchSpace, hardware: HardwareSpace) -> list[_Layer] | None:
    """Return the layers with their tiles; None where the space is not a two-tier one."""
    frames = [hardware.frame(i) for i in range(len(hardware.frames))]
    if not frames or len(frames[0].architecture.levels) != 4:
        return None
    widest = max(frames, key=lambda f: f.architecture.compute.instances).architecture
    space_of = MapspaceCache(space.template.constraints)
    made: dict[Problem, _Layer | None] = {}
    layers = []
    for layer in space.workload:
        if layer.problem not in made:
            mapspace = space_of(layer.problem, widest)
            role = roles(mapspace)
            made[layer.problem] = None if role is None else _Layer(
                layer.problem, mapspace, role,
                _tiles(layer.problem, version_number(space.timeloop_version)), 0.0,
            )  # fmt: skip
        known = made[layer.problem]
        if known is None:
            return None
        layers.append(replace(known, weight=float(layer.count)))
    return layers


def _tiles(problem: Problem, version: int) -> Ints:
    """Return all tiles with all orders of the outer loops that may matter."""
    dims, (tensors, ranks, _) = len(problem.dimensions), problem.projection.shape
    lists = [divisors(int(n)) for n in problem.sizes]
    first = np.cumsum([0, *(len(x) for x in lists)]).astype(np.int64)
    divisor = np.array([d for x in lists for d in x], np.int64)
    work = recheck_kernel.Work(
        *(np.zeros(dims, np.int64) for _ in range(3)),
        *(np.zeros(ranks, np.int64) for _ in range(4)),
        np.zeros(tensors, np.int64),
        np.zeros((recheck_kernel.MOST, tensors), np.int64),
        np.zeros((recheck_kernel.MOST, dims), np.int64),
    )
    most = 8 * math.prod(len(x) for x in lists)
    while True:
        out = np.empty((most, 2 * dims), np.int64)
        rows = recheck_kernel.all_tiles(
            problem.projection, problem.sizes, first, divisor, version, work, out
        )
        if rows == -2:
            raise TooLarge(f"a tile has more than {recheck_kernel.MOST} different traffics")
        if rows >= 0:
            return out[:rows].copy()
        most *= 4


def _mappings(layer: _Layer, tiles: Ints, rows: Ints, columns: Ints) -> MappingBatch:
    """Return mappings of tiles with these spatial factors, ``(B,)`` each."""
    dims = len(layer.problem.dimensions)
    batch = layer.space.empty_batch(len(tiles))
    batch.spatial[ACCUMULATOR, layer.roles.rows] = rows
    batch.spatial[SCRATCHPAD, layer.roles.columns] = columns
    inner = tiles[:, :dims].T
    spatial = batch.spatial.astype(np.int64).prod(axis=0)
    batch.temporal[ACCUMULATOR] = inner // spatial
    batch.temporal[MEMORY] = layer.problem.sizes[:, None] // inner
    orders = tiles[:, dims:]
    permutation = np.repeat(batch.permutation, len(tiles), axis=2) if (
        batch.permutation.shape[2] == 1
    ) else batch.permutation.copy()  # fmt: skip
    # loops first, in their order; the rest behind, in any
    place = np.full((len(tiles), dims), dims, np.int64)
    for j in range(dims):
        known = np.flatnonzero(orders[:, j] >= 0)
        place[known, orders[known, j]] = j
    permutation[MEMORY] = np.argsort(place, axis=1, kind="stable").T
    return replace(batch, permutation=permutation)


def _largest(bounds: Ints, tile: Ints, most: int) -> Ints:
    """Return the largest divisor of each tile up to ``most``."""
    best = np.ones(len(tile), np.int64)
    for d in divisors(int(bounds)):
        if d <= most:
            best = np.where(tile % d == 0, np.maximum(best, d), best)
    return best


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


class _Boxes:
    """Covers the hardware by boxes, none of which holds anything below the claim."""

    def __init__(
        self, space: SearchSpace, goal: Goal, value: float, hardware: HardwareSpace,
        layers: Sequence[_Layer], count: _Count, say: Callable[[str], None],
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
                raise TooLarge("prices with leakage are not rechecked")
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
                        raise _RefutedError("a smaller spatial factor costs less")

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
        self, machine: Architecture, layer: _Layer, tiles: Ints, rows: Ints, columns: Ints
    ) -> list[Floats]:
        """Return cycles, and the accesses to every level, by the plain model."""
        mappings = _mappings(layer, tiles, rows, columns)
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
            rows = _largest(sizes[r.rows], layer.tiles[:, r.rows], pe_rows)
            wide = _largest(sizes[r.columns], layer.tiles[:, r.columns], pe_columns)
            cycles, *accesses = self._costs(machine, layer, layer.tiles, rows, wide)
            words = _tile_words(layer.problem, layer.tiles[:, :dims])
            need = {
                ACCUMULATOR: words[:, r.output] // wide,
                SCRATCHPAD: words[:, r.stationary] + words[:, r.moving],
            }
            energy = np.full(len(cycles), layer.problem.macs * mac_pj)
            fits = np.ones(len(cycles), np.bool_)
            for s, count in enumerate(accesses):
                if s not in sized:
                    energy += count * price[s]
                    capacity = max(_usable(f.architecture, s) for f in frames)
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
                raise TooLarge("prices that differ by kind of access are not rechecked")
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
                    raise _RefutedError(
                        f"a design with sizes {low} of {frames[0].values} is better"
                    )
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
        choices = _Choices(
            self._weight, before[r.first].astype(np.int64), energy[kept], r.cycles[kept]
        )
        claim = self._claim / self._goal.factor(area) if self._goal.factor(area) > 0 else math.inf
        return not choices.below(self._goal.mode, claim)

    def _point_holds(self, frame: Frame, point: tuple[int, ...]) -> bool:
        """Whether no design on one hardware is below the claim: every mapping by the plain model."""
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
            costs = [self._on(architecture, layer, pair) for pair in _pairs(architecture, layer)]
            energy += [e for e, _ in costs]
            cycles += [t for _, t in costs]
            counts.append(sum(len(e) for e, _ in costs))
        first = np.cumsum([0, *counts]).astype(np.int64)
        choices = _Choices(self._weight, first, np.concatenate(energy), np.concatenate(cycles))
        claim = self._claim / self._goal.factor(architecture.area_um2)
        return not choices.below(self._goal.mode, claim)

    def _on(
        self, architecture: Architecture, layer: _Layer, pair: tuple[int, int]
    ) -> tuple[Floats, Floats]:
        """Return energy and cycles of a layer's tiles with these spatial factors."""
        dims = len(layer.problem.dimensions)
        words = _tile_words(layer.problem, layer.tiles[:, :dims])
        r = layer.roles
        fits = (layer.tiles[:, r.rows] % pair[0] == 0) & (layer.tiles[:, r.columns] % pair[1] == 0)
        fits &= words[:, r.output] // pair[1] <= _usable(architecture, ACCUMULATOR)
        fits &= words[:, r.stationary] + words[:, r.moving] <= _usable(architecture, SCRATCHPAD)
        tiles = layer.tiles[fits]
        if not len(tiles):
            return np.empty(0), np.empty(0)
        ones = np.ones(len(tiles), np.int64)
        batch = _mappings(layer, tiles, ones * pair[0], ones * pair[1])
        m = self._evaluator.evaluate(architecture, layer.problem, batch)
        self._count.mappings += len(batch)
        return m.energy_pj[m.valid], m.cycles[m.valid]


def _pairs(architecture: Architecture, layer: _Layer) -> list[tuple[int, int]]:
    """Return the spatial factors that the hardware has room for."""
    sizes, r = layer.problem.sizes, layer.roles
    rows = [d for d in divisors(int(sizes[r.rows])) if d <= max(architecture.fanout(ACCUMULATOR))]
    wide = [d for d in divisors(int(sizes[r.columns])) if d <= max(architecture.fanout(SCRATCHPAD))]
    return list(itertools.product(rows, wide))


def _usable(architecture: Architecture, s: int) -> float:
    level = architecture.levels[s]
    return math.inf if level.size_words is None else level.size_words // level.multiple_buffering


def _by_word(frame: Frame, one: bool) -> Floats:
    """Return the price of a level's access ``(L,)``, or its least per word for ranges."""
    prices = frame.prices[:, :3]
    if one:
        if (np.ptp(prices, axis=1) > 0).any():
            raise TooLarge("prices that differ by kind of access are not rechecked")
        return prices[:, 0]
    blocks = np.array([level.block_size for level in frame.architecture.levels])
    least: Floats = prices.min(axis=1) / blocks
    return least


def _tile_words(problem: Problem, tiles: Ints) -> Ints:
    """Return words ``(B, T)`` of every tensor in tiles ``(B, D)``."""
    sides = 1 + np.einsum("tqd,bd->btq", problem.projection, tiles - 1)
    words: Ints = sides.prod(axis=2)
    return words


# -- other spaces --------------------------------------------------------------------------------


def _brute_force(
    space: SearchSpace, goal: Goal, value: float, count: _Count, say: Callable[[str], None]
) -> None:
    """Evaluate every mapping on every hardware."""
    variables = space.template.variables
    lists = [
        [space.fixed[v.name]] if v.name in space.fixed else [v.value_at(i) for i in range(v.count)]
        for v in variables
    ]
    total = math.prod(len(x) for x in lists)
    evaluator = NativeEvaluator(space.timeloop_version)
    space_of = MapspaceCache(space.template.constraints)
    weight = np.array([layer.count for layer in space.workload], np.float64)
    for number, chosen in enumerate(itertools.product(*lists)):
        values = dict(zip((v.name for v in variables), chosen, strict=True))
        try:
            architecture = space.architecture(values)
        except SpecError:
            continue
        if not goal.admits(architecture.area_um2):
            continue
        points: list[tuple[Floats, Floats]] = []
        for layer in space.workload:
            parts: list[tuple[Floats, Floats]] = [(np.empty(0), np.empty(0))]
            mapspace = space_of(layer.problem, architecture)
            try:
                for batch in enumerate_valid(mapspace, 16384):
                    m = evaluator.evaluate(architecture, layer.problem, batch)
                    count.mappings += len(batch)
                    parts.append((m.energy_pj[m.valid], m.cycles[m.valid]))
                    if count.mappings > _MOST_EVALUATIONS:
                        raise TooLarge(f"more than {_MOST_EVALUATIONS:,} evaluations")
            except ValueError as error:
                raise TooLarge(str(error)) from error
            energy, cycles = (np.concatenate(column) for column in zip(*parts, strict=True))
            points.append((energy, cycles))
        count.boxes += 1
        if any(len(energy) == 0 for energy, _ in points):
            continue
        first = np.cumsum([0, *(len(energy) for energy, _ in points)]).astype(np.int64)
        energy, cycles = (np.concatenate(column) for column in zip(*points, strict=True))
        factor = goal.factor(architecture.area_um2)
        if _Choices(weight, first, energy, cycles).below(goal.mode, value * (1 - SLACK) / factor):
            raise _RefutedError(f"a design with {values} is better")
        if number % 16 == 0:
            say(f"{number} of {total} designs rechecked, {count.mappings:,} mappings")
