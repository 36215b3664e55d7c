"""Dimensions padded to larger sizes: how far, which ones, and of which sizes a mapping is.

A padded dimension runs on beyond its end: over zeros of an operand, or over results that nobody
reads. What that costs is counted as for any other problem of those sizes. The factors of a perfect
mapping multiply out to the bounds that it runs, so a mapping says by itself what was padded:
nothing else is kept beside it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from dse.domain.mapping import Mapping, MappingBatch
from dse.domain.problem import Layer, Problem
from dse.errors import SpecError
from dse.numeric import Ints


@dataclass(frozen=True)
class Padding:
    """How far dimensions may be padded.

    Attributes:
        text: ``off``, ``auto`` (to every useful size) or ``P%`` (to useful sizes of up to P %
            more).
        share: the growth that is allowed, relative to the size; None: any.
    """

    text: str = "off"
    share: float | None = 0.0

    @classmethod
    def parse(cls, text: str) -> Padding:
        """Read the setting.

        Raises:
            SpecError: it is none of the three.
        """
        if text in ("off", "False"):  # what YAML makes of the bare word
            return cls()
        if text == "auto":
            return cls("auto", None)
        try:
            percent = float(text.removesuffix("%")) if text.endswith("%") else -1.0
        except ValueError:
            percent = -1.0
        if not 0.0 <= percent <= 100.0:
            raise SpecError(
                f"mapspace.padding = {text}: expected off, auto, or a share of 0% to 100%, as in "
                "mapspace.padding=10%"
            )
        return cls(text, percent / 100.0) if percent else cls()

    @property
    def on(self) -> bool:
        """Whether anything may be padded."""
        return self.share is None or self.share > 0.0

    def most(self, bound: int) -> int:
        """Return the largest size that a bound may be padded to."""
        if self.share is None:
            return 2 * bound
        # 10 % of 30 are 3, though 0.1 * 30 is a little more
        return bound + math.floor(bound * self.share * (1 + 1e-12))


#: No dimension grows.
NO_PADDING = Padding()


def paddable(problem: Problem) -> tuple[str, ...]:
    """Return the dimensions whose padding leaves the results as they are.

    One that stands alone in a rank of an operand runs over zeros there, which add nothing; one
    that stands alone in a rank of every result makes results that nobody reads. Any other one
    would add to results that are read.
    """
    spaces = problem.shape.data_spaces

    def alone(dimension: str, t: int) -> bool:
        d = problem.dimensions.index(dimension)
        rows = problem.projection[t]
        return any(row[d] != 0 and (row != 0).sum() == 1 for row in rows)

    operands = [t for t, space in enumerate(spaces) if not space.read_write]
    results = [t for t, space in enumerate(spaces) if space.read_write]
    return tuple(
        d
        for d in problem.dimensions
        if any(alone(d, t) for t in operands) or (results and all(alone(d, t) for t in results))
    )


def mapped_problem(problem: Problem, mapping: Mapping) -> Problem:
    """Return the problem with the bounds that a mapping runs: its own, or padded ones.

    Imperfect factors leave no doubt about the bounds, and are never padded.
    """
    if not mapping.is_perfect:
        return problem
    run = np.multiply(mapping.temporal, mapping.spatial, dtype=np.int64).prod(axis=0)
    return problem if (run == problem.sizes).all() else _of_sizes(problem, run)


def mapped_problems(problem: Problem, mappings: MappingBatch) -> dict[Problem, Ints]:
    """Return the problems that perfect mappings run, in order, with the indices of each one's."""
    run = np.prod(mappings.temporal.astype(np.int64) * mappings.spatial, axis=0)
    places: dict[tuple[int, ...], list[int]] = {}
    for index, sizes in enumerate(run.T.tolist()):
        places.setdefault(tuple(sizes), []).append(index)
    return {_of_sizes(problem, run[:, own[0]]): np.array(own) for own in places.values()}


def _of_sizes(problem: Problem, sizes: Ints) -> Problem:
    bounds = {d: int(n) for d, n in zip(problem.dimensions, sizes, strict=True)}
    return problem if bounds == dict(problem.bounds) else replace(problem, bounds=bounds)


def padded_layers(
    layers: Iterable[Layer], mappings: Iterable[Mapping]
) -> dict[str, dict[str, int]]:
    """Return the layers that mappings pad, by name, with the sizes of what is padded."""
    found = {}
    for layer, mapping in zip(layers, mappings, strict=True):
        sizes = padded_sizes(layer.problem, mapped_problem(layer.problem, mapping))
        if sizes:
            found[layer.name] = {d: after for d, (_, after) in sizes.items()}
    return found


def padded_sizes(problem: Problem, padded: Problem) -> dict[str, tuple[int, int]]:
    """Return the dimensions that were padded: what they were, and what they are."""
    return {d: (n, padded.bounds[d]) for d, n in problem.bounds.items() if padded.bounds[d] != n}


def padding_text(problem: Problem, padded: Problem) -> str:
    """Say what was padded, as in ``K 37 -> 39, C 113 -> 120``; empty where nothing was."""
    sizes = padded_sizes(problem, padded)
    return ", ".join(f"{d} {before} -> {after}" for d, (before, after) in sizes.items())
