"""What the constraints of an input say of one storage level, rule by rule.

Timeloop stops where two rules of a level speak of the same thing, even if they agree: that may be
a conflict between the architecture's constraints and the mapspace's.
"""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass, field

from dse.domain.architecture import Architecture
from dse.domain.constraints import LevelConstraint, LoopConstraint, SpatialConstraint
from dse.domain.problem import Problem
from dse.errors import SpecError
from dse.timeloop.yaml.nodes import Entry

_LOG = logging.getLogger(__name__)
_CLAUSE = re.compile(r"([A-Za-z]+)\s*(<=|>=|=*)\s*([0-9]+)", re.ASCII)
_UINT32 = 2**32 - 1
#: What a list of data spaces is called in 4cf6d4c, and in both versions.
_REUSE = {"temporal": "no_temporal_reuse", "spatial": "no_multicast_no_reduction"}


@dataclass
class _Loops:
    """The rules on a level's loops in time, or on those in space."""

    fixed: dict[str, int] = field(default_factory=dict)
    most: dict[str, int] = field(default_factory=dict)
    least: dict[str, int] = field(default_factory=dict)
    prefix: tuple[str, ...] = ()
    suffix: tuple[str, ...] = ()
    split: Entry | None = None

    def constraint(self) -> LoopConstraint:
        """Return them as a mapspace reads them; the split is left to who knows the axes."""
        return LoopConstraint(
            factors=self.fixed,
            max_factors=self.most,
            min_factors=self.least,
            permutation=self.prefix or None,
            suffix=self.suffix,
        )


class LevelRules:
    """The rules on one storage level.

    Args:
        problem: whose dimensions and data spaces the rules name.
        number: of the level, counted from the inside.
        architecture: the hardware.
    """

    def __init__(self, problem: Problem, number: int, architecture: Architecture) -> None:
        self.number = number
        self.name = architecture.levels[number].name
        self._problem = problem
        self._outermost = number == len(architecture.levels) - 1
        self._fanout = architecture.fanout(number)
        self._loops = {"temporal": _Loops(), "spatial": _Loops()}
        self._kept: dict[str, bool] = {}
        self._lists: dict[str, tuple[str, ...]] = {}
        self._parallelism: float | None = None

    def add_bypass(self, body: Entry) -> None:
        """Add a rule on which data spaces are kept."""
        for key, kept in (("keep", True), ("bypass", False)):
            for name in self._tensors(body, key):
                if name in self._kept and not self._outermost:
                    raise self._twice(body, f"dataspace {key} flag", f"for '{name}'")
                self._kept[name] = kept

    def add_parallelism(self, least: Entry) -> None:
        """Add a rule on how many of all MACs are in use."""
        if self._parallelism is not None:
            raise self._twice(least, "min parallelism/utilization")
        self._parallelism = least.number(0.0)
        if self._parallelism > 1.0:
            raise least.fail("expected a number from 0 to 1")

    def add_loops(self, rule: Entry, body: Entry, kind: str, version: str) -> None:
        """Add a rule on factors and orders: ``body`` has those, ``rule`` all else."""
        loops = self._loops[kind]
        self._add_factors(loops, body)
        self._add_order(loops, body)
        if kind == "spatial":
            split = rule.get("split")
            if split is not None:
                if loops.split is not None:
                    raise self._twice(split, "spatial split")
                loops.split = split
            self._add_list(rule, "no_link_transfer", "no_link_transfer")
        self._add_list(rule, self._reuse_key(rule, kind, version), _REUSE[kind])
        remainders = rule.get("remainders")
        if remainders is not None:
            _LOG.warning(
                "%s: is ignored, as mappings with perfect factors are searched", remainders.where
            )

    @staticmethod
    def _reuse_key(rule: Entry, kind: str, version: str) -> str:
        """Return the key that lists what is not reused: ``no_reuse`` is 4cf6d4c's."""
        newer = rule.get("no_reuse")
        if newer is None:
            return _REUSE[kind]
        if version == "4cf6d4c":
            return "no_reuse"
        _LOG.warning("%s: is ignored, as Timeloop %s does not read it", newer.where, version)
        return _REUSE[kind]

    def _add_list(self, rule: Entry, key: str, name: str) -> None:
        if rule.get(key) is None:
            return
        if name in self._lists:
            raise self._twice(rule, name)
        self._lists[name] = self._tensors(rule, key)

    def _add_factors(self, loops: _Loops, body: Entry) -> None:
        tables: dict[str, dict[str, int]] = {"=": {}, "<=": {}, ">=": {}}
        entry = body.get("factors")
        if entry is not None:
            text = " ".join(entry.names()) if entry.is_list else entry.text()
            text = text.partition("#")[0]
            for name, relation, digits in _CLAUSE.findall(text):
                self._clause(entry, tables, (name, relation, digits))
            left = re.sub(r"[\s,;]+", " ", _CLAUSE.sub(" ", text)).strip()
            if left:
                _LOG.warning(
                    "%s: '%s' is ignored, expected clauses such as P=4, P<=4 or P>=4",
                    entry.where,
                    left[:80],
                )
        for key, relation in (("default_max_factor", "<="), ("default_min_factor", ">=")):
            default = body.get(key)
            if default is not None:
                value = default.integer(1, _UINT32)
                own = tables[relation]
                tables[relation] = {d: own.get(d, value) for d in self._problem.dimensions}
        for what, table, own in (
            ("factor", loops.fixed, tables["="]),
            ("max factor", loops.most, tables["<="]),
            ("min factor", loops.least, tables[">="]),
        ):
            twice = sorted(table.keys() & own.keys())
            if twice:
                raise self._twice(body, what, f"for dimension {twice[0]}")
            table.update(own)

    def _clause(
        self, entry: Entry, tables: dict[str, dict[str, int]], clause: tuple[str, str, str]
    ) -> None:
        name, relation, digits = clause
        if name not in self._problem.bounds:
            known = ", ".join(self._problem.dimensions)
            raise entry.fail(
                f"unknown dimension '{name[:80]}', expected one of {known}\nERROR: parsing "
                f"factors: {entry.shown}: dimension {name[:80]} not found in problem shape."
            )
        bound = self._problem.bounds[name]
        value = int(digits) if len(digits) <= 10 else _UINT32
        if relation in ("<=", ">="):
            if value < 1:
                side = "max" if relation == "<=" else "min"
                raise entry.fail(f"{name}{relation}{value}: {side} factors are at least 1")
            tables[relation][name] = value
        elif value > bound:
            _LOG.warning(
                "%s: %s=%d is ignored, as it exceeds the bound %d", entry.where, name, value, bound
            )
        else:
            tables["="][name] = value

    def _add_order(self, loops: _Loops, body: Entry) -> None:
        entry = body.get("permutation")
        if entry is None:
            return
        names = entry.names() if entry.is_list else list(entry.text().partition("#")[0])
        ends: tuple[list[str], list[str]] = ([], [])
        at = 0
        for name in names:
            for letter in [name] if name in self._problem.bounds else list(name):
                if letter == "_":
                    at = 1
                elif not letter.isspace() and letter != ",":
                    self._known(entry, letter, (*ends[0], *ends[1]))
                    ends[at].append(letter)
        if not any(ends):
            return
        if loops.prefix or loops.suffix:
            raise self._twice(body, "permutation")
        loops.prefix, loops.suffix = tuple(ends[0]), tuple(ends[1])

    def _known(self, entry: Entry, letter: str, before: tuple[str, ...]) -> None:
        if letter not in self._problem.bounds:
            known = "".join(self._problem.dimensions)
            raise entry.fail(
                f"unknown dimension '{letter}', expected letters of {known}\nERROR: parsing "
                f"permutation: {entry.shown}: dimension {letter} not found in problem shape."
            )
        if letter in before:
            raise entry.fail(f"dimension '{letter}' stands twice, expected it once")

    def _tensors(self, rule: Entry, key: str) -> tuple[str, ...]:
        entry = rule.get(key)
        for item in entry.items("expected a list of data spaces") if entry is not None else ():
            if not item.is_scalar:
                line = f"\nERROR: bad conversion, at line: {item.node.line}"
                raise item.fail(f"expected a data space{line}")
        names = entry.names("expected a list of data spaces") if entry is not None else []
        for name in names:
            if name not in self._problem.tensors:
                assert entry is not None
                known = ", ".join(self._problem.tensors)
                raise entry.fail(
                    f"unknown data space '{name[:80]}', expected one of {known}\nERROR: parsing "
                    f"{key} setting: data-space {name[:80]} not found in problem shape."
                )
        return tuple(dict.fromkeys(names))

    def _twice(self, entry: Entry, what: str, of: str = "") -> SpecError:
        return entry.refuse(
            f"expected one rule on this, there is another\nERROR: re-specification of {what} "
            f"{of + ' ' if of else ''}at level {self.name}. This may imply a conflict between "
            "architecture and mapspace constraints."
        )

    def constraint(self) -> LevelConstraint:
        """Return what all rules together say."""
        space = self._loops["spatial"]
        x, y = self._axes(space)
        return LevelConstraint(
            keep=tuple(name for name, kept in self._kept.items() if kept),
            bypass=tuple(name for name, kept in self._kept.items() if not kept),
            temporal=self._loops["temporal"].constraint(),
            spatial=SpatialConstraint(**vars(space.constraint()), x=x, y=y),
            no_temporal_reuse=self._lists.get("no_temporal_reuse", ()),
            no_multicast=self._lists.get("no_multicast_no_reduction", ()),
            no_link_transfer=self._lists.get("no_link_transfer", ()),
            min_parallelism=self._parallelism or 0.0,
        )

    def _axes(self, loops: _Loops) -> tuple[tuple[str, ...] | None, tuple[str, ...] | None]:
        """Return which dimensions may run along X and along Y, as far as a split says.

        Places before the split are X. Between the ends of the permutation any dimension may take
        any place; where X or Y has fewer places there than there are dimensions with loops, the
        first dimensions take those along X.
        """
        if loops.split is None:
            return None, None
        places = loops.split.integer()
        names = self._problem.dimensions
        middle = [d for d in names if d not in loops.prefix and d not in loops.suffix]
        order = (*loops.prefix, *middle, *loops.suffix)
        on_x = min(max(places - len(loops.prefix), 0), len(middle))
        if on_x in (0, len(middle)):
            return order[:places], order[places:]
        able = [
            d
            for d in middle
            if self._problem.bounds[d] > 1 and 1 not in (loops.fixed.get(d), loops.most.get(d))
        ]
        if len(able) <= min(on_x, len(middle) - on_x):
            return (*loops.prefix, *middle), (*middle, *loops.suffix)
        if min(self._fanout) > 1:
            _LOG.warning(
                "%s: leaves open which of %s run along X; searched is %s along X, the others "
                "along Y",
                loops.split.where,
                ", ".join(able),
                ", ".join(able[:on_x]),
            )
        rest = [d for d in middle if d not in able[:on_x]]
        return (*loops.prefix, *able[:on_x]), (*rest, *loops.suffix)
