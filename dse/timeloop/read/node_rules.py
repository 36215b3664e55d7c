"""The constraints inside timeloopfe's nodes, as ``architecture_constraints`` of the flat form.

timeloopfe knows short forms: ``factors_only``, ``keep_only``, lists of data spaces that loops may
or must iterate over. They are written out here, as it does.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from dse.domain.problem import Problem
from dse.timeloop.read.maximize import Maximized, maximize
from dse.timeloop.read.unread import meant_by
from dse.timeloop.yaml.nodes import Entry, Node

_FACTOR = re.compile(r"([A-Za-z]+)\s*(<=|>=|=|<|>)?\s*(-?[0-9]+)")
_LOOPS = {
    *("factors", "factors_only", "permutation", "default_max_factor", "default_min_factor"),
    *("remainders", "no_reuse", "no_iteration_over_dataspaces", "must_iterate_over_dataspaces"),
    *("maximize_dims", "maximize_dims_capacity", "no_temporal_reuse", "no_multicast"),
    *("type", "target"),
}
_KEYS = {
    "temporal": {*_LOOPS, "rmw_first_update"},
    "spatial": {*_LOOPS, "split", "no_link_transfer"},
    "dataspace": {"keep", "bypass", "keep_only", "bypass_only", "no_coalesce", "type", "target"},
    "max_overbooked_proportion": {"proportion", "type", "target"},
    "utilization": {"min", "type", "target"},
}
_SAME = {"datatype": "dataspace", "bypass": "dataspace", "parallelism": "utilization"}
#: Kinds that stand in a node itself; a constraint on utilization stands in a list.
INSIDE = ("spatial", "temporal", "dataspace", "max_overbooked_proportion")
_LISTS = (
    *("no_reuse", "no_link_transfer", "no_temporal_reuse", "no_multicast", "rmw_first_update"),
)
_KEPT = ("remainders", "default_max_factor", "default_min_factor")


@dataclass
class _Wanted:
    """Dimensions to maximize at one level, and the place of its rule among the targets."""

    place: int
    spatial: bool
    dims: list[list[str]]
    capacity: int


class NodeRules:
    """Collects the constraints of all nodes.

    Args:
        problem: whose dimensions and data spaces the constraints name.
        integer: reads an entry that may be arithmetic.

    Attributes:
        targets: the constraints found, one rule per level and kind.
    """

    def __init__(self, problem: Problem, integer: Callable[[Entry, int], int]) -> None:
        self._problem = problem
        self._integer = integer
        self._wanted: list[_Wanted] = []
        self.targets: list[Node] = []

    def dataspace(self, level: str, rules: Sequence[Entry], bypassed: Sequence[str]) -> None:
        """Add the rules on what a level keeps, and what it must bypass."""
        if not rules:
            return
        kept: dict[str, bool] = dict.fromkeys(bypassed, False)
        content: dict[str, Node] = {}
        for rule in rules:
            keep, bypass = keep_and_bypass(rule, self._problem.tensors)
            for listed, keeps in ((keep, True), (bypass, False)):
                for name in listed:
                    if kept.setdefault(name, keeps) != keeps:
                        raise rule.refuse(f"data space '{name}' is both kept and bypassed")
            coalesce = rule.get("no_coalesce")
            if coalesce is not None:
                content["no_coalesce"] = name_list(rule, self._tensors(coalesce))
        for key, keeps in (("keep", True), ("bypass", False)):
            content[key] = name_list(rules[0], [name for name, own in kept.items() if own == keeps])
        self.add(rules[0], level, "bypass", **content)

    def share(self, level: str, kind: str, rules: Sequence[Entry]) -> None:
        """Add rules that are one number."""
        for rule in rules:
            self.add(rule, level, kind, **{k: e.node for k, e in rule.pairs() if k in _KEYS[kind]})

    def loops(self, level: str, kind: str, rules: Sequence[Entry], fanout: int) -> None:
        """Add the rules on a level's temporal or spatial loops."""
        if not rules:
            return
        made: dict[str, Node] = {}
        factors: dict[str, str] = {}
        for rule in rules:
            for clause, entry in self._factors(rule):
                self._join(factors, clause, entry)
            self._content(rule, made)
        if factors:
            made["factors"] = scalar(rules[0], ",".join(factors))
        dims, capacity = self._maximized(rules, kind, fanout)
        if not made and not dims:
            return
        if dims:
            self._wanted.append(_Wanted(len(self.targets), kind == "spatial", dims, capacity))
        self.add(rules[0], level, kind, **made)

    def add(self, place: Entry, level: str, kind: str, **content: Node) -> None:
        """Add one rule of the flat form."""
        rule = {"target": scalar(place, level), "type": scalar(place, kind), **content}
        self.targets.append(Node(rule, place.node.source, place.node.line))

    def finish(self) -> list[Node]:
        """Give the dimensions to maximize their factors; return all rules."""
        wanted = [
            Maximized(self.targets[w.place], w.dims, w.capacity)
            for spatial in (True, False)
            for w in reversed(self._wanted)
            if w.spatial == spatial
        ]
        maximize(wanted, self.targets, self._problem)
        return self.targets

    def _content(self, rule: Entry, made: dict[str, Node]) -> None:
        """Add what a rule says beside factors."""
        found: dict[str, Node] = {}
        permutation = rule.get("permutation")
        if permutation is not None:
            letters = permutation.names() if permutation.is_list else list(permutation.text())
            found["permutation"] = scalar(
                permutation, "".join(x for x in letters if x.isalpha() or x == "_")
            )
        split = rule.get("split")
        if split is not None:
            found["split"] = scalar(split, str(self._integer(split, 0)))
        for key in _KEPT:
            entry = rule.get(key)
            if entry is not None:
                found[key] = scalar(entry, str(self._integer(entry, 1)))
        for key in _LISTS:
            entry = rule.get(key)
            if entry is not None:
                before = made.pop(key, None)
                listed = Entry(before).names() if before is not None else []
                found[key] = name_list(entry, list(dict.fromkeys([*listed, *self._tensors(entry)])))
        for key, node in found.items():
            if key in made and made[key].value != node.value:
                raise rule.refuse(f"'{key}' is constrained twice, expected it once")
            made[key] = node

    def _join(self, factors: dict[str, str], clause: str, entry: Entry) -> None:
        """Add a clause to those of a level; two fixed factors of a dimension must agree."""
        name = re.split("[<>=]", clause)[0]
        for other in factors:
            clash = other != clause and re.split("[<>=]", other)[0] == name
            if clash and other[len(name)] == clause[len(name)]:
                raise entry.fail(f"{clause} and {other} contradict each other")
        factors[clause] = clause

    def _factors(self, rule: Entry) -> Iterator[tuple[str, Entry]]:
        """Yield clauses (``C=4``, ``C<=4``, ``C>=4``) of all a rule's factors, and their place."""
        listed: set[str] = set()
        for key in ("factors", "factors_only"):
            entry = rule.get(key)
            if entry is None:
                continue
            clauses = self._clauses(entry)
            left = re.sub(r"[\s,;]+", " ", _FACTOR.sub(" ", clauses)).strip()
            if left:
                raise entry.fail(f"'{left[:80]}' is no factor, expected C=4, C<=4 or C>=4")
            for name, relation, number in _FACTOR.findall(clauses):
                if name not in self._problem.bounds:
                    known = ", ".join(self._problem.dimensions)
                    raise entry.fail(f"unknown dimension '{name}', expected one of {known}")
                if relation in ("<", ">"):
                    raise entry.fail(f"{name}{relation}{number}: expected =, <= or >=")
                listed.add(name)
                if number.startswith("-"):
                    continue  # timeloopfe's way to leave a factor open beside factors_only
                yield f"{name}{relation or '='}{number}", entry
        only = rule.get("factors_only")
        if only is None and "factors_only" in rule.mapping():
            only = rule
        for d in self._forbidden(rule, all_others=only is not None):
            if d not in listed:
                yield f"{d}=1", rule

    def _clauses(self, entry: Entry) -> str:
        """Return factors as one text; one may be a list, whose last item may be arithmetic."""
        if not entry.is_list:
            return entry.text()
        words = []
        for item in entry.items():
            if item.is_list:
                *first, last = item.items()
                words.append("".join([x.text() for x in first]) + str(self._integer(last, 0)))
            else:
                words.append(item.text())
        return " ".join(words)

    def _forbidden(self, rule: Entry, *, all_others: bool) -> Iterator[str]:
        """Yield the dimensions that may not be iterated over at all."""
        shape = self._problem.shape
        uses = {space.name: space.dimensions for space in shape.data_spaces}

        def used(key: str) -> frozenset[str] | None:
            entry = rule.get(key)
            return (
                None
                if entry is None
                else frozenset().union(*(uses[t] for t in self._tensors(entry)))
            )

        barred = used("no_iteration_over_dataspaces") or frozenset()
        wanted = used("must_iterate_over_dataspaces")
        for d in shape.dimensions:
            if all_others or d in barred or (wanted is not None and d not in wanted):
                yield d

    def _maximized(
        self, rules: Sequence[Entry], kind: str, fanout: int
    ) -> tuple[list[list[str]], int]:
        """Return the groups of dimensions to maximize, and the product that they may have."""
        groups: list[list[str]] = []
        capacity = fanout if kind == "spatial" else 0
        for rule in rules:
            entry, most = rule.get("maximize_dims"), rule.get("maximize_dims_capacity")
            if most is not None:
                capacity = self._integer(most, 1)
            if entry is None:
                continue
            items = entry.items("expected dimensions, or lists of dimensions")
            nested = [x.names() for x in items if x.is_list] or [entry.names()]
            for name in (name for group in nested for name in group):
                if name not in self._problem.bounds:
                    known = ", ".join(self._problem.dimensions)
                    raise entry.fail(f"unknown dimension '{name}', expected one of {known}")
            if not capacity:
                raise entry.fail("expected maximize_dims_capacity beside it, in a temporal rule")
            groups += nested
        return groups, capacity

    def _tensors(self, entry: Entry) -> list[str]:
        return data_spaces(entry, self._problem.tensors)


def check_rule(rule: Entry, kind: str) -> None:
    """Refuse a key that timeloopfe does not know in a constraint of this kind."""
    check_known(rule, _KEYS[kind])


def kind_of(rule: Entry) -> str:
    """Return the kind of a constraint in a list."""
    entry = rule.need("type", f"one of {', '.join(_KEYS)}")
    kind = _SAME.get(entry.text(), entry.text())
    if kind not in _KEYS:
        raise entry.fail(f"expected one of {', '.join(_KEYS)}")
    return kind


def check_known(entry: Entry, known: set[str]) -> None:
    """Refuse keys that timeloopfe does not recognize; it stops on them, too."""
    for key, found in entry.pairs():
        if key not in known:
            meant = meant_by(key, known)
            hint = f"did you mean '{meant}'?" if meant else f"expected {', '.join(sorted(known))}"
            raise found.refuse(f"unknown key '{key[:80]}'; {hint}")


def data_spaces(entry: Entry, tensors: Sequence[str]) -> list[str]:
    """Return the data spaces that a list names; ``*`` stands for all."""
    listed = entry.names()
    for name in listed:
        if tensors and name != "*" and name not in tensors:
            raise entry.fail(f"unknown data space '{name}', expected {', '.join(tensors)}")
    return list(tensors) if "*" in listed else listed


def keep_and_bypass(rule: Entry, tensors: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the data spaces that a level must keep and must bypass."""
    lists: dict[str, list[str] | None] = {}
    for key in ("keep", "bypass", "keep_only", "bypass_only"):
        entry = rule.get(key)
        empty: list[str] | None = [] if key in rule.mapping() else None
        lists[key] = data_spaces(entry, tensors) if entry is not None else empty
    keep, bypass = lists["keep"] or [], lists["bypass"] or []
    only, not_only = lists["keep_only"], lists["bypass_only"]
    if only is not None:
        keep, bypass = keep + only, bypass + [t for t in tensors if t not in only]
    if not_only is not None:
        keep, bypass = keep + [t for t in tensors if t not in not_only], bypass + not_only
    keep, bypass = list(dict.fromkeys(keep)), list(dict.fromkeys(bypass))
    both = [t for t in keep if t in bypass]
    if both:
        raise rule.refuse(f"data space '{both[0]}' is both kept and bypassed")
    return keep, bypass


def scalar(place: Entry, value: str) -> Node:
    """Return a scalar that stands where an entry does."""
    return Node(value, place.node.source, place.node.line)


def name_list(place: Entry, listed: Sequence[str]) -> Node:
    """Return a list of names that stands where an entry does."""
    items: list[Node] = [scalar(place, name) for name in listed]
    return Node(items, place.node.source, place.node.line)
