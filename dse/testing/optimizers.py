"""Tests that every optimizer must pass."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import yaml

from dse.errors import NothingFeasible, SpecError
from dse.goals.design import Design, DesignMetrics
from dse.goals.objective import Objective
from dse.runner.run import Run, resume, start
from dse.state.codec import State, dumps, loads
from dse.state.entries import CheckedEntries
from dse.study.checkpoint import load_optimizer, optimizer_state
from dse.study.journal import read_journal
from dse.study.optimizer import Optimizer
from dse.study.result import RunResult
from dse.testing import tiny


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
        words = [f"{key}={tiny.word(value)}" for key, value in self._plain(there).items()]
        words += [f"optimizer={self.optimizer}"]
        words += [f"optimizer.{key}={tiny.word(value)}" for key, value in self.settings.items()]
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
        arch = {**yaml.safe_load(tiny.ARCH), "budget": {"area_um2": 1.0}}
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
        arch_file.write_text(tiny.ARCH if arch is None else yaml.safe_dump(arch), encoding="utf-8")
        workload_file.write_text(tiny.WORKLOAD, encoding="utf-8")
        return {
            "arch": str(arch_file),
            "workload": str(workload_file),
            "folder": str(folder),
            "samples": self.samples,
            "seed": 3,
        }


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


class _StoppedError(Exception):
    """Raised to stop a run in its course."""


def _stop(_: object) -> None:
    raise _StoppedError


def _journal(result: RunResult) -> bytes:
    return (result.folder / "journal.jsonl").read_bytes()
