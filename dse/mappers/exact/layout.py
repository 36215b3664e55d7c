"""A mapspace on one hardware, laid out for the exact search: tiles, flows, stages, grids."""

from __future__ import annotations

from collections.abc import Hashable
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from dse.domain.architecture import Architecture
from dse.mappers.exact.floors import served, words_crossing
from dse.mappers.exact.grids import Grids
from dse.mappers.exact.orders import Relevance
from dse.mappers.exact.reach import stages_of, with_tails
from dse.mappers.exact.shape import MapspaceShape
from dse.mappers.exact.tables import Tables, TooLargeError
from dse.mappers.exact.ways import ways_of, window_runs
from dse.mapspace.space import Mapspace
from dse.model import rules
from dse.numeric import Flags, Floats, Ints


class Layout:
    """Tables and stages of one keep/bypass pattern of a mapspace.

    Args:
        space: the mapspace.
        architecture: hardware; only its meshes and level names must be the space's.
        keep: ``(L, T)``.
        version: a value of :data:`dse.model.arrays.TIMELOOP_VERSIONS`.
        only_cycles: leave out the flows that no bandwidth can slow down; energies mean nothing.
        widths: of the hardware that this one stands for: see `prove`.
        shared: see :class:`dse.mappers.exact.shape.MapspaceShape`.

    Raises:
        TooLargeError: the space is beyond what can be laid out.
    """

    def __init__(
        self,
        space: Mapspace,
        architecture: Architecture,
        keep: Flags,
        version: int,
        *,
        only_cycles: bool = False,
        widths: Ints | None = None,
        cycle_pj: float = 0.0,
        shared: dict[Hashable, Any] | None = None,
    ) -> None:
        shape = MapspaceShape(space, architecture, keep, shared)
        self.shape = shape
        grids = shape.once("grids", lambda: Grids(shape))
        self.relevance, self.tables = tables_of(
            shape, grids, version, cycle_pj, only_cycles=only_cycles, widths=widths
        )
        self.spatial_levels = list(grids.vectors)
        self.root, self.stages = stages_of(shape, grids, self.tables, self.relevance)

    def tell_tails(self) -> None:
        """Let labels be bounded by the tails of their tiles, which takes time for every tile."""
        self.stages = with_tails(self.shape, self.tables, self.stages)


def tables_of(
    shape: MapspaceShape,
    grids: Grids,
    version: int,
    cycle_pj: float,
    *,
    only_cycles: bool,
    widths: Ints | None,
) -> tuple[Relevance, Tables]:
    """Return the tables of a pattern, and which dimensions move what; as in `Layout`."""
    problem = shape.space.problem
    c = problem.projection[:, :, shape.active].astype(np.int64)
    hit = c != 0
    if (c < 0).any() or (hit.sum(axis=1) > 1).any():
        raise TooLargeError("a dimension moves two rows of a tensor, or backwards")
    windows = (hit.sum(axis=2) > 1) | (c.sum(axis=2) > 1)
    tensors, ranks = windows.shape
    window = np.full((tensors, ranks), -1, np.int64)
    for t in range(tensors):
        window[t, windows[t]] = np.arange(windows[t].sum())
    if window.max(initial=-1) > 1 or windows[problem.read_write].any():
        raise TooLargeError("more than two windows in a tensor, or a window in an output")
    row = np.where(hit.any(axis=1), hit.argmax(axis=1), -1).astype(np.int64)
    sized = _slowing(shape, problem.read_write)
    hw = shape.hardware
    flows = [
        (t, low, high)
        for t, low, high in flows_of(shape.keep)
        if not only_cycles or sized[hw.bank[high]] or (low >= 0 and sized[hw.bank[low]])
    ]
    high_bank = np.array([hw.bank[high] for _, _, high in flows], np.int64)
    low_bank = np.array([hw.bank[low] if low >= 0 else -1 for _, low, _ in flows], np.int64)
    if (low_bank == high_bank).any():
        raise TooLargeError("a tensor is kept at two parts of a buffer")
    relevance = Relevance(
        tuple(map(tuple, row.tolist())),
        tuple(map(tuple, window.tolist())),
        rules.zero_moves_are_free(version),
    )
    ways = ways_of(relevance)
    words, moves, rest = shape.once("words", lambda: _footprints(shape, c, row, window))
    bandwidth = np.stack([hw.read_bandwidth, hw.write_bandwidth, hw.shared_bandwidth])[:, :, 0]
    digit = np.array(shape.digits, np.int64)
    widest = max(shape.digits, default=1)
    table = np.ones((len(digit), widest), np.int64)
    for d, values in enumerate(shape.divisors):
        table[d, : len(values)] = values
    with_window = [f for f, (t, _, _) in enumerate(flows) if windows[t].any()]
    spread = np.array([hw.instances[s, 0] for s in range(shape.levels)], np.float64)
    clusters = [
        rules.clusters(hw.instances[s, 0], hw.cluster_size[s, 0]) for s in range(shape.levels)
    ]
    used = shape.once("used", lambda: _used(grids))
    most_macs = float(hw.mac_instances[0])
    leak_pj = hw.leak_pj[:, 0] * rules.leaks(version)
    flags = any(f.any() for f in shape.space.directives)
    tables = Tables(
        bound=np.array(shape.bounds, np.int64),
        divisor=table,
        digit=digit,
        stride=_strides(shape.digits),
        coefficient=c,
        row=row,
        window=window,
        window_flow=np.array(
            [with_window.index(f) if f in with_window else -1 for f in range(len(flows))],
            np.int64,
        ),
        tensor=np.array([t for t, _, _ in flows], np.int64),
        low=np.array([low for _, low, _ in flows], np.int64),
        high=np.array([high for _, _, high in flows], np.int64),
        low_bank=low_bank,
        high_bank=high_bank,
        bank=hw.bank.copy(),
        room=_room(shape),
        kept=np.ascontiguousarray(shape.keep),
        read_write=problem.read_write,
        elided=np.array([rules.elides(False, version)] * len(flows)),
        words=words,
        moves=moves,
        rest=rest,
        outside=problem.macs / shape.extent.prod(axis=0),
        total=words[:, -1].copy(),
        crossing=words_crossing(row, window, shape.bounds, shape.space),
        spread=spread,
        block=hw.block_size[:, 0].astype(np.float64),
        clusters=np.array(clusters, np.float64),
        share=1.0 / hw.cluster_size[:, 0],
        read_pj=hw.read_pj[:, 0].copy(),
        fill_pj=hw.fill_pj[:, 0].copy(),
        update_pj=hw.update_pj[:, 0].copy(),
        leak=shape.once(("leak", version, cycle_pj), lambda: used[:, 1:] @ leak_pj + cycle_pj),
        leaks=bool(leak_pj.any()) or cycle_pj > 0.0,
        address_pj=hw.address_generation_pj[:, 0].copy(),
        bandwidth=np.ascontiguousarray(bandwidth),
        limited=np.where(sized, np.cumsum(sized) - 1, -1).astype(np.int64),
        fanout_x=hw.fanout_x[:, :1].copy() if widths is None else widths,
        touching=np.array(
            [
                sum(1 << f for f in range(len(flows)) if s in (low_bank[f], high_bank[f]))
                for s in range(shape.levels)
            ],
            np.int64,
        ),
        fan=grids.fan,
        used=used,
        served=np.array(
            [
                shape.once(("served", flow), partial(served, grids, row, window, flow, most_macs))
                for flow in flows
            ]
        ).reshape(len(flows), grids.whole.start),
        part=shape.once("part", lambda: _partitions(grids.factor, row, words[:, -1])),
        factor=grids.factor,
        on_y=grids.on_y,
        axes=grids.axes,
        macs=float(problem.macs),
        mac_pj=float(hw.mac_pj[0]),
        latency=float(hw.latency_cycles[:, 0].sum()),
        version=version,
        way_first=ways.first,
        way_inside=ways.inside,
        way_window=ways.window,
        exact=not (
            flags
            or hw.hop_pj.any()
            or hw.router_pj.any()
            or hw.ingress_pj.any()
            or (grids.fan[:, 0] > 1).any()
        ),
        most_macs=most_macs,
    )
    return relevance, tables


def flows_of(keep: Flags) -> list[tuple[int, int, int]]:
    """Return tensor, receiving level and delivering level of all flows of a pattern ``(L, T)``."""
    flows = []
    for tensor, kept in enumerate(keep.T):
        levels = [-1, *np.flatnonzero(kept).tolist()]
        flows += [(tensor, low, high) for low, high in pairwise(levels)]
    return flows


def _slowing(shape: MapspaceShape, read_write: Flags) -> Flags:
    """Levels ``(L,)`` whose bandwidth can slow a mapping down at all; of a buffer the first.

    An instance reads, fills or updates at most a word per tensor, cycle and MAC below it.
    """
    hw = shape.hardware
    macs = hw.mac_instances[0] // hw.instances[:, 0]
    kept, outputs = np.zeros((2, shape.levels), np.int64)
    np.add.at(kept, hw.bank, shape.keep.sum(axis=1))
    np.add.at(outputs, hw.bank, (shape.keep & read_write).sum(axis=1))
    reads, writes = macs * kept, macs * (kept + outputs)
    return np.asarray(
        (hw.read_bandwidth[:, 0] < reads)
        | (hw.write_bandwidth[:, 0] < writes)
        | (hw.shared_bandwidth[:, 0] < reads + writes)
    )


def _room(shape: MapspaceShape) -> Floats:
    """Words ``(L,)`` that all levels of a buffer may hold together; -1 where there is but one."""
    hw = shape.hardware
    room = np.full(shape.levels, -1.0)
    for s in np.flatnonzero(np.bincount(hw.bank, minlength=shape.levels)[hw.bank] > 1):
        if hw.size_words[s, 0] >= 0:
            room[s] = rules.usable_words(hw.size_words[s, 0], hw.multiple_buffering[s, 0])
    return room


def _footprints(
    shape: MapspaceShape, c: Ints, row: Ints, window: Ints
) -> tuple[Floats, Floats, Floats]:
    """Words of every tile of every tensor; least factors of the loops outside."""
    extent = shape.extent
    bound = np.array(shape.bounds, np.float64)[:, None]
    tensors, ranks, _ = c.shape
    words = np.ones((tensors, extent.shape[1]))
    moves, rest = words.copy(), words.copy()
    left = bound / extent
    for t in range(tensors):
        runs = []
        for q in range(ranks):
            side = 1 + (c[t, q][:, None] * (extent - 1)).sum(axis=0)
            words[t] *= side
            mine = [d for d in range(len(bound)) if row[t, d] == q]
            outer = left[mine].prod(axis=0)
            if window[t, q] < 0:
                rest[t] *= outer
                continue
            step = np.ones_like(side)
            for d in mine:
                step = np.where(left[d] > 1, np.minimum(step, c[t, q, d] * extent[d] / side), step)
            run = np.empty_like(step)
            window_runs(step, outer, (left[mine] > 1).sum(axis=0), run)
            runs.append((outer, run))
        whole = np.ones_like(rest[t])
        for outer, _ in runs:
            whole *= outer
        least = whole.copy()
        for outer, run in runs:
            least = np.minimum(least, whole / outer * run)
        moves[t] = rest[t] * least
    return words, moves, rest


def _used(grids: Grids) -> Floats:
    """Instances of the MACs and of all levels that each grid uses, ``(G, L + 1)``."""
    count, levels = grids.fan.shape
    used = np.ones((count, levels + 1))
    for s in range(levels - 1, -1, -1):
        used[:, s] = used[:, s + 1] * grids.fan[:, s]
    return used


def _partitions(factor: npt.NDArray[np.int16], row: Ints, total: Floats) -> Floats:
    """Words of each tensor over its relevant spatial factors outside each level (section 7, 1)."""
    grids, levels, _ = factor.shape
    part = np.empty((grids, len(total), levels))
    for t, words in enumerate(total):
        spread = factor[:, :, row[t] >= 0].astype(np.float64).prod(axis=2)
        part[:, t, levels - 1] = words
        for s in range(levels - 2, -1, -1):
            part[:, t, s] = part[:, t, s + 1] / spread[:, s + 1]
    return part


def _strides(digits: list[int]) -> Ints:
    """Strides of the tile number: the last dimension runs fastest, as in ``np.indices``."""
    strides = np.ones(len(digits), np.int64)
    for d in range(len(digits) - 2, -1, -1):
        strides[d] = strides[d + 1] * digits[d + 1]
    return strides
