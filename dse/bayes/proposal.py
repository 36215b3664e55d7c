"""Batches of designs that promise the most: an acquisition maximised over legal designs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from dse.bayes.acquisition import Promise
from dse.bayes.candidates import Candidates, key_of
from dse.numeric import Floats
from dse.space.variable import Values

#: Candidates from which the ascent starts, and its steps at most.
_STARTS, _STEPS = 4, 24
#: Designs that are tried for the budget, best first, before a random one is taken.
_TRIES = 200

Encoder = Callable[[Sequence[Values]], Floats]


@dataclass(frozen=True)
class Proposer:
    """Maximises an acquisition over designs that can be built, and over nothing else.

    Attributes:
        candidates: draws designs.
        points: gives their points, ``(N, C)``; NaN where a design has none.
        rng: of the draws.
        count: designs drawn: half of them around the best where ``local``.
        local: whether to draw around the best designs and climb from the best candidates.
        known: keys of designs that were evaluated: they are not asked for again.
    """

    candidates: Candidates
    points: Encoder
    rng: np.random.Generator
    count: int
    local: bool
    known: frozenset[object]

    def batch(self, promise: Promise, centres: Sequence[Values], size: int) -> list[Values]:
        """Return designs, one after the other, each as if those before were evaluated.

        Args:
            promise: what to maximise.
            centres: the best designs so far.
            size: how many.
        """
        taken = set(self.known)
        found: list[Values] = []
        drawn = self._drawn(centres)
        for _ in range(size):
            best = self._best(promise, drawn, taken)
            found.append(best)
            taken.add(key_of(best))
            if len(found) < size:
                promise.believe(self.points([best])[0])
        return found

    def drawn_batch(self, promise: Promise, centres: Sequence[Values], size: int) -> list[Values]:
        """Return designs by Thompson sampling: each the best of one function of the process."""
        drawn = self._drawn(centres)
        usable = [v for v in drawn if key_of(v) not in self.known] or drawn
        usable = self._with_points(usable)[0]
        found: list[Values] = []
        taken: set[object] = set()
        points = self.points(usable)
        for score in promise.draws(points, size) if usable else ():
            best = self._first_admitted(usable, score, taken)
            taken.add(key_of(best))
            found.append(best)
        return found or [self.candidates.sample(self.rng)]

    def _drawn(self, centres: Sequence[Values]) -> list[Values]:
        near = self.count // 2 if self.local and centres else 0
        found = self.candidates.random(self.rng, self.count - near)
        if near:
            found += self.candidates.around(self.rng, centres, near)
            found += [v for centre in centres[:_STARTS] for v in self._next_to(centre)]
        return list({key_of(values): values for values in found}.values())

    def _next_to(self, values: Values) -> list[Values]:
        return self.candidates.neighbours(self.rng, values)

    def _with_points(self, designs: Sequence[Values]) -> tuple[list[Values], Floats]:
        points = self.points(designs)
        whole = np.flatnonzero(np.isfinite(points).all(axis=1))
        return [designs[int(i)] for i in whole], points[whole]

    def _best(self, promise: Promise, drawn: Sequence[Values], taken: set[object]) -> Values:
        new = [v for v in drawn if key_of(v) not in taken] or list(drawn)
        new, points = self._with_points(new)
        if not new:
            return self.candidates.sample(self.rng)
        score = promise.score(points)
        if not self.local:
            return self._first_admitted(new, score, taken)
        starts = self._admitted_of(new, score, _STARTS)
        return self._climbed(promise, starts, taken) or self.candidates.sample(self.rng)

    def _climbed(
        self, promise: Promise, starts: list[tuple[float, Values]], taken: set[object]
    ) -> Values | None:
        """Return the best design reached by steps from each start to its best neighbour."""
        best: tuple[float, Values] | None = None
        for score, values in starts:
            for _ in range(_STEPS):
                near = [v for v in self._next_to(values) if key_of(v) not in taken]
                near, points = self._with_points(near)
                if not near:
                    break
                there = promise.score(points)
                higher = self._admitted_of(near, there, 1, above=score)
                if not higher:
                    break
                score, values = higher[0]  # noqa: PLW2901 - a step of the climb
            if best is None or score > best[0]:
                best = score, values
        return best[1] if best else None

    def _first_admitted(
        self, designs: Sequence[Values], score: Floats, taken: set[object]
    ) -> Values:
        fresh = [i for i, v in enumerate(designs) if key_of(v) not in taken]
        some = fresh or list(range(len(designs)))
        found = self._admitted_of([designs[i] for i in some], score[some], 1)
        return found[0][1] if found else self.candidates.sample(self.rng)

    def _admitted_of(
        self, designs: Sequence[Values], score: Floats, count: int, above: float = -np.inf
    ) -> list[tuple[float, Values]]:
        """Return the best designs within the budget, best first, with their scores."""
        found: list[tuple[float, Values]] = []
        for index in np.argsort(-score, kind="stable")[:_TRIES]:
            if len(found) == count or not score[index] > above:
                break
            if self.candidates.admits(designs[index]):
                found.append((float(score[index]), designs[index]))
        return found
