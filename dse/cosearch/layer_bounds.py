"""What a network costs at least on one piece of hardware, by the exact mapper, layer by layer.

For a multiplier ``l`` the least of ``energy + l * cycles`` of every layer makes a *support*: no
choice of mappings has a lower weighted sum.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from dse.cosearch.layer_floors import LayerFloors
from dse.cosearch.sizes import UnsolvableSpace
from dse.domain.architecture import Architecture, HardwareBatch
from dse.domain.mapping import Mapping, MappingBatch
from dse.domain.problem import Layer, Workload
from dse.evaluators.native import NativeEvaluator
from dse.goals.metrics import Metrics
from dse.goals.objective import objective
from dse.mappers.best import Best
from dse.mappers.exact.proof import prove
from dse.mappers.gamma import GammaMapper, GammaSettings
from dse.mapspace.cache import MapspaceCache
from dse.mapspace.membership import admitted
from dse.mapspace.sampling import sample_valid
from dse.mapspace.space import Mapspace
from dse.numeric import Floats, Ints
from dse.space.search_space import SearchSpace

#: Partial mappings after which a layer's search gives up, where it may be loose and where not; what
#: it has not seen bounds it then; and where a weak bound will do.
_FEW_LABELS, _MOST_LABELS, _QUICK_LABELS = 3_000_000, 10_000_000, 200_000
#: The same where it may leave so large a gap that little depends on it.
_ROUGH_LABELS, _ROUGH_GAP = 1_000_000, 0.02
#: Mappings to begin with where none is known, and the draws that they may take.
_DRAWN, _MOST_DRAWS = 1000, 20_000
#: Mappings that are priced of each layer to improve those of some hardware.
_IMPROVED = 2000
#: Mappings of each layer that a first design is made of.
_FIRST_KNOWN = 16
#: What costs no more than this above its bound, relatively, is no better on smaller hardware.
_SAME = 1e-12
#: Choices of keeping a tensor or not that make a layer's search take seconds.
_MANY_FREE = 5
#: Mappings that a search may have priced, and that are kept of a layer to begin others with.
_MOST_PRICED, _MOST_KEPT = 512, 64


class OutOfTimeError(Exception):
    """The time that a search may take is over."""


class LayerLeast(NamedTuple):
    """A bound of one layer, the mapping that comes to it, or near it, and what that comes to."""

    bound: float
    mapping: Mapping
    value: float


@dataclass(frozen=True)
class Support:
    """A line that no choice of mappings lies below.

    Attributes:
        multiplier: ``l`` of ``energy + l * cycles``; infinite: cycles alone.
        least: the weighted sum over all layers, at least.
        energy, cycles: of the mappings that come to it, or near it.
        layers: what one run of each layer comes to at least, and the mapping.
    """

    multiplier: float
    least: float
    energy: float
    cycles: float
    layers: tuple[LayerLeast, ...]

    @property
    def mappings(self) -> tuple[Mapping, ...]:
        """The mappings, one for each layer."""
        return tuple(layer.mapping for layer in self.layers)


def between(left: Support, right: Support) -> float | None:
    """Return the multiplier that weighs the points of two supports alike; None: there is none new.

    Its support is the line through both points, or there is a point below that line.
    """
    fewer, less = left.cycles - right.cycles, right.energy - left.energy
    if fewer <= 0 or less <= 0:
        return None
    found = less / fewer
    return found if left.multiplier < found < right.multiplier else None


class LayerBounds:
    """Asks the exact mapper for supports.

    Args:
        space: what is searched.
        network: whose layers these are.
        threads: layers that are searched at a time; results do not depend on it.
        end: of `time.monotonic`, after which nothing is bounded any more; None: never.

    Attributes:
        searches: how many searches of a layer were made.
        known: for each layer mappings that were good for something.
        floors: bounds that need no search.
    """

    def __init__(
        self, space: SearchSpace, network: Workload, threads: int, end: float | None = None
    ) -> None:
        self.layers: tuple[Layer, ...] = tuple(network)
        self._version = space.timeloop_version
        self._evaluator = NativeEvaluator(self._version)
        self._space_of = MapspaceCache(space.template.constraints)
        self._threads = threads
        self._end = math.inf if end is None else end
        self.searches = 0
        self.floors = LayerFloors(self.layers, self._version, threads, self._space_of, self._check)
        self.known: list[list[Mapping]] = [[] for _ in self.layers]

    def support(
        self,
        architecture: Architecture,
        multiplier: float,
        gap: float,
        wider: Support | None = None,
        *,
        quick: bool = False,
        widths: Ints | None = None,
    ) -> Support | None:
        """Return the support of a multiplier on hardware; None where a layer has no mapping.

        Args:
            architecture: the hardware.
            multiplier: of cycles, in pJ a cycle; infinite: cycles alone.
            gap: by how much each layer's least may be too low, relatively.
            wider: the support on hardware that no mapping costs more; a layer whose mapping costs
                the same here is not searched again.
            quick: whether a weak bound will do.
            widths: of the hardware that this one stands for; see `dse.mappers.exact.proof.prove`.

        Raises:
            UnsolvableSpace: nothing bounds a layer; says why.
            OutOfTimeError: the time is over.
        """
        numbers = range(len(self.layers))
        most = _FEW_LABELS if gap else _MOST_LABELS
        if gap >= _ROUGH_GAP:
            most = _ROUGH_LABELS
        if quick:
            most = _QUICK_LABELS
        # mapspaces are built one after the other: the cache is no one's lock
        spaces = [self._space_of(layer.problem, architecture) for layer in self.layers]

        def least(number: int) -> LayerLeast | None:
            before = wider.layers[number] if wider else None
            return self._least(
                number,
                spaces[number],
                architecture,
                multiplier,
                gap,
                before,
                most,
                widths=widths,
            )

        with ThreadPoolExecutor(self._threads) as pool:
            found = list(pool.map(least, numbers))
        kept = wider.layers if wider else (None,) * len(found)
        self.searches += sum(new is not old for new, old in zip(found, kept, strict=True))
        layers = tuple(one for one in found if one is not None)
        if len(layers) < len(found):
            return None
        for known, one in zip(self.known, layers, strict=True):
            self._keep(known, one.mapping)
        counts = [layer.count for layer in self.layers]
        total = sum(n * one.bound for n, one in zip(counts, layers, strict=True))
        energy, cycles = self.price(architecture, [one.mapping for one in layers])
        return Support(multiplier, total, energy, cycles, layers)

    def price(self, architecture: Architecture, mappings: Sequence[Mapping]) -> tuple[float, float]:
        """Return the network's energy in pJ and its cycles with these mappings."""
        energy = cycles = 0.0
        for layer, mapping in zip(self.layers, mappings, strict=True):
            batch = MappingBatch.of([mapping])
            m = self._evaluator.evaluate(architecture, layer.problem, batch)
            energy += layer.count * float(m.energy_pj[0])
            cycles += layer.count * float(m.cycles[0])
        return energy, cycles

    def draw(self, architecture: Architecture, *, missing: bool = False) -> None:
        """Draw mappings of each layer on hardware; those of the least products become known.

        Args:
            architecture: the hardware.
            missing: whether only layers without a known mapping there are drawn for.
        """
        for number, (known, layer) in enumerate(zip(self.known, self.layers, strict=True)):
            if missing and self._has_valid(architecture, number):
                continue
            space = self._space_of(layer.problem, architecture)
            drawn = sample_valid(space, _DRAWN, 0, _MOST_DRAWS).mappings
            m = self._evaluator.evaluate(architecture, layer.problem, drawn)
            value = np.where(m.valid, m.edp, np.inf)
            best = np.argsort(value, kind="stable")[:_FIRST_KNOWN]
            known.extend(drawn[int(i)] for i in best if np.isfinite(value[i]))

    def rise(self, architecture: Architecture, support: Support, lost: float) -> float:
        """Return by how much a support's mappings cost more on other hardware, relatively.

        Args:
            architecture: the hardware.
            support: whose mappings these are.
            lost: what a mapping is taken to cost more that the hardware does not admit.
        """
        more = total = 0.0
        for layer, one in zip(self.layers, support.layers, strict=True):
            batch = MappingBatch.of([one.mapping])
            space = self._space_of(layer.problem, architecture)
            m = self._evaluator.evaluate(architecture, layer.problem, batch)
            value = float(_weighed(m, support.multiplier)[0])
            is_valid = bool(m.valid[0]) and bool(admitted(space, batch)[0])
            rise = max(value / one.value - 1.0, 0.0) if is_valid else lost
            more += layer.count * one.value * rise
            total += layer.count * one.value
        return more / total

    def is_heavy(self, architecture: Architecture) -> bool:
        """Whether a layer has so many ways to keep and bypass that each search takes seconds."""
        spaces = (self._space_of(layer.problem, architecture) for layer in self.layers)
        return any(int((space.arrays.keep == 2).sum()) >= _MANY_FREE for space in spaces)

    def valid(self, architecture: Architecture, number: int) -> MappingBatch | None:
        """Return the known mappings of a layer that hardware admits; None: there are none."""
        known = self.known[number]
        if not known:
            return None
        batch = MappingBatch.of(known)
        space = self._space_of(self.layers[number].problem, architecture)
        good = np.flatnonzero(admitted(space, batch))
        return batch.take(good) if len(good) else None

    def improve(self, architecture: Architecture, multiplier: float) -> None:
        """Search mappings of the least weighted sums by the heuristics of the exact mapper.

        Args:
            architecture: the hardware.
            multiplier: of cycles, in pJ a cycle.
        """
        hardware = HardwareBatch.of(architecture)
        goal = objective(f"energy_pj + {multiplier!r} * cycles")
        mapper = GammaMapper(self._evaluator, {}, goal, GammaSettings())
        samples = np.array([_IMPROVED], np.int64)

        def best(layer: Layer) -> Mapping | None:
            return mapper.map(hardware, layer.problem, samples, 0).mappings[0]

        with ThreadPoolExecutor(self._threads) as pool:
            found = list(pool.map(best, self.layers))
        for known, mapping in zip(self.known, found, strict=True):
            if mapping is not None:
                self._keep(known, mapping)

    def learn(self, mappings: Sequence[Mapping]) -> None:
        """Take mappings, one of each layer, to begin searches with."""
        for known, mapping in zip(self.known, mappings, strict=True):
            self._keep(known, mapping)

    @staticmethod
    def _keep(known: list[Mapping], mapping: Mapping) -> None:
        if all(mapping != other for other in known):
            known.append(mapping)
            del known[:-_MOST_KEPT]

    def _has_valid(self, architecture: Architecture, number: int) -> bool:
        batch = self.valid(architecture, number)
        if batch is None:
            return False
        m = self._evaluator.evaluate(architecture, self.layers[number].problem, batch)
        return bool(m.valid.any())

    def _is_late(self) -> bool:
        return time.monotonic() > self._end

    def _check(self) -> None:
        if self._is_late():
            raise OutOfTimeError

    def _least(
        self,
        number: int,
        space: Mapspace,
        architecture: Architecture,
        multiplier: float,
        gap: float,
        before: LayerLeast | None,
        most: int,
        *,
        widths: Ints | None,
    ) -> LayerLeast | None:
        self._check()
        layer = self.layers[number]
        kind = "delay" if math.isinf(multiplier) else "energy"
        best = Best()

        def confirm(mappings: MappingBatch) -> float:
            """Price mappings that the space admits; return the least value known."""
            good = np.flatnonzero(admitted(space, mappings))
            if not len(good):
                return best.value
            mappings = mappings.take(good)
            m = self._evaluator.evaluate(architecture, layer.problem, mappings)
            value = _weighed(m, multiplier)
            best.offer(mappings, m, np.where(m.valid, value, np.inf))
            return best.value

        if before is not None:
            here = confirm(MappingBatch.of([before.mapping]))
            if here * (1.0 - max(gap, _SAME)) <= before.bound:
                return before._replace(value=min(here, before.value))
        if self.known[number]:
            confirm(MappingBatch.of(self.known[number]))
        else:
            confirm(sample_valid(space, _DRAWN, 0, _MOST_DRAWS).mappings)
        proof = prove(
            space, architecture, kind, self._version, gap=gap, threads=1, best=best.value,
            samples=_MOST_PRICED, confirm=confirm,
            nodes=most, late=self._is_late, tell=lambda _, __: None, widths=widths,
            cycle_pj=0.0 if kind == "delay" else multiplier,
        )  # fmt: skip
        self._check()
        if proof.complete and best.mapping is None and proof.bound in (None, math.inf):
            return None
        if best.mapping is None:
            raise UnsolvableSpace(
                f"layer '{layer.name}': no mapping after {proof.nodes:,} partial ones"
            )
        if proof.bound is None:
            raise UnsolvableSpace(f"layer '{layer.name}': {proof.assumed}")
        bound = proof.bound if before is None else max(proof.bound, before.bound)
        return LayerLeast(bound, best.mapping, best.value)


def _weighed(metrics: Metrics, multiplier: float) -> Floats:
    """Return energy and cycles, so weighed, ``(B,)``; infinite: cycles alone."""
    if math.isinf(multiplier):
        return metrics.cycles
    return metrics.energy_pj + multiplier * metrics.cycles
