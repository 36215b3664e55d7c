"""timeloopfe's ``maximize_dims``: factors as large as fit, fixed before anything is searched.

Levels in space come first, then those in time, each from the inside out. The rule is timeloopfe's
greedy one: the best product of prime factors of what other fixed factors leave of the dimensions,
or, where a dimension is larger than the room, the even share of it that fills the room best.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from functools import lru_cache

from dse.domain.problem import Problem
from dse.timeloop.yaml.nodes import Entry, Node

_CLAUSE = re.compile(r"([A-Za-z]+)\s*(<=|>=|=)\s*([0-9]+)")
_Parts = tuple[tuple[str, int, int], ...]


@dataclass
class Maximized:
    """A rule whose factors are maximized.

    Attributes:
        rule: the rule of the flat form, which gets them.
        dims: groups of dimensions, the first group has the first choice.
        capacity: the product that a group's factors, and those fixed before, may have.
    """

    rule: Node
    dims: list[list[str]]
    capacity: int


def maximize(wanted: list[Maximized], rules: list[Node], problem: Problem) -> None:
    """Fix the factors of dimensions to maximize, in place.

    Raises:
        SpecError: a dimension has a factor already.
    """
    if not wanted:
        return
    left = dict(problem.bounds)
    for rule in rules:
        for name, relation, number in _clauses(rule):
            if relation == "=":
                left[name] = math.ceil(left[name] / (number or problem.bounds[name]))
    for want in wanted:
        for group in want.dims:
            _maximize(want, group, left, problem)


def _maximize(want: Maximized, group: list[str], left: dict[str, int], problem: Problem) -> None:
    room, known = want.capacity, _clauses(want.rule)
    for name, relation, number in known:
        if relation in ("=", ">="):
            room //= number or problem.bounds[name]
    for name in group:
        if any(name == other for other, _, _ in known):
            raise Entry(want.rule).refuse(f"maximize_dims: {name} has a factor already")
    parts, _ = _allocate(tuple((name, left[name]) for name in group), room)
    factors = dict.fromkeys(group, 1)
    for name, _, factor in parts:
        factors[name] *= factor
    added = [f"{name}={factor}" for name, factor in factors.items()]
    for name, factor in factors.items():
        left[name] = math.ceil(left[name] / factor)
    table = want.rule.value
    assert isinstance(table, dict)
    before = table.get("factors")
    listed = [str(before.value)] if before is not None else []
    table["factors"] = Node(",".join([*listed, *added]), want.rule.source, want.rule.line)


def _clauses(rule: Node) -> list[tuple[str, str, int]]:
    assert isinstance(rule.value, dict)
    factors = rule.value.get("factors")
    if factors is None:
        return []
    return [(name, sign, int(n)) for name, sign, n in _CLAUSE.findall(str(factors.value))]


@lru_cache(maxsize=1 << 14)
def _allocate(sizes: tuple[tuple[str, int], ...], room: int) -> tuple[_Parts, float]:
    """Return parts (dimension, rest, factor) of the best allocation, and how full the room is."""
    best: _Parts = ()
    fullest = 1.0
    if room <= 1:
        return best, fullest
    for at, (name, size) in enumerate(sizes):
        if size > room:
            rounds = math.ceil(size / room)
            factor = math.ceil(size / rounds)
            rest = size % factor
            full = (factor * (rounds - 1) + rest) / rounds
            if full > fullest:
                best, fullest = ((name, rest, factor),), full
        for prime in sorted(set(_primes(size))):
            if prime > room:
                continue
            smaller = (*sizes[:at], (name, size // prime), *sizes[at + 1 :])
            parts, full = _allocate(smaller, room // prime)
            if full * prime > fullest:
                best, fullest = ((name, prime, prime), *parts), full * prime
    return best, fullest


def _primes(number: int) -> list[int]:
    found, divisor = [], 2
    while divisor * divisor <= number:
        while number % divisor == 0:
            found.append(divisor)
            number //= divisor
        divisor += 1
    return [*found, number] if number > 1 else found
