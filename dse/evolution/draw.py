"""Generations of candidates, drawn until they fit: compiled, many searches in one call."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from dse.domain.architecture import HardwareArrays
from dse.evolution.decode import (
    Vectors,
    fit,
    read_axes,
    read_factors,
    read_kept,
    read_orders,
    shrink,
)
from dse.evolution.genome import GenomeArrays
from dse.evolution.normals import normal
from dse.jit import inner, tiered
from dse.mapspace.random_bits import hashed
from dse.model.arrays import MappingArrays
from dse.model.block import WIDTH, Lanes, Plan, Prices, lay_out, load_limits
from dse.numeric import Flags, Floats, Ints


class Normals(NamedTuple):
    """What the S searches draw from: normal distributions of n numbers, cut off at a box."""

    mean: Floats  # (S, n)
    step: Floats  # (S, n) standard deviation along each axis of a distribution
    basis: Floats  # (S, n, n) directions of the axes; (0, n, n): those of the numbers themselves
    low: float
    high: float
    seed: int  # 64 bits
    first: int  # number of the first candidate; each has its own


class Generation(NamedTuple):
    """What is drawn: P candidates of each of S searches."""

    x: Floats  # (S * P, n)
    mapping: MappingArrays  # S * P mappings
    ok: Flags  # (S * P,) which fit their hardware
    found: Ints  # (S,) candidates of each search in place after the first round
    fits: Ints  # (S,) candidates of the first round that fit
    tried: Ints  # (S,) candidates of the first round
    again: Ints  # (S * P,) scratch: places that are left


@inner
def _numbers(
    d: Normals, v: Vectors, seed: npt.NDArray[np.uint64], first: int, last: int, start: int,
    stop: int,
) -> None:  # fmt: skip
    """Draw numbers ``first .. last`` of vectors ``start .. stop``, all of one search."""
    for k in range(first, last):
        mean, step = d.mean[v.row[start], k], d.step[v.row[start], k]
        for i in range(start, stop):
            v.bits[i] = hashed(seed[i], k)
        for i in range(start, stop):
            v.x[k, i] = min(max(mean + step * normal(v.bits[i]), d.low), d.high)


@inner
def _turned(d: Normals, v: Vectors, i: int, flags: int) -> None:
    """Draw a vector of a distribution whose axes lie anywhere."""
    row, n = v.row[i], v.z.shape[0]
    for k in range(n):
        v.z[k] = d.step[row, k] * normal(hashed(v.seed[i] if k < flags else v.shared[i], k))
    for k in range(n):
        x = d.mean[row, k]
        for j in range(n):
            x += d.basis[row, k, j] * v.z[j]
        v.x[k, i] = min(max(x, d.low), d.high)


@inner
def _read(g: GenomeArrays, d: Normals, v: Vectors, lanes: Lanes, start: int, stop: int) -> None:
    """Draw vectors ``start .. stop`` of one search and read them, but for their orders."""
    if d.basis.shape[0]:
        for i in range(start, stop):
            _turned(d, v, i, g.flags)
    else:
        _numbers(d, v, v.seed, 0, g.orders[0], start, stop)
        _numbers(d, v, v.seed, g.orders[1], g.flags, start, stop)
        _numbers(d, v, v.shared, g.flags, v.x.shape[0], start, stop)
    read_factors(g, v, lanes, start, stop)
    if g.keeps_vary:
        read_kept(g, v, start, stop)


@inner
def _place(g: GenomeArrays, d: Normals, v: Vectors, n: int, lanes: Lanes, to: Generation) -> None:
    """Give the first ``n`` candidates of a block their places in the generation, and orders."""
    for s in range(lanes.temporal_used.shape[0]):
        for e in range(lanes.temporal_used.shape[1]):
            if lanes.temporal_used[s, e]:
                for i in range(n):
                    if v.place[i] >= 0:
                        to.mapping.temporal[s, e, v.place[i]] = np.int32(lanes.temporal[s, e, i])
            if lanes.spatial_used[s, e]:
                for i in range(n):
                    if v.place[i] >= 0:
                        to.mapping.spatial[s, e, v.place[i]] = np.int32(lanes.spatial[s, e, i])
    for i in range(n):
        b, h = v.place[i], v.own[i]
        if b < 0:
            continue
        if not d.basis.shape[0]:
            _numbers(d, v, v.seed, g.orders[0], g.orders[1], i, i + 1)
        for k in range(v.x.shape[0]):
            to.x[b, k] = v.x[k, i]
        to.ok[b] = v.ok[i]
        read_orders(g, to.x, b, h, to.mapping, v.rank)
        if g.any_axes_vary:
            read_axes(g, to.x, b, h, to.mapping)
        if g.keeps_vary:
            for s in range(v.keep.shape[0]):
                for t in range(v.keep.shape[1]):
                    to.mapping.keep[s, t, b] = v.keep[s, t, i]


@inner
def _block(
    g: GenomeArrays, d: Normals, v: Vectors, n: int, own: Ints, hw: HardwareArrays,
    machine: npt.NDArray[np.int32], plan: Plan, lanes: Lanes, c: Prices, to: Generation,
    shrinks: bool, last: bool,
) -> int:  # fmt: skip
    """Draw a block of candidates, and put those in place that fit; the last ones in any case.

    Returns:
        how many fit.
    """
    for i in range(n):
        v.own[i] = own[v.row[i]]
        v.machine[i] = machine[v.row[i]]
    load_limits(c, hw, v.machine, 0, n)
    start = 0
    for i in range(1, n + 1):
        if i == n or v.row[i] != v.row[start]:
            _read(g, d, v, lanes, start, i)
            start = i
    fit(g, v, n, hw, plan, lanes, c)
    for i in range(n):
        v.ok[i] = lanes.ok[i]
    if shrinks:
        shrink(g, v, n, hw, plan, lanes, c)
    count, fits = to.again.shape[0] // to.found.shape[0], 0
    for i in range(n):
        fits += v.ok[i]
        row = v.row[i]
        if v.place[i] < 0 and v.ok[i] and to.found[row] < count:
            v.place[i] = row * count + to.found[row]
            to.found[row] += 1
        elif not v.ok[i] and not last:
            v.place[i] = -1
    _place(g, d, v, n, lanes, to)
    return fits


@tiered
def draw_into(
    g: GenomeArrays, d: Normals, v: Vectors, own: Ints, hw: HardwareArrays,
    machine: npt.NDArray[np.int32], plan: Plan, lanes: Lanes, c: Prices, to: Generation,
    first: int, rounds: int, shrink_from: int,
) -> int:  # fmt: skip
    """Draw P candidates for each of S searches, most of which fit their hardware.

    In the first round, up to ``first`` candidates of each search are drawn, at least P of them: the
    first P that fit. In each further round, one for each place that is left; the last one is taken
    as it is. From round ``shrink_from`` on, what does not fit shrinks (:func:`shrink`).

    ``own (S,)`` is the row of each search's hardware in the genome, ``machine (S,)`` in ``hw``. In
    the lanes, the places that any vector may fill are marked. What all mappings share stands in
    ``to.mapping``.

    The flags of candidates that compete for one place have the same random numbers in all searches.

    Returns:
        The number of candidates that could have been drawn in so many rounds as it took.
    """
    lay_out(lanes)
    v.tiles[:] = 1.0
    v.array[:] = 1.0
    to.found[:] = 0
    to.fits[:] = 0
    to.tried[:] = 0
    count = to.ok.shape[0] // own.shape[0]
    round_, row = 1, 0
    before, left, start = 0, 0, 0  # places to fill in a further round, in the next, those tried
    while round_ <= rounds:
        if round_ == 1:
            n = _next_of_search(d, v, to, row, first, rounds == 1)
        else:
            n = _next_places(d, v, to, start, before, first + (round_ - 2) * count)
        fits = _block(
            g, d, v, n, own, hw, machine, plan, lanes, c, to, shrink_from <= round_,
            round_ == rounds,
        )  # fmt: skip
        if round_ == 1:
            to.fits[row] += fits
            to.tried[row] += n
            row += to.tried[row] == first or (rounds > 1 and to.found[row] == count)
            if row < own.shape[0]:
                continue
            left = _places_left(to, count)
        else:
            for i in range(n):
                if not v.ok[i]:
                    to.again[left] = to.again[start + i]
                    left += 1
            start += n
            if start < before:
                continue
        if not left:
            break
        before, left, start = left, 0, 0
        round_ += 1
    drawn: int = own.shape[0] * (first + (round_ - 1) * count)
    return drawn


@inner
def _next_of_search(
    d: Normals, v: Vectors, to: Generation, row: int, first: int, placed: bool
) -> int:
    """Let the next block hold candidates of a search's first round; return how many.

    Not many more than it will take, by those that were drawn so far.
    """
    done, count = to.tried[row], to.ok.shape[0] // to.found.shape[0]
    wanted = (count - to.found[row]) * (done + 1) // (to.fits[row] + 1) + 1
    n: int = min(WIDTH, wanted, first - done)
    for i in range(n):
        v.row[i] = row
        v.seed[i] = hashed(d.seed, d.first + row * first + done + i)
        v.shared[i] = hashed(d.seed, d.first + done + i)
        v.place[i] = row * count + done + i if placed else -1
    return n


@inner
def _next_places(d: Normals, v: Vectors, to: Generation, start: int, stop: int, drawn: int) -> int:
    """Let the next block hold candidates for places that are left; return how many.

    So many as ``drawn`` could have been drawn of each search before.
    """
    searches = to.found.shape[0]
    count, n = to.ok.shape[0] // searches, min(WIDTH, stop - start)
    for i in range(n):
        place = to.again[start + i]
        v.place[i], v.row[i] = place, place // count
        v.seed[i] = hashed(d.seed, d.first + searches * drawn + place)
        v.shared[i] = hashed(d.seed, d.first + drawn + place % count)
    return n


@inner
def _places_left(to: Generation, count: int) -> int:
    """List the places that the first round has left; return how many."""
    left = 0
    for row in range(to.found.shape[0]):
        for b in range(row * count + to.found[row], (row + 1) * count):
            to.again[left] = b
            left += 1
    return left
