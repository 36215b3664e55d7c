"""Hardware that a search stands on: its architecture, and the mapspace of every layer on it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from dse.domain.architecture import Architecture
from dse.errors import SpecError
from dse.goals.design import DesignMetrics, LayerMetrics
from dse.mappers.gamma import STEPS
from dse.mappers.ground import Ground
from dse.mapspace.cache import MapspaceCache
from dse.mapspace.space import Mapspace
from dse.space.search_space import SearchSpace
from dse.space.variable import Values
from dse.study.design_evaluator import network_metrics

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
        self._workload = space.workload
        self._space_of = space_of
        self._grounds: dict[int, Ground | None] = {}

    def space(self, layer: int) -> Mapspace:
        """Return the mapspace of a layer."""
        return self._space_of(self._workload.layers[layer].problem, self.architecture)

    def ground(self, layer: int) -> Ground | None:
        """Return the ground of a layer; None where its mapspace is empty."""
        if layer not in self._grounds:
            space = self.space(layer)
            made = None if space.infeasible else Ground(space, STEPS, _MAX_DRAWS)
            self._grounds[layer] = made
        return self._grounds[layer]

    def network_metrics(self, layers: Sequence[LayerMetrics]) -> DesignMetrics:
        """Add up the layers of the workload on this hardware."""
        return network_metrics(self._workload, self.architecture, layers)


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
