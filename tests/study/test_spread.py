"""Runs whose work is spread: the same journal for any workers, whatever befalls them."""

import json
import os
import signal
import threading
from contextlib import contextmanager, suppress

import parallel_cases
import pytest
from parallel_cases import asked, lines, settings
from processes import comes

import dse
from dse.cli import main
from dse.errors import NothingFeasible, SpecError, ToolError
from dse.runner.map_layer import map_layer
from dse.runner.run import resume, start
from dse.study import tasks
from dse.study.answers import AnswerStore

#: Mappings that a run asks about: six of each of five different layers.
QUESTIONS = 30


@contextmanager
def dask_cluster(workers=2):
    distributed = pytest.importorskip("distributed", reason="the extra 'dask' is not installed")
    with distributed.LocalCluster(
        n_workers=workers, threads_per_worker=1, dashboard_address=None, processes=True
    ) as cluster:
        yield cluster


def on(cluster):
    return {"name": "dask", "address": cluster.scheduler_address}


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """The folder of a run in threads."""
    folder = tmp_path_factory.mktemp("plain")
    dse.run(**settings(folder, "run"))
    assert asked(folder, "run") == QUESTIONS
    return folder


@pytest.mark.parametrize(("n_jobs", "batch"), [(1, 1), (2, 1), (2, 4)])
def test_the_journal_is_the_same_for_any_number_of_processes(plain, tmp_path, n_jobs, batch):
    loky = {"name": "loky", "batch": batch}
    dse.run(**settings(tmp_path, "run", parallel=loky, n_jobs=n_jobs))
    assert lines(tmp_path, "run") == lines(plain, "run")
    assert asked(tmp_path, "run") == QUESTIONS


def test_journals_are_equal_byte_for_byte(tmp_path):
    """Also what says of which inputs they are, where these are the same."""
    given = settings(tmp_path, "run")
    for name, parallel in (("a", "threads"), ("b", "loky")):
        dse.run(**given | {"folder": str(tmp_path / name), "parallel": parallel})
    a, b = ((tmp_path / name / "journal.jsonl").read_bytes() for name in "ab")
    assert a == b


def test_the_journal_is_the_same_on_a_dask_cluster(plain, tmp_path):
    with dask_cluster() as cluster:
        dse.run(**settings(tmp_path, "run", parallel=on(cluster)))
        assert lines(tmp_path, "run") == lines(plain, "run")
        # the cluster is still there, and serves a quick evaluator: then layers are the tasks
        quick = {"evaluator": "native", "samples": 20}
        dse.run(**settings(tmp_path, "quick", parallel=on(cluster)) | quick)
    dse.run(**settings(tmp_path, "here") | quick)
    assert lines(tmp_path, "quick") == lines(tmp_path, "here")


@pytest.mark.slow
def test_the_journal_is_the_same_on_ray(plain, tmp_path):
    pytest.importorskip("ray", reason="the extra 'ray' is not installed")
    dse.run(**settings(tmp_path, "run", parallel="ray"))
    assert lines(tmp_path, "run") == lines(plain, "run")


def test_layers_are_the_tasks_of_a_quick_evaluator(tmp_path):
    quick = {"evaluator": "native", "samples": 20, "mapspace": {"padding": "auto"}}
    for name in ("threads", "loky"):
        dse.run(**settings(tmp_path, name, parallel=name) | quick)
    assert lines(tmp_path, "loky") == lines(tmp_path, "threads")


def test_map_spreads_the_mappings_of_its_layer(tmp_path):
    found = {}
    for name in ("threads", "loky"):
        given = settings(tmp_path, name, parallel=name)
        found[name] = map_layer(given, "dosa_bert/query")
        assert asked(tmp_path, name) == 6
    assert found["loky"].value == found["threads"].value
    assert found["loky"].measured == found["threads"].measured


def killed_midway(begun, kill):
    """Run to the end; after some questions, call ``kill`` with the set-up's engine."""

    def watch():
        assert comes(lambda: len(list(begun.asked.iterdir())) >= 5, 60)
        kill(begun.run.setup.engine)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        return begun.run.execute()
    finally:
        thread.join()


class Begun:
    """A run that is set up, and the folder of its questions."""

    def __init__(self, folder, **more):
        self.run = start(settings(folder, "run", 0.1, **more))
        self.asked = folder / "run-asked"


def test_a_killed_process_costs_its_tasks_only(plain, tmp_path, caplog):
    def kill(engine):
        os.kill(next(iter(engine._pool._processes)), signal.SIGKILL)

    killed_midway(Begun(tmp_path, parallel="loky"), kill)
    assert lines(tmp_path, "run") == lines(plain, "run")
    # two were being worked on, and one more may have been taken
    assert QUESTIONS <= asked(tmp_path, "run") <= QUESTIONS + 4
    assert "a worker was lost" in caplog.text


def test_a_killed_dask_worker_costs_its_tasks_only(plain, tmp_path):
    with dask_cluster() as cluster:

        def kill(_):
            os.kill(next(iter(cluster.workers.values())).pid, signal.SIGKILL)

        killed_midway(Begun(tmp_path, parallel=on(cluster)), kill)
    assert lines(tmp_path, "run") == lines(plain, "run")
    assert QUESTIONS <= asked(tmp_path, "run") <= QUESTIONS + 4


def test_what_was_answered_is_not_asked_again(plain, tmp_path):
    store = str(tmp_path / "store")
    for number, parallel in enumerate(("loky", "threads")):
        dse.run(**settings(tmp_path, f"run{number}", parallel=parallel, store=store))
        assert lines(tmp_path, f"run{number}") == lines(plain, "run")
    # the commands differ in the folder that they leave files in, so each is asked
    assert asked(tmp_path, "run1") == QUESTIONS
    given = settings(tmp_path, "run0", store=store, objective="energy")
    dse.run(**given | {"folder": str(tmp_path / "again")})
    assert asked(tmp_path, "run0") == QUESTIONS
    with AnswerStore(tmp_path / "store") as kept:
        assert len(kept) == 2 * QUESTIONS


def test_a_program_that_was_changed_is_asked_again(tmp_path):
    given = settings(tmp_path, "run", store=str(tmp_path / "store"))
    dse.run(**given)
    (tmp_path / "sim.py").write_text(parallel_cases.SIMULATOR + "\n# changed\n")
    dse.run(**given | {"folder": str(tmp_path / "again")})
    assert asked(tmp_path, "run") == 2 * QUESTIONS


def test_a_run_that_failed_midway_finds_its_answers(plain, tmp_path):
    """The program fails after a number of questions; what it answered before is kept."""
    given = settings(tmp_path, "run", store=str(tmp_path / "store"), parallel="loky")
    program = tmp_path / "sim.py"
    fails = "if len(os.listdir(sys.argv[3])) > 9 and not os.path.exists('ok'): sys.exit(1)"
    fails = fails.replace("'ok'", repr(f"{program}.ok"))
    program.write_text(f"{parallel_cases.SIMULATOR}\n{fails}\n")
    with pytest.raises(ToolError, match="ended with exit status 1"):
        dse.run(**given)
    with AnswerStore(tmp_path / "store") as kept:
        answered = len(kept)
    assert answered >= 5
    before = asked(tmp_path, "run")
    (tmp_path / "sim.py.ok").touch()
    resume(tmp_path / "run", {"parallel": {"name": "threads"}, "n_jobs": 1}).execute()
    assert lines(tmp_path, "run") == lines(plain, "run")
    assert asked(tmp_path, "run") == before + QUESTIONS - answered


def test_a_skipped_mapping_is_no_answer(tmp_path, caplog):
    given = settings(tmp_path, "run", store=str(tmp_path / "store"), parallel="loky")
    fails = "\nif sum(map(ord, str(asked['mapping']))) % 2: sys.exit(1)\n"
    (tmp_path / "sim.py").write_text(parallel_cases.SIMULATOR + fails)
    given["evaluator"] |= {"on_error": "skip"}
    with suppress(NothingFeasible):
        dse.run(**given)
    skipped = sum("a mapping is skipped, unscored" in line for line in caplog.messages)
    with AnswerStore(tmp_path / "store") as kept:
        assert len(kept) == QUESTIONS - skipped
    assert 0 < skipped < QUESTIONS


def test_a_damaged_answer_is_refused(tmp_path):
    with AnswerStore(tmp_path / "store") as store:
        store.add("a" * 40, (True, 1.0, 2.0, 0.5, 3.0))
        store.add("b" * 40, (False, *[float("nan")] * 4))
    with AnswerStore(tmp_path / "store") as again:
        assert again.get("a" * 40) == (True, 1.0, 2.0, 0.5, 3.0)
        assert not again.get("b" * 40)[0]
        assert again.get("c" * 40) is None
    (file,) = (tmp_path / "store").iterdir()
    content = file.read_bytes()
    file.write_bytes(content[:-5])  # torn by a kill: what is whole counts
    with AnswerStore(tmp_path / "store") as torn:
        assert len(torn) == 1
    file.write_bytes(content.replace(b"2.0", b"2.5"))
    with pytest.raises(SpecError, match=r"\.answers, line 1: damaged"):
        AnswerStore(tmp_path / "store")
    (tmp_path / "file").touch()
    with pytest.raises(SpecError, match="cannot be made"):
        AnswerStore(tmp_path / "file")


def test_a_worker_with_other_code_is_refused(tmp_path, monkeypatch):
    run = start(settings(tmp_path, "run", store=str(tmp_path / "store")))
    monkeypatch.setattr(tasks, "code_of", lambda kind, name: "dse 0, numpy 0")
    with pytest.raises(
        ToolError, match=r"computes with other code: it has dse 0, numpy 0; expected dse"
    ):
        run.execute()


def test_a_resumed_run_may_go_elsewhere(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    dse.run(**settings(tmp_path, "run"))
    capsys.readouterr()
    assert (
        main(["run", "resume=run", "parallel=loky", "parallel.batch=2", "store=kept", "--json"])
        == 0
    )
    assert json.loads(capsys.readouterr().out)["samples"] == 6
    for words, told in (
        (["parallel.batch=2"], "expected parallel=NAME, too"),
        (["parallel=lok"], "unknown parallel 'lok'; did you mean 'loky'"),
        (["samples=7"], "a resumed run keeps its settings"),
    ):
        assert main(["run", "resume=run", *words]) == 2
        assert told in capsys.readouterr().err


def test_rows_cannot_be_recorded_where_workers_ask(tmp_path):
    given = settings(tmp_path, "run", parallel="loky", record=True) | {"evaluator": "native"}
    with pytest.raises(SpecError, match="expected parallel=threads"):
        start(given)
