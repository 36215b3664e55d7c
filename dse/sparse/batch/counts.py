"""From dense counts to those of a sparse design, in compiled code.

`dse.sparse.occupancy`, `counts` and `computes` say the rules. Counts are whole numbers in float64.
"""

from __future__ import annotations

import math

import numpy as np

from dse.jit import inlined
from dse.numeric import Flags, Floats
from dse.sparse.batch.memory import SparseWork
from dse.sparse.batch.plan import FILL, GATED, RANDOM, READ, SKIPPED, UPDATE, SparsePlan
from dse.sparse.computes import NOISE
from dse.sparse.numbers import WRAPS


@inlined
def unsigned(w: SparseWork, value: float) -> float:
    """Return a number as a count; there is no answer where it wraps around."""
    count = float(np.trunc(value)) + 0.0  # not -0
    if not 0.0 <= count < WRAPS:
        w.wrong[0] = True
        return 0.0
    return count


@inlined
def _floored(w: SparseWork, value: float) -> float:
    if not math.isfinite(value):
        w.wrong[0] = True
        return 0.0
    return float(np.floor(value))


@inlined
def _all_units(w: SparseWork, t: int, s: int, ranks: int) -> float:
    units = 0.0
    for r in range(ranks):
        units += w.units[t, s, r, 0] + w.units[t, s, r, 1]
    return units


@inlined
def _compress(w: SparseWork, plan: SparsePlan, t: int, s: int, dense: Floats) -> None:
    """Set what is left of a level's accesses where its tiles are compressed; ``dense (3,)``."""
    ranks = plan.formats.ranks[s, t]
    left, shape = w.left[s], w.tile[t, s]
    finite = math.isfinite(w.density[t, s]) and math.isfinite(_all_units(w, t, s, ranks))
    if ranks and not finite:
        w.wrong[0] = True
    for access in range(3):
        count = dense[access]
        left[access] = count
        if not ranks or count == 0.0:
            continue
        if access != UPDATE or plan.tensors.read_write[t]:
            left[access] = unsigned(w, count - _floored(w, count * (1 - w.density[t, s])))
    for access in range(3 if ranks else 0):
        share = dense[access] / shape
        for r in range(ranks):
            units, left_units = w.units[t, s, r], w.metadata_left[s, access, r]
            if share == 0.0:
                left_units[0] = left_units[1] = 0.0
            else:
                left_units[0] = np.ceil(units[0] * share)
                left_units[1] = np.ceil(units[1] * share)


@inlined
def _shrink(
    w: SparseWork, plan: SparsePlan, t: int, s: int, share: float, ranks_outside: int
) -> None:
    """Take a share away that a level outside saves, which has so many ranks."""
    for access in range(3):
        left = w.left[s, access]
        w.left[s, access] = left - _floored(w, left * share)
    if ranks_outside == 1 and plan.formats.ranks[s, t] > 0:
        for access in (FILL, READ):
            for unit in range(2):
                left = w.metadata_left[s, access, 0, unit]
                w.metadata_left[s, access, 0, unit] = left - np.floor(left * share)


@inlined
def _settle(w: SparseWork, plan: SparsePlan, t: int, s: int, reads_of: int) -> None:
    """Take over what is left; a level inside of one that saves reads its updates' metadata."""
    ranks = plan.formats.ranks[s, t]
    for access in range(3):
        w.data[t, s, RANDOM, access] = unsigned(w, w.left[s, access])
        w.data[t, s, GATED, access] = w.data[t, s, SKIPPED, access] = 0.0
        w.bits[t, s, GATED, access] = w.bits[t, s, SKIPPED, access] = 0.0
        source = reads_of if access == READ else access
        bits = 0.0
        for r in range(ranks):
            width, left = plan.formats.bits[s, t, r], w.metadata_left[s, source, r]
            bits += left[0] * width[0] + left[1] * width[1]
        w.bits[t, s, RANDOM, access] = bits


@inlined
def _save(
    w: SparseWork, plan: SparsePlan, t: int, s: int, how: int, share: float, reads_of: int
) -> None:
    """Let a level save a share of its accesses, right after `_settle`."""
    child = w.child[t, s]
    ranks = plan.formats.ranks[s if child < 0 else child, t]
    if ranks > plan.formats.ranks[s, t]:  # Timeloop crashes
        w.wrong[0] = True
        return
    for access in (READ, UPDATE):
        random = w.data[t, s, RANDOM, access]
        saved = random * share
        if access == READ and plan.tensors.read_write[t]:
            saved = float(np.ceil(saved))
        else:
            saved = float(np.floor(saved))
        w.data[t, s, how, access] = unsigned(w, saved)
        w.data[t, s, RANDOM, access] = unsigned(w, random - saved)
        source = reads_of if access == READ else access
        bits, units = 0.0, 0.0
        for r in range(ranks):
            width, left = plan.formats.bits[s, t, r], w.metadata_left[s, source, r]
            bits += np.floor(left[0] * share) * width[0] + np.floor(left[1] * share) * width[1]
            units += left[0] + left[1]
        if share < 0.0 and units > 0.0:  # a count wraps around
            w.wrong[0] = True
        w.bits[t, s, how, access] = bits
        w.bits[t, s, RANDOM, access] -= bits


@inlined
def count_tensor(w: SparseWork, plan: SparsePlan, t: int, keep: Flags, dense: Floats) -> None:
    """Set a tensor's counts at all levels; ``dense (L, 3)``: reads, fills and updates."""
    levels = keep.shape[0]
    for s in range(levels):
        w.final[s] = False
        if keep[s, t]:
            _compress(w, plan, t, s, dense[s])
            w.compressed[t, s] = w.decompressed[t, s] = 0.0
    w.saves[t] = False
    for s in range(levels - 1, -1, -1):
        if w.how[t, s] < 0:
            continue
        share = w.share[t, s]
        if not math.isfinite(share):
            w.wrong[0] = True
            return
        inside = s - 1
        while inside >= 0:
            if keep[inside, t]:
                _shrink(w, plan, t, inside, share, plan.formats.ranks[s, t])
                if w.how[t, inside] >= 0:
                    _settle(w, plan, t, inside, UPDATE)
                    rest = 1 - share
                    if rest == 0.0:
                        w.wrong[0] = True
                        return
                    own = 1 - (1 - w.share[t, inside]) / rest
                    _save(w, plan, t, inside, w.how[t, inside], own, UPDATE)
                    w.final[inside] = True
                    break
            inside -= 1
        if not w.final[s]:
            w.final[s] = True
            _settle(w, plan, t, s, READ)
            _save(w, plan, t, s, w.how[t, s], share, READ)
        if inside < 0 and not plan.tensors.read_write[t]:
            w.saves[t] = True
            w.computes[t] = share
    for s in range(levels):
        if keep[s, t] and w.how[t, s] < 0:
            _settle(w, plan, t, s, READ)


@inlined
def count_conversions(w: SparseWork, plan: SparsePlan, t: int, keep: Flags) -> None:
    """Count what is compressed and decompressed on the way between levels."""
    compressed = plan.formats.compressed
    for s in range(keep.shape[0]):
        if not keep[s, t] or compressed[s, t]:
            continue
        parent, child = w.parent[t, s], w.child[t, s]
        if parent >= 0 and compressed[parent, t]:
            if plan.tensors.read_write[t]:
                w.compressed[t, s] += w.data[t, parent, RANDOM, UPDATE]
            w.decompressed[t, s] += w.data[t, s, RANDOM, FILL]
        if child >= 0 and compressed[child, t]:  # Timeloop aborts
            w.wrong[0] = True


@inlined
def _millionth(value: float) -> float:
    whole = math.floor(1000000.0 * value)
    return (whole + 1.0 if 1000000.0 * value - whole >= 0.5 else whole * 1.0) / 1000000.0


@inlined
def _set_operand(w: SparseWork, plan: SparsePlan, i: int, keep: Flags) -> None:
    """Set how likely an operand's word is there and not 0, there and 0, and not there."""
    t, other = plan.tensors.operands[i], plan.tensors.operands[1 - i]
    nonzero = plan.tensors.single[t]
    if w.saves[other]:
        saved = _millionth(w.computes[other])
        if saved == 1.0:
            w.wrong[0] = True
            return
        nonzero /= 1 - saved
    innermost = 0
    while not keep[innermost, t]:
        innermost += 1
    rest = 1.0 - nonzero
    zero, absent = rest, 0.0
    if plan.formats.ranks[innermost, t] > 0:
        zero, absent = 0.0, rest
    out = w.operand[i]
    out[0], out[1], out[2] = nonzero, zero, absent
    for j in range(3):
        if not -NOISE <= out[j] <= 1 + NOISE:
            w.wrong[0] = True
        out[j] = min(max(out[j], 0.0), 1.0)


@inlined
def count_computes(w: SparseWork, plan: SparsePlan, macs: float, keep: Flags, out: Floats) -> None:
    """Fill in the computes that happen, are gated and are skipped; ``out (3,)``."""
    savings = plan.savings
    left = macs
    for t in range(keep.shape[1]):
        if w.saves[t]:
            left -= _floored(w, left * w.computes[t])
    total = unsigned(w, left)
    for i in range(2):
        _set_operand(w, plan, i, keep)
    a, b = w.operand[0], w.operand[1]
    random, gated, skipped = total * (a[0] * b[0]), 0.0, 0.0
    gone = total * (a[2] * b[2])
    for part in range(4):
        if part == 0:
            count = total * (a[0] * b[1] + a[1] * b[0])
        elif part == 1:
            count = total * (a[0] * b[2] + a[2] * b[0])
        elif part == 2:
            count = total * (a[1] * b[1])
        else:
            count = total * (a[1] * b[2] + a[2] * b[1])
        if part % 2 == 1 and savings.skips_computes:
            skipped += count
        elif savings.gates_computes:
            gated += count
        else:
            random += count
    if not abs(skipped + random + gated + gone - total) < total * NOISE:
        w.wrong[0] = True
    out[GATED], out[SKIPPED] = _floored(w, gated), _floored(w, skipped)
    out[RANDOM] = unsigned(w, total - out[SKIPPED] - out[GATED] - _floored(w, gone))
