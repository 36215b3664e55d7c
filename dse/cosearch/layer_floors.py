"""What any mappings of a network come to at least on some hardware, without a search."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from dse.domain.architecture import Architecture
from dse.domain.problem import Layer, Problem
from dse.mappers.exact.grids import Grids
from dse.mappers.exact.proof import patterns_of
from dse.mappers.exact.shape import MapspaceShape
from dse.mappers.exact.size_classes import SizeClasses
from dse.mappers.exact.sized_floors import GridValues, SizedFloors, factors_of
from dse.mappers.exact.tables import TooLargeError
from dse.mapspace.space import Mapspace
from dse.model import rules
from dse.model.arrays import version_number
from dse.numeric import Flags, Floats

T = TypeVar("T")

#: Mapspaces whose choices of spatial factors are kept.
_MOST_CHOSEN = 4096


class LayerFloors:
    """Bounds that need no search.

    Args:
        layers: of the network.
        version: of Timeloop.
        threads: layers that are bounded at a time.
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
        #: by layer the first floors, which know its tiles
        self._known: dict[int, SizedFloors] = {}
        #: by slots and MACs the same slots, and their choices of spatial factors
        self._chosen: dict[tuple[int, int], tuple[Any, npt.NDArray[np.void]]] = {}
        self._listed: dict[tuple[int, bytes], list[Flags]] = {}

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

    def sized(
        self,
        architecture: Architecture,
        classes: Sequence[SizeClasses],
        multipliers: Sequence[float],
        numbers: Sequence[int],
    ) -> Floats:
        """Return what all runs of some layers come to at least, for each choice of sizes.

        Args:
            architecture: the most generous hardware of all these sizes.
            classes: of its levels' sizes.
            multipliers: of cycles, in pJ a cycle; infinite: cycles alone.
            numbers: of the layers.

        Returns:
            ``(layers, multipliers, classes of each size)``, of ``energy + multiplier * cycles``.

        Raises:
            Whatever the check does, between layers.
        """
        sizes = tuple(one.count for one in classes)

        def least(number: int, floors: SizedFloors | None) -> Floats:
            energy, cycles = self._floor(self._layers[number], architecture)
            own = np.array([cycles if math.isinf(m) else energy + m * cycles for m in multipliers])
            found = own.reshape(-1, *(1 for _ in classes))
            if floors is not None:
                found = np.maximum(found, floors.least(multipliers))
            # sums of the model add up in another order
            runs = self._layers[number].count * (1.0 - 1e-9)
            return np.broadcast_to(found * runs, (len(own), *sizes))

        return np.array(self._each(architecture, classes, numbers, least))

    def by_grid(
        self,
        architecture: Architecture,
        classes: Sequence[SizeClasses],
        multipliers: Sequence[float],
        numbers: Sequence[int],
    ) -> dict[int, GridValues]:
        """Return what single runs of some layers come to, by spatial factors, with given sizes.

        Args:
            architecture: the most generous hardware of these sizes.
            classes: of its levels' sizes, one of each open.
            multipliers: of cycles, in pJ a cycle; infinite: cycles alone.
            numbers: of the layers; those that cannot be laid out are left out.
        """

        def values(_: int, floors: SizedFloors | None) -> GridValues | None:
            return None if floors is None else floors.by_grid(multipliers)

        found = self._each(architecture, classes, numbers, values)
        return {n: own for n, own in zip(numbers, found, strict=True) if own is not None}

    def among(
        self, architecture: Architecture, known: Mapping[int, GridValues]
    ) -> dict[int, Floats]:
        """Return the least of what is known of some layers, of the factors that hardware allows.

        Returns:
            By layer ``(multipliers,)``.
        """
        found = {}
        for number, values in known.items():
            self._check()
            space = self._space_of(self._layers[number].problem, architecture)
            with suppress(TooLargeError):
                found[number] = values.among(self._factors(space, architecture))
        return found

    def _factors(self, space: Mapspace, architecture: Architecture) -> npt.NDArray[np.void]:
        """Return all choices of spatial factors, found once for all hardware alike."""
        key = id(space.slots), architecture.compute.instances
        if key not in self._chosen:
            if len(self._chosen) >= _MOST_CHOSEN:
                self._chosen.pop(next(iter(self._chosen)))
            shape = MapspaceShape(space, architecture, space.arrays.keep != 0)
            # the slots are kept, so that nothing else is told by their number
            self._chosen[key] = space.slots, factors_of(Grids(shape))
        return self._chosen[key][1]

    def _each(
        self,
        architecture: Architecture,
        classes: Sequence[SizeClasses],
        numbers: Sequence[int],
        make: Callable[[int, SizedFloors | None], T],
    ) -> list[T]:
        """Return what is made of the floors of each layer; None of what cannot be laid out."""
        # mapspaces are built one after the other: the cache is no one's lock
        spaces = [self._space_of(self._layers[n].problem, architecture) for n in numbers]
        version = version_number(self._version)

        def made(number: int, space: Mapspace) -> T:
            self._check()
            floors: SizedFloors | None = None
            with suppress(TooLargeError):
                floors = SizedFloors(
                    space, architecture, version, self._patterns(number, space), classes,
                    self._known.get(number),
                )  # fmt: skip
                self._known.setdefault(number, floors)
            return make(number, floors)

        with ThreadPoolExecutor(self._threads) as pool:
            return list(pool.map(made, numbers, spaces))

    def _patterns(self, number: int, space: Mapspace) -> list[Flags]:
        """Return the keep/bypass patterns of a layer, listed once for all hardware alike."""
        key = number, space.arrays.keep.tobytes()
        if key not in self._listed:
            self._listed[key] = patterns_of(space)
        return self._listed[key]


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
