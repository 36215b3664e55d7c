"""A memo around an evaluator: what a search asks twice is evaluated once."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import fields

import numpy as np
import numpy.typing as npt

from dse.domain.architecture import Architecture, HardwareBatch
from dse.domain.mapping import MappingBatch
from dse.domain.problem import Problem
from dse.evaluators.base import Evaluator, hardware_index_of
from dse.goals.metrics import Metrics, Violation

_Remembered = tuple[bool, float, float, float, float]
_PRIME = np.uint64(0x9E3779B97F4A7C15)


class MemoEvaluator(Evaluator):
    """Remembers the metrics of (hardware, problem, mapping) triples.

    Worth its while where one evaluation costs more than a few microseconds (an external tool);
    the native model is faster than the look-up. Mappings are known by a 128-bit fingerprint of
    all their arrays.

    Args:
        evaluator: the evaluator to ask for what is not known yet.
        capacity: triples to remember; the least recently used go first.
    """

    def __init__(self, evaluator: Evaluator, capacity: int = 1_000_000) -> None:
        self.evaluator = evaluator
        self.capacity = capacity
        self.hits = 0
        self.misses = 0
        self._known: OrderedDict[tuple[Architecture, Problem, bytes], _Remembered] = OrderedDict()

    def evaluate(
        self,
        hardware: Architecture | Sequence[Architecture] | HardwareBatch,
        problem: Problem,
        mappings: MappingBatch,
        hardware_index: npt.NDArray[np.int32] | None = None,
    ) -> Metrics:
        """See :meth:`dse.evaluators.base.Evaluator.evaluate`."""
        machines = HardwareBatch.of(hardware)
        index = hardware_index_of(machines, mappings, hardware_index)
        keys = [
            (machines.architectures[h], problem, print_)
            for h, print_ in zip(index.tolist(), fingerprints(mappings), strict=True)
        ]
        new: dict[tuple[Architecture, Problem, bytes], int] = {}
        for b, key in enumerate(keys):
            if key not in self._known:
                new.setdefault(key, b)
        self.misses += len(new)
        self.hits += len(keys) - len(new)
        rows: dict[tuple[Architecture, Problem, bytes], _Remembered] = {}
        if new:
            members = np.fromiter(new.values(), np.intp, len(new))
            fresh = self.evaluator.evaluate(
                machines, problem, mappings.take(members), index[members]
            )
            columns = [getattr(fresh, f.name).tolist() for f in fields(Metrics)]
            rows = dict(zip(new, zip(*columns, strict=True), strict=True))
        answers = [rows[key] if key in rows else self._recall(key) for key in keys]
        self._remember(rows)
        return _metrics(answers)

    def explain(
        self, hardware: Architecture, problem: Problem, mappings: MappingBatch, index: int
    ) -> Violation | None:
        """See :meth:`dse.evaluators.base.Evaluator.explain`."""
        return self.evaluator.explain(hardware, problem, mappings, index)

    def _recall(self, key: tuple[Architecture, Problem, bytes]) -> _Remembered:
        self._known.move_to_end(key)
        return self._known[key]

    def _remember(self, rows: dict[tuple[Architecture, Problem, bytes], _Remembered]) -> None:
        self._known.update(rows)
        while len(self._known) > self.capacity:
            self._known.popitem(last=False)


def _metrics(rows: list[_Remembered]) -> Metrics:
    valid, *numbers = zip(*rows, strict=True) if rows else ((), (), (), (), ())
    return Metrics(np.array(valid, np.bool_), *(np.array(column, np.float64) for column in numbers))


def fingerprints(mappings: MappingBatch) -> list[bytes]:
    """Return a 128-bit fingerprint of each mapping (equal mappings have equal ones)."""
    count = len(mappings)
    hashes = np.zeros((count, 2), np.uint64)
    for position, f in enumerate(fields(MappingBatch)):
        array = getattr(mappings, f.name)
        rows = array.reshape(-1, array.shape[-1]).astype(np.uint64)
        for row in rows:
            for half in range(2):
                mixed = (row + np.uint64(position + 1)) * (_PRIME + np.uint64(2 * half))
                column = hashes[:, half]
                column ^= mixed
                column *= np.uint64(0xBF58476D1CE4E5B9 + 2 * half)
                column ^= column >> np.uint64(29)
    return [row.tobytes() for row in hashes]
