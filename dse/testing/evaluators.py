"""Tests that every evaluator must pass, and those of an external tool besides."""

from __future__ import annotations

import inspect
import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import asdict, fields
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from dse.domain.architecture import HardwareBatch
from dse.domain.mapping import MappingBatch
from dse.domain.problem import SHAPES, Problem
from dse.errors import SpecError, ToolError
from dse.evaluators.base import Evaluator
from dse.goals.metrics import Metrics
from dse.mapspace import Mapspace, sample_any, sample_valid
from dse.plugins import plugin
from dse.testing import tiny

_MOST_DRAWS = 100_000
_NUMBERS = ("cycles", "energy_pj", "utilization", "area_um2")


class EvaluatorConformance:
    """Tests of one evaluator on a small problem; subclass it in a test module.

    Attributes:
        evaluator: name under which the evaluator is registered.
        settings: its settings.
        count: mappings of the tests, some of which need not fit; fewer where an evaluation takes
            long.
    """

    evaluator: ClassVar[str]
    settings: ClassVar[dict[str, Any]] = {}
    count: ClassVar[int] = 24

    def make(self, n_jobs: int = 1) -> Evaluator[Any]:
        """Return the evaluator under test, made as a run makes it."""
        chosen = plugin("evaluator", self.evaluator)
        made: Evaluator[Any] = chosen.factory(
            timeloop_version="4cf6d4c",
            n_jobs=n_jobs,
            settings=chosen.settings_type(**self.settings),
        )
        return made

    def case(self) -> tuple[HardwareBatch, Problem, MappingBatch]:
        """Return two pieces of hardware, a problem, and mappings that are evaluated on both.

        Override it where the evaluator cannot represent these; some mapping must be valid.
        """
        hardware, problem = tiny.hardware(), tiny.problem()
        space = Mapspace(problem, hardware.architectures[0], tiny.template().constraints)
        half = self.count // 2
        valid = sample_valid(space, self.count - half, 1, _MOST_DRAWS).mappings
        # the same draws as above, so another seed
        free = sample_any(space, half, 2, _MOST_DRAWS).mappings
        return hardware, problem, MappingBatch.concatenate([valid, free])

    def test_a_run_can_make_it(self) -> None:
        """The constructor takes the contract's arguments by keyword, all optional, and keeps them.

        A version that does not exist and a negative number of jobs are refused.
        """
        chosen = plugin("evaluator", self.evaluator)
        for parameter in inspect.signature(chosen.factory).parameters.values():
            optional = parameter.default is not parameter.empty
            assert optional or parameter.kind in (
                parameter.VAR_POSITIONAL,
                parameter.VAR_KEYWORD,
            ), f"constructor: {parameter.name} has no default"
        with closing(self.make(n_jobs=3)) as evaluator:
            assert evaluator.timeloop_version == "4cf6d4c"
            assert evaluator.n_jobs == 3
        settings = chosen.settings_type(**self.settings)
        for wrong in ({"timeloop_version": "no such version"}, {"n_jobs": -1}):
            raises(SpecError, lambda w=wrong: chosen.factory(**w, settings=settings))

    def test_another_process_makes_an_equal_one(self) -> None:
        """Of the settings that it is sent: it has the same identity, and the same answers."""
        hardware, problem, mappings = self.case()
        both, index = _each(hardware, mappings)
        with closing(self.make()) as here:
            told = here.elsewhere()
            sent = type(told)(**json.loads(json.dumps(asdict(told))))
            made: Evaluator[Any] = plugin("evaluator", self.evaluator).factory(
                timeloop_version=here.timeloop_version, n_jobs=1, settings=sent
            )
            with closing(made) as there:
                assert there.identity() == here.identity()
                _same(
                    here.evaluate(hardware, problem, both, index),
                    there.evaluate(hardware, problem, both, index),
                )

    def test_metrics_are_whole(self) -> None:
        """One row for each mapping: finite numbers where it is valid, NaN where it is not."""
        metrics = self._evaluate()
        assert metrics.valid.dtype == np.bool_
        assert metrics.valid.any(), "none of the mappings is valid: override 'case'"
        for name in _NUMBERS:
            column = getattr(metrics, name)
            assert column.dtype == np.float64
            assert column.shape == metrics.valid.shape
            assert np.isfinite(column[metrics.valid]).all(), f"{name} of a valid mapping"
            assert np.isnan(column[~metrics.valid]).all(), f"{name} of a rejected mapping"

    def test_metrics_are_in_their_units(self) -> None:
        """Cycles, pJ and um^2 are not negative; utilization is a fraction of the MACs' cycles.

        The area is the hardware's, whatever the mapping.
        """
        hardware, problem, mappings = self.case()
        index = _each(hardware, mappings)[1]
        metrics = self._evaluate()
        valid = metrics.valid
        assert (metrics.cycles[valid] > 0).all()
        assert (metrics.energy_pj[valid] >= 0).all()
        assert (metrics.area_um2[valid] >= 0).all()
        used = metrics.utilization[valid]
        assert (used > 0).all()
        assert (used <= 1).all()
        instances = np.array([a.compute.instances for a in hardware.architectures])[index[valid]]
        # a MAC does at most one operation a cycle; a tool prints but some digits
        assert (used * metrics.cycles[valid] * instances <= 1.01 * problem.macs).all()
        for h in range(len(hardware)):
            assert len(np.unique(metrics.area_um2[valid & (index == h)])) <= 1

    def test_equal_questions_have_equal_answers(self) -> None:
        """Asked again, and for any ``n_jobs``."""
        hardware, problem, mappings = self.case()
        both, index = _each(hardware, mappings)
        with closing(self.make()) as one, closing(self.make(n_jobs=3)) as three:
            first = one.evaluate(hardware, problem, both, index)
            _same(first, one.evaluate(hardware, problem, both, index))
            _same(first, three.evaluate(hardware, problem, both, index))

    def test_batches_may_be_split(self) -> None:
        """Alone, in parts, and in another order, mappings have the same metrics to the last bit."""
        hardware, problem, mappings = self.case()
        both, index = _each(hardware, mappings)
        count = len(both)
        with closing(self.make()) as evaluator:
            whole = evaluator.evaluate(hardware, problem, both, index)
            orders = [[b] for b in range(count)]
            orders += [list(range(count // 3)), list(range(count // 3, count))]
            orders += [list(range(count))[::-1]]
            for some in (np.array(order, np.intp) for order in orders):
                part = evaluator.evaluate(hardware, problem, both.take(some), index[some])
                _same(_taken(whole, some), part)

    def test_every_mapping_runs_on_its_own_hardware(self) -> None:
        """Beside mappings on other hardware, its metrics are those on that hardware alone."""
        hardware, problem, mappings = self.case()
        both, index = _each(hardware, mappings)
        with closing(self.make()) as evaluator:
            joint = evaluator.evaluate(hardware, problem, both, index)
            for h, architecture in enumerate(hardware.architectures):
                alone = evaluator.evaluate(architecture, problem, mappings)
                _same(_taken(joint, np.flatnonzero(index == h)), alone)

    def test_hardware_may_be_given_in_several_ways(self) -> None:
        """One architecture, a sequence or a batch; without an index, the first or one for each."""
        hardware, problem, mappings = self.case()
        first = hardware.architectures[0]
        zeros = np.zeros(len(mappings), np.int64)
        with closing(self.make()) as evaluator:
            expected = evaluator.evaluate(hardware, problem, mappings, zeros)
            _same(expected, evaluator.evaluate(first, problem, mappings))
            _same(expected, evaluator.evaluate([first], problem, mappings))
            _same(expected, evaluator.evaluate(hardware.architectures, problem, mappings, zeros))
            pair = mappings.window(0, 2)
            index = np.array([0, 1], np.int32)
            expected = evaluator.evaluate(hardware, problem, pair, index)
            _same(expected, evaluator.evaluate(hardware, problem, pair))

    def test_arguments_that_do_not_fit_are_refused(self) -> None:
        """Indices of other lengths, types or places, and mappings of another problem."""
        hardware, problem, mappings = self.case()
        count = len(mappings)
        other = Problem(SHAPES["gemm"], {"M": 2, "N": 2, "K": 2})
        wrong: list[npt.NDArray[Any] | None] = [
            None,  # two pieces of hardware for many mappings
            np.zeros(count + 1, np.int32),
            np.zeros((count, 1), np.int32),
            np.full(count, len(hardware), np.int32),
            np.full(count, -1, np.int32),
            np.zeros(count),
        ]
        with closing(self.make()) as evaluator:
            for index in wrong:
                raises(
                    ValueError, lambda i=index: evaluator.evaluate(hardware, problem, mappings, i)
                )
            first = hardware.architectures[0]
            raises(ValueError, lambda: evaluator.evaluate(first, other, mappings))
            raises(ValueError, lambda: evaluator.explain(first, other, mappings, 0))
            raises(IndexError, lambda: evaluator.explain(first, problem, mappings, count))

    def test_no_mappings_have_no_metrics(self) -> None:
        """An empty batch is answered by an empty one."""
        hardware, problem, mappings = self.case()
        with closing(self.make()) as evaluator:
            none = evaluator.evaluate(hardware.architectures[0], problem, mappings.window(0, 0))
        assert all(getattr(none, f.name).shape == (0,) for f in fields(Metrics))

    def test_what_is_rejected_has_a_reason(self) -> None:
        """``explain`` says something of rejected mappings, and nothing of valid ones."""
        hardware, problem, mappings = self.case()
        with closing(self.make()) as evaluator:
            for architecture in hardware.architectures:
                valid = evaluator.evaluate(architecture, problem, mappings).valid
                for b in range(len(mappings)):
                    reason = evaluator.explain(architecture, problem, mappings, b)
                    assert (reason is None) == valid[b]
                    assert reason is None or reason.message

    def test_threads_may_ask_at_once(self) -> None:
        """A run maps its layers in several threads, which share the evaluator."""
        hardware, problem, mappings = self.case()
        both, index = _each(hardware, mappings)
        parts = np.array_split(np.arange(len(both)), 4) * 2
        with closing(self.make(n_jobs=2)) as evaluator, ThreadPoolExecutor(4) as pool:
            whole = evaluator.evaluate(hardware, problem, both, index)
            answers = pool.map(
                lambda some: evaluator.evaluate(hardware, problem, both.take(some), index[some]),
                parts,
            )
            for some, answer in zip(parts, answers, strict=True):
                _same(_taken(whole, some), answer)

    def test_mappings_stay_as_they_are(self) -> None:
        """An evaluation changes none of its arguments."""
        hardware, problem, mappings = self.case()
        both, index = _each(hardware, mappings)
        before = [getattr(both, f.name).copy() for f in fields(MappingBatch)]
        with closing(self.make()) as evaluator:
            evaluator.evaluate(hardware, problem, both, index)
        after = [getattr(both, f.name) for f in fields(MappingBatch)]
        assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))
        assert np.array_equal(index, _each(hardware, mappings)[1])

    def test_closed_it_goes_on_when_asked(self) -> None:
        """``close`` may be called at any time, and twice."""
        hardware, problem, mappings = self.case()
        few = mappings.window(0, 2)
        with closing(self.make()) as evaluator:
            first = evaluator.evaluate(hardware.architectures[0], problem, few)
            evaluator.close()
            evaluator.close()
            _same(first, evaluator.evaluate(hardware.architectures[0], problem, few))

    def _evaluate(self) -> Metrics:
        """Evaluate every mapping on either hardware."""
        hardware, problem, mappings = self.case()
        both, index = _each(hardware, mappings)
        with closing(self.make()) as evaluator:
            return evaluator.evaluate(hardware, problem, both, index)


class ToolConformance(EvaluatorConformance):
    """Tests of an evaluator that runs an external tool, which may fail.

    Attributes:
        missing: settings that name a tool which is not there.
        broken: settings with which the tool is found, and fails at every mapping.
    """

    missing: ClassVar[dict[str, Any]]
    broken: ClassVar[dict[str, Any]]

    def test_a_tool_that_is_missing_is_told_at_once(self) -> None:
        """The constructor raises, before anything is searched."""
        chosen = plugin("evaluator", self.evaluator)
        settings = chosen.settings_type(**self.missing)
        raises(ToolError, lambda: chosen.factory(settings=settings))

    def test_a_tool_that_fails_is_an_error_and_never_a_score(self) -> None:
        """Neither a metric nor a rejection comes of it."""
        hardware, problem, mappings = self.case()
        chosen = plugin("evaluator", self.evaluator)
        architecture = hardware.architectures[0]
        with closing(chosen.factory(settings=chosen.settings_type(**self.broken))) as evaluator:
            raises(ToolError, lambda: evaluator.evaluate(architecture, problem, mappings))
            raises(ToolError, lambda: evaluator.explain(architecture, problem, mappings, 0))


def _each(
    hardware: HardwareBatch, mappings: MappingBatch
) -> tuple[MappingBatch, npt.NDArray[np.int32]]:
    """Return every mapping once for each hardware, and the index that says which."""
    both = MappingBatch.concatenate([mappings] * len(hardware))
    return both, np.repeat(np.arange(len(hardware), dtype=np.int32), len(mappings))


def _taken(metrics: Metrics, index: npt.NDArray[np.intp]) -> Metrics:
    return Metrics(*(getattr(metrics, f.name)[index] for f in fields(Metrics)))


def _same(one: Metrics, other: Metrics) -> None:
    for f in fields(Metrics):
        a, b = getattr(one, f.name), getattr(other, f.name)
        assert np.array_equal(a, b, equal_nan=a.dtype != np.bool_), f"{f.name}: {a} and {b}"


def raises(kind: type[Exception], call: Any) -> None:  # noqa: ANN401 - a function of nothing
    """Fail unless a call raises such an error."""
    try:
        call()
    except kind:
        return
    raise AssertionError(f"{kind.__name__} expected")
