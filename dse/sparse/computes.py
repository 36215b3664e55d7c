"""Which computes happen, are gated or are skipped, of two operands that may be 0 or absent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from dse.errors import SpecError
from dse.sparse.numbers import floored, millionth, no_number, unsigned
from dse.sparse.tiles import TensorTiles

#: How far beyond 0 and 1 a probability may be, by rounding.
NOISE = 0.00001


@dataclass(frozen=True)
class ComputeCounts:
    """Computes of all instances."""

    random: int
    gated: int
    skipped: int


class _Operand(NamedTuple):
    """How likely an operand's word is there and not 0, there and 0, and not there."""

    nonzero: float
    zero: float
    absent: float


def compute_counts(
    tensors: Sequence[TensorTiles],
    total: int,
    saved: dict[str, float],
    *,
    gates: bool,
    skips: bool,
) -> ComputeCounts:
    """Return the computes by what becomes of them.

    Args:
        tensors: all of the mapping.
        total: computes that the savings of accesses leave.
        saved: of each operand whose savings reach the computes, the share of them.
        gates: whether computes on an operand that is 0 are gated.
        skips: whether computes on an operand that is not there are skipped.

    Raises:
        SpecError: Timeloop aborts: there are not two operands, or a probability is none.
    """
    operands = [tensor for tensor in tensors if not tensor.read_write]
    if len(operands) != 2:
        raise SpecError(
            f"sparse_optimizations: the problem has {len(operands)} operands, expected 2 (Timeloop "
            "aborts)\nAssertion `operand_compressed.size() == 2' failed"
        )
    first, second = operands
    a = _legal(_operand(first, saved.get(second.name)))
    b = _legal(_operand(second, saved.get(first.name)))
    random = total * (a.nonzero * b.nonzero)
    gated = skipped = 0.0
    one_zero = total * (a.nonzero * b.zero + a.zero * b.nonzero)
    one_absent = total * (a.nonzero * b.absent + a.absent * b.nonzero)
    both_zero = total * (a.zero * b.zero)
    zero_absent = total * (a.zero * b.absent + a.absent * b.zero)
    gone = total * (a.absent * b.absent)
    for part, absent in (
        (one_zero, False), (one_absent, True), (both_zero, False), (zero_absent, True)
    ):  # fmt: skip
        if absent and skips:
            skipped += part
        elif gates:
            gated += part
        else:
            random += part
    if not abs(skipped + random + gated + gone - total) < total * NOISE:
        raise SpecError(
            "sparse_optimizations: no computes are left (Timeloop aborts)\nAssertion `abs("
            "skipped_compute + random_compute + gated_compute + nonexistent_compute - "
            "total_compute) < total_compute * 0.00001' failed"
        )
    rest = total - floored(skipped) - floored(gated) - floored(gone)
    return ComputeCounts(unsigned(rest), floored(gated), floored(skipped))


def _operand(tensor: TensorTiles, other_saved: float | None) -> _Operand:
    """Return what an operand's word is where accesses to the other one are not saved."""
    density = millionth(tensor.density.expected((1,) * len(tensor.rows)))
    if other_saved is None:
        nonzero = millionth(density)
    elif other_saved == 1.0:
        raise no_number()
    else:
        nonzero = density / (1 - other_saved)
    innermost = next(s for s, kept in enumerate(tensor.kept) if kept)
    rest = 1.0 - nonzero
    if tensor.ranks(innermost):
        return _Operand(nonzero, 0.0, rest)
    return _Operand(nonzero, rest, 0.0)


def _legal(operand: _Operand) -> _Operand:
    for probability in operand:
        if not -NOISE <= probability <= 1 + NOISE:
            raise SpecError(
                f"sparse_optimizations: an operand would be 0 with probability {probability:.6g} "
                "(Timeloop aborts)\n illegal operand probability, can be due to rounding"
            )
    return _Operand(*(min(max(probability, 0.0), 1.0) for probability in operand))
