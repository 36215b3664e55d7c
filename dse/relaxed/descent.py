"""One descent from a start point: Adam on factors, rounding, loop orders (DOSA, section 5)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from dse.domain.architecture import Architecture
from dse.domain.mapping import Mapping as LayerMapping
from dse.domain.problem import Problem
from dse.errors import SpecError
from dse.goals.meter import Meter
from dse.mapspace.cache import MapspaceCache
from dse.mapspace.padding import alternatives
from dse.mapspace.space import Mapspace
from dse.numeric import Floats
from dse.relaxed.latency import Latency
from dse.relaxed.network import GOALS, Mix, RelaxedNetwork
from dse.relaxed.orders import free_levels, stationary_orders
from dse.relaxed.points import Points
from dse.relaxed.sizing import Demand
from dse.relaxed.slots import Slots
from dse.space.search_space import SearchSpace
from dse.space.variable import Values
from dse.state.codec import State
from dse.state.entries import CheckedEntries

_BETA1, _BETA2, _TINY = 0.9, 0.999, 1e-8
#: Halvings of the way back to the smallest tiles where a rounded network fits no hardware.
_HALVINGS = 7
#: Sizes of every layer that are compared before a rounding.
_SIZES = 16


@dataclass
class Adam:
    """State of Adam (Kingma and Ba, 2015): moments and step; it outlives roundings."""

    mean: Floats
    square: Floats
    step: int = 0

    def move(self, gradient: Floats, rate: float) -> Floats:
        """Return the step to take."""
        self.step += 1
        self.mean = _BETA1 * self.mean + (1 - _BETA1) * gradient
        self.square = _BETA2 * self.square + (1 - _BETA2) * gradient**2
        mean = self.mean / (1 - _BETA1**self.step)
        square = self.square / (1 - _BETA2**self.step)
        return -rate * mean / (np.sqrt(square) + _TINY)

    def state_dict(self) -> dict[str, State]:
        """Return it as plain data."""
        return {"mean": self.mean, "square": self.square, "step": self.step}

    @classmethod
    def of_state(cls, entries: CheckedEntries, count: int) -> Adam:
        """Return what :meth:`state_dict` gave for so many factors; SpecError where it is not."""
        with entries:
            mean, square = (
                entries.array(name, np.float64, (count,)) for name in ("mean", "square")
            )
            return cls(mean, square, entries.integer("step", 0))


@dataclass
class DescentState:
    """Where a descent stands; all that has to be remembered between two batches of a study.

    Attributes:
        points: N relaxed mappings, one per layer.
        log_free: ``(F,)`` logarithms of the free factors.
        log_bound: ``(G,)`` what they and the rests multiply to (`dse.relaxed.slots.Slots`): the
            layers' own sizes, or padded ones.
        adam: the optimizer's state.
        base: values of the variables that are not inferred.
    """

    points: Points
    log_free: Floats
    log_bound: Floats
    adam: Adam
    base: Values

    def state_dict(self) -> dict[str, State]:
        """Return it as plain data; the bounds follow from the points."""
        return {
            "points": self.points.state_dict(),
            "log_free": self.log_free,
            "adam": self.adam.state_dict(),
            "base": self.base,
        }


class Descent:
    """What one descent needs to know of a search space; made anew, never saved.

    Args:
        space: the search space.
        base: values of the variables that are not inferred.
        meter: charged with every evaluation.
        penalty: see `dse.relaxed.network.RelaxedNetwork`.
        area_weight: see there.
        latency: see there.

    Raises:
        SpecError: the space cannot be searched so: the message says why.
    """

    def __init__(
        self,
        space: SearchSpace,
        base: Mapping[str, int],
        meter: Meter | None,
        *,
        penalty: float = 10.0,
        area_weight: float = 0.0,
        latency: Latency | None = None,
    ) -> None:
        self.space = space
        self.network = RelaxedNetwork(
            *(space, base, meter), penalty=penalty, area_weight=area_weight, latency=latency
        )
        self.base = dict(base)
        largest = self._largest()
        self.spaces = [Mapspace(layer.problem, largest) for layer in space.workload]
        self._space_of = MapspaceCache(space.template.constraints)
        self.slots = Slots.of(self.spaces)
        self.free_levels = free_levels(self.spaces)
        dimensions = self.slots.log_fixed.shape[3]
        tensors = max(len(s.problem.tensors) for s in self.spaces)
        self._orders = [stationary_orders(s, dimensions, tensors) for s in self.spaces]
        self._counts = np.array([layer.count for layer in space.workload], np.float64)
        self._penalty = penalty

    def state_of(self, mappings: list[LayerMapping]) -> DescentState:
        """Return the state of whole mappings, one per layer."""
        points = self.network.twin.points(mappings, list(range(len(mappings))))
        log_free = self.slots.read(points)
        zeros = np.zeros(len(log_free))
        bounds = self.slots.bounds_at(points)
        return DescentState(points, log_free, bounds, Adam(zeros, zeros.copy()), self.base)

    def restored(self, entries: CheckedEntries, base: Values) -> DescentState:
        """Return what a state's ``state_dict`` gave, but for its base, which is given.

        Raises:
            SpecError: it is of another space.
        """
        like = self.network.twin.points(
            [space.empty_batch(1)[0] for space in self.spaces], list(range(len(self.spaces)))
        )
        with entries.part("points") as points:
            found = Points.of_state(points, like)
        log_free = entries.array("log_free", np.float64, (len(self.slots.cap),))
        adam = Adam.of_state(entries.part("adam"), len(log_free))
        return DescentState(found, log_free, self.slots.bounds_at(found), adam, base)

    def step(
        self, state: DescentState, rate: float, *, linear: bool, mix: Mix | None = None
    ) -> None:
        """Take one step of Adam; costs a sample, or one per order that is mixed.

        Args:
            state: is moved.
            rate: Adam's, of the logarithms of factors, or of factors over ``slots.scale``.
            linear: whether the factors themselves are stepped in.
            mix: weighs the loop orders of each layer; None: those of the state are taken.
        """
        points, rests = self.slots.write(state.log_free, state.log_bound, state.points)
        if mix is None:
            value = self.network.evaluate(points)
            temporal, spatial = value.temporal, value.spatial
        else:
            temporal, spatial = self._mixed(points, mix)
        free, rest = self.slots.gather(temporal, spatial)
        rest = rest + 2 * self._penalty * np.minimum(rests, 0.0)
        gradient = free - rest[self.slots.rest]
        top = np.log(self.slots.cap)
        if linear:
            factor = np.exp(state.log_free)
            unit = self.slots.scale
            moved = factor + unit * state.adam.move(gradient * unit / factor, rate)
            state.log_free = np.clip(np.log(np.maximum(moved, 1.0)), 0.0, top)
        else:
            moved = state.log_free + state.adam.move(gradient, rate)
            state.log_free = np.clip(moved, 0.0, top)
        state.points = points

    def rounded(self, state: DescentState) -> tuple[Points, Values, str]:
        """Return whole mappings near a state, the smallest hardware for them, and what it lacks.

        Where no legal hardware holds the rounded tiles, they are taken back towards the smallest
        ones as far as it needs; the text is empty unless even those fit nothing.
        """
        best = self._rounded(state, 1.0)
        if not best[2]:
            return best
        low, high, found = 0.0, 1.0, self._rounded(state, 0.0)
        if found[2]:
            return best
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            here = self._rounded(state, middle)
            if here[2]:
                high = middle
            else:
                low, found = middle, here
        return found

    def choose_sizes(self, state: DescentState) -> None:
        """Choose for every layer the size to round to: its own, or a padded one.

        The state's factors are rounded to each of the most promising sizes there are on the
        hardware that they imply; a greedy pass over the layers takes the ones that make the whole
        network best. Costs a sample per size, up to :attr:`size_cost`.
        """
        hardware = self._implied(state)
        if hardware is None:
            return
        sizes = [
            self._sizes_on(hardware, n, tuple(bounds))
            for n, bounds in enumerate(self._bounds(state.points))
        ]
        many = max(map(len, sizes))
        if many == 1:
            return
        bounds = [
            self.slots.bounds_of([some[m % len(some)] for some in sizes]) for m in range(many)
        ]
        made = [self.slots.rounded(state.log_free, one, state.points) for one in bounds]
        variants = Points(*(np.concatenate(column) for column in zip(*made, strict=True)))
        shape = (many, len(sizes))
        energy, cycles = (part.reshape(shape).T for part in self.network.priced(variants, hardware))
        chosen = np.array(self._greedy(energy, cycles))
        state.log_bound = np.stack(bounds)[
            chosen[self.slots.rest_layer], np.arange(len(state.log_bound))
        ]

    @property
    def size_cost(self) -> int:
        """What :meth:`choose_sizes` costs in samples, at most."""
        return _SIZES if self.space.padding.on else 0

    def _implied(self, state: DescentState) -> Architecture | None:
        """Return the smallest hardware for a state's real-valued factors; None: there is none."""
        points, _ = self.slots.write(state.log_free, state.log_bound, state.points)
        demand = Demand(*(x.max(axis=0)[None] for x in self.network.twin.used(points)))
        values, short = self.network.sizing.smallest(demand, self.base)
        if short:
            return None
        try:
            return self.space.architecture(values)
        except SpecError:
            return None

    def _sizes_on(self, hardware: Architecture, n: int, now: tuple[int, ...]) -> list[Problem]:
        """Return the sizes of a layer that may be rounded to: what it has now, then others."""
        own = self.spaces[n].problem
        current = replace(own, bounds=dict(zip(own.dimensions, now, strict=True)))
        metric = self.space.objective.mapping_metric
        found = alternatives(self._space_of(own, hardware), self.space.padding, metric)
        return list(dict.fromkeys([current, *found.problems]))[:_SIZES]

    def _bounds(self, points: Points) -> list[list[int]]:
        """Return the sizes of the layers' dimensions that N points run."""
        table = np.log(points.temporal) + np.log(points.spatial)
        sizes = np.round(np.exp(table.sum(axis=1))).astype(np.int64)
        return [
            row[: len(space.problem.dimensions)].tolist()
            for row, space in zip(sizes, self.spaces, strict=True)
        ]

    def search_orders(self, points: Points, values: Values) -> Points:
        """Return N whole points with better loop orders on that hardware.

        Level by level from the outside, a greedy pass over the layers: each takes that of the
        tensors' orders which makes the whole network best. Costs a sample per order.
        """
        architecture = self.space.architecture(values)
        for s in self.free_levels:
            variants = self._variants(points, [s])
            shape = (len(self._orders), -1)
            energy, cycles = (
                part.reshape(shape) for part in self.network.priced(variants, architecture)
            )
            chosen = self._greedy(energy, cycles)
            for n, t in enumerate(chosen):
                points.order[n, s] = self._orders[n][t, s]
        return points

    @property
    def orders(self) -> int:
        """How many loop orders are tried or mixed per layer."""
        return len(self._orders[0])

    @property
    def kept(self) -> tuple[str, ...]:
        """The variables that are not inferred: they keep the values of the start."""
        return tuple(v.name for v in self.network.sizing.kept)

    def order_cost(self) -> int:
        """Return what :meth:`search_orders` costs in samples."""
        return len(self.free_levels) * len(self._orders[0])

    def mappings(self, points: Points) -> tuple[LayerMapping, ...]:
        """Return N whole points as mappings."""
        return tuple(points.mapping(n, space) for n, space in enumerate(self.spaces))

    def moved_to(self, state: DescentState, points: Points) -> None:
        """Go on from whole points."""
        state.points = points
        state.log_free = self.slots.read(points)
        state.log_bound = self.slots.bounds_at(points)

    def _largest(self) -> Architecture:
        """Return the largest hardware that may be inferred, whatever the budget says."""
        sizing = self.network.sizing
        values = {**self.base, **{v.name: v.maximum for v in sizing.inferred}, **sizing.fixed}
        return self.space.template.tree(values)

    def _rounded(self, state: DescentState, part: float) -> tuple[Points, Values, str]:
        points = self.slots.rounded(state.log_free * part, state.log_bound, state.points)
        used = self.network.twin.used(points)
        demand = Demand(*(x.max(axis=0)[None] for x in used))
        values, short = self.network.sizing.smallest(demand, self.base)
        if not short:
            try:
                self.space.template.build(values)
            except SpecError as error:
                short = str(error)
        return points, values, short

    def _variants(self, points: Points, levels: list[int]) -> Points:
        """Return N M points: each with the order of every tensor at the given levels."""
        many = len(self._orders[0])
        variants = points.take(np.repeat(np.arange(len(points.problem)), many))
        for n, orders in enumerate(self._orders):
            for t in range(many):
                for s in levels:
                    variants.order[n * many + t, s] = orders[t, s]
        return variants

    def _greedy(self, energy: Floats, cycles: Floats) -> list[int]:
        """Choose a variant per layer, ``(N, M)``, each for the sake of the whole."""
        of_energy, of_cycles, _ = GOALS[self.space.objective.name]
        local = of_energy * np.log(energy) + of_cycles * np.log(cycles)
        chosen = local.argmin(axis=1)
        every = np.arange(len(energy))
        for n in every:
            others = every != n
            e = (self._counts * energy[every, chosen])[others].sum()
            c = (self._counts * cycles[every, chosen])[others].sum()
            total_e, total_c = e + self._counts[n] * energy[n], c + self._counts[n] * cycles[n]
            loss = of_energy * np.log(total_e) + of_cycles * np.log(total_c)
            chosen[n] = loss.argmin()
        return [int(t) for t in chosen]

    def _mixed(self, points: Points, mix: Mix) -> tuple[Floats, Floats]:
        """Return the gradient with every layer's orders weighed by how good they are.

        The weights count as constants.
        """
        many = len(self._orders[0])
        variants = self._variants(points, self.free_levels)
        value = self.network.evaluate(variants, variants=many, mix=mix)
        shape = (len(self._orders), many, *points.temporal.shape[1:])
        return value.temporal.reshape(shape).sum(axis=1), value.spatial.reshape(shape).sum(axis=1)


def softmax_mix(energy: Floats, cycles: Floats) -> Floats:
    """Weigh variants by the softmax of their inverse energy-delay products, the best's being 1."""
    edp = energy * cycles
    return _softmax(edp.min(axis=1, keepdims=True) / edp)


def gumbel_mix(noise: Floats) -> Mix:
    """Return weights by Gumbel-softmax at temperature 1; ``noise (N, M)`` is Gumbel's."""

    def mix(energy: Floats, cycles: Floats) -> Floats:
        inverse = 1.0 / (energy * cycles)
        return _softmax(np.log(inverse / inverse.sum(axis=1, keepdims=True)) + noise)

    return mix


def _softmax(scores: Floats) -> Floats:
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    weights: Floats = powers / powers.sum(axis=1, keepdims=True)
    return weights
