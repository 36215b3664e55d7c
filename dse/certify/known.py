"""Optima that are known: shipped with the package, or certified by the user; found by content.

An entry belongs to the content of template and workload, not to their names: what they are called
or described as does not matter, a changed bound or size does. Only what was certified is kept. Two
entries of one space whose values differ, or a design below an entry, mean that a proof is wrong:
that is an error wherever it shows, and nothing is written over.
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

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dse.disk import replace_file
from dse.domain.expression import Expression
from dse.domain.problem import Problem
from dse.errors import ProofError, SpecError
from dse.goals.certificate import times
from dse.goals.mapspace_text import OPTIMUM
from dse.space.rules import Relation
from dse.space.search_space import SearchSpace

SCHEMA = "dse.known-optima/2"
_OLD = "dse.known-optima/1"
#: Variable of the environment that names the user's own file.
VARIABLE = "DSE_KNOWN_OPTIMA"
#: Values of one optimum differ by no more than so much, relatively: the slack of two proofs.
_SAME = 1e-10
#: Keys of a template that change nothing of what can be built.
_WORDS = frozenset({"name", "description", "source", "unit", "default", "sampling", "optional"})
#: Chains whose prices come from outside of the package.
_FOREIGN = ("ert", "accelergy")


@dataclass(frozen=True)
class Provenance:
    """Where an entry comes from.

    Attributes:
        run: the folder of the run.
        date: when it was certified.
        version: of the package that certified it.
        certified: the second argument, in a few words.
    """

    run: str
    date: str
    version: str
    certified: str

    def text(self) -> str:
        """Return it for people."""
        return f"{self.run}, certified on {self.date} by version {self.version}"


@dataclass(frozen=True)
class Known:
    """A known optimum.

    Attributes:
        key: hash of the contents that it belongs to.
        arch, workload, objective, energy, timeloop_version, constraints: what they were called.
        value: of the best design there is.
        values: its hardware.
        source: where it comes from.
    """

    key: str
    arch: str
    workload: str
    objective: str
    energy: str
    timeloop_version: str
    constraints: str
    value: float
    values: dict[str, int]
    source: Provenance

    def text(self, unit: str = "") -> str:
        """Return it for people."""
        if self.objective == "edp":
            return f"{OPTIMUM}, EDP {self.value / 1e12:.6g} J x cycle"
        return f"{OPTIMUM}, {self.objective} {self.value:.6g} {unit}".rstrip()

    def factor(self, value: float) -> float:
        """Return how far above it a value is."""
        return times(value, self.value)

    def check(self, value: float, where: str) -> None:
        """Check that a design of the same space is no better.

        Args:
            value: of the design.
            where: the design is from.

        Raises:
            ProofError: it is; names both sources.
        """
        if value < self.value * (1.0 - _SAME):
            raise ProofError(
                f"{where}: {self.objective} = {value!r} lies below {self.value!r}, the known "
                f"optimum of this space ({self.source.text()}); one of the two is wrong"
            )


def key_of(space: SearchSpace) -> str | None:
    """Return the hash of what a search is; None where nothing can be known of it.

    That is where prices depend on files outside the package, with several networks, and where
    layers may be padded.
    """
    if space.chain.name.partition(":")[0] in _FOREIGN or space.workload.networks:
        return None
    if space.padding.on:
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
    """Return what is known of a search space, shipped or by the user.

    Raises:
        SpecError: the user's file is broken, or of an older version.
        ProofError: the two contradict each other.
    """
    key = key_of(space)
    if key is None:
        return None
    own = user_file()
    found = [e[key] for e in (_read(own) if own.is_file() else {}, _shipped()) if key in e]
    if len(found) == 2:
        return _merged(*found)
    return found[0] if found else None


def of_run(folder: Path) -> Known | None:
    """Return what is known of a run folder's space; None where its inputs are not there.

    Raises:
        SpecError, ProofError: see :func:`find`.
    """
    from dse.runner.run import space_of_run  # noqa: PLC0415 - the runner knows of optimizers

    try:
        space = space_of_run(folder)
    except SpecError:
        return None
    return find(space)


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
        SpecError: the file is broken, or of an older version.
        ProofError: it holds another optimum of the same space, or the package does.
        dse.errors.DseError: it cannot be written.
    """
    target = path or user_file()
    entries = _read(target) if target.is_file() else {}
    for known in (_shipped(), entries):
        if entry.key in known:
            entry = _merged(entry, known[entry.key])
    entries[entry.key] = entry
    target.parent.mkdir(parents=True, exist_ok=True)
    ordered = sorted(entries.values(), key=lambda e: (e.arch, e.workload, e.objective, e.key))
    content = {"schema": SCHEMA, "optima": [asdict(e) for e in ordered]}
    replace_file(target, (json.dumps(content, indent=1) + "\n").encode())
    return target


def _merged(one: Known, other: Known) -> Known:
    """Return the lower of two entries of one space, which may differ by rounding only."""
    low, high = sorted((one, other), key=lambda e: e.value)
    high.check(low.value, low.source.text())
    return low


@lru_cache(maxsize=1)
def _shipped() -> dict[str, Known]:
    text = files("dse.certify").joinpath("known_optima.json").read_text(encoding="utf-8")
    return _entries(json.loads(text), "known_optima.json")


def _read(path: Path) -> dict[str, Known]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SpecError(f"{path}: cannot be read ({error})") from error
    return _entries(content, str(path))


class _StrictRecord(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class _SourceEntry(_StrictRecord):
    run: str
    date: str
    version: str
    certified: str


class _StoredOptimum(_StrictRecord):
    """An entry as it stands in a file."""

    key: str
    arch: str
    workload: str
    objective: str
    energy: str
    timeloop_version: str
    constraints: str
    value: float = Field(gt=0.0)
    values: dict[str, int]
    source: _SourceEntry


def _entries(content: Any, where: str) -> dict[str, Known]:  # noqa: ANN401
    schema = content.get("schema") if isinstance(content, dict) else None
    if schema == _OLD:
        raise SpecError(
            f"{where}: schema '{_OLD}' is of an older version, which kept bounds beside optima and "
            "not where they come from; move the file away and certify its runs again"
        )
    if schema != SCHEMA or not isinstance(content.get("optima"), list):
        raise SpecError(f"{where}: expected schema '{SCHEMA}' and a list of optima")
    found: dict[str, Known] = {}
    for number, given in enumerate(content["optima"]):
        try:
            checked = dict(_StoredOptimum.model_validate(given))
        except ValidationError as error:
            first = error.errors()[0]
            key = ".".join(map(str, first["loc"]))
            raise SpecError(f"{where}: optima.{number}.{key}: {first['msg']}") from error
        entry = Known(**{**checked, "source": Provenance(**dict(checked["source"]))})
        known = found.get(entry.key)
        found[entry.key] = entry if known is None else _merged(entry, known)
    return found
