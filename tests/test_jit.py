"""Compiled code: kept on disk, compiled anew after any edit of what it is made of, announced."""

import configparser
import importlib
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numba
import pytest
from compiled_sources import ROOT, compiling_files, made_of
from numba.core.caching import IndexDataCacheFile
from numba.core.dispatcher import Dispatcher

from dse import jit
from dse.errors import ToolError

#: Folders whose compiled code applies rules of the model.
RULED = {
    "model",
    "mapspace",
    "evolution",
    "relaxed",
    "mappers/exact",
    "cosearch/two_tier",
    "sparse/batch",
}


def _folder(path):
    return str(Path(path).parent)


def test_rooms_are_what_the_sources_say():
    """The table lists every folder that compiles, and exactly the others that each needs."""
    needs = {_folder(path): set() for path in compiling_files()}
    for path in compiling_files():
        for source in made_of(path) - set(jit.GROUND):
            needs[_folder(path)].add(_folder(source))
    assert needs == {room: {room, *others} for room, others in jit.ROOMS.items()}


def _dispatchers(path):
    module = importlib.import_module("dse." + path.removesuffix(".py").replace("/", "."))
    here = [x for x in vars(module).values() if isinstance(x, Dispatcher)]
    return [x for x in here if x.py_func.__module__ == module.__name__]


def _is_entry(dispatcher):
    return dispatcher.targetoptions.get("no_cpython_wrapper") is None


def test_every_entry_points_cache_is_stamped_with_all_its_sources():
    entries = 0
    for path in compiling_files():
        for dispatcher in filter(_is_entry, _dispatchers(path)):
            entries += 1
            stamped = {name for name, _, _ in dispatcher._cache._cache_file._source_stamp}
            assert made_of(path) | {"jit.py", "jit_units.py"} <= stamped
    assert entries > 20


def test_an_edit_of_the_rules_makes_every_cache_that_depends_on_them_stale(tmp_path, monkeypatch):
    assert {_folder(p) for p in compiling_files() if "model/rules.py" in made_of(p)} == RULED
    copy = tmp_path / "dse"
    shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(jit, "__file__", str(copy / "jit.py"))
    before, after = ({}, {})
    for stamps in (before, after):
        jit._sources.cache_clear()
        for room in jit.ROOMS:
            stamps[room] = jit._stamp(f"dse.{room.replace('/', '.')}.kernel", None)
        stamps["elsewhere"] = jit._stamp("plug_in", None)
        with (copy / "model" / "rules.py").open("a") as file:
            file.write("\n")
    jit._sources.cache_clear()
    stale = {room for room in before if before[room] != after[room]}
    assert stale >= RULED | {"elsewhere"}
    assert "cosearch" not in stale


def _run(folder, program):
    """Run a program on the package, or on its copy if there is one, and a cache in a folder."""
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "NUMBA_CACHE_DIR": str(folder / "cache"), "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=True,
        cwd=folder,
    )
    return done.stdout, "compiling dse." in done.stderr, done.stderr


#: Two small kernels of different rooms, called from Python, and code from outside.
KERNELS = """
import numpy as np
import dse
from dse.cosearch.two_tier import row_kernel
from dse.jit import compiled
from dse.relaxed import work
import plug_in
add, box = (compiled(part.py_func) for part in (row_kernel._add, work._box))
blocks = np.zeros((1, 1))
add(blocks, 0, 0, 5.0, 2.0, 1.0)
side = box(np.ones((1, 1)), np.full(1, 4.0), np.zeros(1))
print(blocks[0, 0], side, plug_in.accesses(5.0), dse.__file__)
"""
PLUG_IN = """
from dse.jit import compiled
from dse.model import rules

@compiled
def accesses(words):
    return rules.blocks(words, 2.0)
"""


def _edit(path, old, new):
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1
    path.write_text(text.replace(old, new), encoding="utf-8")


def test_an_edited_rule_is_compiled_anew_wherever_it_is_applied(tmp_path):
    shutil.copytree(ROOT, tmp_path / "dse", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "plug_in.py").write_text(PLUG_IN)
    where = f"{tmp_path}/dse/__init__.py\n"
    assert _run(tmp_path, KERNELS)[:2] == (f"3.0 4.0 3 {where}", True)
    assert _run(tmp_path, KERNELS)[:2] == (f"3.0 4.0 3 {where}", False)
    rules = tmp_path / "dse" / "model" / "rules.py"
    _edit(rules, "return math.ceil(words / block)", "return math.ceil(words / block) + 10")
    _edit(rules, "return abs(coefficient) * (extent - 1)", "return abs(coefficient) * (extent + 9)")
    assert _run(tmp_path, KERNELS)[:2] == (f"13.0 14.0 13 {where}", True)
    _edit(tmp_path / "plug_in.py", "2.0", "1.0")
    assert _run(tmp_path, KERNELS)[0] == f"13.0 14.0 15 {where}"


ONE = """
import numba
{before}
import numpy as np
from dse.jit import compiled
from dse.model import loops
copy_row = compiled(loops.copy_row.py_func)
to = np.zeros(3); copy_row(to, np.ones(3)); print(to.sum())
"""


def test_the_first_compilation_is_announced_and_the_next_process_finds_it(tmp_path):
    program = ONE.format(before="")
    assert _run(tmp_path, program)[:2] == ("3.0\n", True)
    assert _run(tmp_path, program) == ("3.0\n", False, "")


DENSE = """
import numpy as np
from dse.learned.inference import dense
out = np.zeros((1, 1), np.float32)
dense(np.ones((1, 2), np.float32), np.ones((2, 1), np.float32), np.ones(1, np.float32), 0, out)
print(out[0, 0])
"""


def test_kept_code_is_loaded_without_what_compiling_needs(tmp_path):
    rules = "; import sys; print('numba.np.linalg' in sys.modules, 'scipy.linalg' in sys.modules)"
    program = ONE.format(before="").rstrip() + rules + "\n"
    assert _run(tmp_path, program)[0] == "3.0\nTrue True\n"
    assert _run(tmp_path, program)[0] == "3.0\nFalse False\n"
    # and what is missing is compiled after it, in the same process
    more = (
        "\njit = compiled(loops.copy_row.py_func)\njit(np.zeros(2, np.int64), np.ones(2, np.int64))"
    )
    assert _run(tmp_path, program + more)[1]


def test_what_is_compiled_again_is_announced_with_the_time_it_took_before(tmp_path):
    shutil.copytree(ROOT, tmp_path / "dse", ignore=shutil.ignore_patterns("__pycache__"))
    said = "compiling dse.learned.inference.dense for this machine, only once"
    assert _run(tmp_path, DENSE) == ("3.0\n", True, said + "\n")
    assert _run(tmp_path, DENSE) == ("3.0\n", False, "")
    with (tmp_path / "dse" / "learned" / "inference.py").open("a") as file:
        file.write("\n")
    assert re.fullmatch(rf"{said}; it took \d+ s last time\n", _run(tmp_path, DENSE)[2])


def test_with_a_newer_numba_nothing_is_kept_and_that_is_said(tmp_path):
    newer = (jit.NEWEST_NUMBA[0], jit.NEWEST_NUMBA[1] + 1)
    program = ONE.format(before=f"numba.version_info = numba.version_info._replace(short={newer})")
    for _ in range(2):
        out, compiled, said = _run(tmp_path, program)
        assert (out, compiled) == ("3.0\n", True)
        assert "newer than 0.68, the newest known to work" in said


@pytest.mark.parametrize(
    ("options", "cache"),
    [
        ({}, {"_cache_file": SimpleNamespace(_source_stamp=(0.0, 0), _version="")}),
        ({"_nrt": False}, {"_cache_file": SimpleNamespace(_source_stamp=(0.0, 0))}),
        ({"_nrt": None}, {"_cache_file": SimpleNamespace()}),
        ({"_nrt": None}, {}),
    ],
)
def test_a_numba_that_is_built_otherwise_is_refused(options, cache):
    dispatcher = SimpleNamespace(
        targetdescr=SimpleNamespace(options=SimpleNamespace(**options)),
        _cache=SimpleNamespace(**cache),
        py_func=made_of,
    )
    with pytest.raises(ToolError, match=rf"numba {numba.__version__} is not built as dse expects"):
        jit._cached(dispatcher)


def test_the_installer_takes_no_newer_numba_than_is_known():
    setup = configparser.ConfigParser()
    setup.read(ROOT.parent / "setup.cfg")
    needed = setup["options"]["install_requires"].split()
    major, minor = jit.NEWEST_NUMBA
    assert f"numba>=0.61,<{major}.{minor + 1}" in needed


def test_a_cache_of_other_sources_is_not_even_read(tmp_path, monkeypatch):
    """It may hold classes that are no more, which would be an error of unpickling."""
    file = IndexDataCacheFile(str(tmp_path), "function", (1.0, 2))
    made = SimpleNamespace(
        targetdescr=SimpleNamespace(options=SimpleNamespace(_nrt=False)),
        _cache=SimpleNamespace(_cache_file=file, load_overload=None),
        py_func=SimpleNamespace(__module__="dse.model.kernel"),
    )
    monkeypatch.setattr(jit, "KEEPS", True)
    jit._cached(made)
    monkeypatch.setattr(IndexDataCacheFile, "_dump", lambda _, __: b"no pickle at all")
    file._save_index({})
    later = IndexDataCacheFile(str(tmp_path), "function", (1.0, 2))
    later._source_stamp = ("other",)
    later._version = (later._version, later._source_stamp)
    assert later._load_index() == {}


def test_working_time_stands_still_while_code_is_compiled():
    """Limits and estimates of a search do not count what happens only once."""
    steps = []
    stopped = jit._COMPILING
    for act in (lambda: None, stopped.begin, stopped.begin, stopped.end, stopped.end):
        act()
        before, clock = jit.working_time(), time.monotonic()
        while time.monotonic() < clock + 0.02:
            pass
        steps.append(jit.working_time() - before)
    assert min(steps[0], steps[4]) >= 0.019
    assert max(map(abs, steps[1:4])) < 1e-3


def test_processes_that_start_together_compile_once(tmp_path):
    env = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    started = [subprocess.Popen([sys.executable, "-c", DENSE], env=env, **pipes) for _ in range(4)]
    ended = [process.communicate() for process in started]
    assert [out for out, _ in ended] == ["3.0\n"] * 4
    said = "".join(err for _, err in ended)
    assert said.count("compiling dse.learned.inference") == 1


PARTS = """
import numpy as np
from dse import jit

@jit.inner
def halved(x):
    if x.shape[0] == 0:
        raise ValueError("nothing to halve")
    for i in range(x.shape[0]):
        x[i] /= 2.0

@jit.inner
def twice(x, times):
    halved(x)
    return twice(x, times - 1) if times > 1 else x[0]

@jit.compiled
def entry(x, times):
    return twice(x, times)

print(entry(np.full(3, 8.0), 3))
try:
    entry(np.zeros(0), 1)
except ValueError as error:
    print(error, sum(entry.stats.cache_hits.values()))
"""


def test_an_entry_point_holds_the_code_of_its_parts_their_errors_and_their_recursion(tmp_path):
    """In the process that compiles it and in the next, which finds it and no cache of the parts."""
    (tmp_path / "parts.py").write_text(PARTS)
    for hits in (0, 1):
        assert _run(tmp_path, "import parts")[0] == f"1.0\nnothing to halve {hits}\n"
    kept = {path.name.split("-")[0] for path in (tmp_path / "cache").rglob("*.nbi")}
    assert kept == {"parts.entry"}


OUTER = """
import numpy as np
from dse import jit

@jit.compiled
def entry(x):
    return x[0] + 1.0

@jit.compiled
def outer(x):
    return entry(x)

print(entry(np.ones(1)), sum(entry.stats.cache_hits.values()))
try:
    outer(np.ones(1))
except Exception as error:
    print("an entry point, which" in str(error) or "unfit for linking" in str(error))
"""


def test_an_entry_point_that_compiled_code_calls_is_refused_new_or_from_the_cache(tmp_path):
    """What is kept of it holds its machine code, and nothing that other code could hold."""
    (tmp_path / "outer.py").write_text(OUTER)
    for hits in (0, 1):
        assert _run(tmp_path, "import outer")[0] == f"2.0 {hits}\nTrue\n"


def test_parts_have_no_machine_code_of_their_own():
    @jit.inner
    def part(x):
        return x + 1

    @jit.compiled
    def entry(x):
        return part(x)

    assert entry(1) == 2
    ((own,), (whole,)) = (d.overloads.values() for d in (part, entry))
    assert own.library.get_pointer_to_function(own.fndesc.llvm_func_name) == 0
    assert whole.library.get_pointer_to_function(whole.fndesc.llvm_func_name)
