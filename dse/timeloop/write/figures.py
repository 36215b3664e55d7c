"""What Timeloop's reports say beyond the model's answer, derived from it as Timeloop does."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from dse.domain.architecture import StorageLevel
from dse.domain.mapping import Mapping
from dse.model.stats import TensorStats
from dse.timeloop import pat
from dse.timeloop.evaluate import Evaluation

if TYPE_CHECKING:
    from dse.model.ingresses import Ingress


class Loop(NamedTuple):
    """One loop of a nest; ``axis`` is ``X`` or ``Y`` of a spatial one, else empty."""

    dimension: int
    end: int
    remainder: int
    axis: str


@dataclass(frozen=True)
class Bandwidth:
    """Words a cycle that a tensor takes of one instance; ``shared`` is both."""

    read: float
    write: float
    shared: float


@dataclass(frozen=True)
class ReportFigures:
    """The figures of one evaluation; levels count from the inside."""

    evaluation: Evaluation

    @property
    def operations(self) -> tuple[int, int]:
        """Multiplications and additions; the first of those to one output is none."""
        evaluation = self.evaluation
        computes = evaluation.stats.computes
        outputs = sum(
            self.outermost_words(t)
            for t, read_write in enumerate(evaluation.input.problem.read_write)
            if read_write
        )
        return computes, computes - outputs

    def outermost_words(self, t: int) -> int:
        """Words of a tensor at the outermost level that holds it."""
        spec, stats = self.evaluation.input, self.evaluation.stats
        name = spec.problem.tensors[t]
        sizes = (stats.levels[x.name].tensors[name] for x in spec.architecture.levels[::-1])
        return next((x.utilized_capacity for x in sizes if x.utilized_capacity), 0)

    def accesses(self, s: int) -> int:
        """Reads, fills and updates of all tensors and instances of a level."""
        tensors = self.evaluation.stats.levels[self._level(s).name].tensors.values()
        return sum(int(x.utilized_instances * accesses_of(x)) for x in tensors)

    def operations_per_byte(self, s: int) -> float:
        """Operations a byte that level ``s`` reads or writes; -1 where it does neither."""
        size = self._level(s).word_bits * self.accesses(s) // 8
        if not self.accesses(s):
            return -1.0
        return sum(self.operations) / size if size else math.inf

    def bandwidth(self, s: int, t: int) -> Bandwidth:
        """What tensor ``t`` takes of an instance of level ``s``, throttled."""
        evaluation = self.evaluation
        level = evaluation.stats.levels[self._level(s).name]
        tensor = level.tensors[evaluation.input.problem.tensors[t]]
        mapping = evaluation.mapping
        instances = math.prod(mapping.spatial[s + 1 :].ravel().tolist())
        share = instances / tensor.utilized_instances if tensor.utilized_instances else 1.0
        cycles = math.prod(mapping.temporal.ravel().tolist())
        weight = self.bandwidth_scale(s, t)
        read = math.ceil(tensor.reads / share) / cycles * weight
        write = math.ceil((tensor.fills + tensor.updates) / share) / cycles * weight
        return Bandwidth(
            level.slowdown * read, level.slowdown * write, level.slowdown * (read + write)
        )

    def bandwidth_scale(self, s: int, t: int) -> float:
        """What a word of tensor ``t`` weighs against the bandwidths of level ``s``."""
        scales = dict(self._level(s).bandwidth_scales)
        return scales.get(self.evaluation.input.problem.tensors[t], 1.0)

    def power_gates(self, s: int) -> tuple[float, float]:
        """Instances of level ``s`` that share a gate of their power, and their share in use."""
        level, architecture = self._level(s), self.evaluation.input.architecture
        gate = architecture.level(level.power_gated_at or level.name)
        sharing = level.instances / gate.instances
        if sharing <= 1:
            return 1.0, 1.0
        return sharing, self._used(level) / (sharing * self._used(gate))

    def _used(self, level: StorageLevel) -> float:
        tensors = self.evaluation.stats.levels[level.name].tensors.values()
        return max(1.0, *(x.utilized_instances for x in tensors))

    def vector_access(self, s: int) -> tuple[float, str]:
        """Energy of the dearest access of a level in pJ, and where it is from: PAT or ERT."""
        level = self._level(s)
        read, fill, update = (
            level.energy.read_pj,
            level.energy.fill_pj,
            level.energy.update_pj,
        )
        if read == fill == update == _built_in_pj(level):
            return read, "PAT"
        return max(read, fill, update, level.energy.leak_pj) / level.cluster_size, "ERT"

    @cached_property
    def ingresses(self) -> list[list[tuple[Ingress, ...]]]:
        """See `dse.model.ingresses.ingresses`."""
        from dse.model.ingresses import ingresses  # noqa: PLC0415 - compiled code

        spec = self.evaluation.input
        return ingresses(
            spec.architecture, spec.problem, self.evaluation.mapping, spec.timeloop_version
        )

    def _level(self, s: int) -> StorageLevel:
        return self.evaluation.input.architecture.levels[s]


def nest(mapping: Mapping, s: int) -> list[Loop]:
    """Return the loops of a level, innermost first: those in space, then those in time.

    A level without loops in time has one of one iteration, over the last dimension.
    """
    temporal, spatial = mapping.remainders
    split = int(mapping.split[s])
    spread = [
        Loop(d, int(mapping.spatial[s, d]), int(spatial[s, d]), "X" if place < split else "Y")
        for place, d in enumerate(mapping.spatial_permutation[s].tolist())
        if mapping.spatial[s, d] > 1
    ]
    timed = [
        Loop(d, int(mapping.temporal[s, d]), int(temporal[s, d]), "")
        for d in mapping.permutation[s].tolist()
        if mapping.temporal[s, d] > 1
    ]
    return spread + (timed or [Loop(mapping.temporal.shape[1] - 1, 1, 1, "")])


def accesses_of(tensor: TensorStats) -> float:
    """Reads, fills and updates of one instance."""
    return tensor.reads + tensor.fills + tensor.updates


def per_access_pj(tensor: TensorStats) -> float:
    """Energy of one access; not a number where there is none, as Timeloop writes it."""
    accesses = accesses_of(tensor)
    return tensor.energy_pj / accesses if accesses else math.nan


def mean_hops(entered: tuple[Ingress, ...]) -> float:
    """Hops of a word that enters a network."""
    words = math.fsum(x.words for x in entered)
    return math.fsum(x.hops for x in entered if x.words > 0) / words if words > 0 else 0.0


def _built_in_pj(level: StorageLevel) -> float:
    if level.is_dram:
        return pat.dram_energy_pj(level.word_bits, level.block_size)
    assert level.size_words is not None
    return pat.sram_energy_pj(
        level.size_words, level.word_bits, level.block_size, level.cluster_size
    )
