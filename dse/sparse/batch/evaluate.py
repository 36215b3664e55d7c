"""Evaluation of batches of mappings of one sparse design."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from queue import Empty, SimpleQueue

import numpy as np

from dse.domain.architecture import Architecture
from dse.domain.mapping import MappingBatch
from dse.domain.problem import Problem
from dse.domain.sparse import SparseDesign
from dse.errors import InvalidMapping, SpecError
from dse.model import arrays as a
from dse.model.batch import keep_patterns
from dse.sparse.batch.dense import DenseCounts
from dse.sparse.batch.fit import fitting
from dse.sparse.batch.kernel import evaluate_range
from dse.sparse.batch.lanes import SparseLanes, new_lanes
from dse.sparse.batch.memory import Memo, SparseWork, grown, new_memo, new_work
from dse.sparse.batch.plan import SparsePlan, make_plan, why_singly
from dse.sparse.evaluate import check_version, evaluate_sparse

#: Above this, counts might not be exact in float64.
_EXACT_IN_FLOAT = 2.0**48
#: Mappings per task: at most, and at least where threads share them.
_CHUNK, _SMALL_CHUNK = 8192, 1024


class SparseModel:
    """The model of one sparse design, for many mappings.

    What was worked out of tiles is kept from call to call. Threads may ask it at once.

    Attributes:
        singly: what of the design is modelled one mapping at a time, hundreds of times slower;
            None: nothing.
    """

    def __init__(
        self,
        architecture: Architecture,
        problem: Problem,
        design: SparseDesign,
        timeloop_version: str = "4cf6d4c",
    ) -> None:
        """Prepare what does not depend on the mapping.

        Args:
            architecture: the hardware.
            problem: the workload.
            design: what is sparse.
            timeloop_version: 4cf6d4c or 3.0.3.

        Raises:
            SpecError: the version is another one, or a density is not defined for its tensor.
        """
        version = check_version(timeloop_version)
        self._parts = (architecture, problem, design)
        self._version = timeloop_version
        self.singly = why_singly(architecture, problem, design)
        if self.singly is None and a.magnitude(problem) >= _EXACT_IN_FLOAT:
            self.singly = "a problem of that size"
        if self.singly is None:
            self._plan: SparsePlan = make_plan(architecture, problem, design, version)
            self._dense = DenseCounts(architecture, problem, version)
            self._memories: SimpleQueue[_ThreadMemory] = SimpleQueue()

    def evaluate(self, mappings: MappingBatch, threads: int = 1) -> a.Totals:
        """Evaluate B mappings.

        Args:
            mappings: with the levels, dimensions and tensors of the design.
            threads: workers; the result does not depend on it.

        Returns:
            Totals, arrays ``(B,)``; those that Timeloop rejects, or of which it has no answer that
            makes sense, are not valid.
        """
        totals = a.new_totals(len(mappings))
        if self.singly is not None:
            self._one_by_one(mappings, totals)
            return totals

        chunk = min(_CHUNK, max(_SMALL_CHUNK, -(-len(mappings) // threads)))

        def work(start: int) -> None:
            stop = min(start + chunk, len(mappings))
            part = self._evaluate(mappings.window(start, stop))
            for to, piece in zip(totals, part, strict=True):
                to[start:stop] = piece

        starts = range(0, len(mappings), chunk)
        if threads > 1 and len(starts) > 1:
            with ThreadPoolExecutor(threads) as pool:
                list(pool.map(work, starts))
        else:
            for start in starts:
                work(start)
        return totals

    def _evaluate(self, mappings: MappingBatch) -> a.Totals:
        whole = a.new_totals(len(mappings))
        with self._memory() as memory:
            fits = fitting(memory.work, self._plan, self._parts[1], mappings)
            places = np.flatnonzero(fits)
            if not len(places):
                return whole
            mixed = mappings.keep.shape[2] > 1
            if mixed:  # those that keep the same go abreast
                keys = keep_patterns(mappings.keep[:, :, places])
                places = places[np.argsort(keys, kind="stable")]
            rest = mappings.take(places) if mixed or len(places) < len(mappings) else mappings
            counts, network_pj = self._dense(rest)
            totals, done = a.new_totals(len(rest)), 0
            arrays, macs = a.mapping_arrays(rest), float(self._parts[1].macs)
            while True:
                done = evaluate_range(
                    memory.work, memory.memo, memory.lanes, self._plan, arrays, done, len(rest),
                    counts, network_pj, macs, totals,
                )  # fmt: skip
                if done == len(rest):
                    break
                memory.memo = grown(memory.memo)
        for to, piece in zip(whole, totals, strict=True):
            to[places] = piece
        return whole

    @contextmanager
    def _memory(self) -> Iterator[_ThreadMemory]:
        """Lend memory that no other thread uses."""
        try:
            memory = self._memories.get_nowait()
        except Empty:
            memory = _ThreadMemory(self._plan)
        try:
            yield memory
        finally:
            self._memories.put(memory)

    def _one_by_one(self, mappings: MappingBatch, totals: a.Totals) -> None:
        architecture, problem, design = self._parts
        for b in range(len(mappings)):
            try:
                stats = evaluate_sparse(architecture, problem, mappings[b], design, self._version)
            except (InvalidMapping, SpecError):
                continue
            totals.valid[b] = True
            totals.cycles[b] = stats.cycles
            totals.energy_pj[b] = stats.energy_pj
            totals.utilization[b] = stats.utilization


class _ThreadMemory:
    """Of one thread at a time."""

    def __init__(self, plan: SparsePlan) -> None:
        self.work: SparseWork = new_work(plan)
        self.memo: Memo = new_memo()
        self.lanes: SparseLanes = new_lanes(plan)
