"""From dense counts to those of a sparse design, in compiled code, many mappings abreast.

`dse.sparse.occupancy`, `counts` and `computes` say the rules. Counts are whole numbers in float64.
"""

from __future__ import annotations

import numpy as np

from dse.jit import inlined, inner
from dse.model.loops import copy_row
from dse.numeric import Floats
from dse.sparse.batch.lanes import SparseLanes, require_finite
from dse.sparse.batch.plan import FILL, GATED, RANDOM, READ, SKIPPED, UPDATE, SparsePlan
from dse.sparse.computes import NOISE
from dse.sparse.numbers import WRAPS


@inner
def _to_counts(x: SparseLanes, row: Floats, n: int) -> None:
    """Cut numbers to counts; there is no answer where one wraps around."""
    for i in range(n):
        count = np.trunc(row[i]) + 0.0  # not -0
        x.ok[i] &= (count >= 0.0) & (count < WRAPS)
        row[i] = count


@inner
def _add_units(out: Floats, units: Floats, widths: Floats, n: int) -> None:
    """Add the bits of metadata and payload ``units (2, W)``."""
    first, second, metadata, payload = units[0], units[1], widths[0], widths[1]
    for i in range(n):
        out[i] += first[i] * metadata + second[i] * payload


@inner
def _compress(x: SparseLanes, plan: SparsePlan, t: int, s: int, counts: Floats, n: int) -> None:
    """Set what is left of a level's accesses ``(3, B)`` where its tiles are compressed."""
    ranks = plan.formats.ranks[s, t]
    density, tile, tiles = x.density[t, s], x.tile[t, s], x.work[0]
    for access in range(3):
        left, dense = x.left[s, access], counts[access]
        for i in range(n):
            left[i] = dense[x.place[i]]
        if ranks:
            for i in range(n):
                tiles[i] = left[i] / tile[i]
        if ranks and (access != UPDATE or plan.tensors.read_write[t]):
            for i in range(n):
                left[i] -= np.floor(left[i] * (1 - density[i]))
            _to_counts(x, left, n)
        for r in range(ranks):
            for unit in range(2):
                units, left_units = x.units[t, s, r, unit], x.metadata_left[s, access, r, unit]
                for i in range(n):
                    left_units[i] = np.ceil(units[i] * tiles[i])
    if ranks:
        require_finite(x, density, n)
    for r in range(ranks):
        require_finite(x, x.units[t, s, r, 0], n)
        require_finite(x, x.units[t, s, r, 1], n)


@inner
def _shrink(
    x: SparseLanes, plan: SparsePlan, t: int, s: int, share: Floats, ranks_outside: int, n: int
) -> None:
    """Take a share away that a level outside saves, which has so many ranks."""
    for access in range(3):
        left = x.left[s, access]
        for i in range(n):
            left[i] -= np.floor(left[i] * share[i])
    if ranks_outside == 1 and plan.formats.ranks[s, t] > 0:
        for access in (FILL, READ):
            for unit in range(2):
                left = x.metadata_left[s, access, 0, unit]
                for i in range(n):
                    left[i] -= np.floor(left[i] * share[i])


@inner
def _settle(x: SparseLanes, plan: SparsePlan, t: int, s: int, reads_of: int, n: int) -> None:
    """Take over what is left; a level inside of one that saves reads its updates' metadata."""
    for access in range(3):
        data, bits = x.data[t, s, RANDOM, access], x.bits[t, s, RANDOM, access]
        copy_row(data, x.left[s, access])
        _to_counts(x, data, n)
        bits[:] = 0.0
        source = reads_of if access == READ else access
        for r in range(plan.formats.ranks[s, t]):
            _add_units(bits, x.metadata_left[s, source, r], plan.formats.bits[s, t, r], n)


@inner
def _save(
    x: SparseLanes, plan: SparsePlan, t: int, s: int, share: Floats, reads_of: int, n: int
) -> None:
    """Let a level save a share of its accesses, right after `_settle`."""
    child, how = x.child[t, s], x.how[t, s]
    ranks = plan.formats.ranks[s if child < 0 else child, t]
    if ranks > plan.formats.ranks[s, t]:  # Timeloop crashes
        x.ok[:] = False
        return
    for access in (READ, UPDATE):
        random, saved = x.data[t, s, RANDOM, access], x.data[t, s, how, access]
        if access == READ and plan.tensors.read_write[t]:
            for i in range(n):
                saved[i] = np.ceil(random[i] * share[i])
        else:
            for i in range(n):
                saved[i] = np.floor(random[i] * share[i])
        for i in range(n):
            random[i] -= saved[i]
        _to_counts(x, saved, n)
        _to_counts(x, random, n)
        source = reads_of if access == READ else access
        bits, all_bits = x.bits[t, s, how, access], x.bits[t, s, RANDOM, access]
        bits[:] = 0.0
        for r in range(ranks):
            metadata, payload = plan.formats.bits[s, t, r, 0], plan.formats.bits[s, t, r, 1]
            first, second = x.metadata_left[s, source, r, 0], x.metadata_left[s, source, r, 1]
            for i in range(n):
                saved_units = np.floor(first[i] * share[i]) * metadata
                bits[i] += saved_units + np.floor(second[i] * share[i]) * payload
            for i in range(n):  # a count wraps around
                x.ok[i] &= (share[i] >= 0.0) | (first[i] + second[i] <= 0.0)
        for i in range(n):
            all_bits[i] -= bits[i]


@inner
def _count_tensor(x: SparseLanes, plan: SparsePlan, t: int, counts: Floats, n: int) -> None:
    """Set a tensor's counts at all levels."""
    levels = x.keep.shape[0]
    for s in range(levels):
        x.final[s] = False
        if x.keep[s, t]:
            _compress(x, plan, t, s, counts[t, s], n)
    x.saves[t] = False
    for s in range(levels - 1, -1, -1):
        if x.how[t, s] < 0:
            continue
        share = x.share[t, s]
        require_finite(x, share, n)
        inside = s - 1
        while inside >= 0:
            if x.keep[inside, t]:
                _shrink(x, plan, t, inside, share, plan.formats.ranks[s, t], n)
                if x.how[t, inside] >= 0:
                    _settle(x, plan, t, inside, UPDATE, n)
                    own, all_saved = x.work[0], x.share[t, inside]
                    for i in range(n):
                        x.ok[i] &= share[i] != 1.0
                        own[i] = 1 - (1 - all_saved[i]) / (1 - share[i])
                    _save(x, plan, t, inside, own, UPDATE, n)
                    x.final[inside] = True
                    break
            inside -= 1
        if not x.final[s]:
            x.final[s] = True
            _settle(x, plan, t, s, READ, n)
            _save(x, plan, t, s, share, READ, n)
        if inside < 0 and not plan.tensors.read_write[t]:
            x.saves[t] = True
            copy_row(x.computes[t], share)
    for s in range(levels):
        if x.keep[s, t] and x.how[t, s] < 0:
            _settle(x, plan, t, s, READ, n)


@inner
def _count_conversions(x: SparseLanes, plan: SparsePlan, t: int) -> None:
    """Count what is compressed and decompressed on the way between levels."""
    compressed = plan.formats.compressed
    for s in range(x.keep.shape[0]):
        packed, unpacked = x.compressed[t, s], x.decompressed[t, s]
        packed[:] = 0.0
        unpacked[:] = 0.0
        if not x.keep[s, t] or compressed[s, t]:
            continue
        parent, child = x.parent[t, s], x.child[t, s]
        if parent >= 0 and compressed[parent, t]:
            if plan.tensors.read_write[t]:
                copy_row(packed, x.data[t, parent, RANDOM, UPDATE])
            copy_row(unpacked, x.data[t, s, RANDOM, FILL])
        if child >= 0 and compressed[child, t]:  # Timeloop aborts
            x.ok[:] = False


@inlined
def _millionth(value: float) -> float:
    whole = np.floor(1000000.0 * value)
    return float(whole + 1.0 if 1000000.0 * value - whole >= 0.5 else whole * 1.0) / 1000000.0


@inner
def _set_operand(x: SparseLanes, plan: SparsePlan, o: int, n: int) -> None:
    """Set how likely an operand's word is there and not 0, there and 0, and not there."""
    t, other = plan.tensors.operands[o], plan.tensors.operands[1 - o]
    innermost = 0
    while not x.keep[innermost, t]:
        innermost += 1
    nonzero, zero, absent = x.operand[o, 0], x.operand[o, 1], x.operand[o, 2]
    rest = absent if plan.formats.ranks[innermost, t] > 0 else zero
    zero[:] = 0.0
    absent[:] = 0.0
    nonzero[:] = plan.tensors.single[t]
    if x.saves[other]:
        share = x.computes[other]
        for i in range(n):
            saved = _millionth(share[i])
            x.ok[i] &= saved != 1.0
            nonzero[i] /= 1 - saved
    for i in range(n):
        rest[i] = 1.0 - nonzero[i]
        x.ok[i] &= (nonzero[i] >= -NOISE) & (nonzero[i] <= 1 + NOISE)
        x.ok[i] &= (rest[i] >= -NOISE) & (rest[i] <= 1 + NOISE)
        nonzero[i] = min(max(nonzero[i], 0.0), 1.0)
        rest[i] = min(max(rest[i], 0.0), 1.0)


@inner
def _count_computes(x: SparseLanes, plan: SparsePlan, macs: float, n: int) -> None:
    """Set the computes that happen, are gated and are skipped."""
    savings = plan.savings
    total, gone = x.work[0], x.work[1]
    total[:] = macs
    for t in range(x.keep.shape[1]):
        if x.saves[t]:
            share = x.computes[t]
            for i in range(n):
                total[i] -= np.floor(total[i] * share[i])
    _to_counts(x, total, n)
    for o in range(2):
        _set_operand(x, plan, o, n)
    a, b = x.operand[0], x.operand[1]
    skips, gates = savings.skips_computes, savings.gates_computes
    random, gated, skipped = x.done[RANDOM], x.done[GATED], x.done[SKIPPED]
    for i in range(n):
        happen = total[i] * (a[0, i] * b[0, i])
        gone[i] = total[i] * (a[2, i] * b[2, i])
        shut, passed = 0.0, 0.0
        # with one operand 0; with one not there; both 0; one 0 and one not there
        zero = total[i] * (a[0, i] * b[1, i] + a[1, i] * b[0, i])
        absent = total[i] * (a[0, i] * b[2, i] + a[2, i] * b[0, i])
        both = total[i] * (a[1, i] * b[1, i])
        mixed = total[i] * (a[1, i] * b[2, i] + a[2, i] * b[1, i])
        if skips:
            passed = 0.0 + absent + mixed
            if gates:
                shut = 0.0 + zero + both
            else:
                happen = happen + zero + both
        elif gates:
            shut = 0.0 + zero + absent + both + mixed
        else:
            happen = happen + zero + absent + both + mixed
        x.ok[i] &= abs(passed + happen + shut + gone[i] - total[i]) < total[i] * NOISE
        gated[i], skipped[i] = np.floor(shut), np.floor(passed)
        random[i] = total[i] - skipped[i] - gated[i] - np.floor(gone[i])
    require_finite(x, gated, n)
    require_finite(x, skipped, n)
    _to_counts(x, random, n)


@inner
def count(x: SparseLanes, plan: SparsePlan, counts: Floats, macs: float, n: int) -> None:
    """Set the counts of the first n lanes.

    Args:
        x: the block; everything of tiles is set.
        plan: the design.
        counts: ``(T, L, 3, B)`` accesses of all mappings without sparsity.
        macs: computes of the problem.
        n: lanes.
    """
    for t in range(x.keep.shape[1]):
        _count_tensor(x, plan, t, counts, n)
        _count_conversions(x, plan, t)
    _count_computes(x, plan, macs, n)
