"""What any mappings of a network come to at least on some hardware, without a search."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import numpy as np

from dse.domain.architecture import Architecture
from dse.domain.problem import Layer, Problem
from dse.mappers.exact.pattern_floors import PatternFloors
from dse.mappers.exact.proof import patterns_of
from dse.mappers.exact.tables import TooLargeError
from dse.mapspace.space import Mapspace
from dse.model import rules
from dse.model.arrays import version_number
from dse.numeric import Floats

#: Octaves around the incumbent's energy over cycles for which hardware is outlined.
_OCTAVES = 4
#: Layers that are looked at on a part of some hardware: those that cost most.
_MOST_LOOKED_AT = 3


class LayerFloors:
    """Bounds that need no search.

    Args:
        layers: of the network.
        version: of Timeloop.
        threads: layers that are outlined at a time.
        space_of: the mapspace of a problem on hardware.
        check: is called between layers; may raise.
    """

    def __init__(
        self,
        layers: Sequence[Layer],
        version: str,
        threads: int,
        space_of: Callable[[Problem, Architecture], Mapspace],
        check: Callable[[], None],
    ) -> None:
        self._layers, self._version, self._threads = layers, version, threads
        self._space_of, self._check = space_of, check
        self._outlined: tuple[Architecture, list[PatternFloors | None]] | None = None
        #: of that hardware, by multiplier, what all runs of each layer come to
        self._least: dict[float, Floats] = {}

    def least(self, architecture: Architecture) -> dict[float, float]:
        """Return what all mappings on hardware come to at least: energy (0), cycles (infinite).

        Every MAC is done, on all MACs at a time at most, and what the outermost level keeps without
        a window crosses its boundary once.
        """
        energy = cycles = 0.0
        for layer in self._layers:
            own = self._floor(layer, architecture)
            energy += layer.count * own[0]
            cycles += layer.count * own[1]
        # sums of the model add up in another order
        return {0.0: energy * (1.0 - 1e-9), math.inf: cycles * (1.0 - 1e-9)}

    def _floor(self, layer: Layer, architecture: Architecture) -> tuple[float, float]:
        """Return energy and cycles that a layer takes at least."""
        outer = architecture.levels[-1]
        problem = layer.problem
        words, priced = _words_moved(problem, architecture)
        rate = outer.shared_bandwidth * outer.instances
        cycles = max(problem.macs / architecture.compute.instances, words / rate)
        energy = problem.macs * architecture.compute.energy_pj + priced
        if rules.leaks(version_number(self._version)):
            energy += outer.energy.leak_pj * cycles
        return energy, cycles

    def outline(
        self,
        architecture: Architecture,
        needed: Iterable[float],
        ratio: float | None,
    ) -> dict[float, float]:
        """Return what all mappings on hardware come to at least, by the ways to keep and bypass.

        It is kept until other hardware is outlined.

        Args:
            architecture: the hardware.
            needed: multipliers of cycles, in pJ a cycle; infinite: cycles alone.
            ratio: energy over cycles, in pJ a cycle, near which multipliers are wanted; None: that
                of what is found.

        Returns:
            By multiplier, as in `least`.

        Raises:
            Whatever the check does, between layers.
        """
        outlines = self._made(architecture, range(len(self._layers)))
        least = {m: self._summed(architecture, outlines, m) for m in (0.0, math.inf, *needed)}
        if ratio is None:
            ratio = float(least[0.0].sum()) / max(float(least[math.inf].sum()), 1.0)
        if ratio > 0.0:
            for octave in range(-_OCTAVES, _OCTAVES + 1):
                multiplier = ratio * 2.0**octave
                least[multiplier] = self._summed(architecture, outlines, multiplier)
        self._outlined, self._least = (architecture, outlines), least
        return {m: float(own.sum()) * (1.0 - 1e-9) for m, own in least.items()}

    def part(self, architecture: Architecture) -> dict[float, float]:
        """Return the same of hardware that is part of what was outlined last.

        Only the layers that cost most are looked at: the others cost no less than they do there.
        """
        least = self._least
        cost = sum(own / max(float(own.sum()), 1.0) for own in (least[0.0], least[math.inf]))
        numbers = np.argsort(-cost, kind="stable")[:_MOST_LOOKED_AT].tolist()
        outlines: list[PatternFloors | None] = [None] * len(self._layers)
        for number, outline in zip(numbers, self._made(architecture, numbers), strict=True):
            outlines[number] = outline
        found = {}
        for multiplier, own in least.items():
            here = np.maximum(own, self._summed(architecture, outlines, multiplier))
            found[multiplier] = float(here.sum()) * (1.0 - 1e-9)
        return found

    def _made(
        self, architecture: Architecture, numbers: Sequence[int]
    ) -> list[PatternFloors | None]:
        """Return the floors of some layers' patterns; None of what is too large."""
        spaces = [self._space_of(self._layers[n].problem, architecture) for n in numbers]
        version = version_number(self._version)
        like = self._outlined[1] if self._outlined else [None] * len(self._layers)

        def made(number: int, space: Mapspace) -> PatternFloors | None:
            self._check()
            with suppress(TooLargeError):
                patterns = patterns_of(space)
                return PatternFloors(space, architecture, version, patterns, like[number])
            return None

        with ThreadPoolExecutor(self._threads) as pool:
            return list(pool.map(made, numbers, spaces))

    def _summed(
        self, architecture: Architecture, outlines: Sequence[PatternFloors | None], m: float
    ) -> Floats:
        """Return what all runs of each layer come to at least."""
        found = np.empty(len(self._layers))
        for number, (layer, outline) in enumerate(zip(self._layers, outlines, strict=True)):
            energy, cycles = self._floor(layer, architecture)
            own = cycles if math.isinf(m) else energy + m * cycles
            least = math.inf if outline is None else outline.least(m)
            # without an end there is no mapping, which is for a search to say
            found[number] = layer.count * (own if math.isinf(least) else max(own, least))
        return found

    def of(self, number: int, architecture: Architecture) -> PatternFloors | None:
        """Return those of a layer's patterns; None: the hardware was not outlined."""
        known = self._outlined
        return known[1][number] if known and known[0] is architecture else None


def _words_moved(problem: Problem, architecture: Architecture) -> tuple[float, float]:
    """Return words that the outermost level moves at least, and what that costs in pJ.

    Of a window as many as its longest dimensions have iterations: see
    `dse.mappers.exact.floors.words_crossing`.
    """
    outer = architecture.levels[-1]
    given = (architecture.constraints or {}).get(outer.name)
    words = priced = 0.0
    if outer.cluster_size > 1 or outer.bandwidth_scales or (given and given.bypass):
        return words, priced
    for space, write in zip(problem.shape.data_spaces, problem.read_write, strict=True):
        rows = np.abs(problem.projection[problem.tensors.index(space.name)])
        if (rows.sum(axis=1) > 1).any() and not _hands_on_as_it_should(architecture):
            continue
        bounds = np.array([problem.bounds[d] for d in problem.dimensions])
        own = math.prod(max(bounds[row > 0].tolist(), default=1) for row in rows)
        words += own
        price = outer.energy.update_pj if write else outer.energy.read_pj
        priced += own / outer.block_size * price
    return words, priced


def _hands_on_as_it_should(architecture: Architecture) -> bool:
    """Whether what neighbours hand on of a window was read before: not so among MACs."""
    lowest = architecture.levels[0]
    given = (architecture.constraints or {}).values()
    told = any(own.no_temporal_reuse or own.no_multicast or own.no_link_transfer for own in given)
    return lowest.instances == architecture.compute.instances and not told
