"""The back end of true cycles: the native model's energies, and cycles of our own accelerator."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from dse.cycles.hardware import Cache, Machine, Memory
from dse.cycles.lower import lower
from dse.domain.architecture import Architecture, HardwareBatch
from dse.domain.mapping import Mapping, MappingBatch
from dse.domain.problem import Problem
from dse.errors import InvalidMapping, SpecError
from dse.evaluators.base import Evaluator, Index
from dse.evaluators.native import NativeEvaluator
from dse.goals.metrics import Metrics, Violation
from dse.settings import setting

if TYPE_CHECKING:
    from dse.cycles.job import Job
    from dse.cycles.model import Cycles


@dataclass(frozen=True)
class MemorySettings:
    """Timing of the memory that an accelerator is attached to, and of a cache before it."""

    latency_cycles: int = setting(100, "cycles from a burst's request to its first byte")
    bytes_per_cycle: int | None = setting(
        None, "bytes a cycle, a power of two; null: the DRAM's bandwidth"
    )
    in_flight: int = setting(16, "bursts that may be under way at a time")
    burst_bytes: int = setting(64, "bytes of the largest burst, a power of two")
    cache_kb: int = setting(0, "kilobytes of a last-level cache, a power of two; 0: none")
    cache_latency_cycles: int = setting(20, "latency_cycles of what is in the cache")
    cache_line_bytes: int | None = setting(
        None, "bytes of its lines, a power of two; null: burst_bytes"
    )


def machine_of(architecture: Architecture, settings: MemorySettings) -> Machine:
    """Return the accelerator that an architecture describes, with its memory.

    Raises:
        SpecError: the architecture has not the roles of the template ``gemmini``, or something is
            out of range.
    """
    width = settings.bytes_per_cycle
    if width is None:
        dram = architecture.levels[-1]
        width = _whole_bytes(architecture.name, dram.name, dram.shared_bandwidth, dram.word_bits)
    largest = settings.burst_bytes
    line = largest if settings.cache_line_bytes is None else settings.cache_line_bytes
    cache = (
        None
        if settings.cache_kb == 0
        else Cache(settings.cache_kb, settings.cache_latency_cycles, line)
    )
    memory = Memory(settings.latency_cycles, width, settings.in_flight, largest, cache)
    return Machine.of(architecture, memory)


def _whole_bytes(arch: str, level: str, words_per_cycle: float, word_bits: int) -> int:
    width = words_per_cycle * word_bits / 8
    if not (np.isfinite(width) and width == int(width)):
        raise SpecError(
            f"architecture '{arch}': shared_bandwidth of '{level}' is {width:g} bytes a cycle, "
            "expected a power of two; evaluator.bytes_per_cycle gives another"
        )
    return int(width)


def job_of_mapping(
    architecture: Architecture, problem: Problem, mapping: Mapping, settings: MemorySettings
) -> Job:
    """Return the job of a mapping; raises as `machine_of` and `dse.cycles.lower.lower` do."""
    return lower(problem, mapping, machine_of(architecture, settings))


class CyclesEvaluator(Evaluator[MemorySettings]):
    """Evaluates with the native model, and replaces its cycles by those of our own RTL.

    The cycles are the cycle model's, which equal the RTL's to the cycle. What the native model
    rejects is rejected, and so is a mapping whose tiles the accelerator has no room for.
    """

    settings_type = MemorySettings

    def evaluate_batch(
        self,
        hardware: HardwareBatch,
        problem: Problem,
        mappings: MappingBatch,
        hardware_index: Index,
    ) -> Metrics:
        """See :meth:`dse.evaluators.base.Evaluator.evaluate_batch`."""
        from dse.cycles.model import cycles  # noqa: PLC0415 - compiled code

        used = np.unique(hardware_index).tolist()
        machines = {h: machine_of(hardware.architectures[h], self.settings) for h in used}
        native = self._native.evaluate_batch(hardware, problem, mappings, hardware_index)

        def count(b: int) -> float:
            if not native.valid[b]:
                return float("nan")
            try:
                job = lower(problem, mappings[b], machines[int(hardware_index[b])])
            except InvalidMapping:
                return float("nan")
            return float(cycles(job).total)

        return with_cycles(native, np.array(self._each(count, len(mappings)), np.float64))

    def cycles(self, architecture: Architecture, problem: Problem, mapping: Mapping) -> Cycles:
        """Return the cycles of one mapping, and where they go.

        Raises:
            SpecError: the architecture, problem or mapping is none that the accelerator is for.
            InvalidMapping: a tile has no room.
        """
        from dse.cycles.model import cycles  # noqa: PLC0415 - compiled code

        return cycles(job_of_mapping(architecture, problem, mapping, self.settings))

    def explain_one(
        self, architecture: Architecture, problem: Problem, mapping: Mapping
    ) -> Violation | None:
        """See :meth:`dse.evaluators.base.Evaluator.explain_one`."""
        rejected = self._native.explain_one(architecture, problem, mapping)
        if rejected is not None:
            return rejected
        try:
            job_of_mapping(architecture, problem, mapping, self.settings)
        except InvalidMapping as error:
            return no_room(error)
        return None

    @property
    def _native(self) -> NativeEvaluator:
        return NativeEvaluator(self.timeloop_version, self.n_jobs)

    def _each(self, work: Callable[[int], float], count: int) -> list[float]:
        if self.n_jobs == 1 or count == 1:
            return [work(b) for b in range(count)]
        with ThreadPoolExecutor(min(self.n_jobs, count)) as pool:
            return list(pool.map(work, range(count)))


def with_cycles(native: Metrics, cycles: np.ndarray[tuple[int], np.dtype[np.float64]]) -> Metrics:
    """Return metrics with other cycles, ``(B,)``; where they are NaN, the mapping is rejected."""
    valid = native.valid & ~np.isnan(cycles)
    kept = [np.where(valid, x, np.nan) for x in (native.energy_pj, native.area_um2)]
    return replace(
        native,
        valid=valid,
        cycles=np.where(valid, cycles, np.nan),
        energy_pj=kept[0],
        area_um2=kept[1],
        utilization=np.where(valid, native.utilization * native.cycles / cycles, np.nan),
    )


def no_room(error: InvalidMapping) -> Violation:
    """Return why the accelerator has no room for a mapping."""
    nan = float("nan")
    return Violation("", "capacity", nan, nan, "", str(error))
