"""The table of a layer in any space that is small enough to be gone through mapping by mapping."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from dse.cosearch.frames import Frame, HardwareSpace
from dse.cosearch.layer_table import LayerRows, LayerTable
from dse.cosearch.sizes import FILL, LEAK, READ, UPDATE, UnsolvableSpace
from dse.domain.architecture import HardwareBatch
from dse.domain.mapping import Mapping, MappingBatch
from dse.domain.problem import Problem
from dse.mapspace.cache import MapspaceCache
from dse.mapspace.enumeration import LARGEST, enumerate_valid, tilings
from dse.model import arrays as a
from dse.model import rules
from dse.model.evaluate import evaluate_exact
from dse.numeric import Ints

_CHUNK = 8192
#: Kinds of accesses and the rows of the model's details that count them.
_COUNTS = ((READ, a.READS), (FILL, a.FILLS), (UPDATE, a.UPDATES))


class EnumeratedTable(LayerTable):
    """See :class:`~dse.cosearch.layer_table.LayerTable`: every mapping, counted by the exact model.

    Args:
        problems: the layer's, or all that it may be padded to.
        hardware: the space.
        version: of Timeloop, as the kernels number it.
        limit: mappings of the layer in a frame, above which it gives up.

    Raises:
        UnsolvableSpace: the frame of the most PEs has more. They are counted there before any is
            priced, which takes a hundred times as long.
    """

    def __init__(
        self, problems: Sequence[Problem], hardware: HardwareSpace, version: int, limit: int
    ) -> None:
        self._problems = problems
        self._sizes = hardware.sizes
        self._space_of = MapspaceCache(hardware.space.template.constraints)
        self._version = version
        self._limit = limit
        frames = [hardware.frame(number) for number in range(len(hardware.frames))]
        for _ in self._mappings(max(frames, key=lambda f: f.architecture.compute.instances)):
            pass

    def _mappings(self, frame: Frame) -> Iterator[tuple[Problem, MappingBatch]]:
        """Yield all mappings that fit the frame's largest sizes, always in the same order."""
        spaces = [self._space_of(problem, frame.architecture) for problem in self._problems]
        # a tiling alone takes far less than a mapping to look at, so many may be passed over
        count = sum(map(tilings, spaces))
        if count >= min(LARGEST, 100 * self._limit):
            raise UnsolvableSpace(f"a layer has {count:.3g} tilings on one hardware")
        seen, of = 0, f", of all its {len(spaces)} sizes" if len(spaces) > 1 else ""
        for problem, space in zip(self._problems, spaces, strict=True):
            for batch in enumerate_valid(space, _CHUNK):
                seen += len(batch)
                if seen > self._limit:
                    raise UnsolvableSpace(
                        f"a layer has more than {self._limit:,} mappings on one hardware{of}"
                    )
                yield problem, batch

    def rows(self, frame: Frame, index: Ints | None) -> LayerRows:
        """See :meth:`dse.cosearch.layer_table.LayerTable.rows`."""
        parts = []
        start = 0
        for problem, batch in self._mappings(frame):
            rows = self._priced(frame, problem, batch, start)
            start += len(batch)
            parts.append(_distinct(rows))
        if not parts:
            columns, sizes = len(frame.columns), len(self._sizes)
            none = np.empty(0)
            return LayerRows(
                np.empty(0, np.int64), none, none,
                np.empty((0, columns)), np.empty((0, sizes), np.int64),
            )  # fmt: skip
        whole = _distinct(LayerRows.concatenate(parts))
        return whole if index is None else whole.take(np.isin(whole.index, index))

    def _priced(self, frame: Frame, problem: Problem, batch: MappingBatch, start: int) -> LayerRows:
        """Return the rows of a batch: counts and cycles by the exact kernel."""
        architecture = frame.architecture
        hardware = HardwareBatch.of(architecture)
        totals, details = evaluate_exact(
            hardware, problem, batch, np.zeros(len(batch), np.int32), self._version,
            details=True,
        )  # fmt: skip
        fits = totals.valid
        levels = architecture.levels
        blocks = np.zeros((len(batch), len(levels), 4))
        latency = sum(level.latency_cycles for level in levels)
        tensor = details.tensor
        base = np.full(len(batch), problem.macs * architecture.compute.energy_pj)
        for s, level in enumerate(levels):
            used = tensor[a.INSTANCES, s, 0]
            clusters = np.minimum(used, rules.clusters(level.instances, level.cluster_size))
            for kind, row in _COUNTS:
                words = np.ceil(tensor[row, s] / level.block_size).sum(axis=0)
                blocks[:, s, kind] = words * clusters
            if rules.leaks(self._version):
                blocks[:, s, LEAK] = (totals.cycles - latency) * np.maximum(used, 1.0)
            base += (
                level.energy.address_generation_pj * clusters * tensor[a.ADDRESSES, s].sum(axis=0)
            )
        if self._sizes:
            base += blocks.reshape(len(batch), -1) @ frame.prices.reshape(-1)
        else:  # nothing is priced apart, so the model's own sum will do, wires and all
            base = totals.energy_pj
        columns = frame.columns
        accesses = np.empty((len(batch), len(columns)))
        for k, column in enumerate(columns):
            place = self._sizes[column.size].level
            accesses[:, k] = blocks[:, place, list(column.kinds)].sum(axis=1)
        need = np.empty((len(batch), len(self._sizes)), np.int64)
        for v, size in enumerate(self._sizes):
            need[:, v] = tensor[a.CAPACITY, size.level].sum(axis=0)
        index = np.arange(start, start + len(batch), dtype=np.int64)
        return LayerRows(index, totals.cycles, base, accesses, need).take(fits)

    def mapping(self, frame: Frame, number: int) -> Mapping:
        """See :meth:`dse.cosearch.layer_table.LayerTable.mapping`."""
        start = 0
        for _, batch in self._mappings(frame):
            if number < start + len(batch):
                return batch[number - start]
            start += len(batch)
        raise IndexError(f"mapping {number} of {start}")


def _distinct(rows: LayerRows) -> LayerRows:
    """Return the first of rows that cost the same, in order."""
    if not len(rows):
        return rows
    need = rows.need.astype(np.float64)
    table = np.column_stack([rows.cycles, rows.base_pj, rows.accesses, need])
    _, first = np.unique(table, axis=0, return_index=True)
    which = np.zeros(len(rows), np.bool_)
    which[first] = True
    return rows.take(which)
