"""Pareto fronts: what no other design beats in every objective."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from dse.goals.design import Design, DesignMetrics
from dse.numeric import Floats


@dataclass(frozen=True)
class FrontMember:
    """A design on the front, with the values of the objectives."""

    design: Design
    metrics: DesignMetrics
    value: tuple[float, ...]


@dataclass
class Front:
    """The designs of a study that no other design of it beats in every objective."""

    members: list[FrontMember] = field(default_factory=list)

    def offer(self, new: FrontMember) -> bool:
        """Take in a design unless another is as good or better in all; return whether it is in."""
        if not all(np.isfinite(new.value)):
            return False
        if any(_weakly_dominates(old.value, new.value) for old in self.members):
            return False
        self.members = [old for old in self.members if not _weakly_dominates(new.value, old.value)]
        self.members.append(new)
        return True

    def ordered(self) -> list[FrontMember]:
        """Return the members, growing in the first objective."""
        return sorted(self.members, key=lambda m: m.value)


def _weakly_dominates(one: Sequence[float], other: Sequence[float]) -> bool:
    """Whether ``one`` is as good as the other, or better, in every objective."""
    return all(a <= b for a, b in zip(one, other, strict=True))


def nondominated_ranks(value: Floats) -> npt.NDArray[np.int64]:
    """Return the rank, ``(N,)``, of each of N points ``(N, M)``: its front; 0 is the best.

    Non-dominated sorting (Deb et al., NSGA-II, 2002); smaller values are better.
    """
    no_worse = (value[:, None, :] <= value[None, :, :]).all(axis=2)
    better = (value[:, None, :] < value[None, :, :]).any(axis=2)
    dominates: npt.NDArray[np.bool_] = np.asarray(no_worse & better)
    result = np.full(len(value), -1, np.int64)
    number = 0
    while (result < 0).any():
        left = result < 0
        free = left & ~(dominates[left].any(axis=0))
        result[free] = number
        number += 1
    return result


def crowding_distance(value: Floats) -> Floats:
    """Return the crowding distance, ``(N,)``, of points ``(N, M)`` of one front."""
    count, objectives = value.shape
    distance = np.zeros(count)
    for m in range(objectives):
        order = np.argsort(value[:, m], kind="stable")
        column = value[order, m]
        width = column[-1] - column[0]
        distance[order[[0, -1]]] = np.inf
        if count > 2 and width > 0:
            distance[order[1:-1]] += (column[2:] - column[:-2]) / width
    return distance


def front_of_two(value: Floats, other: Floats) -> npt.NDArray[np.intp]:
    """Return the points that no other equals or beats in both values, by the first; one of equals.

    Args:
        value: ``(N,)``, the smaller the better.
        other: ``(N,)``, likewise.
    """
    order = np.lexsort((other, value))
    least = np.minimum.accumulate(other[order])
    first = np.ones(len(order), np.bool_)
    first[1:] = other[order][1:] < least[:-1]
    return order[first]
