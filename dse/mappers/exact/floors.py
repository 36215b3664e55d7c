"""What flows carry at least, by the spatial factors alone: of each grid, and of those it leads to.

A flow's reads serve several receivers where loops that do not move its tensor run in space. How
many they are depends on the grid alone, so what all grids leave to read is known before a search
begins. Section numbers refer to ``docs/timeloop-rules.md``.
"""

from __future__ import annotations

import numpy as np

from dse.mappers.exact.grids import Grids
from dse.mappers.exact.shape import MapspaceShape
from dse.mappers.exact.tables import Tables
from dse.mapspace.space import Mapspace
from dse.numeric import Floats, Ints


def words_crossing(row: Ints, window: Ints, bounds: list[int], space: Mapspace) -> Floats:
    """Words of each tensor ``(T,)`` that cross every boundary below what keeps it, at least.

    Of a row that one dimension moves by itself these are all places; of a window as many as its
    longest dimension has iterations, as each of them brings a word that is at no other's first
    place. That holds for what the model counts: loops in time go from their first iteration to
    their second, and back by as much (section 4), so what has been read by the events of a nest is
    what a walk has seen that goes no less far with each loop than the true one; and what a
    neighbour hands on (section 6) was read before. It does not hold between MACs, nor where
    directives have neighbours with equal words hand them on.
    """
    crossing = np.ones(len(row))
    for t, q in np.ndindex(window.shape):
        mine = [n for d, n in enumerate(bounds) if row[t, d] == q]
        if window[t, q] < 0 or not any(f.any() for f in space.directives):
            crossing[t] *= max(mine, default=1)
    return crossing


def served(
    grids: Grids, row: Ints, window: Ints, flow: tuple[int, int, int], most_macs: float
) -> Floats:
    """Return the receivers ``(H,)`` that one read serves by the loops in space that a grid lacks.

    The most of any grid that it leads to, and that uses no more MACs than there are; of the H
    grids that lack some.

    Args:
        grids: all grids.
        row: as in `dse.mappers.exact.tables.Tables`.
        window: the same.
        flow: tensor, level that receives, level that delivers.
        most_macs: that a mapping may use.
    """
    t, low, high = flow
    most = np.ones(len(grids.fan))
    macs = grids.fan.prod(axis=1)
    for s in reversed(grids.vectors):
        begin, end = grids.span[s]
        here = most[begin:end]
        if low < s <= high:
            own = slice(begin, end)
            here = here * _serving(grids, row[t], window[t], s, own, nearest=s == low + 1)
        here = np.where(macs[begin:end] <= most_macs, here, 1.0)
        first, last = grids.parents[s]
        most[first:last] = here.reshape(last - first, -1).max(axis=1)
    return most[: grids.whole.start].copy()


def different(grids: Grids, row: Ints, window: Ints) -> Ints:
    """Return the whole grids of which none serves all tensors as another does."""
    return alike(grids, row, window)[0]


def alike(grids: Grids, row: Ints, window: Ints) -> tuple[Ints, Ints]:
    """Return the same, and of every whole grid the place of the one that serves as it does."""
    whole = np.arange(grids.whole.start, grids.whole.stop)
    columns = [
        _serving(grids, row[t], window[t], s, whole, nearest=nearest)
        for s in grids.vectors
        for t in range(len(row))
        for nearest in (False, True)
    ]
    columns += [grids.fan[whole, s] for s in grids.vectors]
    if not columns:
        return whole, np.arange(len(whole))
    table = np.ascontiguousarray(np.array(columns).reshape(len(columns), len(whole)).T)
    rows = table.view(np.dtype((np.void, max(table.itemsize * table.shape[1], 1)))).reshape(-1)
    _, first, place = np.unique(rows, return_index=True, return_inverse=True)
    return whole[first], place


def shares(
    grids: Grids, row: Ints, window: Ints, flow: tuple[int, int, int], whole: Ints
) -> Floats:
    """Return the receivers that one read serves on some whole grids, at most; see `served`."""
    t, low, high = flow
    found = np.ones(len(whole))
    for s in grids.vectors:
        if low < s <= high:
            found *= _serving(grids, row[t], window[t], s, whole, nearest=s == low + 1)
    return found


def handed(
    grids: Grids, row: Ints, window: Ints, flow: tuple[int, int, int], whole: Ints
) -> Floats:
    """Return the receivers to which links hand what one of them has read, on some whole grids.

    At most, that one included; 1 of tensors without windows. See `shares`.
    """
    t, low, high = flow
    found = np.ones(len(whole))
    for s in grids.vectors if (window[t] >= 0).any() else ():
        if low < s <= high:
            spared = grids.factor[whole, s][:, row[t] < 0].astype(np.float64).prod(axis=1)
            found *= _serving(grids, row[t], window[t], s, whole, nearest=s == low + 1) / spared
    return found


def _serving(
    grids: Grids, row: Ints, window: Ints, s: int, own: Ints | slice, *, nearest: bool
) -> Floats:
    """Receivers that a read serves by the spatial loops of one level, at most; of some grids.

    Places of a window coincide for no more than all loops but the longest of each row; of those
    next to the receivers links may serve some, as in `dse.mappers.exact.windows`.
    """
    factor = grids.factor[own, s].astype(np.float64)
    parts = np.ones(len(factor))
    runs = [np.ones(len(factor)), np.ones(len(factor))]
    for d, q in enumerate(row):
        if q < 0:
            continue
        if window[q] < 0:
            parts *= factor[:, d]
        else:
            runs[window[q]] = np.maximum(runs[window[q]], factor[:, d])
    if (window >= 0).any():
        parts *= np.minimum(*runs) if nearest else runs[0] * runs[1]
    found: Floats = grids.fan[own, s] / parts
    return found


class MacFlows:
    """What the MACs read and update on some whole grids, and what that takes.

    Args:
        t: of any pattern of the space.
        grids: all grids.
        whole: numbers of those that are looked at.
        shape: of the space; keeps what depends on no price.
    """

    def __init__(self, t: Tables, grids: Grids, whole: Ints, shape: MapspaceShape) -> None:
        self._grids, self._whole, self._shape = grids, whole, shape
        self._used = t.used[whole]
        #: neighbours among the MACs may leave nothing to read
        self.linked = bool((t.fan[:, 0] > 1.0).any())
        self._cycles = np.where(self._used[:, 0] <= t.most_macs, t.macs / self._used[:, 0], np.inf)
        self._leak = t.leak[whole]
        self._known: dict[tuple[int, int], tuple[Floats, Floats, Floats]] = {}
        self._sums: dict[tuple[tuple[int, int], ...], tuple[Floats, Floats]] = {}

    def least(self, t: Tables, loads: Floats) -> tuple[Floats, Floats]:
        """Return least cycles and energy of each grid, the leakage of all levels included.

        Grids of more MACs than there are take for ever.

        Args:
            t: of a pattern.
            loads: ``(L, 2)`` words that an instance of a buffer reads and writes for other flows.
        """
        flows = np.flatnonzero(t.low < 0)
        key = tuple((int(t.tensor[f]), int(t.high[f])) for f in flows)
        if key not in self._sums:
            moved = np.zeros((len(t.bank), 2, len(self._whole)))
            energy = np.full(len(self._whole), t.macs * t.mac_pj)
            for tensor, high in key if not self.linked else ():
                spent, reads, writes = self._of(t, tensor, high)
                energy += spent
                moved[t.bank[high], 0] += reads
                moved[t.bank[high], 1] += writes
            self._sums[key] = energy, moved
        energy, moved = self._sums[key]
        cycles = self.cycles(t, moved + loads[:, :, None])
        return cycles, energy + self._leak * cycles

    def words(self, t: Tables, tensor: int, high: int) -> tuple[Floats, Floats]:
        """Return the words of a flow that all its levels' instances read and write, by grid."""
        flow = tensor, -1, high
        shared = self._shape.once(
            ("shares", flow), lambda: shares(self._grids, t.row, t.window, flow, self._whole)
        )
        content = np.maximum(t.macs / shared, t.crossing[tensor])
        if not t.read_write[tensor]:
            return content, np.zeros_like(content)
        first = t.part[self._whole, tensor, high] * self._used[:, high + 1]
        return np.maximum(content - first, 0.0), content

    def cycles(self, t: Tables, moved: Floats) -> Floats:
        """Return the least cycles of each grid, infinite on those of more MACs than there are.

        Args:
            t: of a pattern.
            moved: ``(L, 2, grids)`` words that an instance of a buffer reads and writes.
        """
        cycles = self._cycles
        for k in range(len(t.bank)):
            for rate, ways in zip(t.bandwidth[:, k], ((0,), (1,), (0, 1)), strict=True):
                if not np.isinf(rate):
                    cycles = np.maximum(cycles, sum(moved[k, way] for way in ways) / rate)
        return cycles

    def _of(self, t: Tables, tensor: int, high: int) -> tuple[Floats, Floats, Floats]:
        """Energy of a flow, and what an instance of its level reads and writes, by grid."""
        if (tensor, high) not in self._known:
            reads, writes = self.words(t, tensor, high)
            used = self._used[:, high + 1]
            per = t.share[high] / t.block[high]
            energy = per * (reads * t.read_pj[high] + writes * t.update_pj[high])
            self._known[tensor, high] = energy, reads / used, writes / used
        return self._known[tensor, high]
