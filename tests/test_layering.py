"""The house: rooms stand in the order that docs/architecture.md shows, and mirror tests/."""

from __future__ import annotations

import configparser
import re

import pytest
from source_imports import MAPPED, ROOT, circles, imports, loads, modules, path, room

PICTURE = ROOT / "docs" / "architecture.md"
#: Libraries that are worth an import on use: each takes from 0.04 s (rich) to 0.7 s (cmaes, with
#: what it brings) where `python -m dse --help` takes 0.06 s. PyYAML takes 0.01 s.
HEAVY = {
    *(
        "cmaes",
        "distributed",
        "hydra",
        "jinja2",
        "joblib",
        "matplotlib",
        "numba",
        "numpy",
        "omegaconf",
        "onnx",
    ),
    *("pydantic", "rich", "scipy", "torch", "botorch", "gpytorch", "ray", "sklearn"),
}


def floors() -> list[list[str]]:
    """Return the rooms of the documented order, floor by floor from the ground up."""
    text = PICTURE.read_text(encoding="utf-8")
    drawn = re.search(r"^## Rooms\n+```text\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    assert drawn is not None
    return [line.partition("|")[2].split() for line in reversed(drawn[1].splitlines())]


def test_the_picture_shows_every_room_once():
    drawn = [name for floor in floors() for name in floor]
    assert sorted(drawn) == sorted({room(module) for module in modules()})


def test_no_import_runs_up():
    height = {name: number for number, floor in enumerate(floors()) for name in floor}
    wrong = [
        f"{one} (room {room(one.importer)} is not above room {room(one.target)})"
        for one in imports()
        if one.target in modules() and room(one.target) != room(one.importer)
        if height[room(one.target)] >= height[room(one.importer)]
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("of", [str, room], ids=["files", "rooms"])
def test_no_circle(of):
    arrows: dict[str, set[str]] = {}
    for one in imports():
        if one.target in modules() and of(one.target) != of(one.importer):
            arrows.setdefault(of(one.importer), set()).add(of(one.target))
    assert circles(arrows) == []


def test_imports_in_functions_load_something_heavy():
    needless = [
        str(one)
        for one in imports()
        if one.kind == "local" and not (loads(one.target) - loads(one.importer)) & HEAVY
    ]
    assert not needless, "\n".join(needless)


def test_all_kinds_of_imports_are_read():
    found = {(one.importer, one.target, one.kind) for one in imports()}
    assert ("dse.domain.problem", "dse.errors", "top") in found
    # names that a package loads on first use stand for the modules they come from
    assert ("dse.timeloop.evaluate", "dse.model.evaluate", "local") in found
    assert ("dse.model", "dse.model.evaluate", "typing") in found
    assert ("dse.optimizers.ga", "dse.study.optimizer", "top") in found
    assert "numba" in loads("dse.model.evaluate")
    assert loads("dse.cli") == frozenset()


def test_circles_are_found():
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"d"}}) == []
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b", "d"}, "d": {"e"}, "e": {"d"}}) == [
        ["d", "e"],
        ["b", "c"],
    ]


def test_tests_mirror_the_rooms():
    rooms = {name for floor in floors() for name in floor}
    folders = {
        file.relative_to(ROOT / "tests").parts[0] for file in ROOT.glob("tests/*/**/test_*.py")
    }
    assert folders <= rooms


def test_every_package_is_installed():
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    packages = {name for name in modules() if path(name).name == "__init__.py"}
    data = {"dse.arch_templates", "dse.layers", "dse.rtl"}
    listed = setup["options"]["packages"].split()
    assert sorted(listed) == sorted(packages | data)
    mapped = {f"dse.{folder}" for folder in MAPPED} | data
    assert {"dse", *mapped} == set(re.findall(r"^(\S+) =", setup["options"]["package_dir"], re.M))
