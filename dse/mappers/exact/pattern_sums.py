"""What keep/bypass patterns come to at least, for each choice of size classes: sums of their cuts.

Flows that cross out of a tile together are a *cut*. What a cut comes to is a term, known by the
classes it depends on; a pattern's plans each sum terms, and the most of them bounds it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from dse.jit import inner, tiered
from dse.numeric import Floats, Ints


class ClassRows(NamedTuple):
    """Rows of numbers by classes, end to end; N entries, A sizes.

    Of an entry all rows are as long, and each has the axes of the sizes that it depends on.
    """

    numbers: Floats
    first: Ints  # (N,) where an entry begins
    length: Ints  # (N,) of a row
    stride: Ints  # (N, A) from one class to the next; 0: it does not depend on that size


def class_rows(entries: Sequence[Sequence[Floats]], sizes: int) -> ClassRows:
    """Return entries of rows, which have an axis for each size, of length 1 where it plays no part.

    Args:
        entries: rows of each.
        sizes: how many.
    """
    numbers: list[Floats] = []
    length = []
    stride = np.zeros((len(entries), max(sizes, 1)), np.int64)
    for number, rows in enumerate(entries):
        shape = tuple(max(along) for along in zip(*(row.shape for row in rows), strict=True))
        for row in rows:
            whole = row if row.shape == shape else np.broadcast_to(row, shape)
            numbers.append(whole.reshape(-1))
        length.append(math.prod(shape))
        step = 1
        for axis in range(sizes - 1, -1, -1):
            if shape[axis] > 1:
                stride[number, axis] = step
            step *= shape[axis]
    sides = [len(rows) * own for rows, own in zip(entries, length, strict=True)]
    first = np.cumsum([0, *sides], dtype=np.int64)[:-1]
    flat = np.concatenate(numbers) if numbers else np.zeros(0)
    return ClassRows(flat, first, np.array(length, np.int64), stride)


@dataclass(frozen=True, eq=False)
class PatternSums:
    """Which terms the patterns sum; those of which the MACs' flows are the same are a group.

    Attributes:
        pattern: ``(groups + 1,)`` the first of each group.
        plan: ``(patterns + 1,)`` the first of each.
        place: ``(plans + 1,)`` where the terms of each begin.
        term: the terms.
    """

    pattern: Ints
    plan: Ints
    place: Ints
    term: Ints

    @classmethod
    def of(cls, groups: Sequence[Sequence[Sequence[Sequence[int]]]]) -> PatternSums:
        """Return the sums of groups of patterns of plans of terms."""
        patterns = [own for group in groups for own in group]
        plans = [plan for own in patterns for plan in own]

        def starts(parts: Sequence[Sequence[object]]) -> Ints:
            return np.cumsum([0, *map(len, parts)], dtype=np.int64)

        term = np.array([number for plan in plans for number in plan], np.int64)
        return cls(starts(groups), starts(patterns), starts(plans), term)

    def least(self, group: int, energy: Floats) -> float:
        """Return the least energy of a group's patterns, by what each term takes ``(terms,)``."""
        return min(
            max(
                float(energy[self.term[self.place[p] : self.place[p + 1]]].sum())
                for p in range(self.plan[own], self.plan[own + 1])
            )
            for own in range(self.pattern[group], self.pattern[group + 1])
        )


class MacLeast(NamedTuple):
    """What the MACs take at least with each group of patterns; G groups, L limits of bandwidth."""

    energy: ClassRows  # by multiplier energy and what cycles weigh; the last: energy alone
    fastest: Floats  # (G,) cycles
    moved: Floats  # (G, L) words


def least_of(
    sums: PatternSums, terms: ClassRows, macs: MacLeast, rate: Floats, latency: float,
    multiplier: Floats, classes: Sequence[int],
) -> Floats:  # fmt: skip
    """Return what ``energy + multiplier * cycles`` is no less than, for each choice of classes.

    Args:
        sums: of terms, by pattern.
        terms: energy of each, then the words that it moves of each limit.
        macs: beside them.
        rate: ``(L,)`` words a cycle of each limit of bandwidth.
        latency: cycles that all mappings take.
        multiplier: ``(M,)`` of cycles, in pJ a cycle; infinite: cycles alone.
        classes: of each size.

    Returns:
        ``(M, *classes)``; infinite where there is no mapping.
    """
    found = np.full((len(multiplier), math.prod(classes)), math.inf)
    columns, sizes = 1 + len(rate), np.array(classes or [1], np.int64)
    _least_of(
        sums.pattern, sums.plan, sums.place, sums.term, terms, macs, rate, latency, multiplier,
        sizes, np.empty_like(sizes), np.empty((len(terms.first), columns, sizes[-1])),
        np.empty((columns, sizes[-1])), np.empty((2, sizes[-1])), found,
    )  # fmt: skip
    return found.reshape(len(multiplier), *classes)


@inner
def _choose(classes: Ints, choice: int, digit: Ints) -> None:
    """Write the class of each size but the last that a choice has, of the last its first."""
    digit[classes.shape[0] - 1] = 0
    for axis in range(classes.shape[0] - 2, -1, -1):
        digit[axis] = choice % classes[axis]
        choice //= classes[axis]


@inner
def _at(rows: ClassRows, number: int, digit: Ints) -> int:
    """Where the number of an entry's first row stands that a choice of classes has."""
    place: int = rows.first[number]
    for axis in range(digit.shape[0]):
        place += digit[axis] * rows.stride[number, axis]
    return place


@inner
def _spread(terms: ClassRows, digit: Ints, value: Floats) -> None:
    """Write all columns of all terms ``(terms, columns, classes of the last size)``."""
    last = digit.shape[0] - 1
    for number in range(value.shape[0]):
        step = terms.stride[number, last]
        for column in range(value.shape[1]):
            at = _at(terms, number, digit) + column * terms.length[number]
            for w in range(value.shape[2]):
                value[number, column, w] = terms.numbers[at + w * step]


@inner
def _sum_pattern(
    plan: Ints, place: Ints, term: Ints, pattern: int, value: Floats, sum_: Floats, most: Floats
) -> None:
    """Write the most of what the plans of a pattern sum."""
    for column in range(most.shape[0]):
        for w in range(most.shape[1]):
            most[column, w] = 0.0
    for p in range(plan[pattern], plan[pattern + 1]):
        for column in range(most.shape[0]):
            for w in range(most.shape[1]):
                sum_[w] = 0.0
            for i in range(place[p], place[p + 1]):
                own = term[i]
                for w in range(most.shape[1]):
                    sum_[w] += value[own, column, w]
            for w in range(most.shape[1]):
                most[column, w] = sum_[w] if sum_[w] > most[column, w] else most[column, w]


@inner
def _lower(
    macs: MacLeast, first: int, step: int, length: int, multiplier: Floats, energy: Floats,
    fastest: float, found: Floats, begin: int,
) -> None:  # fmt: skip
    """Take patterns into what is found, which transfers do not slow down; all classes of a size."""
    for m in range(multiplier.shape[0]):
        at = first + m * length
        for w in range(energy.shape[0]):
            value = energy[w] + macs.energy.numbers[at + w * step]
            if np.isinf(multiplier[m]):
                value = fastest if energy[w] < np.inf else np.inf
            found[m, begin + w] = value if value < found[m, begin + w] else found[m, begin + w]


@inner
def _lower_slowed(
    macs: MacLeast, at: int, length: int, multiplier: Floats, energy: float, time: float,
    found: Floats, choice: int,
) -> None:  # fmt: skip
    """Take a pattern into what is found, of which transfers take longer than the MACs."""
    cheapest = macs.energy.numbers[at + multiplier.shape[0] * length]
    for m in range(multiplier.shape[0]):
        value = time
        if not np.isinf(multiplier[m]):
            value = energy + macs.energy.numbers[at + m * length]
            value = max(value, energy + cheapest + multiplier[m] * time)
        found[m, choice] = min(found[m, choice], value)


@tiered
def _least_of(
    pattern: Ints, plan: Ints, place: Ints, term: Ints, terms: ClassRows, macs: MacLeast,
    rate: Floats, latency: float, multiplier: Floats, classes: Ints, digit: Ints, value: Floats,
    most: Floats, sums: Floats, found: Floats,
) -> None:  # fmt: skip
    """Write the least of each choice, all classes of the last size at a time."""
    last = classes.shape[0] - 1
    width = classes[last]
    sum_, least = sums[0], sums[1]
    for outer in range(found.shape[1] // width):
        _choose(classes, outer, digit)
        _spread(terms, digit, value)
        for group in range(pattern.shape[0] - 1):
            fastest = macs.fastest[group]
            first, length = _at(macs.energy, group, digit), macs.energy.length[group]
            step = macs.energy.stride[group, last]
            for w in range(width):
                least[w] = np.inf
            for own in range(pattern[group], pattern[group + 1]):
                _sum_pattern(plan, place, term, own, value, sum_, most)
                for w in range(width):
                    energy, time, slowed = most[0, w], fastest, False
                    if np.isinf(energy):
                        continue
                    for k in range(rate.shape[0]):
                        transfer = (most[1 + k, w] + macs.moved[group, k]) / rate[k] + latency
                        if transfer > time:
                            time, slowed = transfer, True
                    if slowed:
                        at, choice = first + w * step, outer * width + w
                        _lower_slowed(macs, at, length, multiplier, energy, time, found, choice)
                    elif energy < least[w]:
                        least[w] = energy
            begin = outer * width
            _lower(macs, first, step, length, multiplier, least, fastest, found, begin)
