"""Mapspaces that several searches share: built once, the latest ones kept."""

from __future__ import annotations

from typing import Any

from dse.domain.architecture import Architecture
from dse.domain.constraints import Constraints, for_problem
from dse.domain.problem import Problem, Shape
from dse.mapspace.outline import Outline
from dse.mapspace.space import Mapspace

#: Along X and Y, by level.
Fanouts = tuple[tuple[int, int], ...]

#: Mapspaces (some 10 KB each), and constraints' texts, that a cache keeps.
_MOST_SPACES, _MOST_TEXTS = 4096, 256


class MapspaceCache:
    """Mapspaces, built once per problem, fan-outs and constraints; the latest ones are kept.

    An architecture that brings its own constraints goes by those: they may depend on its design
    variables. A sparse design has room for tiles that fit only as they are compressed.

    Args:
        constraints: by storage-level name, for architectures without their own.
    """

    def __init__(self, constraints: Constraints) -> None:
        self._default = constraints
        self._spaces: dict[tuple[Problem, Fanouts, str], Mapspace] = {}
        self._texts: dict[int, tuple[Constraints, str]] = {}
        self._translated: dict[tuple[str, Shape], Constraints] = {}
        self._outlines: dict[tuple[str, Shape, Fanouts], Outline] = {}

    def __call__(self, problem: Problem, architecture: Architecture) -> Mapspace:
        """Return the mapspace of a problem on an architecture; raises as Mapspace does."""
        own = architecture.constraints
        constraints = self._default if own is None else own
        fanouts = tuple(architecture.fanout(s) for s in range(len(architecture.levels)))
        text = self._text(constraints)
        key = (problem, fanouts, text)
        known = self._spaces.get(key)
        if known is None:
            outline = self._outline(problem, architecture, constraints, text, fanouts)
            known = Mapspace(problem, architecture, outline=outline)
            _drop_oldest(self._spaces, _MOST_SPACES)
            self._spaces[key] = known
        return known.on(architecture.with_room(problem))

    def _outline(
        self,
        problem: Problem,
        architecture: Architecture,
        constraints: Constraints,
        text: str,
        fanouts: Fanouts,
    ) -> Outline:
        """Return what does not depend on the problem's sizes, for all of its shape."""
        key = (text, problem.shape, fanouts)
        known = self._outlines.get(key)
        if known is None:
            own_words = self._translation(problem, constraints, text)
            known = Outline(problem, architecture, own_words)
            _drop_oldest(self._outlines, _MOST_SPACES)
            self._outlines[key] = known
        return known

    def _translation(self, problem: Problem, constraints: Constraints, text: str) -> Constraints:
        """Return the constraints in the words of the problem: those of all of its shape."""
        key = (text, problem.shape)
        known = self._translated.get(key)
        if known is None:
            known = for_problem(constraints, problem)
            _drop_oldest(self._translated, _MOST_SPACES)
            self._translated[key] = known
        return known

    def _text(self, constraints: Constraints) -> str:
        """Return the constraints as text: their value, that of equal ones too.

        It is made once for each of the latest objects. They are kept alive for it: the id of an
        object that is gone may be another's.
        """
        known = self._texts.get(id(constraints))
        if known is None:
            known = (constraints, repr(sorted(constraints.items())))
            _drop_oldest(self._texts, _MOST_TEXTS)
            self._texts[id(constraints)] = known
        return known[1]


def _drop_oldest(cache: dict[Any, Any], most: int) -> None:
    """Make room for one more entry in a cache of so many."""
    while len(cache) >= most:
        cache.pop(next(iter(cache)), None)  # another thread may have
