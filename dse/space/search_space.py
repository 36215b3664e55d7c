"""The space that a study searches: a template, values fixed by the user, and a workload."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from copy import copy

import numpy as np

from dse.components.chain import EnergyChain
from dse.domain.architecture import Architecture
from dse.domain.constraints import for_problem
from dse.domain.padding import NO_PADDING, Padding
from dse.domain.problem import Workload
from dse.errors import SpecError
from dse.goals.limits import Limit, resource_bounds
from dse.goals.mapspace_text import mapspace_text
from dse.goals.metric_names import ACCURACY
from dse.goals.objective import EDP, Objective
from dse.space.accuracy import AccuracyPredictor
from dse.space.network_space import NetworkSpace
from dse.space.network_spec import PREFIX
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
        networks: where the workload is a variable, too, the space that it is from; ``workload`` is
            the network of its defaults then.
        accuracy: what says how accurate these networks are; None where the workload is none.

    Raises:
        SpecError: a fixed variable is unknown or out of range.
    """

    def minimising(self, goal: Objective, limits: Sequence[Limit]) -> SearchSpace:
        """Return the same space with another objective, and with limits on metrics added."""
        found = copy(self)
        found.objective = goal
        found.limits = (*self.limits, *limits)
        return found

    def __init__(
        self,
        template: ArchTemplate,
        workload: Workload | NetworkSpace,
        chain: EnergyChain,
        fixed: Mapping[str, object] | None = None,
        goal: Objective | None = None,
        *,
        timeloop_version: str = "4cf6d4c",
        limits: Sequence[Limit] = (),
        padding: Padding = NO_PADDING,
        accuracy: AccuracyPredictor | None = None,
    ) -> None:
        self.template = template.within(resource_bounds(limits))
        self.networks = workload if isinstance(workload, NetworkSpace) else None
        self.workload = workload.default if isinstance(workload, NetworkSpace) else workload
        if self.workload.is_sparse and not template.is_sparse:
            _log.warning(
                "workload '%s': its densities change nothing, as template '%s' has no "
                "sparse_optimizations",
                *(self.workload.name, template.name),
            )
            self.workload = self.workload.dense()
        self.accuracy = accuracy
        self.chain = chain
        self.objective: Objective = goal or EDP
        self.timeloop_version = timeloop_version
        self.padding = padding
        self.limits = tuple(limit for limit in limits if not limit.on_resource)
        self.fixed: Values = template.check(fixed or {})
        self.free: tuple[Variable, ...] = tuple(
            v for v in template.variables if v.name not in self.fixed
        )
        self._accuracies: dict[tuple[int, ...], float] = {}
        self._check_constraints()
        if self.free and not chain.follows_sizes:
            names = ", ".join(v.name for v in self.free)
            _log.warning(
                "energy chain '%s' prices all hardware alike, whatever %s: fix what it depends on",
                chain.name,
                names,
            )
        if self.networks is not None:
            self.fixed = {**self.fixed, **self.networks.fixed}
            self.free += self.networks.free

    @property
    def variables(self) -> tuple[Variable, ...]:
        """All variables: those of the template, and of a space of networks."""
        return self.template.variables + (self.networks.variables if self.networks else ())

    @property
    def mapspace(self) -> str:
        """In words, which mappings are searched."""
        return mapspace_text(free=self.template.is_free, padding=self.padding.text)

    @property
    def free_hardware(self) -> tuple[Variable, ...]:
        """The free variables of the template."""
        return tuple(v for v in self.template.variables if v.name not in self.fixed)

    @property
    def defaults(self) -> Values | None:
        """The template's own design, with the network of the defaults; None: there is none."""
        own = self.template.defaults
        return own if own is None or self.networks is None else own | self.networks.defaults

    def sample_values(self, rng: np.random.Generator) -> Values:
        """Draw random hardware as the template's ``sampling`` says, within its budget.

        With it comes a random network, where these are searched.

        Raises:
            SpecError: no feasible hardware was found.
        """
        drawn = self.template.sample(rng, self.fixed)
        return drawn if self.networks is None else drawn | self.networks.sample(rng)

    def hardware(self, values: Values) -> Values:
        """Return those of a design's values that are the hardware's."""
        if self.networks is None:
            return values
        return {v.name: values[v.name] for v in self.template.variables if v.name in values}

    def network(self, values: Values) -> Values:
        """Return those of a design's values that are the network's; none where it is no variable.

        Variables that change nothing have their defaults in them.
        """
        return {} if self.networks is None else self.networks.canonical(values)

    def workload_of(self, values: Values) -> Workload:
        """Return the network that a design runs."""
        return self.workload if self.networks is None else self.networks.build(values)

    def accuracy_of(self, values: Values) -> float | None:
        """Return how accurate a design's network is; NaN: not known; None: nobody says."""
        if self.networks is None or self.accuracy is None:
            return None
        network = self.network(values)
        key = tuple(network.values())
        if key not in self._accuracies:
            self._accuracies[key] = float(self.accuracy.predict(network))
        return self._accuracies[key]

    def at_network(self, values: Values) -> SearchSpace:
        """Return the space of hardware for a design's network."""
        if self.networks is None:
            return self
        own = copy(self)
        own.workload, own.networks, own.accuracy = self.workload_of(values), None, None
        own.fixed = self.hardware(self.fixed)
        own.free = self.free_hardware
        own.limits = tuple(limit for limit in self.limits if ACCURACY not in limit.names)
        return own

    def canonical(self, values: Values) -> Values:
        """Return values in which variables that change nothing have their defaults."""
        return values if self.networks is None else values | self.networks.canonical(values)

    def admits(self, values: Values) -> bool:
        """Whether hardware can be built of these values of all variables."""
        return self.template.admits(self.hardware(values))

    def check(self, values: Mapping[str, object]) -> Values:
        """Return checked values of the named variables, in order.

        Raises:
            SpecError: an unknown variable, or a value outside its range.
        """
        if self.networks is None:
            return self.template.check(values)
        own = {name: value for name, value in values.items() if name.startswith(PREFIX)}
        others = {name: value for name, value in values.items() if name not in own}
        return self.template.check(others) | self.networks.check(own)

    def architecture(self, values: Mapping[str, object]) -> Architecture:
        """Return the priced architecture for these values.

        Raises:
            SpecError: the values are not of this space, or give no possible architecture.
        """
        checked = self.check(values)
        for name, value in self.fixed.items():
            if checked.get(name) != value:
                raise SpecError(f"variable {name} = {checked.get(name)}: it is fixed at {value}")
        missing = [v.name for v in self.free if v.name not in checked]
        if missing:
            raise SpecError(f"variable {missing[0]} has no value")
        return self.chain.price(self.template.build(self.hardware(checked)))

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
        every = self.workload if self.networks is None else self.networks.every_layer()
        for layer in every:
            self.template.check_sparse(layer)
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
