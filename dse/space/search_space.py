"""The space that a study searches: a template, values fixed by the user, and a workload."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

import numpy as np

from dse.components.chain import EnergyChain
from dse.domain.architecture import Architecture
from dse.domain.constraints import for_problem
from dse.domain.padding import NO_PADDING, Padding
from dse.domain.problem import Workload
from dse.errors import SpecError
from dse.goals.limits import Limit, resource_bounds
from dse.goals.objective import EDP, Objective
from dse.space.template import ArchTemplate, Values, Variable

_log = logging.getLogger(__name__)


class SearchSpace:
    """What an optimizer may ask for.

    Attributes:
        template: the architecture template; its ``constraints`` bound the mapspace, and limits on
            resources are part of its budget.
        workload: the layers to map.
        fixed: variables whose values the user chose.
        free: the other variables.
        objective: what the study minimises.
        timeloop_version: which Timeloop the evaluator equals, for models that stand in for it.
        limits: what the metrics of every design have to satisfy.
        padding: how far the layers' dimensions may be padded.

    Raises:
        SpecError: a fixed variable is unknown or out of range.
    """

    def __init__(
        self,
        template: ArchTemplate,
        workload: Workload,
        chain: EnergyChain,
        fixed: Mapping[str, object] | None = None,
        goal: Objective | None = None,
        *,
        timeloop_version: str = "4cf6d4c",
        limits: Sequence[Limit] = (),
        padding: Padding = NO_PADDING,
    ) -> None:
        self.template = template.within(resource_bounds(limits))
        self.workload = workload
        self.chain = chain
        self.objective: Objective = goal or EDP
        self.timeloop_version = timeloop_version
        self.padding = padding
        self.limits = tuple(limit for limit in limits if not limit.on_resource)
        self.fixed: Values = template.check(fixed or {})
        self.free: tuple[Variable, ...] = tuple(
            v for v in template.variables if v.name not in self.fixed
        )
        self._check_constraints()
        if self.free and not chain.follows_sizes:
            names = ", ".join(v.name for v in self.free)
            _log.warning(
                "energy chain '%s' prices all hardware alike, whatever %s: fix what it depends on",
                chain.name,
                names,
            )

    def sample_values(self, rng: np.random.Generator) -> Values:
        """Draw random hardware as the template's ``sampling`` says, within its budget.

        Raises:
            SpecError: no feasible hardware was found.
        """
        return self.template.sample(rng, self.fixed)

    def architecture(self, values: Mapping[str, object]) -> Architecture:
        """Return the priced architecture for these values.

        Raises:
            SpecError: the values are not of this space, or give no possible architecture.
        """
        checked = self.template.check(values)
        for name, value in self.fixed.items():
            if checked.get(name) != value:
                raise SpecError(f"variable {name} = {checked.get(name)}: it is fixed at {value}")
        missing = [v.name for v in self.free if v.name not in checked]
        if missing:
            raise SpecError(f"variable {missing[0]} has no value")
        return self.chain.price(self.template.build(checked))

    def _check_constraints(self) -> None:
        """Refuse a workload whose tensors or dimensions the template's constraints do not know.

        Warn of an array that can be filled along one of its axes only.
        """
        for level, c in self.template.constraints.items():
            along = {*(c.spatial.x or ()), *(c.spatial.y or ())}
            if c.spatial.x and c.spatial.y and len(along) == 1:
                _log.warning(
                    "template '%s', level '%s': %s alone may run along X and along Y; a mapping "
                    "runs it along one of them, and the other one stays idle",
                    self.template.name,
                    level,
                    *along,
                )
        for layer in self.workload:
            tensors, dimensions = set(layer.problem.tensors), set(layer.problem.dimensions)
            for level, c in for_problem(self.template.constraints, layer.problem).items():
                lists = (c.keep, c.bypass, c.no_temporal_reuse, c.no_multicast, c.no_link_transfer)
                _known(self.template.name, level, layer.name, "tensor", tensors, *lists)
                loops = (c.temporal, c.spatial)
                used = (
                    x for loop in loops for x in (loop.dimensions, loop.permutation, loop.suffix)
                )
                keys = (
                    tuple(x)
                    for loop in loops
                    for x in (loop.factors, loop.max_factors, loop.min_factors)
                )
                axes = (c.spatial.x, c.spatial.y)
                named = (x for x in (*used, *keys, *axes) if x is not None)
                _known(self.template.name, level, layer.name, "dimension", dimensions, *named)


def _known(
    template: str, level: str, layer: str, kind: str, known: set[str], *lists: tuple[str, ...]
) -> None:
    for names in lists:
        for name in names:
            if name not in known:
                raise SpecError(
                    f"template '{template}', level '{level}': the constraints name {kind} "
                    f"'{name}', but layer '{layer}' has {', '.join(sorted(known))}"
                )
