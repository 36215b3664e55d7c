"""Hardware, mapping and problem as features: ``(B, F)`` of doubles, for any template and shape."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt

from dse.domain.architecture import HardwareBatch
from dse.domain.mapping import MappingBatch
from dse.domain.problem import Problem
from dse.errors import SpecError
from dse.evaluators.base import Index
from dse.evaluators.cycles import CyclesEvaluator, MemorySettings
from dse.evaluators.native import NativeEvaluator
from dse.goals.metrics import Metrics
from dse.learned.features import BLOCKS, DEFAULT_BLOCKS, Feature, FeatureNames, features_of
from dse.model.arrays import mapping_arrays
from dse.numeric import Flags, Floats

#: Mappings that one thread takes at a time.
_CHUNK = 4096


@dataclass(frozen=True, eq=False)
class Encoded:
    """B mappings as features.

    Attributes:
        features: ``(B, F)``; NaN where the mapping is not valid.
        valid: ``(B,)`` whether the native model, and the cycle model where it is asked, takes it.
        native: the native model's metrics.
    """

    features: Floats
    valid: Flags
    native: Metrics

    @property
    def ln_native(self) -> Floats:
        """Natural logarithm of the native cycles, ``(B,)``."""
        result: Floats = np.log(self.native.cycles)
        return result


@dataclass(frozen=True)
class Encoding:
    """Turns mappings into features.

    The features of a mapping depend on it alone, to the last bit, however a batch is split and for
    any number of threads; and not on what changes nothing: where a loop of one iteration stands.

    Attributes:
        structure: names of levels, dimensions, coefficients and tensors.
        blocks: of features, in order; names of :data:`dse.learned.features.BLOCKS`.
        timeloop_version: of the native model.
        memory: of the block ``cycles``.

    Raises:
        SpecError: a block is unknown or stands twice.
    """

    structure: FeatureNames
    blocks: tuple[str, ...] = DEFAULT_BLOCKS
    timeloop_version: str = "4cf6d4c"
    memory: MemorySettings = field(default_factory=MemorySettings)

    def __post_init__(self) -> None:
        _ = self.features

    @cached_property
    def features(self) -> tuple[Feature, ...]:
        """The columns, in order."""
        return features_of(self.structure, self.blocks)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Names of the columns."""
        return tuple(feature.name for feature in self.features)

    @cached_property
    def place(self) -> dict[str, int]:
        """Column of each name."""
        return {name: i for i, name in enumerate(self.names)}

    def describe(self) -> str:
        """Return a table of the features as text: name, unit, transform, meaning."""
        rows = [("feature", "unit of x", "transform", "x")]
        rows += [(f.name, f.unit, f.transform, f.meaning) for f in self.features]
        widths = [max(len(row[i]) for row in rows) for i in range(3)]
        return "".join(
            "  ".join([*(x.ljust(w) for x, w in zip(row, widths, strict=False)), row[3]]) + "\n"
            for row in rows
        )

    def encode(
        self,
        hardware: HardwareBatch,
        problem: Problem,
        mappings: MappingBatch,
        hardware_index: Index,
        n_jobs: int = 1,
    ) -> Encoded:
        """Return the features of B mappings of one problem.

        Args:
            hardware: H architectures.
            problem: of all mappings.
            mappings: B mappings.
            hardware_index: ``(B,)`` which of the H architectures each runs on.
            n_jobs: threads; the result does not depend on it.

        Raises:
            SpecError: levels or names that the encoding does not know, or what the model behind a
                block refuses.
        """
        self.structure.check(hardware.level_names, problem)
        count = len(mappings)
        out = np.zeros((count, len(self.features)))
        native = (
            NativeEvaluator(self.timeloop_version, n_jobs).evaluate_batch(
                hardware, problem, mappings, hardware_index
            )
            if count
            else Metrics.rejected(0)
        )
        batch = _Batch(self, hardware, problem, mappings, hardware_index, native, n_jobs, out)
        valid = native.valid.copy()
        for block in self.blocks:
            if count:
                valid &= _WRITERS[block](batch)
        out[~valid] = np.nan
        return Encoded(out, valid, native)

    def columns(self, *parts: Sequence[str]) -> npt.NDArray[np.int64]:
        """Return the columns of ``block.item`` with every combination of names, one axis each."""
        (stem,), *names = parts
        shape = tuple(len(some) for some in names)
        found = np.empty(shape, np.int64)
        for place in np.ndindex(shape):
            found[place] = self.place[
                ".".join([stem, *(some[i] for some, i in zip(names, place, strict=True))])
            ]
        return found


@dataclass(frozen=True, eq=False)
class _Batch:
    """What the writers of blocks are given."""

    encoding: Encoding
    hardware: HardwareBatch
    problem: Problem
    mappings: MappingBatch
    index: Index
    native: Metrics
    n_jobs: int
    out: Floats

    def set(self, name: str, values: Floats | float) -> None:
        """Write one column."""
        self.out[:, self.encoding.place[name]] = values

    def set_block(self, block: str, values: Floats) -> None:
        """Write all columns of a block, one row for all mappings or one for each."""
        columns = [i for i, name in enumerate(self.encoding.names) if name.startswith(f"{block}.")]
        self.out[:, columns[0] : columns[-1] + 1] = values

    def each(self, write: Callable[[int, int], None]) -> None:
        """Write all rows, in chunks that threads share."""
        starts = range(0, len(self.mappings), _CHUNK)
        chunks = [(at, min(at + _CHUNK, len(self.mappings))) for at in starts]
        if self.n_jobs > 1 and len(chunks) > 1:
            with ThreadPoolExecutor(self.n_jobs) as pool:
                list(pool.map(lambda chunk: write(*chunk), chunks))
        else:
            for chunk in chunks:
                write(*chunk)

    def columns(self, stem: str, *axes: str) -> npt.NDArray[np.int64]:
        """Return a feature's columns by level (``l``), dimension (``d``) and tensor (``t``)."""
        names = {
            "l": self.encoding.structure.levels,
            "d": self.problem.dimensions,
            "t": self.problem.tensors,
        }
        return self.encoding.columns((stem,), *(names[axis] for axis in axes))


def _hardware(batch: _Batch) -> Flags:
    arrays = batch.hardware.arrays
    machines = batch.hardware.architectures
    per_level = [
        np.log2(1.0 + np.maximum(arrays.size_words, 0) / arrays.multiple_buffering),
        1.0 / arrays.read_bandwidth,
        1.0 / arrays.write_bandwidth,
        1.0 / arrays.shared_bandwidth,
        np.log2(arrays.instances),
        np.log2(arrays.mesh_x),
        np.log2([[x.word_bits for x in a.levels] for a in machines]).T,
    ]
    macs = np.log2([(c.instances, c.mesh_x, c.word_bits) for c in (a.compute for a in machines)])
    # (H, L, 7), level by level, then the MACs
    of_levels = np.stack(per_level, axis=-1).transpose(1, 0, 2).reshape(len(machines), -1)
    batch.set_block("hardware", np.hstack([of_levels, macs])[batch.index])
    return batch.native.valid


def _problem(batch: _Batch) -> Flags:
    problem, structure = batch.problem, batch.encoding.structure
    words = {name: problem.tensor_size(t) for t, name in enumerate(problem.tensors)}
    row = [
        *(np.log2(problem.bounds.get(name, 1)) for name in structure.dimensions),
        *(np.log2(1 + abs(problem.coefficients.get(name, 0))) for name in structure.coefficients),
        np.log2(problem.macs),
        *(np.log2(words.get(name, 1)) for name in structure.tensors),
    ]
    batch.set_block("problem", np.array(row))
    return batch.native.valid


def _mapping(batch: _Batch) -> Flags:
    from dse.learned.kernel import MappingColumns, write_mapping  # noqa: PLC0415 - compiled

    at = MappingColumns(
        temporal=batch.columns("mapping.temporal", "l", "d"),
        spatial=batch.columns("mapping.spatial", "l", "d"),
        inside=batch.columns("mapping.inside", "l", "d"),
        fanout_x=batch.columns("mapping.fanout_x", "l"),
        fanout_y=batch.columns("mapping.fanout_y", "l"),
        keep=batch.columns("mapping.keep", "l", "t"),
    )
    arrays = mapping_arrays(batch.mappings)
    batch.each(lambda start, stop: write_mapping(arrays, at, start, stop, batch.out))
    return batch.native.valid


def _native(batch: _Batch) -> Flags:
    from dse.learned.kernel import NativeColumns, write_native  # noqa: PLC0415 - compiled

    native, problem = batch.native, batch.problem
    batch.set("native.cycles", np.log2(native.cycles))
    batch.set("native.utilization", np.log2(native.utilization))
    at = NativeColumns(
        tile=batch.columns("native.tile", "l", "t"),
        fills=batch.columns("native.fills", "l", "t"),
        reads=batch.columns("native.reads", "l", "t"),
        used=batch.columns("native.used", "l"),
        busy=batch.columns("native.busy", "l"),
        iterations=batch.encoding.place["native.iterations"],
    )
    arrays, moves = mapping_arrays(batch.mappings), (problem.projection != 0).any(axis=1)
    machines = batch.hardware.arrays

    def write(start: int, stop: int) -> None:
        extent = np.empty((len(arrays.temporal) + 1, len(problem.dimensions)))
        write_native(
            *(arrays, problem.projection, moves, machines, batch.index, at, extent),
            *(start, stop, batch.out),
        )

    batch.each(write)
    return native.valid


def _energy(batch: _Batch) -> Flags:
    batch.set("energy.total", np.log2(1.0 + batch.native.energy_pj))
    return batch.native.valid


def _cycles(batch: _Batch) -> Flags:
    encoding = batch.encoding
    model = CyclesEvaluator(encoding.timeloop_version, batch.n_jobs, encoding.memory)
    found = model.evaluate_batch(batch.hardware, batch.problem, batch.mappings, batch.index)
    batch.set("cycles.total", np.log2(found.cycles))
    return found.valid


def _firesim(batch: _Batch) -> Flags:
    from dse.cycles import firesim  # noqa: PLC0415 - compiled

    def cycles(b: int) -> float:
        return firesim.cycles(firesim.lower(batch.problem, batch.mappings, b))

    valid = batch.native.valid
    found = [cycles(b) if valid[b] else np.nan for b in range(len(valid))]
    batch.set("firesim.total", np.log2(found))
    return valid


def _raw(batch: _Batch) -> Flags:
    from dse.learned.kernel import RawColumns, write_raw  # noqa: PLC0415 - compiled

    for name, values in raw_hardware(batch.hardware).items():
        batch.set(name, values[batch.index])
    for name, value in {**batch.problem.bounds, **batch.problem.coefficients}.items():
        batch.set(f"raw.{name}", float(value))
    at = RawColumns(
        spatial=batch.columns("raw.spatial", "l", "d"),
        temporal=batch.columns("raw.temporal", "l", "d"),
        place=batch.columns("raw.place", "l", "d"),
    )
    mappings = mapping_arrays(batch.mappings)
    batch.each(lambda start, stop: write_raw(mappings, at, start, stop, batch.out))
    return batch.native.valid


def raw_hardware(hardware: HardwareBatch) -> dict[str, Floats]:
    """Return the columns of the block ``raw`` that are of the hardware, ``(H,)`` each."""
    arrays = hardware.arrays
    bits = np.array([[x.word_bits for x in a.levels] for a in hardware.architectures]).T
    words = np.where(arrays.size_words > 1, arrays.size_words, 0) * arrays.instances
    kilobytes = dict(zip(hardware.level_names, words * bits / 8192.0, strict=True))
    return {
        "raw.pe_dim": arrays.mac_mesh_x.astype(np.float64),
        **{f"raw.kilobytes.{level}": values for level, values in kilobytes.items()},
    }


_WRITERS: dict[str, Callable[[_Batch], Flags]] = {
    "hardware": _hardware,
    "problem": _problem,
    "mapping": _mapping,
    "native": _native,
    "energy": _energy,
    "cycles": _cycles,
    "firesim": _firesim,
    "raw": _raw,
}


def blocks_of(given: str, default: tuple[str, ...] = DEFAULT_BLOCKS) -> tuple[str, ...]:
    """Return the blocks that ``features=`` names: ``a,b``, or ``+c`` beside the default ones.

    Raises:
        SpecError: one is unknown or stands twice.
    """
    words = [word.strip() for word in given.replace("+", ",+").split(",") if word.strip()]
    added = [word.startswith("+") for word in words]
    if not words:
        return default
    if any(added) != all(added):
        raise SpecError(f"features = {given!r}: expected BLOCK,BLOCK or +BLOCK+BLOCK")
    names = tuple(word.removeprefix("+") for word in words)
    blocks = (*default, *names) if all(added) else names
    for name in blocks:
        if name not in BLOCKS or blocks.count(name) > 1:
            raise SpecError(
                f"features = {given!r}: expected different blocks among {', '.join(BLOCKS)}"
            )
    return blocks
