"""The model of sparse designs, in compiled code.

Whether the words of its tiles fit, and the counts of dense tensors, were told before, in lanes.
What tiles hold is worked out one mapping after the other; the totals come of it in lanes again.
"""

from __future__ import annotations

import math

from dse.jit import compiled, inlined, inner
from dse.model.arrays import MappingArrays, Totals
from dse.numeric import Flags, Floats
from dse.sparse.batch.counts import count
from dse.sparse.batch.holds import hold
from dse.sparse.batch.lanes import SparseLanes, add, begin, belongs
from dse.sparse.batch.memory import Memo, SparseWork
from dse.sparse.batch.plan import SparsePlan
from dse.sparse.batch.ranks import lay_out, relate, set_ranks
from dse.sparse.batch.shares import set_shares
from dse.sparse.batch.totals import holdings_fit, set_blocks, set_totals


@inlined
def _hold(
    w: SparseWork, memo: Memo, plan: SparsePlan, m: MappingArrays, b: int, keep: Flags
) -> bool:
    """Work out what tiles hold, and what is saved, of a mapping whose words fit; False: refused."""
    lay_out(w, plan, m, b)
    w.wrong[0] = False
    for t in range(keep.shape[1]):
        for s in range(keep.shape[0]):
            if not keep[s, t]:
                continue
            if plan.formats.ranks[s, t] > 0 and not set_ranks(w, plan, m, b, t, s):
                return False
            hold(w, memo, plan, t, s)
    if not holdings_fit(w, plan, keep) or not set_shares(w, memo, plan, m, b, keep):
        return False
    set_blocks(w, memo, plan, keep)
    return not w.wrong[0]


@inner
def _finish(
    x: SparseLanes, plan: SparsePlan, counts: Floats, macs: float, network_pj: Floats, n: int,
    totals: Totals,
) -> None:  # fmt: skip
    """Evaluate the first n lanes."""
    count(x, plan, counts, macs, n)
    set_totals(x, plan, network_pj, n, totals)


@compiled
def evaluate_range(
    w: SparseWork, memo: Memo, x: SparseLanes, plan: SparsePlan, m: MappingArrays, start: int,
    stop: int, counts: Floats, network_pj: Floats, macs: float, totals: Totals,
) -> int:  # fmt: skip
    """Evaluate mappings ``start .. stop``.

    Args:
        w: working memory.
        memo: what was worked out before.
        x: memory of a block.
        plan: the design.
        m: mappings, all of which passed `dse.sparse.batch.fit`.
        start: the first.
        stop: behind the last.
        counts: ``(T, L, 3, B)`` reads, fills and updates without sparsity; not a number where
            there are none.
        network_pj: ``(B,)``.
        macs: computes of the problem.
        totals: to fill in.

    Returns:
        The first mapping that needs a larger ``memo``, or ``stop``.
    """
    levels, tensors, ranks = plan.formats.code.shape
    most = levels * tensors * (ranks + 2) + plan.savings.condition.shape[0]
    n, b = 0, start
    while b < stop and memo.used[0] + most <= memo.key.shape[0] // 2:
        keep = m.keep[:, :, b if m.keep.shape[2] > 1 else 0]
        if b == start or m.keep.shape[2] > 1:
            relate(w, keep)
        if not math.isnan(network_pj[b]) and _hold(w, memo, plan, m, b, keep):
            if n == x.ok.shape[0] or (n > 0 and not belongs(x, w, keep)):
                _finish(x, plan, counts, macs, network_pj, n, totals)
                n = 0
            if n == 0:
                begin(x, w, keep)
            add(x, w, plan, n, b)
            n += 1
        b += 1
    if n > 0:
        _finish(x, plan, counts, macs, network_pj, n, totals)
    return b
