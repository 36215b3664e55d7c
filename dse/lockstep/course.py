"""Where a lock-step search stands: its climb, what it looks at, and both as data."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from dse.domain.mapping import MappingBatch
from dse.space.search_space import SearchSpace
from dse.state.codec import State
from dse.state.entries import CheckedEntries
from dse.state.in_space import check_mappings

if TYPE_CHECKING:
    from dse.lockstep.moves import Direction, Moves
    from dse.lockstep.site import Site

SCOUT, TRIAL, SETTLE, POLISH = "scout", "trial", "settle", "polish"
_KINDS = (SCOUT, TRIAL, SETTLE, POLISH)


@dataclass
class Climb:
    """A climb from one hardware to better ones.

    Attributes:
        here: the best hardware of this climb.
        step: octaves of the moves.
        directions: directions that were not tried yet from here with this step.
        before: value of ``here`` when its mappings were last polished.
        fitted: whether the smallest hardware for the mappings of ``here`` was tried.
    """

    here: Site
    step: float
    directions: list[Direction] = field(default_factory=list)
    before: float = math.inf
    fitted: bool = False

    def state_dict(self, sites: Sites, moves: Moves) -> dict[str, State]:
        """Return it as plain data."""
        return {
            "here": sites.number(self.here),
            "step": self.step,
            "directions": [moves.number(direction) for direction in self.directions],
            "before": self.before,
            "fitted": self.fitted,
        }

    @classmethod
    def of_state(cls, entries: CheckedEntries, sites: Sites, moves: Moves) -> Climb:
        """Return what :meth:`state_dict` gave; SpecError where it is not."""
        with entries:
            return cls(
                here=sites.take(entries, "here"),
                step=entries.number("step", finite=True),
                directions=moves.take(entries, "directions"),
                before=entries.number("before"),
                fitted=entries.flag("fitted"),
            )


@dataclass
class Task:
    """What is being looked at: a hardware, and why.

    Attributes:
        kind: ``scout``: a first look; ``trial``: may it be better than where the climb is;
            ``settle``: it is, and its mappings catch up; ``polish``: nothing nearby is better.
        site: the hardware.
        until: samples of the site after which it ends.
        seeds: mappings to begin with, per layer.
        direction: of a trial.
    """

    kind: str
    site: Site
    until: int
    seeds: list[MappingBatch] | None = None
    direction: Direction | None = None

    def state_dict(self, sites: Sites, moves: Moves) -> dict[str, State]:
        """Return it as plain data."""
        return {
            "kind": self.kind,
            "site": sites.number(self.site),
            "until": self.until,
            "seeds": self.seeds,
            "directions": [] if self.direction is None else [moves.number(self.direction)],
        }

    @classmethod
    def of_state(
        cls, entries: CheckedEntries, space: SearchSpace, sites: Sites, moves: Moves
    ) -> Task:
        """Return what :meth:`state_dict` gave; SpecError where it is not."""
        with entries:
            kind = entries.text("kind")
            if kind not in _KINDS:
                entries.refuse("kind", kind, f"one of {', '.join(_KINDS)}")
            seeds = entries.maybe("seeds", lambda key: entries.items(key, MappingBatch))
            if seeds is not None:
                check_mappings(entries, "seeds", seeds, space)
            return cls(
                kind=kind,
                site=sites.take(entries, "site"),
                until=entries.integer("until", 0),
                seeds=seeds,
                direction=next(iter(moves.take(entries, "directions")), None),
            )


class Sites:
    """Sites by number: several places of a state may hold the same one."""

    def __init__(self, sites: Sequence[Site] = ()) -> None:
        self.all = list(sites)
        self._numbers = {id(site): number for number, site in enumerate(sites)}

    def number(self, site: Site) -> int:
        """Return the number of a site, a new one where it has none."""
        if id(site) not in self._numbers:
            self._numbers[id(site)] = len(self.all)
            self.all.append(site)
        return self._numbers[id(site)]

    def take(self, entries: CheckedEntries, key: str) -> Site:
        """Return the site whose number an entry is; SpecError where there is none."""
        return self.all[entries.integer(key, 0, len(self.all) - 1)]

    def take_list(self, entries: CheckedEntries, key: str) -> list[Site]:
        """Return the sites whose numbers an entry lists; SpecError where there are none."""
        numbers = entries.items(key, int)
        if not all(0 <= number < len(self.all) for number in numbers):
            entries.refuse(key, numbers, f"numbers of {len(self.all)} sites")
        return [self.all[number] for number in numbers]
