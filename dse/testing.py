"""The conformance kit: tests that every optimizer must pass, for outside plug-ins too.

In a test module::

    from dse.testing import OptimizerConformance

    class TestMine(OptimizerConformance):
        optimizer = "mine"                  # the name it is registered under
        settings = {"population": 8}        # small, so that the tests are quick

pytest collects the inherited tests. They need no fixture but ``tmp_path``.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any, ClassVar

import yaml

from dse.errors import NothingFeasible
from dse.runner import Run, resume, start
from dse.study.journal import read_journal
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

    def test_state_survives_pickling(self, tmp_path: Path) -> None:
        """A pickled copy asks for the same designs."""
        run = self._start(tmp_path / "run")
        optimizer = run.study.state.optimizer
        copy = pickle.loads(pickle.dumps(optimizer))  # noqa: S301 - just pickled
        assert copy.ask() == optimizer.ask()

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


class _StoppedError(Exception):
    """Raised to stop a run in its course."""


def _stop(_: object) -> None:
    raise _StoppedError


def _journal(result: RunResult) -> bytes:
    return (result.folder / "journal.jsonl").read_bytes()


def _word(value: object) -> str:
    return "null" if value is None else str(value)
