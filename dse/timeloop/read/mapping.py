"""Reads Timeloop's ``mapping``: a list of directives, applied in order as Timeloop does."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from dse.domain.architecture import Architecture
from dse.domain.mapping import Mapping
from dse.domain.problem import Problem
from dse.errors import SpecError
from dse.timeloop.read.attributes import check_spelling
from dse.timeloop.yaml.libconfig import NUMBER
from dse.timeloop.yaml.nodes import Entry

_LOG = logging.getLogger(__name__)
_FACTOR = re.compile(r"([A-Za-z]+)[ \t\n\r\f\v]*=*[ \t\n\r\f\v]*([0-9]+)(,([0-9]+))?", re.ASCII)
_INT32 = 2**31 - 1
_KEYS = frozenset(
    {
        "target",
        "type",
        "factors",
        "permutation",
        "split",
        "keep",
        "bypass",
        "no_reuse",
        "no_temporal_reuse",
        "no_link_transfer",
        "no_multicast_no_reduction",
    }
)
_BYPASS = ("datatype", "bypass")


def read_mapping(
    entry: Entry, architecture: Architecture, problem: Problem, timeloop_version: str
) -> Mapping:
    """Read a mapping and check it as Timeloop's parser does.

    What does not fit the hardware is not looked for here: the model says that.

    Raises:
        SpecError: naming file, key and value; where Timeloop exits with a message of its own,
            that message is part of it.
    """
    reader = _Reader(architecture, problem, timeloop_version)
    for directive in entry.items("expected a list of directives"):
        reader.apply(directive)
    reader.check_products(entry)
    return reader.mapping()


def _parse_factors(entry: Entry, problem: Problem) -> dict[str, tuple[int, int]]:
    """Return factor and remainder that a ``factors`` string names; 0 means the whole bound."""
    text = entry.text("expected a string such as 'P=4 Q=2'").partition("#")[0]
    factors = {}
    for name, number, _, remainder in _FACTOR.findall(text):
        if name not in problem.bounds:
            raise entry.fail(
                f"unknown dimension '{name[:80]}', expected one of "
                f"{', '.join(problem.dimensions)}\nERROR: parsing factors: {text[:500]}: "
                f"dimension {name[:500]} not found in problem shape."
            )
        factor = _int32(entry, number) or problem.bounds[name]
        factors[name] = factor, _int32(entry, remainder) if remainder else factor
    rest = _FACTOR.sub(" ", text).replace(",", " ").split()
    if rest:
        _LOG.warning("%s: '%s' is ignored, as Timeloop does not read it", entry.where, rest[0][:80])
    return factors


def _parse_permutation(entry: Entry, problem: Problem) -> list[int]:
    """Return dimension indices, innermost first; the unlisted ones follow in problem order."""
    order: list[int] = []
    for name in "".join(entry.text("expected a string such as 'RSPQCKN'").split()):
        if name not in problem.dimensions:
            raise entry.fail(
                f"unknown dimension '{name}', expected letters of {''.join(problem.dimensions)}"
            )
        index = problem.dimensions.index(name)
        if index in order:
            raise entry.fail(f"dimension '{name}' stands twice, expected it once")
        order.append(index)
    return order + [d for d in range(len(problem.dimensions)) if d not in order]


def find_level(entry: Entry, architecture: Architecture, *keys: str) -> int:
    """Return the storage level that a directive's ``target`` names.

    libconfig's numbers are no text, and Timeloop takes one for the level's number.
    """
    target = entry.get(*(keys or ("target",)))
    if target is None:
        raise entry.refuse("key 'target' is missing, expected a storage level")
    name = target.text("expected a storage level")
    names = [level.name for level in architecture.levels]
    if name in names:
        return names.index(name)
    if target.node.tag == NUMBER:
        return target.integer(0, len(names) - 1)
    raise target.fail(
        f"expected one of {', '.join(names)}\nERROR: target storage level not found: {name[:500]}"
    )


def check_spatial(entry: Entry, architecture: Architecture, level: int) -> None:
    """Refuse a spatial directive at a level without fan-out."""
    fanout_x, fanout_y = architecture.fanout(level)
    if fanout_x * fanout_y > 1:
        return
    here = architecture.levels[level].name
    inner = f"({architecture.levels[level - 1].name}) " if level else ""
    raise entry.refuse(
        f"level '{here}' has no fan-out, expected a temporal directive\n"
        f"ERROR: cannot find spatial tiling level associated with storage level {here}. This is "
        f"because the number of instances of the next-inner level {inner}is the same as this "
        "level, which means there cannot be a spatial fanout."
    )


def _int32(entry: Entry, digits: str) -> int:
    if len(digits) > 10 or int(digits) > _INT32:
        raise entry.fail(f"factor {digits[:40]} is too large, expected at most {_INT32}")
    return int(digits)


class _Reader:
    """The state that the directives build up."""

    def __init__(self, architecture: Architecture, problem: Problem, version: str) -> None:
        self.architecture = architecture
        self.problem = problem
        self.is_head = version == "4cf6d4c"
        levels, dims = len(architecture.levels), len(problem.dimensions)
        self.state = Mapping.trivial(levels, dims, len(problem.tensors))
        # factor and remainder of each loop; products are checked on exact integers
        self.temporal = [[(1, 1)] * dims for _ in range(levels)]
        self.spatial = [[(1, 1)] * dims for _ in range(levels)]

    def apply(self, directive: Entry) -> None:
        if not directive.is_map:
            raise directive.fail("expected a directive: a map with target and type")
        check_spelling(directive, _KEYS)
        type_entry = directive.need("type", "temporal, spatial or bypass")
        kind = type_entry.text()
        if kind == "skew":
            raise type_entry.fail("skewed mappings are not supported")
        if kind not in ("temporal", "spatial", *_BYPASS):
            # 4cf6d4c knows "dataspace" in one place, but not in the next, and stops all the same.
            word = "unrecognized" if self.is_head and kind == "dataspace" else "illegal"
            raise type_entry.fail(
                f"expected temporal, spatial or bypass\n"
                f"ERROR: {word} mapping directive type: {kind[:500]}"
            )
        level = find_level(directive, self.architecture)
        if kind in _BYPASS:
            self._apply_bypass(directive, level)
            return
        if kind == "spatial":
            check_spatial(directive, self.architecture, level)
        self._apply_loops(directive, level, spatial=kind == "spatial")

    def _apply_loops(self, directive: Entry, level: int, *, spatial: bool) -> None:
        factors_entry = directive.get("factors")
        factors = _parse_factors(factors_entry, self.problem) if factors_entry is not None else {}
        row = [factors.get(d, (1, 1)) for d in self.problem.dimensions]
        permutation = directive.get("permutation")
        order = (
            _parse_permutation(permutation, self.problem)
            if permutation is not None
            else list(range(len(row)))
        )
        if not spatial:
            self.temporal[level] = row
            self.state.permutation[level] = order
            key = "no_temporal_reuse"
            if self.is_head and directive.get("no_reuse") is not None:
                key = "no_reuse"
            self._flag(directive, key, self.state.no_temporal_reuse[level])
            self._refuse_names(directive, "rmw_first_update")
            return
        self.spatial[level] = row
        self.state.spatial_permutation[level] = order
        split = directive.get("split")
        places = len(row)
        self.state.split[level] = min(split.integer(), places) if split is not None else places
        self._flag(directive, "no_link_transfer", self.state.no_link_transfer[level])
        key = "no_reuse" if self.is_head else "no_multicast_no_reduction"
        self._flag(directive, key, self.state.no_multicast[level])

    def _flag(
        self, directive: Entry, key: str, row: np.ndarray[tuple[int], np.dtype[np.bool_]]
    ) -> None:
        entry = directive.get(key)
        if entry is None:
            return
        row[:] = False
        tensors = self.problem.tensors
        for name in entry.names("expected a list of data spaces"):
            if name not in tensors:
                # Timeloop's text names the older key in both versions.
                said = (
                    "no_multicast_no_reduction"
                    if row.base is self.state.no_multicast
                    else ("no_temporal_reuse" if key == "no_reuse" else key)
                )
                raise entry.fail(
                    f"unknown data space '{name[:80]}', expected {_listed(tensors)}\n"
                    f"ERROR: parsing {said} setting: data-space {name[:500]} not found in "
                    "problem shape."
                )
            row[tensors.index(name)] = True

    def _apply_bypass(self, directive: Entry, level: int) -> None:
        tensors = self.problem.tensors
        for key, kept in (("keep", True), ("bypass", False)):
            entry = directive.get(key)
            if entry is None:
                continue
            for name in entry.names("expected a list of data spaces"):
                if name not in tensors:
                    raise entry.fail(
                        f"unknown data space '{name[:80]}', expected {_listed(tensors)}"
                    )
                self.state.keep[level, tensors.index(name)] = kept
        self._refuse_names(directive, "no_coalesce")

    def _refuse_names(self, directive: Entry, key: str) -> None:
        entry = directive.get(key) if self.is_head else None
        if entry is not None and entry.names("expected a list of data spaces"):
            raise entry.fail(f"{key} is not supported, expected no data spaces")

    def check_products(self, entry: Entry) -> None:
        """Refuse factors that do not multiply to the bounds; all of Timeloop's lines are shown."""
        lines = []
        for d, (name, bound) in enumerate(self.problem.bounds.items()):
            # the last iteration, counted from the outermost loop inwards
            last = 0
            for s in reversed(range(len(self.temporal))):
                for factor, remainder in (self.temporal[s][d], self.spatial[s][d]):
                    last = last * factor + remainder - 1
            if last + 1 != bound:
                lines.append(
                    f"ERROR: parsing mapping: product of all factors of dimension {name} is "
                    f"{last + 1}, which is not equal to the dimension size of the workload {bound}."
                )
        if lines:
            raise SpecError(
                f"{entry.where}: factors do not multiply to the problem's bounds\n"
                + "\n".join(lines)
            )
        self._check_remainders(entry)

    def _check_remainders(self, entry: Entry) -> None:
        """Refuse remainders that mean nothing; Timeloop aborts on them or counts nonsense."""
        for kind, rows in (("temporal", self.temporal), ("spatial", self.spatial)):
            for level, row in zip(self.architecture.levels, rows, strict=True):
                for name, (factor, remainder) in zip(self.problem.dimensions, row, strict=True):
                    given = f"{kind} factor {name}={factor},{remainder} at '{level.name}'"
                    if factor == 1:
                        continue  # no loop; its remainder counts in the product only
                    if remainder < 1:
                        raise entry.refuse(f"{given}: expected a remainder of at least 1")
                    if kind == "spatial" and remainder > factor:
                        raise entry.refuse(
                            f"{given}: expected a remainder of at most the factor, as there are no "
                            "more instances (Timeloop aborts)"
                        )

    def mapping(self) -> Mapping:
        """Return the mapping that the directives have built."""
        temporal, spatial = (np.array(x, np.int32) for x in (self.temporal, self.spatial))
        return replace(
            self.state,
            temporal=temporal[:, :, 0].copy(),
            spatial=spatial[:, :, 0].copy(),
            temporal_remainder=temporal[:, :, 1].copy(),
            spatial_remainder=spatial[:, :, 1].copy(),
        )


def _listed(names: Iterable[str]) -> str:
    return "one of " + ", ".join(names)
