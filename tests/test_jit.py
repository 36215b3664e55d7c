"""Compiled code: kept on disk, compiled anew after any edit of what it is made of, announced."""

import configparser
import importlib
import os
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
RULED = {"model", "mapspace", "evolution", "relaxed", "mappers/exact", "cosearch/two_tier"}


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


def test_every_cache_is_stamped_with_all_its_sources():
    for path in compiling_files():
        for dispatcher in _dispatchers(path):
            stamped = {name for name, _, _ in dispatcher._cache._cache_file._source_stamp}
            assert made_of(path) | {"jit.py"} <= stamped


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
    return done.stdout, "compiling the model" in done.stderr, done.stderr


#: Two small kernels of different rooms, called from Python, and code from outside.
KERNELS = """
import numpy as np
import dse
from dse.cosearch.two_tier.row_kernel import _add
from dse.relaxed.work import _box
import plug_in
for kernel in (_add, _box):
    kernel.targetoptions.update(no_cpython_wrapper=False)
blocks = np.zeros((1, 1))
_add(blocks, 0, 0, 5.0, 2.0, 1.0)
side = _box(np.ones((1, 1)), np.full(1, 4.0), np.zeros(1))
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
from dse.model.loops import copy_row
copy_row.targetoptions.update(no_cpython_wrapper=False)
to = np.zeros(3); copy_row(to, np.ones(3)); print(to.sum())
"""


def test_the_first_compilation_is_announced_and_the_next_process_finds_it(tmp_path):
    program = ONE.format(before="")
    assert _run(tmp_path, program)[:2] == ("3.0\n", True)
    assert _run(tmp_path, program) == ("3.0\n", False, "")


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
        _cache=SimpleNamespace(_cache_file=file),
        py_func=SimpleNamespace(__module__="dse.model.kernel"),
    )
    monkeypatch.setitem(jit.OPTIONS, "cache", True)
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
    event = SimpleNamespace(data={"dispatcher": SimpleNamespace(py_func=len)})
    for act in (lambda: None, jit._COMPILING.on_start, jit._COMPILING.on_start,
                jit._COMPILING.on_end, jit._COMPILING.on_end):  # fmt: skip
        if act.__name__.startswith("on"):
            act(event)
        before, clock = jit.working_time(), time.monotonic()
        while time.monotonic() < clock + 0.02:
            pass
        steps.append(jit.working_time() - before)
    assert min(steps[0], steps[4]) >= 0.019
    assert max(map(abs, steps[1:4])) < 1e-3
