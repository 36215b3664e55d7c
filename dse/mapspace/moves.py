"""Steps inside a mapspace: random neighbours of mappings, and rounding of real-valued factors."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from dse.domain.mapping import MappingBatch
from dse.jit import compiled, inner, tiered
from dse.mapspace.factorization import factorizations
from dse.mapspace.outline import Slot
from dse.mapspace.random_bits import uniform
from dse.mapspace.space import Mapspace, SpaceArrays
from dse.model import arrays as a
from dse.model.arrays import MappingArrays
from dse.numeric import int64, uint64


def random_neighbors(space: Mapspace, mappings: MappingBatch, seed: int) -> MappingBatch:
    """Return a random neighbour of each mapping, still in the space.

    A neighbour differs by one step, each kind equally likely where the space has it: a prime
    factor of one dimension moves to another slot; two neighbouring free loops of a level change
    places; a dimension changes its axis; a tensor is kept instead of bypassed or the reverse.
    Where the step picked is impossible, the mapping comes back unchanged. Tiles may outgrow
    their buffers: that is for the evaluator to say.

    Args:
        space: the mapspace that the mappings lie in.
        mappings: B mappings.
        seed: any integer; equal seeds give equal neighbours.
    """
    result = space.empty_batch(len(mappings))
    for name in ("temporal", "spatial", "permutation", "spatial_permutation", "split", "keep"):
        getattr(result, name)[...] = getattr(mappings, name)
    _step_all(
        space.arrays,
        a.mapping_arrays(result),
        uint64(seed & 0xFFFFFFFFFFFFFFFF),
        np.array(_kinds(space), np.int64),
    )
    return result


def _kinds(space: Mapspace) -> list[int]:
    """Kinds of steps that exist in the space."""
    x = space.arrays
    movable = any((~x.slot_fixed[d, : x.slots[d]]).sum() > 1 for d in range(len(x.slots)))
    kinds = [
        (_FACTOR, movable),
        (_ORDER, bool((x.free_count > 1).any())),
        (_AXIS, x.any_axis_free),
        (_KEEP, x.any_keep_free),
    ]
    return [kind for kind, there in kinds if there]


_FACTOR, _ORDER, _AXIS, _KEEP = range(4)
#: Picks of a random place before a step is given up as impossible.
_TRIES = 8


@inner
def _smallest_prime(n: int) -> int:
    """Smallest prime factor of n > 1."""
    p = 2
    while p * p <= n:
        if n % p == 0:
            return p
        p += 1
    return n


@inner
def random_prime(n: int, u: float) -> int:
    """One of the prime factors of n > 1, equally likely with multiplicity."""
    count = 0
    rest = n
    while rest > 1:
        rest //= _smallest_prime(rest)
        count += 1
    pick = int(u * count)
    rest = n
    for _ in range(pick):
        rest //= _smallest_prime(rest)
    return _smallest_prime(rest)


@inner
def factor_at(space: SpaceArrays, m: MappingArrays, d: int, k: int, b: int) -> int:
    """Factor of dimension d in its slot k."""
    s = space.slot_level[d, k]
    return int64(m.spatial[s, d, b] if space.slot_spatial[d, k] else m.temporal[s, d, b])


@inner
def set_factor(space: SpaceArrays, m: MappingArrays, d: int, k: int, b: int, value: int) -> None:
    """Set the factor of dimension d in its slot k."""
    s = space.slot_level[d, k]
    if space.slot_spatial[d, k]:
        m.spatial[s, d, b] = value
    else:
        m.temporal[s, d, b] = value


@inner
def _parallel(m: MappingArrays, b: int) -> float:
    """Product of all spatial factors."""
    used = 1.0
    for s in range(m.spatial.shape[0]):
        for d in range(m.spatial.shape[1]):
            used *= m.spatial[s, d, b]
    return used


@inner
def _move_factor(space: SpaceArrays, m: MappingArrays, b: int, seed: int) -> None:
    """Move a prime factor of one dimension to another slot."""
    dimensions = space.slots.shape[0]
    for attempt in range(_TRIES):
        d = int(uniform(seed, b, 8 + 4 * attempt) * dimensions)
        slots = space.slots[d]
        if slots < 2:
            continue
        k = int(uniform(seed, b, 9 + 4 * attempt) * slots)
        to = int(uniform(seed, b, 10 + 4 * attempt) * (slots - 1))
        to += to >= k
        here = factor_at(space, m, d, k, b)
        if here < 2 or space.slot_fixed[d, k] or space.slot_fixed[d, to]:
            continue
        prime = random_prime(here, uniform(seed, b, 11 + 4 * attempt))
        there = factor_at(space, m, d, to, b) * prime
        if there <= space.slot_cap[d, to] and here // prime >= space.slot_least[d, k]:
            set_factor(space, m, d, k, b, here // prime)
            set_factor(space, m, d, to, b, there)
            if space.least_parallel <= 1.0 or _parallel(m, b) >= space.least_parallel:
                return
            set_factor(space, m, d, k, b, here)
            set_factor(space, m, d, to, b, there // prime)


@inner
def _swap_loops(space: SpaceArrays, m: MappingArrays, b: int, seed: int) -> None:
    """Swap two neighbouring loops in the free stretch of a random level."""
    levels = space.order.shape[0]
    for attempt in range(_TRIES):
        s = int(uniform(seed, b, 8 + 2 * attempt) * levels)
        if space.free_count[s] > 1:
            p = space.free_start[s] + int(
                uniform(seed, b, 9 + 2 * attempt) * (space.free_count[s] - 1)
            )
            m.permutation[s, p, b], m.permutation[s, p + 1, b] = (
                m.permutation[s, p + 1, b],
                m.permutation[s, p, b],
            )
            return


@inner
def change_axis(m: MappingArrays, s: int, d: int, b: int) -> None:
    """Move dimension d of level s to the other side of the split."""
    place = 0
    while m.spatial_permutation[s, place, b] != d:
        place += 1
    split = m.split[s, b]
    if place < split:
        m.split[s, b] = split - 1
        for p in range(place, split - 1):
            m.spatial_permutation[s, p, b] = m.spatial_permutation[s, p + 1, b]
        m.spatial_permutation[s, split - 1, b] = d
    else:
        m.split[s, b] = split + 1
        for p in range(place, split, -1):
            m.spatial_permutation[s, p, b] = m.spatial_permutation[s, p - 1, b]
        m.spatial_permutation[s, split, b] = d


@inner
def _flip_axis(space: SpaceArrays, m: MappingArrays, b: int, seed: int) -> None:
    """Move one dimension that may run along either axis to the other side of the split."""
    levels, dimensions = space.axis.shape
    for attempt in range(_TRIES):
        s = int(uniform(seed, b, 8 + 2 * attempt) * levels)
        d = int(uniform(seed, b, 9 + 2 * attempt) * dimensions)
        if space.axis[s, d] != 2:
            continue
        change_axis(m, s, d, b)
        return


@inner
def _flip_keep(space: SpaceArrays, m: MappingArrays, b: int, seed: int) -> None:
    """Keep a bypassed tensor at some level, or bypass a kept one."""
    levels, tensors = space.keep.shape
    for attempt in range(_TRIES):
        s = int(uniform(seed, b, 8 + 2 * attempt) * levels)
        t = int(uniform(seed, b, 9 + 2 * attempt) * tensors)
        if space.keep[s, t] == 2:
            m.keep[s, t, b] = not m.keep[s, t, b]
            return


@compiled
def _step_all(
    space: SpaceArrays, m: MappingArrays, seed: int, kinds: npt.NDArray[np.int64]
) -> None:
    """Take one random step from every mapping, in place."""
    if kinds.shape[0] == 0:
        return
    for b in range(m.temporal.shape[2]):
        kind = kinds[int(uniform(seed, b, 0) * kinds.shape[0])]
        if kind == _FACTOR:
            _move_factor(space, m, b, seed)
        elif kind == _ORDER:
            _swap_loops(space, m, b, seed)
        elif kind == _AXIS:
            _flip_axis(space, m, b, seed)
        else:
            _flip_keep(space, m, b, seed)


class _Lattice(NamedTuple):
    """One dimension's lattice with its slots in the order in which they are rounded."""

    place: npt.NDArray[np.int64]  # (K,) slot of each step
    first: npt.NDArray[np.int64]
    factor: npt.NDArray[np.int32]
    target: npt.NDArray[np.int32]


def round_factors(
    space: Mapspace, temporal: npt.NDArray[np.float64], spatial: npt.NDArray[np.float64]
) -> MappingBatch:
    """Round real-valued factors to legal mappings of the space.

    Per dimension: spatial factors first, from the inside out, then temporal ones; each takes the
    divisor of what is left that is nearest to its value (of two, the larger) and that the
    constraints still allow to complete; the outermost takes the remainder (DOSA, section 5.3).
    Permutations, axes and keeps are the space's defaults.

    Args:
        space: the mapspace; must not be infeasible.
        temporal: ``(L, D, B)``, read where the space has a temporal slot.
        spatial: ``(L, D, B)``, likewise.

    Raises:
        ValueError: the space is infeasible.
    """
    if space.infeasible:
        raise ValueError(space.infeasible)
    result = space.empty_batch(temporal.shape[2])
    values = (
        np.ascontiguousarray(temporal, dtype=np.float64),
        np.ascontiguousarray(spatial, dtype=np.float64),
    )
    to = a.mapping_arrays(result)
    for d, name in enumerate(space.problem.dimensions):
        if space.slots[d]:
            lattice = _rounding_lattice(space.problem.bounds[name], tuple(space.slots[d]))
            _round_dimension(space.arrays, lattice, d, *values, to)
    return result


@lru_cache(maxsize=4096)
def _rounding_lattice(bound: int, slots: tuple[Slot, ...]) -> _Lattice:
    place = sorted(range(len(slots)), key=lambda k: (not slots[k].spatial, slots[k].level))
    f = factorizations(
        bound,
        tuple(slots[k].cap for k in place),
        tuple(slots[k].fixed for k in place),
        tuple(slots[k].least for k in place),
    )
    return _Lattice(np.array(place, np.int64), f.first, f.factor, f.target)


@tiered
def _round_dimension(
    space: SpaceArrays,
    lattice: _Lattice,
    d: int,
    temporal: npt.NDArray[np.float64],
    spatial: npt.NDArray[np.float64],
    out: MappingArrays,
) -> None:
    """Round the factors of dimension d of every mapping: a greedy walk through the lattice."""
    for b in range(temporal.shape[2]):
        node = int64(0)
        for step in range(lattice.place.shape[0]):
            k = lattice.place[step]
            s = space.slot_level[d, k]
            value = spatial[s, d, b] if space.slot_spatial[d, k] else temporal[s, d, b]
            best = lattice.first[node]
            for edge in range(best + 1, lattice.first[node + 1]):
                if abs(lattice.factor[edge] - value) <= abs(lattice.factor[best] - value):
                    best = edge
            set_factor(space, out, d, k, b, lattice.factor[best])
            node = int64(lattice.target[best])
