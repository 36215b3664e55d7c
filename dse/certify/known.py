"""Optima that are known: shipped with the package, or certified by the user; found by content.

An entry belongs to the content of template and workload, not to their names: what they are called
or described as does not matter, a changed bound or size does.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from dse.disk import replace_file
from dse.domain.expression import Expression
from dse.domain.problem import Problem
from dse.errors import SpecError
from dse.space.rules import Relation
from dse.space.search_space import SearchSpace

SCHEMA = "dse.known-optima/1"
#: Variable of the environment that names the user's own file.
VARIABLE = "DSE_KNOWN_OPTIMA"
#: Keys of a template that change nothing of what can be built.
_WORDS = frozenset({"name", "description", "source", "unit", "default", "sampling"})
#: Chains whose prices come from outside of the package.
_FOREIGN = ("ert", "accelergy")


@dataclass(frozen=True)
class Known:
    """A known optimum, or a bound below which nothing lies.

    Attributes:
        key: hash of the contents that it belongs to.
        arch, workload, objective, energy, timeloop_version, constraints: what they were called.
        value: of the best design known; None where only a bound is.
        bound: nothing is better; equals ``value`` for a proven optimum.
        values: the best design's hardware.
    """

    key: str
    arch: str
    workload: str
    objective: str
    energy: str
    timeloop_version: str
    constraints: str
    value: float | None
    bound: float
    values: dict[str, int]

    @property
    def proven(self) -> bool:
        """Whether the value is the optimum."""
        return self.value is not None and self.bound >= self.value * (1.0 - 1e-9)

    def text(self, unit: str = "") -> str:
        """Return it for people."""
        if self.objective == "edp":
            amount = f"EDP {self.bound / 1e12:.6g} J x cycle"
        else:
            amount = f"{self.objective} {self.bound:.6g} {unit}".rstrip()
        return f"{'proven optimum' if self.proven else 'lower bound'} {amount}"

    def factor(self, value: float) -> float:
        """Return how far above it a value is."""
        return value / self.bound if self.bound > 0 else float("inf")


def key_of(space: SearchSpace) -> str | None:
    """Return the hash of what a search is; None where nothing can be known of it.

    That is where prices depend on files outside the package, and with several networks.
    """
    if space.chain.name.partition(":")[0] in _FOREIGN or space.workload.networks:
        return None
    template = _plain(space.template.spec)
    layers = sorted([_problem(layer.problem), layer.count] for layer in space.workload)
    content = {
        "template": template,
        "fixed": dict(sorted(space.fixed.items())),
        "layers": layers,
        "objective": space.objective.name,
        "energy": space.chain.name,
        "timeloop_version": space.timeloop_version,
        "constraints": sorted(limit.source for limit in space.limits),
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:32]


def _plain(value: Any) -> Any:  # noqa: ANN401
    """Return a template's content as plain data, without words for people."""
    if isinstance(value, (Expression, Relation)):
        return value.source
    if isinstance(value, BaseModel):
        return {
            name: _plain(getattr(value, name))
            # keys that a file leaves out are not of its content: new ones change no hash
            for name in sorted(value.model_fields_set)
            # a level's name stands in the constraints, so it is not only a word
            if name not in _WORDS or (name == "name" and hasattr(value, "word_bits"))
        }
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value


def _problem(problem: Problem) -> list[Any]:
    spaces = problem.shape.data_spaces
    return [
        list(problem.bounds.items()),
        problem.projection.tolist(),
        [[space.name, space.read_write] for space in spaces],
    ]


def find(space: SearchSpace) -> Known | None:
    """Return what is known of a search space; the user's own entries go first.

    Raises:
        SpecError: the user's file is broken.
    """
    key = key_of(space)
    if key is None:
        return None
    own = user_file()
    for entries in (_read(own) if own.is_file() else {}, _shipped()):
        if key in entries:
            return entries[key]
    return None


def of_run(folder: Path) -> Known | None:
    """Return what is known of a run folder's space; None where its inputs are not there."""
    from dse.runner.run import space_of_run  # noqa: PLC0415 - the runner knows of optimizers

    try:
        return find(space_of_run(folder))
    except SpecError:
        return None


def user_file() -> Path:
    """Return the path of the user's own entries."""
    given = os.environ.get(VARIABLE)
    if given:
        return Path(given)
    home = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
    return Path(home).expanduser() / "dse" / "known_optima.json"


def remember(entry: Known, path: Path | None = None) -> Path:
    """Write an entry to the user's file, or to another; return the file.

    Raises:
        SpecError: the file is broken.
        dse.errors.DseError: it cannot be written.
    """
    target = path or user_file()
    entries = _read(target) if target.is_file() else {}
    entries[entry.key] = entry
    target.parent.mkdir(parents=True, exist_ok=True)
    ordered = sorted(entries.values(), key=lambda e: (e.arch, e.workload, e.objective, e.key))
    content = {"schema": SCHEMA, "optima": [asdict(e) for e in ordered]}
    replace_file(target, (json.dumps(content, indent=1) + "\n").encode())
    return target


@lru_cache(maxsize=1)
def _shipped() -> dict[str, Known]:
    text = files("dse.certify").joinpath("known_optima.json").read_text(encoding="utf-8")
    return _entries(json.loads(text), "known_optima.json")


def _read(path: Path) -> dict[str, Known]:
    try:
        return _entries(json.loads(path.read_text(encoding="utf-8")), str(path))
    except (OSError, ValueError) as error:
        raise SpecError(f"{path}: cannot be read ({error})") from error


def _entries(content: Any, where: str) -> dict[str, Known]:  # noqa: ANN401
    if not isinstance(content, dict) or content.get("schema") != SCHEMA:
        raise SpecError(f"{where}: expected schema '{SCHEMA}'")
    try:
        found = [Known(**entry) for entry in content["optima"]]
    except (KeyError, TypeError) as error:
        raise SpecError(f"{where}: an entry is broken: {error}") from error
    return {entry.key: entry for entry in found}
