"""What a network costs at least on one piece of hardware, by the exact mapper, layer by layer.

For a multiplier ``l`` the least of ``energy + l * cycles`` of every layer makes a *support*: no
choice of mappings has a lower weighted sum. The exact mapper minimises energy alone; the multiplier
is given to it as leakage of the outermost level, which stands still for all cycles.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from dse.cosearch.frames import UnsolvableSpace
from dse.domain.architecture import Architecture
from dse.domain.mapping import Mapping, MappingBatch
from dse.domain.problem import Workload
from dse.evaluators.native import NativeEvaluator
from dse.mappers.best import Best
from dse.mappers.exact.proof import prove
from dse.mapspace.cache import MapspaceCache
from dse.mapspace.sampling import sample_valid
from dse.mapspace.space import Mapspace
from dse.space.search_space import SearchSpace

#: Partial mappings after which a layer's search gives up, where it may be loose and where not; what
#: it has not seen bounds it then; and where a weak bound will do.
_FEW_LABELS, _MOST_LABELS, _QUICK_LABELS = 3_000_000, 10_000_000, 200_000
#: Mappings to begin with where none is known, and the draws that they may take.
_DRAWN, _MOST_DRAWS = 1000, 20_000
#: Mappings of each layer that a first design is made of.
_FIRST_KNOWN = 16
#: What costs no more than this above its bound, relatively, is no better on smaller hardware.
_SAME = 1e-12
#: Mappings that a search may have priced, and that are kept of a layer to begin others with.
_MOST_PRICED, _MOST_KEPT = 512, 64


class OutOfTimeError(Exception):
    """The time that a search may take is over."""


class LayerLeast(NamedTuple):
    """A bound of one layer, and the mapping that comes to it, or near it."""

    bound: float
    mapping: Mapping


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
    """

    def __init__(
        self, space: SearchSpace, network: Workload, threads: int, end: float | None = None
    ) -> None:
        self._workload = list(network)
        self._version = space.timeloop_version
        self._evaluator = NativeEvaluator(self._version)
        self._space_of = MapspaceCache(space.template.constraints)
        self._threads = threads
        self._end = math.inf if end is None else end
        self.searches = 0
        self.known: list[list[Mapping]] = [[] for _ in self._workload]

    def support(
        self,
        architecture: Architecture,
        multiplier: float,
        gap: float,
        wider: Support | None = None,
        *,
        quick: bool = False,
    ) -> Support | None:
        """Return the support of a multiplier on hardware; None where a layer has no mapping.

        Args:
            architecture: the hardware.
            multiplier: of cycles, in pJ a cycle; infinite: cycles alone.
            gap: by how much each layer's least may be too low, relatively.
            wider: the support on hardware that no mapping costs more; a layer whose mapping costs
                the same here is not searched again.
            quick: whether a weak bound will do.

        Raises:
            UnsolvableSpace: nothing bounds a layer; says why.
            OutOfTimeError: the time is over.
        """
        priced = _with_leakage(architecture, multiplier)
        numbers = range(len(self._workload))
        most = _QUICK_LABELS if quick else _FEW_LABELS if gap else _MOST_LABELS
        # mapspaces are built one after the other: the cache is no one's lock
        spaces = [self._space_of(layer.problem, priced) for layer in self._workload]

        def least(number: int) -> LayerLeast | None:
            before = wider.layers[number] if wider else None
            return self._least(number, spaces[number], priced, multiplier, gap, before, most)

        with ThreadPoolExecutor(self._threads) as pool:
            found = list(pool.map(least, numbers))
        kept = wider.layers if wider else (None,) * len(found)
        self.searches += sum(new is not old for new, old in zip(found, kept, strict=True))
        layers = tuple(one for one in found if one is not None)
        if len(layers) < len(found):
            return None
        for known, one in zip(self.known, layers, strict=True):
            if all(one.mapping != other for other in known):
                known.append(one.mapping)
                del known[:-_MOST_KEPT]
        counts = [layer.count for layer in self._workload]
        total = sum(n * one.bound for n, one in zip(counts, layers, strict=True))
        energy, cycles = self.price(architecture, [one.mapping for one in layers])
        return Support(multiplier, total, energy, cycles, layers)

    def price(self, architecture: Architecture, mappings: Sequence[Mapping]) -> tuple[float, float]:
        """Return the network's energy in pJ and its cycles with these mappings."""
        energy = cycles = 0.0
        for layer, mapping in zip(self._workload, mappings, strict=True):
            batch = MappingBatch.of([mapping])
            m = self._evaluator.evaluate(architecture, layer.problem, batch)
            energy += layer.count * float(m.energy_pj[0])
            cycles += layer.count * float(m.cycles[0])
        return energy, cycles

    def draw(self, architecture: Architecture) -> None:
        """Draw mappings of each layer on hardware; those of the least products become known."""
        for known, layer in zip(self.known, self._workload, strict=True):
            space = self._space_of(layer.problem, architecture)
            drawn = sample_valid(space, _DRAWN, 0, _MOST_DRAWS).mappings
            m = self._evaluator.evaluate(architecture, layer.problem, drawn)
            value = np.where(m.valid, m.edp, np.inf)
            best = np.argsort(value, kind="stable")[:_FIRST_KNOWN]
            known.extend(drawn[int(i)] for i in best if np.isfinite(value[i]))

    def _is_late(self) -> bool:
        return time.monotonic() > self._end

    def _least(
        self,
        number: int,
        space: Mapspace,
        architecture: Architecture,
        multiplier: float,
        gap: float,
        before: LayerLeast | None,
        most: int,
    ) -> LayerLeast | None:
        layer = self._workload[number]
        kind = "delay" if math.isinf(multiplier) else "energy"
        best = Best()

        def confirm(mappings: MappingBatch) -> float:
            """Price mappings; return the least value known."""
            m = self._evaluator.evaluate(architecture, layer.problem, mappings)
            value = m.cycles if kind == "delay" else m.energy_pj
            best.offer(mappings, m, np.where(m.valid, value, np.inf))
            return best.value

        if before is not None:
            here = confirm(MappingBatch.of([before.mapping]))
            if here * (1.0 - max(gap, _SAME)) <= before.bound:
                return before
        if self.known[number]:
            confirm(MappingBatch.of(self.known[number]))
        else:
            confirm(sample_valid(space, _DRAWN, 0, _MOST_DRAWS).mappings)
        proof = prove(
            space, architecture, kind, self._version, gap=gap, threads=1, best=best.value,
            samples=_MOST_PRICED, confirm=confirm,
            nodes=most, late=self._is_late, tell=lambda _, __: None,
        )  # fmt: skip
        if self._is_late():
            raise OutOfTimeError
        if proof.complete and best.mapping is None and proof.bound in (None, math.inf):
            return None
        if best.mapping is None:
            raise UnsolvableSpace(
                f"layer '{layer.name}': no mapping after {proof.nodes:,} partial ones"
            )
        if proof.bound is None:
            raise UnsolvableSpace(f"layer '{layer.name}': {proof.assumed}")
        return LayerLeast(proof.bound, best.mapping)


def _with_leakage(architecture: Architecture, multiplier: float) -> Architecture:
    """Return hardware whose energy counts so many pJ more for each cycle."""
    if multiplier in (0.0, math.inf):
        return architecture
    outer = architecture.levels[-1]
    energy = replace(outer.energy, leak_pj=outer.energy.leak_pj + multiplier)
    return architecture.with_levels(**{outer.name: replace(outer, energy=energy)})
