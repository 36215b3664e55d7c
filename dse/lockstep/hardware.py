"""Hardware that a search stands on: its architecture, and the mapspaces of every layer on it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from dse.domain.architecture import Architecture
from dse.domain.problem import Problem
from dse.errors import SpecError
from dse.goals.design import DesignMetrics, LayerMetrics
from dse.goals.networks import network_metrics
from dse.mappers.gamma import STEPS
from dse.mappers.ground import Ground
from dse.mapspace.cache import MapspaceCache
from dse.mapspace.padding import alternatives
from dse.mapspace.space import Mapspace
from dse.space.search_space import SearchSpace
from dse.space.variable import Values

#: Draws per wanted mapping before a layer counts as not mappable.
_MAX_DRAWS = 2000
#: Hardware kept.
_KEPT = 16


class BuiltHardware:
    """One built hardware; grounds are made on use."""

    def __init__(
        self, space: SearchSpace, architecture: Architecture, space_of: MapspaceCache
    ) -> None:
        self.architecture = architecture
        self._space = space
        self._space_of = space_of
        self._problems: dict[Problem, tuple[Problem, ...]] = {}
        self._grounds: dict[Problem, Ground | None] = {}

    def problems(self, layer: int) -> tuple[Problem, ...]:
        """Return what may be mapped in place of a layer, the most promising first.

        That is the layer itself, and its paddings where the search space has any.
        """
        own = self._space.workload.layers[layer].problem
        if own not in self._problems:
            metric = self._space.objective.mapping_metric
            found = alternatives(self.space(own), self._space.padding, metric)
            self._problems[own] = found.problems
        return self._problems[own]

    def space(self, problem: Problem) -> Mapspace:
        """Return the mapspace of a problem."""
        return self._space_of(problem, self.architecture)

    def ground(self, problem: Problem) -> Ground | None:
        """Return the ground of a problem; None where its mapspace is empty."""
        if problem not in self._grounds:
            space = self.space(problem)
            made = None if space.infeasible else Ground(space, STEPS, _MAX_DRAWS)
            self._grounds[problem] = made
        return self._grounds[problem]

    def network_metrics(self, layers: Sequence[LayerMetrics]) -> DesignMetrics:
        """Add up the layers of the workload on this hardware."""
        return network_metrics(self._space.workload, self.architecture, layers)


class HardwareCache:
    """The hardware of a search space, built on use; the last ones used are kept."""

    def __init__(self, space: SearchSpace) -> None:
        self._space = space
        self._space_of = MapspaceCache(space.template.constraints)
        self._known: OrderedDict[tuple[int, ...], BuiltHardware | None] = OrderedDict()

    def __call__(self, values: Values) -> BuiltHardware | None:
        """Return the hardware of these values; None where it cannot be, or is too large."""
        key = tuple(values.values())
        if key not in self._known:
            self._known[key] = self._build(values)
            while len(self._known) > _KEPT:
                self._known.popitem(last=False)
        self._known.move_to_end(key)
        return self._known[key]

    def _build(self, values: Values) -> BuiltHardware | None:
        try:
            architecture = self._space.architecture(values)
        except SpecError:
            return None
        limit = self._space.template.max_area_um2
        if limit is not None and architecture.area_um2 > limit:
            return None
        return BuiltHardware(self._space, architecture, self._space_of)
