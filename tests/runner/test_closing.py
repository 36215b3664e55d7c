"""What an evaluator runs beside this process ends with the run, however the run ends."""

from __future__ import annotations

from contextlib import contextmanager

import pytest
from processes import living, needs_proc
from pytimeloop_stub import stub

from dse.errors import DseError, NothingFeasible, SpecError, ToolError
from dse.evaluators.native import NativeEvaluator
from dse.evaluators.wrapped import WrappedEvaluator
from dse.runner import setup
from dse.runner.map_layer import map_layer
from dse.runner.run import go_on, search, start
from dse.study.study import CHECKPOINT

SMALL = {
    "workload": "dosa_bert",
    "samples": 4,
    "n_jobs": 1,
    "variables": {"pe_dim": 8, "scratchpad_kb": 64, "accumulator_kb": 64},
    "optimizer": {"name": "random", "mappings_per_hardware": 2},
}


class Held(WrappedEvaluator):
    """Says whether it is open: from its making, and from when it is asked, until it is closed."""

    fails = False
    made: list[Held]

    def __init__(self) -> None:
        super().__init__(NativeEvaluator())
        self.is_open = True
        self.made.append(self)

    def evaluate_batch(self, *arguments):
        self.is_open = True
        if self.fails:
            raise ToolError("it is broken")
        return super().evaluate_batch(*arguments)

    def close(self):
        self.is_open = False


@pytest.fixture
def evaluator(monkeypatch):
    """The class of the evaluator that every run here makes."""
    monkeypatch.setattr(Held, "made", [], raising=False)
    monkeypatch.setattr(setup, "_evaluator", lambda _: Held())
    return Held


def ends(evaluator):
    """Whether an evaluator was made, and is closed."""
    (one,) = evaluator.made
    evaluator.made.clear()
    return not one.is_open


def test_at_the_end_of_a_search_and_of_a_map(evaluator, tmp_path):
    search({**SMALL, "folder": str(tmp_path / "run")})
    assert ends(evaluator)
    go_on(tmp_path / "run")
    assert ends(evaluator)
    map_layer({**SMALL, "folder": str(tmp_path / "map")}, "alexnet/fc6")
    assert ends(evaluator)


def test_after_an_interruption_and_a_failure(evaluator, tmp_path, monkeypatch):
    def interrupt(_):
        raise KeyboardInterrupt

    @contextmanager
    def watch(_):
        yield interrupt

    with pytest.raises(KeyboardInterrupt):
        search({**SMALL, "folder": str(tmp_path / "interrupted")}, watch)
    assert ends(evaluator)
    monkeypatch.setattr(Held, "fails", True)
    with pytest.raises(ToolError):
        search({**SMALL, "folder": str(tmp_path / "failed")})
    assert ends(evaluator)
    with pytest.raises(ToolError):
        map_layer({**SMALL, "folder": str(tmp_path / "map")}, "alexnet/fc6")
    assert ends(evaluator)


def test_where_nothing_is_found_or_can_be_written(evaluator, tmp_path):
    with pytest.raises(NothingFeasible):
        search({**SMALL, "constraints": "cycles < 2", "folder": str(tmp_path / "none")})
    assert ends(evaluator)
    run = start({**SMALL, "folder": str(tmp_path / "run")})
    (tmp_path / "run" / "best").write_text("in its way")
    with pytest.raises(DseError):
        run.execute()
    assert ends(evaluator)


def test_where_a_search_does_not_begin(evaluator, tmp_path):
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "something").touch()
    with pytest.raises(SpecError):
        start({**SMALL, "folder": str(tmp_path / "taken")})
    assert ends(evaluator)
    with pytest.raises(ToolError):
        start({**SMALL, "mapper": {"name": "timeloop", "binary": str(tmp_path / "none")}})
    assert ends(evaluator)
    search({**SMALL, "folder": str(tmp_path / "run")})
    assert ends(evaluator)
    (tmp_path / "run" / CHECKPOINT).write_bytes(b"broken")
    with pytest.raises(SpecError):
        go_on(tmp_path / "run")
    assert ends(evaluator)

    @contextmanager
    def blind(_):
        raise OSError("the terminal has gone")
        yield

    with pytest.raises(OSError, match="the terminal"):
        search({**SMALL, "folder": str(tmp_path / "unseen")}, blind)
    assert ends(evaluator)


@pytest.mark.slow
@needs_proc
def test_workers_of_pytimeloop_end_with_a_run(tmp_path):
    """Though this process goes on, and somebody still holds the run."""
    python = stub(tmp_path / "bin")
    run = start({**SMALL, "evaluator": {"name": "pytimeloop", "python": python},
                 "folder": str(tmp_path / "run")})  # fmt: skip
    assert living(f"{tmp_path}/bin")
    run.execute()
    assert living(f"{tmp_path}/bin") == []
