"""Tests that every objective must pass."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import ClassVar

import numpy as np

from dse.evaluators.native import NativeEvaluator
from dse.goals.design import DesignMetrics, LayerMetrics
from dse.goals.metric_names import Scale, operations
from dse.goals.metrics import Metrics
from dse.goals.objective import objective
from dse.mapspace import Mapspace, sample_any
from dse.testing import tiny

_COUNT, _MOST_DRAWS = 40, 100_000
_CLOCK_NS = 1.0


class ObjectiveConformance:
    """Tests of one objective on mappings of a small problem; subclass it in a test module.

    Attributes:
        objective: its name, or an expression.
    """

    objective: ClassVar[str]

    def test_is_found_by_its_name(self) -> None:
        """Journals, results and proofs know it by its name alone."""
        goal = objective(self.objective)
        assert goal.name == self.objective
        assert goal.summary

    def test_values_of_designs_are_numbers(self) -> None:
        """Finite where the design is valid, infinite where it is not."""
        goal = objective(self.objective)
        values = [goal(design) for design in _designs()]
        assert all(type(value) is float and math.isfinite(value) for value in values)
        assert goal(DesignMetrics.infeasible("it does not fit")) == math.inf

    def test_mappings_are_ranked_alone_as_together(self) -> None:
        """``(B,)`` values, each mapping's own; infinite where it is not valid."""
        goal, metrics = objective(self.objective), _metrics()
        values = goal.rank(metrics, _scale())
        assert values.shape == (len(metrics),)
        assert values.dtype == np.float64
        assert (np.isfinite(values) == metrics.valid).all()
        alone = [goal.rank(_one(metrics, b), _scale())[0] for b in range(len(metrics))]
        assert np.array_equal(values, alone)

    def test_mappings_are_ranked_as_designs_of_one_layer(self) -> None:
        """What ranks first as a mapping is no worse as a network of that layer alone.

        Else mappers would lead the search away from what it looks for.
        """
        goal, metrics = objective(self.objective), _metrics()
        values = goal.rank(metrics, _scale())[metrics.valid]
        designs = np.array([goal(design) for design in _designs()])
        ordered = designs[np.argsort(values, kind="stable")]
        worst_before = np.maximum.accumulate(ordered)
        tied = np.isclose(ordered, worst_before, rtol=1e-12, atol=0.0)
        assert (tied | (ordered == worst_before)).all()

    def test_several_networks_have_a_mean(self) -> None:
        """Where values are positive, that of two networks lies between theirs."""
        goal = objective(self.objective)
        first, *_, last = _designs()
        values = sorted((goal(first), goal(last)))
        if values[0] > 0:
            mean = goal(replace(first, networks=(first, last)))
            assert values[0] * (1 - 1e-12) <= mean <= values[1] * (1 + 1e-12)


def _metrics() -> Metrics:
    """Return metrics of mappings of one layer, not all of them valid."""
    architecture, problem = tiny.hardware().architectures[0], tiny.problem()
    space = Mapspace(problem, architecture, tiny.template().constraints)
    mappings = sample_any(space, _COUNT, 1, _MOST_DRAWS).mappings
    return NativeEvaluator().evaluate(architecture, problem, mappings)


def _one(metrics: Metrics, b: int) -> Metrics:
    return Metrics(*(getattr(metrics, name)[b : b + 1] for name in vars(metrics)))


def _scale() -> Scale:
    return Scale(operations(tiny.problem()), _CLOCK_NS)


def _designs() -> list[DesignMetrics]:
    """Return networks of that layer alone, one for each valid mapping."""
    architecture, problem, metrics = tiny.hardware().architectures[0], tiny.problem(), _metrics()
    return [
        DesignMetrics.of(
            (
                LayerMetrics(
                    name="layer",
                    count=1,
                    cycles=float(metrics.cycles[b]),
                    energy_pj=float(metrics.energy_pj[b]),
                    utilization=float(metrics.utilization[b]),
                ),
            ),
            problem.macs,
            architecture.compute.instances,
            architecture.area_um2,
            operations=operations(problem),
            clock_ns=_CLOCK_NS,
        )
        for b in np.flatnonzero(metrics.valid)
    ]
