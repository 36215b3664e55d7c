"""From savings to counts: which accesses and computes happen, are gated, or are skipped.

What is saved at a level does not reach the levels inside of it, down to the next one that saves by
itself. Where one saves less than those outside of it, Timeloop's counts make no sense.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Literal

from dse.domain.sparse import ACCESSES, KINDS
from dse.errors import SpecError
from dse.sparse.numbers import ceiled, floored, no_number, rounded, unsigned
from dse.sparse.occupancy import Accesses, Units
from dse.sparse.tiles import TensorTiles

#: How a level saves accesses to a tensor.
How = Literal["gated", "skipped", "spatial"]


@dataclass(frozen=True)
class SavedShare:
    """Which share of a tensor's accesses at a level is saved, and how.

    ``idle``: instances are skipped, and accesses would be saved, too, but none can be.
    """

    how: How
    share: float
    idle: bool = False


@dataclass
class LevelCounts:
    """Accesses to one tensor at one level, by kind and access.

    Attributes:
        data: words.
        metadata: units of each rank.
        reductions: of partial sums.
        decompressed, compressed: words that change their form here.
    """

    data: dict[tuple[str, str], int]
    metadata: dict[tuple[str, str], Units]
    reductions: int = 0
    decompressed: int = 0
    compressed: int = 0


@dataclass
class _Left:
    """What is left of the accesses to one tensor at one level."""

    data: dict[str, float]
    metadata: dict[str, Units]

    @classmethod
    def of(cls, before: Accesses) -> _Left:
        return cls(
            {"read": before.reads, "fill": before.fills, "update": before.updates},
            {
                "read": _copied(before.metadata_reads),
                "fill": _copied(before.metadata_fills),
                "update": _copied(before.metadata_updates),
            },
        )

    def shrink(self, share: float, ranks_outside: int) -> None:
        """Take a share away that a level outside saves, which has so many ranks."""
        for access in ("fill", "read", "update"):
            self.data[access] -= floored(self.data[access] * share)
        # of metadata Timeloop scales the innermost rank only, where the level outside has one
        if ranks_outside == 1:
            for access in ("fill", "read"):
                for units in self.metadata[access][:1]:
                    for i, unit in enumerate(units):
                        units[i] = unsigned(unit - floored(unit * share))


@dataclass
class TensorCounts:
    """Counts of one tensor: of each level, and which share of the computes it saves."""

    levels: list[LevelCounts]
    computes: list[float] = field(default_factory=list)


def tensor_counts(
    tensor: TensorTiles,
    before: Sequence[Accesses],
    dense: Sequence[tuple[int, int]],
    savings: Mapping[int, SavedShare],
) -> TensorCounts:
    """Return a tensor's counts at all levels.

    Args:
        tensor: of the mapping.
        before: its accesses at each level without savings.
        dense: temporal reductions and updates at each level, without compression.
        savings: by level.

    Raises:
        SpecError: Timeloop crashes, or its counts wrap around.
    """
    left = [_Left.of(x) for x in before]
    found = [_counts(before[s], reductions) for s, (reductions, _) in enumerate(dense)]
    result = TensorCounts(found)
    final: set[int] = set()
    for s in sorted(savings, reverse=True):
        saved = savings[s]
        inner = s - 1
        while inner >= 0:
            left[inner].shrink(saved.share, tensor.ranks(s) if tensor.ranks(inner) else 0)
            if inner in savings:
                own = savings[inner]
                _settle(found[inner], left[inner], reads_of="update")
                if own.how != "spatial":
                    share = _share_of_rest(own.share, saved.share)
                    _save(tensor, inner, found[inner], own.how, share, dense[inner][1])
                final.add(inner)
                break
            inner -= 1
        if s not in final:
            final.add(s)
            _settle(found[s], left[s], reads_of="read")
            if saved.how != "spatial":
                _save(tensor, s, found[s], saved.how, saved.share, dense[s][1])
        if inner < 0 and not tensor.read_write:
            result.computes.append(saved.share)
    for s, (_, updates) in enumerate(dense):
        if s not in savings or (savings[s].how == "spatial" and not savings[s].idle):
            _settle(found[s], left[s], reads_of="read")
            _reduce(found[s], updates)
    return result


def count_conversions(tensor: TensorTiles, counts: TensorCounts) -> None:
    """Count what is compressed and decompressed on the way between levels.

    Raises:
        SpecError: a level inside of one without compression has it, on which Timeloop aborts.
    """
    for s in reversed(range(len(tensor.kept))):
        if not tensor.kept[s] or tensor.compressed(s):
            continue
        parent, child = tensor.parent(s), tensor.child(s)
        own = counts.levels[s]
        if parent is not None and tensor.compressed(parent):
            if tensor.read_write:
                own.compressed += counts.levels[parent].data["random", "update"]
            own.decompressed += own.data["random", "fill"]
        if child is not None and tensor.compressed(child):
            raise SpecError(
                f"sparse_optimizations: '{tensor.name}' is compressed at a level inside of one at "
                "which it is not, expected it compressed there, too (Timeloop aborts)"
            )


def compute_count(total: int, shares: Sequence[float]) -> int:
    """Return the computes that are left where shares of them are saved one after the other."""
    left = float(total)
    for share in shares:
        left -= floored(left * share)
    return unsigned(left)


def saved_share(shares: Sequence[float]) -> float | None:
    """Return the share that computes see of the savings that reach them, the innermost one."""
    return rounded(shares[-1] * 1000000) / 1000000 if shares else None


def _share_of_rest(own: float, outside: float) -> float:
    rest = 1 - outside
    if rest == 0:
        raise no_number()
    return 1 - (1 - own) / rest


def _counts(before: Accesses, reductions: int) -> LevelCounts:
    kinds = list(product(KINDS, ACCESSES))
    zeros = [[0, 0] for _ in before.metadata_reads]
    return LevelCounts(
        dict.fromkeys(kinds, 0), {key: _copied(zeros) for key in kinds}, reductions=reductions
    )


def _settle(counts: LevelCounts, left: _Left, *, reads_of: str) -> None:
    """Take over what is left; a level inside of one that saves reads its updates' metadata."""
    for access in ACCESSES:
        counts.data["random", access] = unsigned(left.data[access])
        taken = reads_of if access == "read" else access
        counts.metadata["random", access] = _copied(left.metadata[taken])


def _save(
    tensor: TensorTiles, s: int, counts: LevelCounts, how: str, share: float, updates: int
) -> None:
    """Let a level save a share of its accesses."""
    data = counts.data
    cut = ceiled if tensor.read_write else floored
    for access, saved in (
        ("read", cut(data["random", "read"] * share)),
        ("update", floored(data["random", "update"] * share)),
    ):
        data[how, access] = unsigned(data[how, access] + saved)
        data["random", access] = unsigned(data["random", access] - saved)
    child = tensor.child(s)
    ranks = tensor.ranks(s if child is None else child)
    if ranks > tensor.ranks(s):
        raise SpecError(
            f"sparse_optimizations: a level saves accesses to '{tensor.name}' with fewer ranks "
            "than the level inside of it has, expected as many (Timeloop crashes)"
        )
    for access in ("read", "update"):
        here, there = counts.metadata["random", access], counts.metadata[how, access]
        for r, unit in product(range(ranks), range(2)):
            saved = floored(here[r][unit] * share)
            here[r][unit] = unsigned(here[r][unit] - saved)
            there[r][unit] = unsigned(there[r][unit] + saved)
    if tensor.kept[s] and tensor.read_write:
        _reduce(counts, updates)


def _reduce(counts: LevelCounts, updates: int) -> None:
    """Reduce partial sums as often as updates are left of all."""
    if updates == 0:
        counts.reductions = 0
        return
    left = counts.data["random", "update"]
    counts.reductions = ceiled(counts.reductions * float(left) / updates)


def _copied(units: Units) -> Units:
    return [list(rank) for rank in units]
