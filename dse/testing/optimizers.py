"""The conformance kit: tests that every optimizer and mapper must pass, outside ones too.

In a test module::

    from dse.testing import OptimizerConformance

    class TestMine(OptimizerConformance):
        optimizer = "mine"                  # the name it is registered under
        settings = {"population": 8}        # small, so that the tests are quick

pytest collects the inherited tests. They need no fixture but ``tmp_path``. For mappers, subclass
``MapperConformance`` in the same way, with ``mapper = "mine"``.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import yaml

from dse.components.chain import energy_chain
from dse.domain.architecture import Architecture, HardwareBatch
from dse.domain.mapping import MappingBatch
from dse.domain.problem import SHAPES, Problem
from dse.errors import NothingFeasible, SpecError
from dse.evaluators.base import Evaluator
from dse.evaluators.native import NativeEvaluator
from dse.goals.design import Design, DesignMetrics
from dse.goals.metrics import Metrics, Violation
from dse.goals.objective import OBJECTIVES, Objective
from dse.mappers.base import Mapped, Mapper
from dse.plugins import plugin
from dse.runner.run import Run, resume, start
from dse.space.template import ArchTemplate
from dse.state.codec import State, dumps, loads
from dse.state.entries import CheckedEntries
from dse.study.checkpoint import load_optimizer, optimizer_state
from dse.study.journal import read_journal
from dse.study.optimizer import Optimizer
from dse.study.result import RunResult

_ARCH = """\
name: tiny
energy: dosa
variables:
  pe_dim: {min: 2, max: 16, sampling: powers_of_two}
  buffer_kb: {min: 1, max: 64, sampling: powers_of_two}
storage:
  - {name: DRAM, class: DRAM, word_bits: 8, block_size: 64, shared_bandwidth: 8}
  - name: Buffer
    word_bits: 8
    size_words: buffer_kb * 1024
    block_size: 4
    shared_bandwidth: 2 * pe_dim
    constraints: {keep: [Weights, Inputs, Outputs], spatial: {x: [K, C]}}
  - name: Registers
    word_bits: 8
    size_words: 8
    mesh_x: pe_dim
    constraints: {keep: [Weights, Outputs], bypass: [Inputs]}
compute: {name: MACC, word_bits: 8, mesh_x: pe_dim}
"""

_WORKLOAD = """\
name: tiny_net
shape: cnn-layer
layers:
  - {name: conv, R: 3, S: 3, P: 8, Q: 8, C: 8, K: 16, Wstride: 2, Hstride: 2}
  - {name: dense, C: 64, K: 32, count: 2}
"""


class OptimizerConformance:
    """Tests of one optimizer on a small space; subclass it in a test module.

    Attributes:
        optimizer: name under which the optimizer is registered.
        settings: its settings.
        samples: budget of the runs.
    """

    optimizer: ClassVar[str]
    settings: ClassVar[dict[str, Any]] = {}
    samples: ClassVar[int] = 60

    def test_same_seed_same_journal_for_any_n_jobs(self, tmp_path: Path) -> None:
        """The number of threads changes nothing."""
        one = self._run(tmp_path / "one", n_jobs=1)
        three = self._run(tmp_path / "three", n_jobs=3)
        assert _journal(one) == _journal(three)
        assert one.design == three.design
        assert one.metrics == three.metrics

    def test_same_seed_same_journal_in_another_process(self, tmp_path: Path) -> None:
        """Neither hash seeds nor global random state reach the search."""
        here = self._run(tmp_path / "here")
        there = tmp_path / "there"
        words = [f"{key}={_word(value)}" for key, value in self._plain(there).items()]
        words += [f"optimizer={self.optimizer}"]
        words += [f"optimizer.{key}={_word(value)}" for key, value in self.settings.items()]
        subprocess.run(  # noqa: S603 - our own interpreter and arguments
            [sys.executable, "-m", "dse", "run", "--quiet", *words],
            check=True,
            capture_output=True,
            env={**os.environ, "PYTHONHASHSEED": "12345"},
        )
        assert _journal(here) == (there / "journal.jsonl").read_bytes()

    def test_budget_is_spent_and_never_exceeded(self, tmp_path: Path) -> None:
        """The journal's samples grow up to the budget, for odd budgets too."""
        for samples in (1, 7, self.samples):
            result = self._run(tmp_path / str(samples), samples=samples)
            spent = [r["samples"] for r in read_journal(result.folder / "journal.jsonl")]
            assert spent == sorted(spent)
            assert result.samples == spent[-1] <= samples

    def test_goes_on_from_its_state_as_if_nothing_had_happened(self, tmp_path: Path) -> None:
        """Before every ask, a copy that took up the state from bytes asks for the same."""
        run = self._start(tmp_path / "run")
        mirrored = _Mirrored(run.study.state.optimizer, run.setup.optimizer)
        run.study.state.optimizer = mirrored
        run.execute()
        assert mirrored.asked > 1

    def test_refuses_a_state_that_is_not_its_own(self, tmp_path: Path) -> None:
        """Keys that are missing, unknown, or hold something else are one clear error."""
        run = self._start(tmp_path / "run")
        run.execute()
        saved = optimizer_state(run.study.state.optimizer)
        state = run.study.state.optimizer.state_dict()
        wrong = [{**state, "no_such_key": 1}]
        for key, value in state.items():
            wrong.append({k: v for k, v in state.items() if k != key})
            wrong.append({**state, key: 1 if isinstance(value, str) else "nonsense"})
        for each in wrong:
            data = loads(dumps({**saved, "state": each}))
            try:
                load_optimizer(CheckedEntries(data, "optimizer"), run.setup.optimizer())
            except SpecError:
                continue
            raise AssertionError(f"a state with keys {', '.join(each)} was taken")

    def test_interrupted_run_ends_like_an_undisturbed_one(self, tmp_path: Path) -> None:
        """A run stopped after its first batch and resumed gives the same journal and result."""
        whole = self._run(tmp_path / "whole")
        broken = self._start(tmp_path / "broken")
        with contextlib.suppress(_StoppedError):
            broken.execute(_stop)
        resumed = resume(tmp_path / "broken").execute()
        assert _journal(resumed) == _journal(whole)
        assert resumed.design == whole.design
        assert resumed.metrics == whole.metrics

    def test_space_without_a_valid_design_ends_cleanly(self, tmp_path: Path) -> None:
        """Nothing feasible is an outcome, not a crash: every design has its reason."""
        arch = {**yaml.safe_load(_ARCH), "budget": {"area_um2": 1.0}}
        run = self._start(tmp_path / "run", arch=arch)
        try:
            run.execute()
        except NothingFeasible:
            records = list(read_journal(tmp_path / "run" / "journal.jsonl"))
            assert records
            assert all(not r["valid"] and "area" in r["reason"] for r in records)
        else:
            raise AssertionError("a space without a valid design gave a result")

    def test_space_of_one_point_works(self, tmp_path: Path) -> None:
        """All variables fixed: the hardware is given, only mappings are searched."""
        fixed = {"pe_dim": 4, "buffer_kb": 8}
        result = self._run(tmp_path / "run", variables=fixed)
        assert result.design.values == fixed

    def test_fixed_variables_stay_fixed(self, tmp_path: Path) -> None:
        """Every design obeys the user's choice."""
        result = self._run(tmp_path / "run", variables={"pe_dim": 4})
        records = read_journal(result.folder / "journal.jsonl")
        assert {r["values"]["pe_dim"] for r in records} == {4}

    def _run(self, folder: Path, **settings: Any) -> RunResult:  # noqa: ANN401
        return self._start(folder, **settings).execute()

    def _start(
        self,
        folder: Path,
        arch: dict[str, Any] | None = None,
        **settings: Any,  # noqa: ANN401
    ) -> Run:
        plain = self._plain(folder, arch)
        optimizer = {"name": self.optimizer, **self.settings}
        given = {**plain, "optimizer": optimizer, **settings}
        return start(given)

    def _plain(self, folder: Path, arch: dict[str, Any] | None = None) -> dict[str, Any]:
        """Write the space's files beside the run folder and return the settings."""
        arch_file = folder.with_suffix(".arch.yaml")
        workload_file = folder.with_suffix(".net.yaml")
        arch_file.write_text(_ARCH if arch is None else yaml.safe_dump(arch), encoding="utf-8")
        workload_file.write_text(_WORKLOAD, encoding="utf-8")
        return {
            "arch": str(arch_file),
            "workload": str(workload_file),
            "folder": str(folder),
            "samples": self.samples,
            "seed": 3,
        }


class MapperConformance:
    """Tests of one mapper on a small problem; subclass it in a test module.

    Attributes:
        mapper: name under which the mapper is registered.
        settings: its settings.
        samples: budget of the searches.
    """

    mapper: ClassVar[str]
    settings: ClassVar[dict[str, Any]] = {}
    samples: ClassVar[int] = 300

    def test_same_seed_same_mappings_for_any_n_jobs(self) -> None:
        """The number of threads changes nothing, and nothing is left of a search before."""
        one, three = (self._mapper(n_jobs=n) for n in (1, 3))
        again = [self._map(m) for m in (one, three, one)]
        assert again[0].mappings == again[1].mappings == again[2].mappings

    def test_same_seed_same_mapping_in_another_process(self, tmp_path: Path) -> None:
        """Neither hash seeds nor global random state reach the search."""
        from dse.runner.map_layer import map_layer  # noqa: PLC0415 - compiled code

        arch, net = tmp_path / "arch.yaml", tmp_path / "net.yaml"
        arch.write_text(_ARCH, encoding="utf-8")
        net.write_text(_WORKLOAD, encoding="utf-8")
        variables = {"pe_dim": 4, "buffer_kb": 8}
        given = {"arch": str(arch), "samples": self.samples, "variables": variables, "seed": 5}
        mapper = {"name": self.mapper, **self.settings}
        here = map_layer({**given, "mapper": mapper, "folder": str(tmp_path / "a")}, f"{net}/conv")
        words = [f"mapper.{key}={_word(value)}" for key, value in self.settings.items()]
        words += [f"variables.{key}={value}" for key, value in variables.items()]
        words += [f"mapper={self.mapper}", f"layer={net}/conv", f"folder={tmp_path / 'b'}"]
        words += [f"arch={arch}", f"samples={self.samples}", "seed=5"]
        subprocess.run(  # noqa: S603 - our own interpreter and arguments
            [sys.executable, "-m", "dse", "map", *words],
            check=True,
            capture_output=True,
            env={**os.environ, "PYTHONHASHSEED": "12345"},
        )
        best = "best/conv.mapping.yaml"
        assert (here.folder / best).read_bytes() == (tmp_path / "b" / best).read_bytes()

    def test_budget_is_never_exceeded(self) -> None:
        """Mappings evaluated on each hardware stay within its own budget, odd ones too."""
        for samples in ([0, 1], [1, 7], [self.samples, 33]):
            mapper = self._mapper()
            counter = _Counter(mapper.evaluator)
            mapper.evaluator = counter
            self._map(mapper, samples)
            assert all(n <= most for n, most in zip(counter.count, samples, strict=True))

    def test_best_is_valid_and_priced(self) -> None:
        """What is returned evaluates to the metrics that are returned."""
        mapper = self._mapper()
        found = self._map(mapper)
        for h, architecture in enumerate(_hardware().architectures):
            mapping = found.mappings[h]
            assert mapping is not None
            batch = MappingBatch.of([mapping])
            metrics = mapper.evaluator.evaluate(architecture, _problem(), batch)
            assert metrics.valid[0]
            assert metrics.edp[0] == found.metrics.edp[h]

    def test_more_samples_are_not_worse_than_one(self) -> None:
        """A search finds at least what its first sample is."""
        mapper = self._mapper()
        one, many = (self._map(mapper, [n, n]).metrics.edp for n in (1, self.samples))
        assert (many <= one).all()

    def test_hardware_that_fits_nothing_gives_none(self) -> None:
        """No mapping is an answer."""
        mapper = self._mapper()
        small = _hardware(tiny=True)
        found = mapper.map(small, _problem(), np.array([20, 20], np.int64), 1)
        assert found.mappings == (None, None)
        assert not found.metrics.valid.any()

    def test_space_of_one_point_works(self) -> None:
        """A problem of one operation has one mapping."""
        bounds = dict.fromkeys(_problem().dimensions, 1)
        point = Problem(_problem().shape, bounds)
        found = self._mapper().map(_hardware(), point, np.array([50, 1], np.int64), 1)
        assert all(m is not None and (m.temporal == 1).all() for m in found.mappings)

    def _mapper(self, n_jobs: int = 1) -> Mapper[Any]:
        chosen = plugin("mapper", self.mapper)
        made: Mapper[Any] = chosen.factory(
            NativeEvaluator(n_jobs=n_jobs),
            _template().constraints,
            OBJECTIVES["edp"],
            chosen.settings_type(**self.settings),
        )
        return made

    def _map(self, mapper: Mapper[Any], samples: Sequence[int] | None = None) -> Mapped:
        given = [self.samples, self.samples // 2] if samples is None else samples
        return mapper.map(_hardware(), _problem(), np.array(given, np.int64), 11)


class _Mirrored(Optimizer[Any]):
    """An optimizer that, before every ask, is compared with a copy made from its state's bytes."""

    def __init__(self, own: Optimizer[Any], fresh: Callable[[], Optimizer[Any]]) -> None:
        super().__init__(own.space, own.settings, own.rng, own.samples)
        self.meter = own.meter
        self.asked = 0
        self._own, self._fresh = own, fresh

    @property
    def objectives(self) -> tuple[Objective, ...]:
        return self._own.objectives

    @property
    def certificate(self) -> dict[str, Any] | None:
        return self._own.certificate

    def ask(self) -> list[Design]:
        data, copy = dumps(optimizer_state(self._own)), self._fresh()
        load_optimizer(CheckedEntries(loads(data), "optimizer"), copy)
        assert dumps(optimizer_state(copy)) == data
        designs = self._own.ask()
        assert copy.ask() == designs
        assert copy.meter.spent == self.meter.spent
        assert copy.certificate == self.certificate
        self.asked += 1
        return designs

    def tell(self, designs: Sequence[Design], metrics: Sequence[DesignMetrics]) -> None:
        self._own.tell(designs, metrics)

    def state_dict(self) -> dict[str, State]:
        return self._own.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._own.load_state_dict(state)


class _Counter(Evaluator):
    """Counts the mappings evaluated on each hardware."""

    def __init__(self, evaluator: Evaluator) -> None:
        self.evaluator = evaluator
        self.count = [0, 0]

    def evaluate(
        self,
        hardware: Architecture | Sequence[Architecture] | HardwareBatch,
        problem: Problem,
        mappings: MappingBatch,
        hardware_index: npt.NDArray[np.int32] | None = None,
    ) -> Metrics:
        for h in hardware_index if hardware_index is not None else [0] * len(mappings):
            self.count[int(h)] += 1
        return self.evaluator.evaluate(hardware, problem, mappings, hardware_index)

    def explain(
        self, hardware: Architecture, problem: Problem, mappings: MappingBatch, index: int
    ) -> Violation | None:
        return self.evaluator.explain(hardware, problem, mappings, index)


def _template() -> ArchTemplate:
    return ArchTemplate.parse(yaml.safe_load(_ARCH), "conformance kit")


def _hardware(*, tiny: bool = False) -> HardwareBatch:
    """Return two pieces of hardware; ``tiny`` ones are so small that nothing fits."""
    built = []
    for pe_dim, buffer_kb in ((4, 8), (8, 2)):
        priced = energy_chain("dosa").price(
            _template().build({"pe_dim": pe_dim, "buffer_kb": buffer_kb})
        )
        if tiny:
            priced = priced.with_levels(Buffer=replace(priced.level("Buffer"), size_words=1))
        built.append(priced)
    return HardwareBatch(tuple(built))


def _problem() -> Problem:
    bounds = {"R": 3, "S": 3, "P": 8, "Q": 8, "C": 8, "K": 16, "N": 1}
    return Problem(SHAPES["cnn-layer"], bounds, {"Wstride": 2, "Hstride": 2})


class _StoppedError(Exception):
    """Raised to stop a run in its course."""


def _stop(_: object) -> None:
    raise _StoppedError


def _journal(result: RunResult) -> bytes:
    return (result.folder / "journal.jsonl").read_bytes()


def _word(value: object) -> str:
    return "null" if value is None else str(value)
