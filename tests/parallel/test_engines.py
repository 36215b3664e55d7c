"""Engines: answers to all tasks, whoever gives them; what is lost is done again, within bounds."""

import json
import operator
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from processes import comes, needs_proc

from dse.errors import SpecError, ToolError
from dse.extras import is_installed
from dse.plugins import plugin, plugins
from dse.process.together import Stopped, ended_together
from dse.testing import EngineConformance

#: The library of each engine, but for those that come with any installation.
LIBRARIES = {"dask": "distributed", "ray": "ray"}
BUILTIN = ("dask", "loky", "ray", "threads")


def make(name, n_jobs=2, **settings):
    item = plugin("parallel", name)
    return item.factory(item.settings_type(**settings), n_jobs)


@pytest.fixture
def begun():
    """Begins programs, which end with the test."""
    with ExitStack() as stack:

        def begin(words, **named):
            process = subprocess.Popen(words, **named)
            stack.callback(process.wait)
            stack.callback(process.kill)
            return process

        yield begin


def needs(name):
    library = LIBRARIES.get(name)
    if library is not None:
        pytest.importorskip(library, reason=f"the extra '{name}' is not installed")


def test_the_engines_are_these():
    assert set(plugins("parallel")) >= set(BUILTIN)


class TestThreads(EngineConformance):
    engine = "threads"


class TestLoky(EngineConformance):
    engine = "loky"


@pytest.mark.skipif(not is_installed("distributed"), reason="the extra 'dask' is not installed")
class TestDask(EngineConformance):
    engine = "dask"


@pytest.mark.slow
@pytest.mark.skipif(not is_installed("ray"), reason="the extra 'ray' is not installed")
class TestRay(EngineConformance):
    engine = "ray"


@pytest.mark.parametrize("name", ["loky", "dask", pytest.param("ray", marks=pytest.mark.slow)])
def test_a_task_that_always_loses_its_worker_is_given_up(name, caplog):
    needs(name)
    with closing(make(name, retries=1)) as engine:
        with pytest.raises(ToolError, match=rf"parallel={name}: 2 workers were lost over one task"):
            list(engine.answers(os._exit, [3]))
        assert "a worker was lost: 1 task is given out again" in caplog.text
        assert dict(engine.answers(operator.neg, [1])) == {0: -1}


def test_who_waits_is_woken_when_all_is_to_end():
    begun, go_on = threading.Event(), threading.Event()

    def wait(_):
        begun.set()
        go_on.wait(20)

    def ask(engine):
        with pytest.raises(Stopped):
            list(engine.answers(wait, [0]))
        return True

    with closing(make("threads")) as engine, ThreadPoolExecutor(1) as pool:
        with pytest.raises(KeyError), ended_together() as scope:
            waiting = pool.submit(scope.within(ask), engine)
            assert begun.wait(20)
            raise KeyError
        assert waiting.result(20)
        go_on.set()


@pytest.mark.parametrize("name", ["dask", "ray"])
def test_without_the_extra_it_says_what_to_install(name, monkeypatch):
    monkeypatch.setattr("dse.extras.find_spec", lambda _: None)
    with pytest.raises(ToolError, match=rf"pip install 'dse-accel\[{name}\]'"):
        make(name)


@pytest.mark.skipif(not is_installed("distributed"), reason="the extra 'dask' is not installed")
def test_a_scheduler_that_is_not_there_is_one_clear_line():
    engine = make("dask", address="tcp://127.0.0.1:9", timeout_s=0.5)
    with pytest.raises(ToolError, match="parallel=dask: no scheduler at tcp://127.0.0.1:9"):
        list(engine.answers(operator.neg, [1]))
    with pytest.raises(SpecError, match="parallel.timeout_s = 0, expected more than 0"):
        make("dask", timeout_s=0)


@pytest.mark.skipif(not is_installed("distributed"), reason="the extra 'dask' is not installed")
def test_a_scheduler_without_workers_is_one_clear_line():
    from distributed import LocalCluster

    with LocalCluster(n_workers=0, dashboard_address=None) as cluster:
        engine = make("dask", address=cluster.scheduler_address, timeout_s=0.5)
        with pytest.raises(ToolError, match=r"has no worker after 0.5 s"):
            list(engine.answers(operator.neg, [1]))


@pytest.mark.skipif(not is_installed("distributed"), reason="the extra 'dask' is not installed")
@pytest.mark.slow
def test_a_cluster_that_goes_is_waited_for_while_it_has_a_scheduler(tmp_path, caplog, begun):
    file = tmp_path / "scheduler.json"
    begin = [sys.executable, "-m", "dask"]
    words = ["scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard"]
    scheduler = begun([*begin, *words, "--scheduler-file", str(file)])
    assert comes(file.exists, 60)
    words = ["worker", "--scheduler-file", str(file), "--no-nanny", "--no-dashboard"]
    worker = begun([*begin, *words, "--nthreads", "1", "--local-directory", str(tmp_path)])
    address = json.loads(file.read_text())["address"]
    with closing(make("dask", address=address, timeout_s=20.0)) as engine:
        assert dict(engine.answers(operator.neg, [1])) == {0: -1}
        engine.patience_s = 0.5
        asking = threading.Thread(target=ask, args=(engine, found := []))
        asking.start()
        worker.kill()
        assert comes(lambda: "there is no worker any more; 1 tasks wait for one" in caplog.text)
        scheduler.kill()
        asking.join(60)
        assert "gone; resume= goes on" in str(found[0])


def ask(engine, found):
    """Ask for something that takes a minute; note what is raised."""
    try:
        list(engine.answers(time.sleep, [60]))
    except ToolError as error:
        found.append(error)


_BEGUN = """
import time
from dse.plugins import plugin
if __name__ == "__main__":
    item = plugin("parallel", "loky")
    engine = item.factory(item.settings_type(), 2)
    engine.submit(time.sleep, 60)
    print(*engine.submit(int, 1).result() * [1], flush=True)
    time.sleep(60)
"""


@needs_proc
def test_processes_end_with_the_one_that_was_killed(tmp_path, begun):
    program = tmp_path / "begun.py"
    program.write_text(_BEGUN)
    first = begun([sys.executable, str(program)], stdout=subprocess.PIPE)
    assert first.stdout.readline() == b"1\n"
    tasks = Path(f"/proc/{first.pid}/task").iterdir()
    children = [pid for task in tasks for pid in (task / "children").read_text().split()]
    assert len(children) >= 2
    first.kill()
    first.wait()
    first.stdout.close()
    assert comes(lambda: not any(map(is_alive, children)))


def is_alive(pid):
    try:
        return Path("/proc", pid, "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
