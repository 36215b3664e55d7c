"""The model of sparse designs, one mapping after the other, in compiled code.

Whether the words of its tiles fit, and the counts of dense tensors, were told before, in lanes.
"""

from __future__ import annotations

import math

from dse.jit import compiled, inlined
from dse.model.arrays import MappingArrays, Totals
from dse.numeric import Floats
from dse.sparse.batch.counts import count_computes, count_conversions, count_tensor
from dse.sparse.batch.holds import hold
from dse.sparse.batch.memory import Memo, SparseWork
from dse.sparse.batch.plan import SparsePlan
from dse.sparse.batch.ranks import lay_out, set_ranks
from dse.sparse.batch.shares import set_shares
from dse.sparse.batch.totals import holdings_fit, total


@inlined
def _evaluate(
    w: SparseWork, memo: Memo, plan: SparsePlan, m: MappingArrays, b: int, counts: Floats,
    network_pj: float, macs: float, totals: Totals,
) -> None:  # fmt: skip
    """Evaluate a mapping whose words fit; ``counts (T, L, 3)`` are those of a dense one."""
    keep = m.keep[:, :, b if m.keep.shape[2] > 1 else 0]
    lay_out(w, plan, m, b, keep)
    w.wrong[0] = False
    for t in range(keep.shape[1]):
        for s in range(keep.shape[0]):
            if not keep[s, t]:
                continue
            if plan.formats.ranks[s, t] > 0 and not set_ranks(w, plan, m, b, t, s):
                return
            hold(w, memo, plan, t, s)
    if not holdings_fit(w, plan, keep) or not set_shares(w, memo, plan, m, b, keep):
        return
    for t in range(keep.shape[1]):
        count_tensor(w, plan, t, keep, counts[t])
        count_conversions(w, plan, t, keep)
    count_computes(w, plan, macs, keep, w.done)
    if not w.wrong[0]:
        total(w, memo, plan, keep, network_pj, b, totals)


@compiled
def evaluate_range(
    w: SparseWork, memo: Memo, plan: SparsePlan, m: MappingArrays, start: int, stop: int,
    counts: Floats, network_pj: Floats, macs: float, totals: Totals,
) -> int:  # fmt: skip
    """Evaluate mappings ``start .. stop``.

    Args:
        w: working memory.
        memo: what was worked out before.
        plan: the design.
        m: mappings, all of which passed `dse.sparse.batch.fit`.
        start: the first.
        stop: behind the last.
        counts: ``(B, T, L, 3)`` reads, fills and updates without sparsity; not a number where
            there are none.
        network_pj: ``(B,)``.
        macs: computes of the problem.
        totals: to fill in.

    Returns:
        The first mapping that needs a larger ``memo``, or ``stop``.
    """
    levels, tensors, ranks = plan.formats.code.shape
    most = levels * tensors * (ranks + 2) + plan.savings.condition.shape[0]
    for b in range(start, stop):
        if memo.used[0] + most > memo.key.shape[0] // 2:
            return b
        if not math.isnan(network_pj[b]):
            _evaluate(w, memo, plan, m, b, counts[b], network_pj[b], macs, totals)
    return stop
