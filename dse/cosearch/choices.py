"""The best choice of one mapping per layer under limits: exact, of all that is worth having.

Without limits the best choice lies on the lower hull of what the layers offer together, and lines
find it. Under limits it may lie above the hull; then the layers' fronts are joined one by one, and
what cannot become better than the incumbent is dropped on the way.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from dse.cosearch.goal import CoSearchGoal
from dse.cosearch.hull import PRODUCT
from dse.goals.pareto import front_of_two
from dse.numeric import Floats, Ints

#: Energies and cycles of a layer's mappings.
Offer = tuple[Floats, Floats]
#: Joined points up to which it goes on.
MOST_POINTS = 2_000_000
#: Multipliers by which what the other layers add is bounded, relative to energy over cycles.
_SPREAD = np.array([1 / 64, 1 / 8, 1 / 3, 0.6, 0.8, 0.9, 1.0, 1.1, 1.25, 1.6, 3.0, 8.0, 64.0])


class TooManyChoicesError(Exception):
    """There are too many choices to compare."""


class _Rest(NamedTuple):
    """What the layers that are still to be joined add at least.

    Attributes:
        multiplier: ``(K,)`` growing, the first is 0.
        least: ``(K + 1,)`` energy + multiplier x cycles; the last one cycles.
    """

    multiplier: Floats
    least: Floats


def best_choice(
    layers: Sequence[Offer], weight: Floats, goal: CoSearchGoal, below: float
) -> list[int] | None:
    """Return the place of the best mapping of every layer; None: no choice is below a value.

    Args:
        layers: energies and cycles of each layer's mappings.
        weight: ``(N,)`` how often the network runs each.
        goal: what is minimised, with limits that less energy and fewer cycles always meet.
        below: what mappings have to come below.

    Raises:
        TooManyChoicesError: they are more than can be compared.
    """
    fronts = [front_of_two(cycles, energy) for energy, cycles in layers]
    order = sorted(range(len(layers)), key=lambda n: len(fronts[n]))
    offers = [(e[front], c[front]) for (e, c), front in zip(layers, fronts, strict=True)]
    rests = _rests(offers, weight, order)
    energy, cycles = np.zeros(1), np.zeros(1)
    came_from: list[tuple[Ints, Ints]] = []
    for n, rest in zip(order, rests, strict=True):
        own_energy, own_cycles = offers[n]
        if len(energy) * len(own_cycles) > MOST_POINTS:
            raise TooManyChoicesError(f"more than {MOST_POINTS:,} choices")
        e = (energy[:, None] + weight[n] * own_energy).ravel()
        c = (cycles[:, None] + weight[n] * own_cycles).ravel()
        kept = _useful(e, c, rest, goal, below)
        kept = kept[front_of_two(c[kept], e[kept])]
        if not len(kept):
            return None
        energy, cycles = e[kept], c[kept]
        came_from.append((kept // len(own_cycles), kept % len(own_cycles)))
    value = goal.of_mappings(energy, cycles)
    at = int(np.argmin(value))
    if not value[at] < below:
        return None
    places = [0] * len(layers)
    for n, (before, own) in zip(reversed(order), reversed(came_from), strict=True):
        places[n] = int(fronts[n][own[at]])
        at = int(before[at])
    return places


def _rests(offers: Sequence[Offer], weight: Floats, order: Sequence[int]) -> list[_Rest]:
    """Return what follows after each layer, in the order in which they are joined."""
    energy = sum(weight[n] * offers[n][0].min() for n in order)
    cycles = sum(weight[n] * offers[n][1].min() for n in order)
    multiplier = np.concatenate([[0.0], energy / cycles * _SPREAD])
    least = np.zeros(len(multiplier) + 1)
    found = []
    for n in reversed(order):
        found.append(_Rest(multiplier, least.copy()))
        own_energy, own_cycles = offers[n]
        weighted = own_energy + multiplier[:, None] * own_cycles
        least += weight[n] * np.append(weighted.min(axis=1), own_cycles.min())
    return found[::-1]


def _useful(energy: Floats, cycles: Floats, rest: _Rest, goal: CoSearchGoal, below: float) -> Ints:
    """Return which points may still become better than a value under the limits."""
    least_energy, least_cycles = energy + rest.least[0], cycles + rest.least[-1]
    able = np.isfinite(goal.of_mappings(least_energy, least_cycles))
    if goal.mode == PRODUCT:
        # lines that the rest leaves: a product over them is least where two of them meet
        lines = energy + rest.multiplier[:, None] * cycles + rest.least[:-1, None]
        at = np.diff(lines, axis=0) / np.diff(rest.multiplier)[:, None]
        at = np.concatenate([at, least_cycles[None]])
        value = ((lines - rest.multiplier[:, None] * at) * at).min(axis=0)
    elif goal.leak_pj:
        # the line through its own multiplier is no steeper than the one before it
        k = int(np.searchsorted(rest.multiplier, goal.leak_pj, side="right")) - 1
        line = energy + rest.multiplier[k] * cycles + rest.least[k]
        value = line + (goal.leak_pj - rest.multiplier[k]) * least_cycles
    else:
        value = goal.unlimited(least_energy, least_cycles)
    return np.flatnonzero(able & (value < below))
