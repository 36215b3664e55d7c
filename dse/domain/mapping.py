"""Mappings: how one problem runs on one architecture, alone and as batches.

Levels count from the inside (0 = innermost storage level). At each level a mapping has temporal
factors with their permutation and, where the level fans out, spatial factors with theirs; a
permutation lists dimension indices **innermost first**, as Timeloop does. The first ``split``
places of the spatial permutation run along X, the others along Y.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from dse.errors import SpecError
from dse.numeric import Flags

Factors = npt.NDArray[np.int32]
Order = npt.NDArray[np.int8]


@dataclass(frozen=True, eq=False)
class Mapping:
    """One mapping of a problem with D dimensions and T tensors on L storage levels.

    Attributes:
        temporal: ``(L, D)`` temporal factors.
        spatial: ``(L, D)`` spatial factors below each level (all 1 where it has no fan-out).
        permutation: ``(L, D)`` temporal loop order, innermost first.
        spatial_permutation: ``(L, D)`` spatial loop order, innermost first.
        split: ``(L,)`` how many places of ``spatial_permutation`` lie on X; the rest lie on Y.
        keep: ``(L, T)`` whether the level keeps the tensor (else it is bypassed).
        no_temporal_reuse: ``(L, T)`` every new iteration refetches the whole tile.
        no_multicast: ``(L, T)`` children never share one transfer (nor one reduction).
        no_link_transfer: ``(L, T)`` children never pass data to a grid neighbour.
        temporal_remainder: ``(L, D)`` what the loops run in their last iteration all around, of
            imperfect factors; None where all factors are perfect.
        spatial_remainder: the same of the spatial factors; None along with the other.

    Raises:
        ValueError: one of the remainders is missing.
    """

    temporal: Factors
    spatial: Factors
    permutation: Order
    spatial_permutation: Order
    split: Order
    keep: Flags
    no_temporal_reuse: Flags
    no_multicast: Flags
    no_link_transfer: Flags
    temporal_remainder: Factors | None = None
    spatial_remainder: Factors | None = None

    def __post_init__(self) -> None:
        temporal, spatial = self.temporal_remainder, self.spatial_remainder
        if temporal is None and spatial is None:
            return
        if temporal is None or spatial is None:
            raise ValueError("Mapping: one of the remainders is missing")
        if np.array_equal(temporal, self.temporal) and np.array_equal(spatial, self.spatial):
            object.__setattr__(self, "temporal_remainder", None)
            object.__setattr__(self, "spatial_remainder", None)

    @property
    def is_perfect(self) -> bool:
        """Whether every loop runs as often in all its iterations."""
        return self.temporal_remainder is None

    @property
    def remainders(self) -> tuple[Factors, Factors]:
        """Temporal and spatial remainders, ``(L, D)``; those of perfect factors are the factors."""
        if self.temporal_remainder is None or self.spatial_remainder is None:
            return self.temporal, self.spatial
        return self.temporal_remainder, self.spatial_remainder

    @classmethod
    def trivial(cls, levels: int, dimensions: int, tensors: int) -> Mapping:
        """Return the mapping with all factors 1, natural orders, and every tensor kept."""
        order = np.tile(np.arange(dimensions, dtype=np.int8), (levels, 1))
        return cls(
            temporal=np.ones((levels, dimensions), np.int32),
            spatial=np.ones((levels, dimensions), np.int32),
            permutation=order,
            spatial_permutation=order.copy(),
            split=np.full(levels, dimensions, np.int8),
            keep=np.ones((levels, tensors), np.bool_),
            no_temporal_reuse=np.zeros((levels, tensors), np.bool_),
            no_multicast=np.zeros((levels, tensors), np.bool_),
            no_link_transfer=np.zeros((levels, tensors), np.bool_),
        )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Mapping):
            return NotImplemented
        return all(
            np.array_equal(getattr(self, f.name), getattr(other, f.name)) for f in fields(self)
        )

    __hash__ = None  # type: ignore[assignment]


@dataclass(frozen=True, eq=False)
class MappingBatch:
    """B mappings of one problem as a struct of arrays, **batch last**: ``(L, D, B)``.

    The batch axis is contiguous, so that the model works on many mappings with one vector
    instruction. ``temporal`` and ``spatial`` always span the batch; every other array may have a
    batch axis of length 1, which means "the same for all".

    Attributes:
        temporal, spatial: ``(L, D, B)`` int32.
        permutation, spatial_permutation: ``(L, D, B)`` or ``(L, D, 1)`` int8.
        split: ``(L, B)`` or ``(L, 1)`` int8.
        keep, no_temporal_reuse, no_multicast, no_link_transfer: ``(L, T, B)`` or ``(L, T, 1)``.
    """

    temporal: Factors
    spatial: Factors
    permutation: Order
    spatial_permutation: Order
    split: Order
    keep: Flags
    no_temporal_reuse: Flags
    no_multicast: Flags
    no_link_transfer: Flags

    def __post_init__(self) -> None:
        count = self.temporal.shape[-1]
        for name, array in self._arrays().items():
            if not array.flags.c_contiguous:
                object.__setattr__(self, name, np.ascontiguousarray(array))
            width = array.shape[-1]
            if width != count and width != 1:  # noqa: PLR1714 - many small batches are made
                raise ValueError(
                    f"MappingBatch.{name}: batch axis {array.shape[-1]}, expected 1 or {count}"
                )

    def __len__(self) -> int:
        return int(self.temporal.shape[-1])

    def __getitem__(self, index: int) -> Mapping:
        if not -len(self) <= index < len(self):
            raise IndexError(f"mapping {index} of {len(self)}")
        return Mapping(**{k: _pick(v, index).copy() for k, v in self._arrays().items()})

    def singly(self) -> list[Mapping]:
        """Return the mappings one by one, as views of one copy: faster than indexing, for all."""
        count = len(self)
        columns = []
        for array in self._arrays().values():
            first = np.ascontiguousarray(array.transpose(-1, *range(array.ndim - 1)))
            columns.append(list(first) if len(first) == count else [first[0]] * count)
        return [_mapping(own) for own in zip(*columns, strict=True)]

    def take(self, index: npt.NDArray[np.intp] | slice) -> MappingBatch:
        """Return the mappings at ``index`` (an index array or a slice) as a batch."""
        one = len(self) == 1
        return MappingBatch(
            *(
                v if v.shape[-1] == 1 and not one else _columns(v, index)
                for v in self._arrays().values()
            )
        )

    def window(self, start: int, stop: int) -> MappingBatch:
        """Return mappings ``start .. stop`` as a batch of their own."""
        return self.take(slice(start, stop))

    @classmethod
    def of(cls, mappings: Sequence[Mapping]) -> MappingBatch:
        """Stack single mappings of equal L, D and T.

        Raises:
            SpecError: a mapping has imperfect factors, which batches do not hold.
        """
        if not mappings:
            raise ValueError("MappingBatch.of: no mappings")
        if not all(m.is_perfect for m in mappings):
            raise SpecError(
                "mapping: has imperfect factors, which only the native model evaluates, and one "
                "mapping at a time"
            )
        return cls(
            _stacked([m.temporal for m in mappings]),
            _stacked([m.spatial for m in mappings]),
            *(_shared([getattr(m, name) for m in mappings]) for name in _ARRAYS[2:]),
        )

    @classmethod
    def concatenate(cls, batches: Sequence[MappingBatch]) -> MappingBatch:
        """Join batches of the same problem and architecture structure."""
        if len(batches) == 1:
            return batches[0]
        joined: dict[str, Any] = {}
        counts = [len(b) for b in batches]
        for name in _ARRAYS:
            parts = [getattr(b, name) for b in batches]
            if name not in ("temporal", "spatial") and _all_equal_columns(parts):
                joined[name] = parts[0]
                continue
            joined[name] = np.concatenate(
                [
                    p if p.shape[-1] == n else np.broadcast_to(p, (*p.shape[:-1], n))
                    for p, n in zip(parts, counts, strict=True)
                ],
                axis=-1,
            )
        return cls(**joined)

    def _arrays(self) -> dict[str, npt.NDArray[Any]]:
        return vars(self)  # in the order of `_ARRAYS`, as they were set


_ARRAYS = tuple(f.name for f in fields(MappingBatch))


def _mapping(arrays: Iterable[npt.NDArray[Any]]) -> Mapping:
    """Return a mapping of perfect factors of these arrays, in the order of `_ARRAYS`.

    As the constructor does, without what it would have to check: searches make many.
    """
    made = object.__new__(Mapping)
    vars(made).update(_PERFECT, **dict(zip(_ARRAYS, arrays, strict=True)))
    return made


_PERFECT = {"temporal_remainder": None, "spatial_remainder": None}


def _shared(arrays: Sequence[npt.NDArray[Any]]) -> npt.NDArray[Any]:
    """Return arrays along a new last axis; one that is the same object everywhere stands once."""
    first = arrays[0]
    if all(x is first for x in arrays):
        return first[..., None].copy()
    return _stacked(arrays)


def _stacked(arrays: Sequence[npt.NDArray[Any]]) -> npt.NDArray[Any]:
    """Return equally shaped arrays as one, along a new last axis."""
    whole = np.array(arrays)
    return np.ascontiguousarray(whole.transpose(*range(1, whole.ndim), 0))


def _all_equal_columns(arrays: Sequence[npt.NDArray[Any]]) -> bool:
    """Whether all arrays are one column each, the same one."""
    first = arrays[0]
    return all(x.shape[-1] == 1 for x in arrays) and all(
        x is first or np.array_equal(x, first) for x in arrays
    )


def _columns(array: npt.NDArray[Any], index: npt.NDArray[np.intp] | slice) -> npt.NDArray[Any]:
    if isinstance(index, slice) or index.dtype == np.bool_:
        return np.ascontiguousarray(array[..., index])
    return array.take(index, axis=-1)


def _pick(array: npt.NDArray[Any], index: int) -> npt.NDArray[Any]:
    return array[..., 0] if array.shape[-1] == 1 else array[..., index]


def least_remainders(
    temporal: Factors, spatial: Factors, sizes: npt.NDArray[np.int64]
) -> tuple[Factors, Factors]:
    """Return the remainders with which factors of at least a problem's size are exactly that.

    Args:
        temporal: ``(L, D, ...)`` factors; together with the others at least the sizes.
        spatial: ``(L, D, ...)``.
        sizes: ``(D,)`` bounds of the problem.

    Returns:
        Temporal and spatial remainders, of the shapes of the factors.
    """
    remainders = np.empty_like(temporal), np.empty_like(spatial)
    left = np.broadcast_to(
        sizes.reshape(-1, *(1,) * (temporal.ndim - 2)), temporal.shape[1:]
    ).copy()
    for s in range(len(temporal)):
        for found, factors in zip(remainders[::-1], (spatial, temporal), strict=True):
            found[s] = (left - 1) % factors[s] + 1
            left = -(-left // factors[s])
    return remainders
