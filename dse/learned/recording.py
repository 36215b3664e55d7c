"""An evaluator that leaves its answers as rows, which predictors train on."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

from dse.domain.architecture import HardwareBatch
from dse.domain.mapping import MappingBatch
from dse.domain.problem import Problem
from dse.evaluators.base import Evaluator, Index
from dse.evaluators.wrapped import WrappedEvaluator
from dse.goals.metrics import Metrics
from dse.learned.recorded import ROWS, RowsWriter
from dse.study.journal import extent


class RecordingEvaluator(WrappedEvaluator):
    """Appends every valid answer of another evaluator to a run folder's ``rows.jsonl``.

    Rows stand in the order of the answers, which depends on threads. A run that is resumed goes on
    after the rows that are there; what it evaluates again is written again. Mappings of imperfect
    factors have no row.
    """

    def __init__(self, inner: Evaluator[Any], folder: Path, source: str) -> None:
        """Open the file.

        Args:
            inner: whose answers they are.
            folder: of the run.
            source: the evaluator's name.

        Raises:
            SpecError: the file's lines are not those that were written.
            DseError: another process is writing to it.
        """
        super().__init__(inner)
        path = folder / ROWS
        size_bytes, crc = extent(path)
        self._rows = RowsWriter(path, inner.timeloop_version, size_bytes=size_bytes, crc=crc)
        self._source = source
        self._lock = threading.Lock()

    def evaluate_batch(
        self,
        hardware: HardwareBatch,
        problem: Problem,
        mappings: MappingBatch,
        hardware_index: Index,
    ) -> Metrics:
        """See :meth:`dse.evaluators.base.Evaluator.evaluate_batch`."""
        metrics = super().evaluate_batch(hardware, problem, mappings, hardware_index)
        with self._lock:
            for b in metrics.valid.nonzero()[0].tolist():
                mapping = mappings[b]
                if mapping.is_perfect:
                    architecture = hardware.architectures[hardware_index[b]]
                    cycles = float(metrics.cycles[b])
                    self._rows.add(architecture, problem, mapping, cycles, source=self._source)
        return metrics

    def close(self) -> None:
        """See :meth:`dse.evaluators.base.Evaluator.close`; the file is closed, too."""
        super().close()
        self._rows.close()
