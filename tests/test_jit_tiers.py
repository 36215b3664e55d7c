"""Functions interpreted until they are compiled: equal bits, and when the compiled code comes."""

import importlib
import os
import subprocess
import sys

import numpy as np
import pytest
from compiled_sources import compiling_files
from two_tiers import BothWays, differences, tiered_functions

from dse import jit, jit_beside, jit_tiers
from dse.plugins import GROUPS, plugins
from dse.runner.map_layer import map_layer
from dse.runner.run import search


def _all_tiered():
    for path in compiling_files():
        importlib.import_module("dse." + path.removesuffix(".py").replace("/", "."))
    for kind in GROUPS:  # and whoever calls them
        plugins(kind)
    return set(tiered_functions())


OPTIMIZERS = ("random", "ga", "lockstep", "naas", "dosa", "optimal")
MAPPERS = ("anneal", "exhaustive", "gamma", "hillclimb", "optimal")


def _searches(folder):
    """Do searches that call every tiered function, on both kinds of arrays, padded and not."""
    work = {"workload": "dosa_bert", "samples": 60, "runs": str(folder)}
    for optimizer in OPTIMIZERS:
        search({**work, "optimizer": optimizer})
    search({**work, "optimizer": "random", "arch": "eyeriss", "workload": "alexnet"})
    free = {"name": "optimal", "nodes": 2}
    search({**work, "optimizer": free, "arch": "naas_shidiannao"})
    mapped = {"runs": str(folder), "samples": 100}
    for mapper in MAPPERS:
        map_layer({**mapped, "mapper": mapper}, "alexnet/conv2")
        padded = {"arch": "eyeriss", "mapspace": {"padding": "auto"}}
        map_layer({**mapped, **padded, "mapper": mapper}, "alexnet/conv5")


@pytest.mark.slow
def test_interpreted_functions_give_the_bits_of_compiled_ones(monkeypatch, tmp_path):
    expected = _all_tiered()
    # a hard layer, for which tails are found
    monkeypatch.setattr("dse.mappers.exact.proof._BEAMS", (1, 50))
    monkeypatch.setattr("dse.mappers.exact.proof._NODES_PER_LABEL", 0)
    _searches(tmp_path)  # what is compiled loads the names that are replaced next
    both = BothWays(monkeypatch, most=5)
    _searches(tmp_path)
    assert set(both.calls) == expected
    # whatever takes long calls parts, and can be left there
    assert set(both.left) == expected


def test_a_differing_bit_is_found():
    one = (np.array([0.0]), (1, np.array([2])))
    assert differences(one, (np.array([0.0]), (1, np.array([2])))) == []
    assert differences(one, (np.array([-0.0]), (1, np.array([2])))) == [".0"]
    assert differences(one, (np.array([0.0]), (2, np.array([3])))) == [".1.0", ".1.1"]


FUNCTIONS = """
import numpy as np
from dse.jit import inner, tiered

@inner
def step(x, i):
    x[0] += i % 3

@tiered
def count(x, steps):
    x[0] = 0
    for i in range(steps):
        step(x, i)

@tiered
def little(x):
    x[0] = 1

@tiered
def ratio(a, b):
    return a / b
"""
START = """
import os, sys, time
import numpy as np
import functions
from dse import jit, jit_beside, jit_tiers
x = np.zeros(1, np.int64)
first = jit_tiers.interpreting_first()
"""


def _run(folder, program):
    """Run a program on the functions, with a cache in a folder; return its words and stderr."""
    (folder / "functions.py").write_text(FUNCTIONS)
    done = subprocess.run(
        [sys.executable, "-c", START + program],
        env={**os.environ, "NUMBA_CACHE_DIR": str(folder / "cache"), "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=True,
        cwd=folder,
        timeout=300,
    )
    return done.stdout.split(), done.stderr


@pytest.fixture
def two_cores(monkeypatch, tmp_path):
    """Let programs see two cores, whatever there are."""
    (tmp_path / "sitecustomize.py").write_text("import os\nos.cpu_count = lambda: 2\n")


BESIDE = "compiling functions.count beside this process, only once; it is slower until then\n"
HITS = "print(x[0], sum(functions.{0}.stats.cache_hits.values()), len(functions.{0}.overloads))\n"


def test_little_work_is_interpreted_and_nothing_compiled(tmp_path, two_cores):
    said = _run(
        tmp_path,
        "first.__enter__()\nfunctions.little(x)\n" + HITS.format("little"),
    )
    assert said == (["1", "0", "0"], "")
    assert not list((tmp_path / "cache").rglob("*.nbi"))


def test_much_work_is_begun_again_compiled_as_soon_as_it_can_be(tmp_path, two_cores):
    """Interpreted, it would take a quarter of an hour."""
    long = "first.__enter__()\nfunctions.count(x, 10**9)\n" + HITS.format("count")
    words, said = _run(tmp_path, long)
    assert words == [str(10**9 - 1), "1", "1"]
    assert said == BESIDE
    # the next process finds the code at once
    short = "first.__enter__()\nfunctions.count(x, 9)\n" + HITS.format("count")
    assert _run(tmp_path, short) == (["9", "1", "1"], "")


KILLED = """
from dse import jit_beside
first.__enter__()
class Killed(jit_beside._Process):
    def __init__(self):
        super().__init__()
        self._process.kill()
jit_beside._Process = Killed
functions.count(x, 10**9)
"""


def test_where_the_process_that_compiles_is_killed_this_one_does_it(tmp_path, two_cores):
    words, _ = _run(tmp_path, KILLED + HITS.format("count"))
    assert words == [str(10**9 - 1), "0", "1"]
    assert _run(tmp_path, "functions.count(x, 9)\n" + HITS.format("count")) == (["9", "1", "1"], "")


OTHERS = """
import fcntl, threading
from dse.jit_locks import file_beside, is_being_compiled
path = file_beside(functions.count, "lock")
print(is_being_compiled(functions.count))
path.parent.mkdir(parents=True, exist_ok=True)
file = path.open("w")
print(is_being_compiled(functions.count))
fcntl.flock(file, fcntl.LOCK_EX)
print(is_being_compiled(functions.count))
first.__enter__()
from dse import jit_beside
jit_beside.subprocess.Popen = None
released = threading.Event()
threading.Timer(1.0, lambda: (released.set(), file.close())).start()
functions.count(x, 10**9)
print(released.is_set())
"""


def test_what_another_process_compiles_is_waited_for_and_not_compiled_twice(tmp_path, two_cores):
    """Here it is the lock alone that another one holds; then it lets go, with nothing compiled."""
    words = ["False", "False", "True", "True", str(10**9 - 1), "0", "1"]
    assert _run(tmp_path, OTHERS + HITS.format("count"))[0] == words


CLOCK = """
first.__enter__()
before, began = jit.working_time(), time.monotonic()
functions.count(x, 10**5)
print(time.monotonic() - began > 2 * (jit.working_time() - before))
"""


def test_working_time_stands_still_while_code_is_interpreted(tmp_path, two_cores):
    assert _run(tmp_path, CLOCK)[0] == ["True"]


def test_unless_told_or_on_one_core_code_is_compiled_before_it_runs(tmp_path):
    (tmp_path / "sitecustomize.py").write_text("import os\nos.cpu_count = lambda: 1\n")
    program = "first.__enter__()\nfunctions.little(x)\n" + HITS.format("little")
    assert _run(tmp_path, program)[0] == ["1", "0", "1"]
    (tmp_path / "sitecustomize.py").write_text("import os\nos.cpu_count = lambda: 2\n")
    untold = "functions.count(x, 9)\n" + HITS.format("count")
    assert _run(tmp_path, untold)[0] == ["9", "0", "1"]


class _Told:
    """Stands for a process that compiles; what it was told is done when ``asked`` is emptied."""

    def __init__(self):
        self.told, self.asked, self.has_ended = [], [], False

    def ask(self, requests):
        self.told.append(list(requests))
        self.asked = [*self.asked, *requests]


@pytest.fixture
def started(monkeypatch):
    """The processes that are started, on two cores, which stand for others."""
    found = []

    class Process(_Told):
        def __init__(self):
            super().__init__()
            found.append(self)

    monkeypatch.setattr(jit_beside, "_Process", Process)
    monkeypatch.setattr(jit_beside, "_cores", lambda: 2)
    return found


def _requests(count):
    return [jit_beside.Request("module", f"f{i}", ()) for i in range(count)]


def test_a_core_is_left_to_what_is_interpreted(started):
    beside = jit_beside.Beside()
    asked = _requests(4)
    for request in asked[:3]:
        beside.ask(request)
    assert [one.told for one in started] == [[asked[:1]]]
    assert all(map(beside.is_at_work, asked[:3]))
    assert not beside.takes_all_cores
    started[0].asked = []
    assert beside.is_at_work(asked[2])  # what waits goes to the same process
    assert [one.told for one in started] == [[asked[:1], asked[1:3]]]
    assert not beside.is_at_work(asked[0])
    beside.ask(asked[3])
    assert len(started) == 1
    beside.leave()
    assert [one.told for one in started[1:]] == [[asked[3:]]]
    started[0].has_ended = True
    assert not any(map(beside.is_at_work, asked[:3]))
    assert beside.is_at_work(asked[3])


def test_what_is_asked_for_at_once_takes_all_cores(started):
    beside = jit_beside.Beside()
    first, second, third, late = _requests(4)
    for request in (first, second, third):
        beside.ask(request, at_once=True)
    assert [one.told for one in started] == [[[first]], [[second]]]
    assert beside.takes_all_cores
    started[1].asked = []
    assert beside.is_at_work(third)
    assert started[1].told == [[second], [third]]
    started[0].asked = []
    beside.ask(late)
    assert not beside.takes_all_cores
    assert started[0].told == [[first]]


def test_a_process_says_what_it_has_done(tmp_path, two_cores):
    program = """
from dse.jit_beside import Request, _Process
from numba import types
request = Request("functions", "little", (types.Array(types.int64, 1, "C"),))
process = _Process()
process.ask([request])
process.ask([request])
print(len(process.asked))
while process.asked:
    time.sleep(0.05)
print(process.has_ended)
functions.little(x)
"""
    words, _ = _run(tmp_path, program + HITS.format("little"))
    assert words == ["2", "False", "1", "1", "1"]


REHEARSED = """
first.__enter__()
with jit_tiers.rehearsing():
    functions.count(x, 1)
    functions.little(x)
print(jit_tiers.is_missing(functions.count))
functions.count(x, 10**9)
"""


def test_what_is_rehearsed_is_compiled_at_once(tmp_path, two_cores):
    words, said = _run(tmp_path, REHEARSED + HITS.format("count"))
    assert words == ["True", str(10**9 - 1), "1", "1"]
    assert said.count("beside this process") == 2
    known = "first.__enter__()\nprint(jit_tiers.is_missing(functions.count))\n"
    assert _run(tmp_path, known) == (["False"], "")


def test_what_is_rehearsed_is_waited_for_while_processes_compile_on_all_cores():
    looks = iter([True, True, False])

    class Busy(jit_beside.Beside):
        takes_all_cores = property(lambda _: next(looks))

        def _go_on(self, *, whatever=False):
            pass

    @jit.tiered
    def function(x):
        return x

    missing = jit_tiers._Missing(function, (), Busy())
    missing.look(0.0)
    assert not missing.is_wanted
    with jit_tiers.rehearsing():
        missing.look(0.0)
    assert missing.is_wanted
    assert missing.give_way() is False
    assert not list(looks)


def test_where_python_raises_what_is_no_error_compiled_the_function_is_compiled(
    tmp_path, two_cores
):
    program = "first.__enter__()\nprint(functions.ratio(1.0, 0.0))\n"
    assert _run(tmp_path, program + HITS.format("ratio"))[0] == ["inf", "0", "0", "1"]


def test_where_no_process_can_be_started_this_one_compiles(monkeypatch):
    def refused(*_, **__):
        raise BlockingIOError

    monkeypatch.setattr(jit_beside.subprocess, "Popen", refused)
    beside = jit_beside.Beside()
    (request,) = _requests(1)
    beside.ask(request)
    assert not beside.is_at_work(request)


def test_no_thread_compiles_while_another_one_asks_for_it(monkeypatch):
    """Between the decision to ask and the process that is asked, nobody is at work yet."""
    found = []

    class Slow(jit_beside.Beside):
        def ask(self, request, *, at_once=False):
            found.append(missing.is_over())
            self._waiting.append(request)

        def _go_on(self, *, whatever=False):
            pass

    @jit.tiered
    def function(x):
        return x

    missing = jit_tiers._Missing(function, (), Slow())
    assert missing.look(1.0) is False
    assert found == [False]
