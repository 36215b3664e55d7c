"""What each level of a block delivers to the one below (sections 4 to 7 of the rules)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dse.domain.architecture import HardwareArrays
from dse.jit import inner
from dse.model import rules
from dse.model.arrays import MappingArrays
from dse.model.block import Lanes, Plan
from dse.model.cells import Odd
from dse.model.fit import tile_words
from dse.model.orders import moving_loops
from dse.model.windows import meets_in_space, near_loops, no_loops, window_cells, window_words


@inner
def _group_counts(x: Lanes, plan: Plan, t: int, s: int) -> None:
    """Groups of tensor t at level s where at most one loop hits each row."""
    groups = x.groups[s]
    groups[:] = 1.0
    for d in range(x.spatial.shape[1]):
        if plan.relevant[t, d] and x.spatial_used[s, d]:
            spatial = x.spatial[s, d]
            for i in range(x.ok.shape[0]):
                groups[i] *= spatial[i]


@inner
def _set_share(x: Lanes, plan: Plan, m: MappingArrays, t: int, s: int, b: int, n: int) -> None:
    """Set ``share`` to the words that level s delivers to one child (section 4), where it counts.

    Of a tensor that the level inside bypasses only its tile counts, where it is an output or moves
    as a window.
    """
    if not plan.keep[s - 1, t]:
        if plan.simple[t] and not plan.read_write[t]:
            return
        tile_words(x, plan, t, s - 1)
    if not plan.simple[t]:
        if plan.keep[s - 1, t]:
            window_words(x, plan, m, t, s, b, n)
        return
    share, tile, moving = x.share[s - 1], x.tile[t, s - 1], x.moving[s]
    for i in range(x.ok.shape[0]):
        share[i] = tile[i] * moving[i]


@inner
def _set_content(x: Lanes, plan: Plan, t: int, s: int) -> None:
    """Set ``content``, how many words level s reads for all its children (section 7)."""
    content, groups, kept = x.content[s], x.groups[s], plan.keep[s - 1, t]
    if not kept or plan.lane_keep.shape[2] > 1:
        _hand_outwards(x, plan, t, s)
    if not kept:
        return
    share, lane_keep = x.share[s - 1], plan.lane_keep[s - 1, t]
    if plan.lane_keep.shape[2] > 1:
        for i in range(x.ok.shape[0]):
            content[i] = share[i] * groups[i] if lane_keep[i] else content[i]
    else:
        for i in range(x.ok.shape[0]):
            content[i] = share[i] * groups[i]


@inner
def _hand_outwards(x: Lanes, plan: Plan, t: int, s: int) -> None:
    """Set ``content`` of level s as if the level inside it did not keep tensor t."""
    content, groups, inner_content = x.content[s], x.groups[s], x.content[s - 1]
    if not plan.read_write[t]:
        for i in range(x.ok.shape[0]):
            content[i] = inner_content[i] * groups[i]
        return
    # in Timeloop's own steps: their rounding decides whether an assertion of it fails
    share, width, height = x.share[s - 1], x.width[s], x.height[s]
    for i in range(x.ok.shape[0]):
        fan = width[i] * height[i]
        accesses = groups[i] * share[i]
        words = accesses * (fan / groups[i])
        content[i] = accesses * rules.handed_outwards(inner_content[i], fan, words)


@inner
def tensor_traffic(
    x: Lanes, plan: Plan, m: MappingArrays, hw: HardwareArrays,
    hardware_index: npt.NDArray[np.int32], t: int, b: int, n: int, odd: Odd,
) -> None:  # fmt: skip
    """Set ``content`` and ``share`` of tensor t at all levels (section 7).

    A lane that only the exact kernel can tell becomes ``odd``.
    """
    levels = plan.keep.shape[0]
    window = not plan.simple[t]
    x.moving[levels, :] = 1.0
    if window:
        no_loops(x)
    innermost = 0 if plan.read_write[t] else plan.lowest[t]
    if window:
        for s in range(innermost, 0, -1):
            innermost = s - 1 if meets_in_space(x, plan, t, s) else innermost
    for s in range(levels - 1, innermost, -1):
        moving_loops(x, plan, m, t, s, b)
        if window:
            near_loops(x, plan, t, s)
    _group_counts(x, plan, t, 0)
    content, iterations, groups = x.content[0], x.iterations[0], x.groups[0]
    for i in range(x.ok.shape[0]):
        content[i] = iterations[i] * groups[i]
    for s in range(1, plan.backing[t] + 1):
        _group_counts(x, plan, t, s)
        _set_share(x, plan, m, t, s, b, n)
        _set_content(x, plan, t, s)
        if window:
            window_cells(x, plan, m, hw, hardware_index, t, s, b, n, odd)
