"""The loop over networks of a generation of hardware: which are asked for, what hardware is worth.

All hardware begins with the same networks, so that it is compared by them, and layers are mapped
on all of it at once; from then on each breeds its own.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from dse.evolution.networks import Breeding, Member, NetworkEvolution, TriedNetworks, front_area
from dse.goals.design import Design, DesignMetrics
from dse.goals.objective import EDP, ERROR
from dse.space.search_space import SearchSpace
from dse.space.variable import Values
from dse.state.codec import State
from dse.state.entries import CheckedEntries


class NetworkLoop:
    """Networks for one generation of hardware after the other.

    Attributes:
        goes_on: whether networks are left to try on the present generation.
        rewards: what each hardware of the last generation is worth, smaller is better; empty
            where the end of the budget cut it short.
    """

    def __init__(self, space: SearchSpace, breeding: Breeding, networks: int) -> None:
        """Set up.

        Args:
            space: of hardware and networks.
            breeding: how generations of networks follow each other.
            networks: to try on each hardware.

        Raises:
            SpecError: no network is accurate enough.
        """
        self._space = space
        self._evolution = NetworkEvolution(space, breeding, space.limits)
        self._wanted = networks
        self._hardware: list[Values] = []
        self._populations: list[TriedNetworks] = []
        self._elite: list[Values] = []
        self._corner: tuple[float, float] | None = None
        self._pending: list[Values] = []
        self._each = 0
        self.goes_on = False
        self.rewards: list[float] = []

    def begin(self, hardware: Sequence[Values], rng: np.random.Generator) -> None:
        """Take a generation of hardware, and draw the networks that all of it begins with."""
        self._hardware = list(hardware)
        self._populations = [TriedNetworks() for _ in hardware]
        count = min(self._evolution.breeding.population, self._wanted)
        self._pending = self._evolution.first(rng, count, self._elite)
        self.goes_on, self.rewards = True, []

    def ask(self, rng: np.random.Generator) -> list[Values]:
        """Return values of designs: the next networks, on each hardware in turn."""
        if self._pending:
            networks = [self._pending] * len(self._hardware)
            self._pending = []
        else:
            seen = len(self._populations[0].members)
            count = min(self._evolution.breeding.population, self._wanted - seen)
            networks = [self._evolution.children(rng, count, p) for p in self._populations]
        self._each = len(networks[0])
        pairs = zip(self._hardware, networks, strict=True)
        return [own | network for own, some in pairs for network in some]

    def tell(self, designs: Sequence[Design], metrics: Sequence[DesignMetrics]) -> None:
        """Take the results of what was asked for; fewer than that end the generation."""
        cut = len(designs) < self._each * len(self._hardware)
        goal = EDP if self._space.objective is ERROR else self._space.objective
        for i, (design, m) in enumerate(zip(designs, metrics, strict=True)):
            if cut:
                break
            error = 1 - m.accuracy if m.valid and m.accuracy is not None else math.inf
            value = goal(m) if m.valid else math.inf
            member = Member(self._space.network(design.values), value, error)
            self._populations[i // self._each].members.append(member)
        seen = len(self._populations[0].members)
        self.goes_on = not cut and seen < self._wanted
        if not cut and not self.goes_on:
            self.rewards = self._rewards()
            self._elite = self._best_networks()

    def _rewards(self) -> list[float]:
        if not self._evolution.by_accuracy:
            return [min((m.value for m in p.members), default=math.inf) for p in self._populations]
        if self._corner is None:
            valid = [m for p in self._populations for m in p.members if math.isfinite(m.value)]
            if not valid:
                return [math.inf] * len(self._populations)
            self._corner = max(m.value for m in valid), max(m.error for m in valid)
        areas = [front_area(p.members, *self._corner) for p in self._populations]
        return [-area for area in areas]

    def _best_networks(self) -> list[Values]:
        """Return the networks that were best on any hardware, for the next generation."""
        breeding = self._evolution.breeding
        count = max(1, round(breeding.parents * breeding.population))
        together = TriedNetworks([m for p in self._populations for m in p.members])
        found: dict[tuple[int, ...], Values] = {}
        for member in together.ranked(self._evolution.by_accuracy):
            found.setdefault(tuple(member.values.values()), member.values)
            if len(found) == count:
                break
        return list(found.values())

    def state_dict(self) -> dict[str, State]:
        """Return where the loop stands, as plain data."""
        return {
            "goes_on": self.goes_on,
            "hardware": list(self._hardware),
            "populations": [
                {
                    "networks": np.array(
                        [list(m.values.values()) for m in p.members], np.int64
                    ).reshape(len(p.members), self._width),
                    "worth": np.array([(m.value, m.error) for m in p.members]).reshape(-1, 2),
                }
                for p in self._populations
            ],
            "elite": np.array([list(v.values()) for v in self._elite], np.int64).reshape(
                len(self._elite), self._width
            ),
            "corner": self._corner,
        }

    def load_state_dict(self, entries: CheckedEntries, count: int) -> None:
        """Go on from what :meth:`state_dict` returned.

        Args:
            entries: of it.
            count: pieces of hardware of the present generation.

        Raises:
            SpecError: a key is missing, unknown, or holds what it cannot.
        """
        self.goes_on = entries.flag("goes_on")
        template = self._space.template
        self._hardware = [template.check(v) for v in entries.items("hardware", dict)]
        self._populations = []
        for each in entries.each("populations"):
            with each:
                networks = self._networks(each, "networks")
                worth = each.array("worth", np.float64, (len(networks), 2)).tolist()
                members = [Member(v, *w) for v, w in zip(networks, worth, strict=True)]
                self._populations.append(TriedNetworks(members))
        sizes = {len(p.members) for p in self._populations}
        if len(self._hardware) != len(self._populations) or len(sizes) > 1:
            entries.refuse("hardware", len(self._hardware), "as many as populations, all as large")
        if self.goes_on and len(self._hardware) != count:
            entries.refuse("hardware", len(self._hardware), f"{count}, as were asked for")
        self._elite = self._networks(entries, "elite")
        corner = entries.maybe("corner", lambda key: entries.numbers(key, 2))
        self._corner = None if corner is None else (corner[0], corner[1])

    @property
    def _width(self) -> int:
        return len(self._evolution.networks.variables)

    def _networks(self, entries: CheckedEntries, key: str) -> list[Values]:
        """Return networks from the rows of an array, their values checked."""
        space = self._evolution.networks
        names = [v.name for v in space.variables]
        rows = entries.array(key, np.int64, (None, self._width)).tolist()
        return [space.canonical(space.check(dict(zip(names, row, strict=True)))) for row in rows]
