"""Attributes of components worked out, one after the other, as Accelergy does it."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from itertools import product

from dse.domain.formula import Value, evaluate
from dse.errors import SpecError
from dse.timeloop.yaml.nodes import Entry

#: What parts of a component have from it unless they say otherwise.
INHERITED = (
    "technology",
    "global_cycle_seconds",
    "latency",
    "cycle_seconds",
    "action_latency_cycles",
    "n_instances",
)
MUST_SPECIFY = "must_specify"
_RANGE = re.compile(r"\[([^\[\]]*)\]")
_MOST_ARGUMENTS = 10_000
_MOST_INSTANCES = 2**40


def worked_out(entry: Entry, names: Mapping[str, Value]) -> Value:
    """Return an attribute's value: a number, a truth value, or what its formula is worth.

    Words in quotes stay words, and so does what is no formula of these names (``45nm``): whoever
    needs a number says so then.
    """
    node = entry.node
    text = node.value
    if not isinstance(text, str):
        raise entry.fail("expected a number, a word or a formula")
    if not node.plain:
        return text
    if (number := _number(text)) is not None:
        return number
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    try:
        return evaluate(text, names)
    except SpecError:
        return text


def values_of(entries: Iterable[tuple[str, Entry]], names: Mapping[str, Value]) -> dict[str, Value]:
    """Return attributes by name, each over ``names`` and those before it; lists are left out."""
    values: dict[str, Value] = {}
    for key, entry in entries:
        if entry.is_scalar:
            values[key] = worked_out(entry, {**names, **values})
    return values


def number_of(entry: Entry | None, names: Mapping[str, Value]) -> float:
    """Return a scale; 1 where there is none.

    Raises:
        SpecError: it is no number, naming its place and why.
    """
    if entry is None:
        return 1.0
    text = entry.node.value
    if not isinstance(text, str):
        raise entry.fail("expected a number or a formula")
    try:
        value = float(evaluate(text, names))
    except (SpecError, ValueError) as error:
        raise entry.fail(f"expected a number or a formula ({error})") from error
    if not 0 <= value < math.inf:
        raise entry.fail(f"expected a number of at least 0, not {value:g}")
    return value


def counted(entry: Entry, names: Mapping[str, Value]) -> tuple[str, str, int]:
    """Return a subcomponent's name without its range, its name with it, and how many it stands for.

    ``storage[1..width*depth]`` is as many, ``storage[0]`` and ``storage`` are one.
    """
    text = str(entry.node.value)
    count = 1

    def settled(match: re.Match[str]) -> str:
        nonlocal count
        first, dots, last = match[1].partition("..")
        if not dots:
            return match[0]
        low, high = (int(number_of(_part(entry, end), names)) for end in (first, last))
        if not 0 <= high - low < _MOST_INSTANCES:
            raise entry.fail(f"[{low}..{high}]: expected a range that does not run backwards")
        count *= high - low + 1
        return f"[{low}..{high}]"

    label = _RANGE.sub(settled, text)
    return base_name(text), label, count


def base_name(name: str) -> str:
    """Return a name without its ranges."""
    return _RANGE.sub("", name)


def choices_of(
    arguments: Mapping[str, Entry], names: Mapping[str, Value]
) -> list[dict[str, Value]]:
    """Return all choices of an action's arguments; ``0..n_banks`` are n_banks + 1 choices.

    Raises:
        SpecError: an argument is no range, or there are too many choices.
    """
    ranges: list[list[Value]] = []
    for entry in arguments.values():
        first, dots, last = str(entry.node.value).partition("..")
        if not dots:
            raise entry.fail("expected a range such as 0..1")
        low, high = (int(number_of(_part(entry, end), names)) for end in (first, last))
        if not 0 <= high - low < _MOST_ARGUMENTS:
            raise entry.fail(f"{low}..{high}: expected a range that does not run backwards")
        ranges.append(list(range(low, high + 1)))
    if math.prod(map(len, ranges)) > _MOST_ARGUMENTS:
        raise next(iter(arguments.values())).refuse(
            f"more than {_MOST_ARGUMENTS} choices of arguments"
        )
    # the first argument changes fastest, as in Accelergy's tables
    turned = product(*reversed(ranges))
    return [dict(zip(arguments, reversed(choice), strict=True)) for choice in turned]


def _part(entry: Entry, text: str) -> Entry:
    node = entry.node
    return Entry(type(node)(text, node.source, node.line), entry.path, entry.variables)


def _number(text: str) -> int | float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    if not abs(value) < math.inf:
        return None
    return int(value) if value == int(value) else value
