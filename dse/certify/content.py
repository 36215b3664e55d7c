"""What a known optimum belongs to: the content of template and workload, and prices."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Any

from pydantic import BaseModel

from dse.domain.architecture import Architecture
from dse.domain.expression import Expression
from dse.domain.problem import Problem
from dse.errors import SpecError
from dse.space.rules import Relation
from dse.space.search_space import SearchSpace
from dse.space.variable import Values

#: Keys of a template that change nothing of what can be built.
_WORDS = frozenset({"name", "description", "source", "unit", "default", "sampling", "optional"})
#: Chains whose prices come from outside of the package.
_FOREIGN = ("ert", "accelergy")
#: In how many steps :func:`prices_of` goes through the range of a variable.
_STEPS = 4


def content_of(space: SearchSpace) -> dict[str, Any] | None:
    """Return what a search is, as plain data by part; None where nothing can be known of it.

    That is where prices depend on files outside the package, with several networks, and where
    layers may be padded.
    """
    if space.chain.name.partition(":")[0] in _FOREIGN or space.workload.networks:
        return None
    if space.padding.on:
        return None
    return {
        "template": _plain(space.template.spec),
        "fixed": dict(sorted(space.fixed.items())),
        "layers": sorted([_problem(layer.problem), layer.count] for layer in space.workload),
        "objective": space.objective.name,
        "energy": space.chain.name,
        "timeloop_version": space.timeloop_version,
        "constraints": sorted(limit.source for limit in space.limits),
    }


def key_of(space: SearchSpace) -> str | None:
    """Return the hash of :func:`content_of`; None where nothing can be known of a search."""
    content = content_of(space)
    return None if content is None else _digest(content)


def prices_of(space: SearchSpace) -> str:
    """Return a digest of what the energy chain asks for hardware of a space.

    Looked at are the template's own design, or the middle of all ranges, and what one variable
    after the other makes of it in five steps through its range: energies and areas of all levels
    and of the MACs, to nine digits. A change between these steps may be missed; the recheck, which
    prices everything, does not miss it.
    """
    rows: list[Any] = []
    for values in _probes(space):
        try:
            built = space.chain.price(space.template.build(values))
        except SpecError:  # no such hardware, or it has no price
            rows.append([values, None])
        else:
            rows.append([values, _prices(built)])
    return _digest(rows)


def _probes(space: SearchSpace) -> Iterator[Values]:
    """Yield values of all variables of the hardware."""
    variables = space.template.variables
    own = space.template.defaults or {v.name: v.value_at((v.count - 1) // 2) for v in variables}
    own = {**own, **space.hardware(space.fixed)}
    yield own
    for variable in space.free_hardware:
        for step in range(_STEPS + 1):
            yield {**own, variable.name: variable.value_at((variable.count - 1) * step // _STEPS)}


def _prices(built: Architecture) -> list[Any]:
    levels = [
        [level.name, _asked(level), _asked(level.energy), _asked(level.network)]
        for level in built.levels
    ]
    return [*levels, _asked(built.compute)]


def _asked(part: Any) -> dict[str, str]:  # noqa: ANN401 - any record with prices
    """Return prices by name, but for those of 0, without the digits in which machines differ."""
    found = {
        field.name: getattr(part, field.name)
        for field in fields(part)
        if field.name.endswith(("_pj", "_um2"))
    }
    return {name: f"{price:.9g}" for name, price in found.items() if price}


def _digest(content: Any) -> str:  # noqa: ANN401
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
