"""A memo around an evaluator: what a search asks twice is evaluated once."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import fields
from typing import Any

import numpy as np

from dse.domain.architecture import Architecture, HardwareBatch
from dse.domain.mapping import MappingBatch
from dse.domain.problem import Problem
from dse.evaluators.base import Evaluator, Index
from dse.evaluators.wrapped import WrappedEvaluator
from dse.goals.metrics import Metrics

_Key = tuple[Architecture, Problem, bytes]
_Remembered = tuple[bool, float, float, float, float]
_PRIME = np.uint64(0x9E3779B97F4A7C15)


class MemoEvaluator(WrappedEvaluator):
    """Remembers the metrics of (hardware, problem, mapping) triples.

    Worth its while where one evaluation costs more than a few microseconds (an external tool);
    the native model is faster than the look-up. Mappings are known by a 128-bit fingerprint of
    all their arrays.

    Args:
        inner: the evaluator to ask for what is not known yet.
        capacity: triples to remember; the least recently used go first.
    """

    def __init__(self, inner: Evaluator[Any], capacity: int = 1_000_000) -> None:
        super().__init__(inner)
        self.is_quick = True
        self.capacity = capacity
        self.hits = 0
        self.misses = 0
        self._known: OrderedDict[_Key, _Remembered] = OrderedDict()
        self._lock = threading.Lock()

    def evaluate_batch(
        self,
        hardware: HardwareBatch,
        problem: Problem,
        mappings: MappingBatch,
        hardware_index: Index,
    ) -> Metrics:
        """See :meth:`dse.evaluators.base.Evaluator.evaluate_batch`."""
        keys = [
            (hardware.architectures[h], problem, print_)
            for h, print_ in zip(hardware_index.tolist(), fingerprints(mappings), strict=True)
        ]
        rows, new = self._recalled(keys)
        if new:
            members = np.fromiter(new.values(), np.intp, len(new))
            fresh = super().evaluate_batch(
                hardware, problem, mappings.take(members), hardware_index[members]
            )
            columns = [getattr(fresh, f.name).tolist() for f in fields(Metrics)]
            learnt: dict[_Key, _Remembered] = dict(
                zip(new, zip(*columns, strict=True), strict=True)
            )
            self._remember(learnt)
            rows |= learnt
        valid, *numbers = zip(*(rows[key] for key in keys), strict=True)
        return Metrics(
            np.array(valid, np.bool_), *(np.array(column, np.float64) for column in numbers)
        )

    def _recalled(self, keys: list[_Key]) -> tuple[dict[_Key, _Remembered], dict[_Key, int]]:
        """Return what is known of these triples, and where the first of each unknown one is."""
        rows: dict[_Key, _Remembered] = {}
        new: dict[_Key, int] = {}
        with self._lock:
            for b, key in enumerate(keys):
                if key in self._known:
                    self._known.move_to_end(key)
                    rows[key] = self._known[key]
                else:
                    new.setdefault(key, b)
            self.misses += len(new)
            self.hits += len(keys) - len(new)
        return rows, new

    def _remember(self, rows: dict[_Key, _Remembered]) -> None:
        with self._lock:
            self._known.update(rows)
            while len(self._known) > self.capacity:
                self._known.popitem(last=False)


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
