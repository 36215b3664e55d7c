"""Rows of single chips of any kind: all their mappings, one by one."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from dse.certify.evaluation import PlainEvaluation, RangePrices, UnitPrice
from dse.certify.every import EveryMapping
from dse.certify.hardware import Capacity, Chip
from dse.certify.places import Places
from dse.certify.rows import (
    MOST_ROWS,
    RecheckedRows,
    RowPoints,
    Rows,
    RowSource,
    concatenated,
    joined,
    points_of,
)
from dse.certify.verdict import Effort, NotCoveredError
from dse.domain.architecture import Architecture
from dse.domain.mapping import MappingBatch
from dse.domain.problem import Problem

Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


class EveryRow(RowSource):
    """Rows of single chips of any kind: all their mappings, one by one.

    Args:
        sizes: of the network's layers: the problems that each may be mapped as.
    """

    def __init__(
        self, sizes: Sequence[Sequence[Problem]], capacities: Sequence[Capacity],
        timeloop_version: str, effort: Effort,
    ) -> None:  # fmt: skip
        self._sizes, self._capacities = sizes, capacities
        self._evaluation, self._effort = PlainEvaluation(timeloop_version, effort), effort

    def check(self, chips: Sequence[Chip]) -> None:
        """Raise NotCoveredError where there is too much to go through, before that is begun."""
        problems = set(itertools.chain(*self._sizes))
        total = 0
        for chip in chips:
            machine = self._largest(chip)
            total += sum(EveryMapping(Places(p, machine)).tilings for p in problems)
            if total > self._effort.most_mappings:
                raise NotCoveredError(
                    f"more than {self._effort.most_mappings:,} tilings to go through"
                )

    def rows(self, chips: tuple[Chip, ...], within: Rows | None = None) -> Rows:  # noqa: ARG002 - all
        """See :class:`RowSource`; of one chip."""
        (chip,) = chips
        units = RangePrices(chips, self._capacities, leaks=True).units()
        machine = self._largest(chip)
        known: dict[Problem, RecheckedRows] = {}
        for problem in itertools.chain(*self._sizes):
            if problem not in known:
                known[problem] = self._layer(machine, units, problem)
        layers = [concatenated([known[p] for p in sizes]) for sizes in self._sizes]
        return joined(chips, units, layers)

    def _largest(self, chip: Chip) -> Architecture:
        """Return the chip with the largest sizes, for which it has no price."""
        levels = {}
        for c, capacity in enumerate(self._capacities):
            level = chip.architecture.levels[capacity.level]
            words = int(chip.sizes[c].usable_words.max())
            levels[level.name] = replace(level, size_words=words, multiple_buffering=1.0)
        return chip.architecture.with_levels(**levels)

    def _layer(
        self, machine: Architecture, units: Sequence[UnitPrice], problem: Problem
    ) -> RecheckedRows:
        capacities = self._capacities
        no = np.empty(0, np.int64)
        none = RecheckedRows([np.empty(0)] * (2 + len(units)), [no] * len(capacities), no)
        parts, total = [none], 0
        for batch in self._batches(machine, problem):
            valid, costs = self._evaluation.costs(machine, units, problem, batch)
            words = [_tile_words(problem, batch, c.level) for c in capacities]
            table = np.column_stack([column[valid] for column in (*costs, *words)])
            _, first = np.unique(table, axis=0, return_index=True)
            index = np.flatnonzero(valid)[first]
            of_no_tile = np.zeros(len(index), np.int64)
            parts.append(
                RecheckedRows([x[index] for x in costs], [x[index] for x in words], of_no_tile)
            )
            total += len(index)
            if total > MOST_ROWS:
                raise NotCoveredError(f"more than {MOST_ROWS:,} mappings of one layer")
        return concatenated(parts)

    def _batches(self, machine: Architecture, problem: Problem) -> Iterator[MappingBatch]:
        def fit(batch: MappingBatch) -> Flags:
            return self._evaluation.fits(machine, problem, batch)

        return EveryMapping(Places(problem, machine)).batches(fit)

    def points(self, chip: Chip, architecture: Architecture, within: Rows) -> RowPoints:  # noqa: ARG002 - all
        """See :class:`RowSource`."""
        return points_of(
            [
                [
                    self._evaluation.plain(architecture, problem, batch)
                    for problem in sizes
                    for batch in self._batches(architecture, problem)
                ]
                for sizes in self._sizes
            ]
        )


def _tile_words(problem: Problem, batch: MappingBatch, s: int) -> Ints:
    """Return the words ``(B,)`` that the tensors kept at a level take there."""
    inner = batch.temporal[: s + 1].astype(np.int64).prod(axis=0)
    inner *= batch.spatial[: s + 1].astype(np.int64).prod(axis=0)
    sides = 1 + np.einsum("tqd,db->tqb", problem.projection, inner - 1)
    words: Ints = (sides.prod(axis=1) * batch.keep[s]).sum(axis=0)
    return words
