"""The back end of recorded answers: cycles that stand in rows, energies of the native model."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, fields
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import numpy as np

from dse.domain.architecture import Architecture, HardwareBatch
from dse.domain.attribute import declared, is_price
from dse.domain.mapping import Mapping, MappingBatch
from dse.domain.problem import Problem
from dse.errors import SpecError
from dse.evaluators.base import Evaluator, Index
from dse.evaluators.cycles import with_cycles
from dse.evaluators.native import NativeEvaluator
from dse.goals.metrics import Metrics, Violation
from dse.learned.data import read_data
from dse.learned.rows import RecordedRows
from dse.mapspace.canonical import canonical_keys
from dse.plugins import plugin
from dse.settings import setting

#: Attributes that are there for prices.
_FOR_PRICES = ("ports", "banks", "wires")


@dataclass(frozen=True)
class RecordedSettings:
    """Settings of the recorded back end."""

    data: str = setting(
        "",
        "recorded rows: rows.jsonl, the folder of a run with record=true, or DOSA's CSV; needed",
        contents=True,
    )
    used_arrays: bool = setting(
        False, "of DOSA's rows: the hardware is the array that ran them, not the one they name"
    )
    otherwise: str | None = setting(
        None,
        "evaluator that is asked where there is no row, with its default settings; null: such "
        "mappings are rejected",
    )


class _Question(NamedTuple):
    """What cycles depend on, but for the mapping."""

    hardware: Hashable
    problem: Problem


class RecordedEvaluator(Evaluator[RecordedSettings]):
    """Looks cycles up in recorded rows; what has none is rejected, or asked of another evaluator.

    A row answers for hardware of the same attributes, whatever its prices, for its problem, and for
    mappings of the same loops: where a loop of one iteration stands does not matter. Of rows that
    answer the same question, the median counts. Energies and verdicts are the native model's.
    """

    settings_type = RecordedSettings

    def __init__(
        self,
        timeloop_version: str = "4cf6d4c",
        n_jobs: int = 1,
        settings: RecordedSettings | None = None,
    ) -> None:
        """Read the rows.

        Raises:
            SpecError: there are none, or as `Evaluator` and `read_data` do.
            ToolError: the other evaluator's tool is missing.
        """
        super().__init__(timeloop_version, n_jobs, settings)
        given = self.settings
        if not given.data:
            raise SpecError(
                "evaluator.data: expected recorded rows; a run with record=true leaves them"
            )
        self.rows = read_data(Path(given.data), used_arrays=given.used_arrays)
        self._known = _answers(self.rows)
        self._other = self._otherwise(given.otherwise)

    def _otherwise(self, name: str | None) -> Evaluator[Any] | None:
        if name is None:
            return None
        if name == "recorded":
            raise SpecError("evaluator.otherwise = recorded: expected another evaluator")
        made: Evaluator[Any] = plugin("evaluator", name).factory(
            timeloop_version=self.timeloop_version, n_jobs=self.n_jobs
        )
        return made

    def evaluate_batch(
        self,
        hardware: HardwareBatch,
        problem: Problem,
        mappings: MappingBatch,
        hardware_index: Index,
    ) -> Metrics:
        """See :meth:`dse.evaluators.base.Evaluator.evaluate_batch`."""
        native = self._native.evaluate_batch(hardware, problem, mappings, hardware_index)
        answers = [
            self._known.get(_Question(_without_prices(a), problem), {})
            for a in hardware.architectures
        ]
        keys = _keys(mappings)
        cycles = np.array(
            [answers[h].get(keys[b], np.nan) for b, h in enumerate(hardware_index)], np.float64
        )
        found = with_cycles(native, cycles)
        unknown = np.flatnonzero(native.valid & np.isnan(cycles))
        if self._other is None or not len(unknown):
            return found
        asked = self._other.evaluate(
            hardware, problem, mappings.take(unknown), hardware_index[unknown]
        )
        return _with_rows(found, unknown, asked)

    def explain_one(
        self, architecture: Architecture, problem: Problem, mapping: Mapping
    ) -> Violation | None:
        """See :meth:`dse.evaluators.base.Evaluator.explain_one`."""
        rejected = self._native.explain_one(architecture, problem, mapping)
        batch = MappingBatch.of([mapping])
        if rejected is not None or self.evaluate(architecture, problem, batch).valid[0]:
            return rejected
        if self._other is not None:
            return self._other.explain(architecture, problem, batch, 0)
        nan, source = float("nan"), self.rows.source
        return Violation("", "recorded row", nan, nan, "", f"{source} has no row of this mapping")

    def close(self) -> None:
        """See :meth:`dse.evaluators.base.Evaluator.close`."""
        if self._other is not None:
            self._other.close()

    @property
    def _native(self) -> NativeEvaluator:
        return NativeEvaluator(self.timeloop_version, self.n_jobs)


def _answers(rows: RecordedRows) -> dict[_Question, dict[bytes, float]]:
    """Return the recorded cycles by question and mapping."""
    all_of: dict[_Question, dict[bytes, list[float]]] = {}
    for group in rows.groups:
        machines = [_without_prices(a) for a in group.hardware.architectures]
        keys = _keys(group.mappings)
        for b, (h, row) in enumerate(zip(group.index.tolist(), group.at.tolist(), strict=True)):
            of = all_of.setdefault(_Question(machines[h], group.problem), {})
            of.setdefault(keys[b], []).append(float(rows.cycles[row]))
    return {
        question: {key: median(cycles) for key, cycles in of.items()}
        for question, of in all_of.items()
    }


def _without_prices(architecture: Architecture) -> Hashable:
    """Return what is declared of hardware, but for its name and prices."""

    def attributes(part: object) -> tuple[Any, ...]:
        names = [x.name for x in declared(part) if not is_price(x)]
        return tuple(getattr(part, name) for name in names if name not in _FOR_PRICES)

    levels = tuple((x.name, *attributes(x), *attributes(x.network)) for x in architecture.levels)
    return levels, attributes(architecture.compute)


def _keys(mappings: MappingBatch) -> list[bytes]:
    """Return a key for each mapping, of its loops and of what else it says."""
    count = len(mappings)
    others = (mappings.no_temporal_reuse, mappings.no_multicast, mappings.no_link_transfer)
    flags = np.concatenate(
        [np.broadcast_to(x, (*x.shape[:2], count)).reshape(-1, count) for x in others]
    )
    packed = np.ascontiguousarray(np.packbits(flags, axis=0).T)
    pairs = zip(canonical_keys(mappings), packed, strict=True)
    return [loops + rest.tobytes() for loops, rest in pairs]


def _with_rows(metrics: Metrics, at: np.ndarray, others: Metrics) -> Metrics:
    """Return metrics with those of some mappings replaced."""
    columns = []
    for f in fields(Metrics):
        column = getattr(metrics, f.name).copy()
        column[at] = getattr(others, f.name)
        columns.append(column)
    return Metrics(*columns)
