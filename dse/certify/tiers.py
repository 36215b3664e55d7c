"""Spaces with one tile on the chip, told by the certifier's own conditions; all their mappings.

Four levels: registers that hold one word of a tensor W at a time, accumulators of the output O, a
scratchpad of W and the third tensor I, and memory. Loops in time run at the memory, in any order,
or at the accumulators, in an order that is fixed. One dimension runs in space below the
accumulators (``rows``: they reduce over it) and one below the scratchpad (``columns``). What
follows from the rules of the model (``docs/timeloop-rules.md``) where all of :func:`tiers_of`
holds, with pr and pc the spatial factors, A all operations and F the words of O:

- memory moves what the tile and the order of the loops above it say, whatever runs in space;
- steps A / (pr pc); reads of I at the scratchpad A / pc; updates and reads of O, over all
  accumulators, A / pr and A / pr - F; reads of W, over all registers, A; words into registers no
  more than with smaller factors, and fewer only with fewer words of W from memory;
- a tile of O in one accumulator is pc times smaller than the tile on the chip.

So nothing is lower with smaller spatial factors but leakage, which counts idle instances out, and
nothing is lower with an order that moves more words of every tensor. That is all that is left out
of the mappings that the recheck evaluates; loops at the registers that do not move W are the
innermost loops of the accumulators by another name.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dse.certify.places import BYPASS, KEEP, Place, Places
from dse.domain.architecture import Architecture

#: Levels from the inside out.
REGISTERS, ACCUMULATOR, SCRATCHPAD, MEMORY = range(4)
#: Counts beyond this are not whole numbers in every float sum of the model.
_WHOLE = 2.0**48


@dataclass(frozen=True)
class Tiers:
    """Who is who, of one layer on chips of one kind.

    Attributes:
        stationary, moving, output: tensors W, I and O.
        rows, columns: the dimensions in space; None: none.
        axes: of ``rows`` and ``columns``.
        order: dimensions as their loops stand at the accumulators, innermost first.
    """

    stationary: int
    moving: int
    output: int
    rows: int | None
    columns: int | None
    axes: tuple[int, int]
    order: tuple[int, ...]


class _OtherwiseError(Exception):
    """Why a space is not such a one."""


def tiers_of(places: Places) -> Tiers | str:
    """Return who is who, or why the space is not such a one."""
    try:
        _check_hardware(places.architecture)
        tensors = _tensors(places)
        _check_projections(places, tensors)
        rows = _spatial(places, ACCUMULATOR)
        columns = _spatial(places, SCRATCHPAD)
        _check_dimensions(places, tensors, rows, columns)
        order = _order(places, tensors[0])
    except _OtherwiseError as error:
        return str(error)
    axes = tuple(0 if found is None else found[1].axes[0] for found in (rows, columns))
    return Tiers(*tensors, rows and rows[0], columns and columns[0], (axes[0], axes[1]), order)


def most_of(places: Places, tiers: Tiers) -> tuple[int, int]:
    """Return the largest factors of rows and columns."""
    most = []
    for d, level in ((tiers.rows, ACCUMULATOR), (tiers.columns, SCRATCHPAD)):
        place = None if d is None else _spatial_place(places, d, level)
        most.append(place.most if place else 1)
    return most[0], most[1]


def _need(fine: object, otherwise: str) -> None:
    if not fine:
        raise _OtherwiseError(otherwise)


def _check_hardware(architecture: Architecture) -> None:
    levels = architecture.levels
    _need(len(levels) == 4, f"{len(levels)} storage levels, not 4")
    for level in levels:
        e, n = level.energy, level.network
        _need(level.cluster_size == 1, f"level '{level.name}' has clusters")
        _need(not e.address_generation_pj, f"level '{level.name}' prices addresses")
        _need(not level.min_utilization, f"level '{level.name}' demands a least utilisation")
        _need(
            not (n.fill_latency_cycles or n.drain_latency_cycles),
            f"the network below level '{level.name}' has a latency",
        )
        _need(
            not (level.wires or n.hop_energy_pj or n.wire_energy_pj)
            and not (n.router_energy_pj or n.ingress_energy_pj),
            f"the network below level '{level.name}' costs energy",
        )
    for s in (REGISTERS, ACCUMULATOR):
        _need(levels[s].block_size == 1, f"level '{levels[s].name}' moves blocks")
    for s in (SCRATCHPAD, MEMORY):
        _need(levels[s].instances == 1, f"level '{levels[s].name}' stands there more than once")
    _need(levels[MEMORY].size_words is None, f"level '{levels[MEMORY].name}' has a size")
    _need(
        architecture.compute.instances == levels[REGISTERS].instances,
        f"several MACs share one '{levels[REGISTERS].name}'",
    )


def _tensors(places: Places) -> tuple[int, int, int]:
    """Return W, I and O where every level keeps what it should, and has no choice."""
    keep, outputs = places.keep, np.flatnonzero(places.problem.read_write)
    _need(keep.shape == (4, 3) and len(outputs) == 1, "other than two operands and one output")
    output = int(outputs[0])
    held = np.flatnonzero(keep[REGISTERS] == KEEP)
    _need(len(held) == 1 and held[0] != output, "the registers keep other than one operand")
    stationary = int(held[0])
    moving = 3 - output - stationary
    wanted = np.full((4, 3), BYPASS, np.int8)
    wanted[REGISTERS, stationary] = wanted[ACCUMULATOR, output] = KEEP
    wanted[SCRATCHPAD, [stationary, moving]] = wanted[MEMORY] = KEEP
    _need(np.array_equal(keep, wanted), "the levels keep other tensors")
    _need(not any(flags.any() for flags in places.directives), "reuse is switched off")
    return stationary, moving, output


def _check_projections(places: Places, tensors: tuple[int, int, int]) -> None:
    c = places.problem.projection
    _need((c >= 0).all(), "a negative coefficient")
    _need(((c > 0).sum(axis=1) <= 1).all(), "a dimension stands in two rows of a tensor")
    for t in (tensors[0], tensors[2]):
        _need(
            ((c[t] > 0).sum(axis=1) <= 1).all() and (c[t].sum(axis=1) <= 1).all(),
            f"{places.problem.tensors[t]} is a window",
        )
    rows = np.maximum(c.sum(axis=2), 1).astype(np.float64).prod(axis=1)
    _need(places.problem.macs * float(rows.max()) < _WHOLE, "more operations than floats can count")


def _spatial_place(places: Places, d: int, level: int) -> Place | None:
    found = (p for p in places.places[d] if p.level == level and p.axes)
    return next(found, None)


def _spatial(places: Places, level: int) -> tuple[int, Place] | None:
    """Return the one dimension that may run in space below a level."""
    found = []
    for d, bound in enumerate(places.problem.sizes):
        place = _spatial_place(places, d, level)
        if place is not None and bound > 1:
            found.append((d, place))
    name = places.architecture.levels[level].name
    _need(len(found) <= 1, f"several dimensions may run in space below level '{name}'")
    if not found:
        return None
    _need(len(found[0][1].axes) == 1, f"a dimension may run along two axes below level '{name}'")
    return found[0]


def _check_dimensions(
    places: Places,
    tensors: tuple[int, int, int],
    rows: tuple[int, Place] | None,
    columns: tuple[int, Place] | None,
) -> None:
    relevant = np.asarray((places.problem.projection > 0).any(axis=1))
    own, moving, output = (relevant[t] for t in tensors)
    names, levels = places.problem.dimensions, places.architecture.levels
    if rows is not None:
        d = rows[0]
        _need(own[d] and moving[d] and not output[d], f"{names[d]} is not reduced over alone")
    if columns is not None:
        d = columns[0]
        _need(own[d] and output[d] and not moving[d], f"{names[d]} does not share {names[d]} alone")
    for d, bound in enumerate(places.problem.sizes.tolist()):
        known = places.places[d]
        if bound == 1:
            _need(all(p.takes(1) for p in known), f"{names[d]} has a factor other than 1")
            continue
        where = {p.level for p in known if not p.axes}
        _need(not any(p.fixed for p in known), f"a factor of {names[d]} is fixed")
        _need(not any(p.least > 1 for p in known), f"{names[d]} has a least factor")
        _need(all(p.axes or p.most >= bound for p in known), f"a factor of {names[d]} is limited")
        _need({ACCUMULATOR, MEMORY} <= where, f"{names[d]} has no loops where it should")
        _need(
            SCRATCHPAD not in where, f"loops over {names[d]} at level '{levels[SCRATCHPAD].name}'"
        )
        _need(
            REGISTERS not in where or not own[d],
            f"loops over {names[d]} at level '{levels[REGISTERS].name}' move what it holds",
        )
        elsewhere = {p.level for p in known if p.axes} - {ACCUMULATOR, SCRATCHPAD}
        _need(not elsewhere, f"{names[d]} runs in space at other levels")


def _order(places: Places, stationary: int) -> tuple[int, ...]:
    """Return the order of loops at the accumulators: those that leave W in place are inside."""
    sizes = places.problem.sizes
    listed = places.listed[ACCUMULATOR]
    rest = [d for d in range(len(sizes)) if d not in listed]
    _need(not any(places.suffix), "outermost loops are fixed")
    _need(sum(sizes[d] > 1 for d in rest) <= 1, "the order at the accumulators is free")
    _need(all(sizes[d] == 1 for d in places.listed[MEMORY]), "the order at the memory is not free")
    order = (*listed, *rest)
    own = np.asarray((places.problem.projection[stationary] > 0).any(axis=0))
    moves = [bool(own[d]) for d in order if sizes[d] > 1]
    _need(moves == sorted(moves), "loops that move the stationary tensor are not outermost")
    return order


__all__ = ["ACCUMULATOR", "MEMORY", "REGISTERS", "SCRATCHPAD", "Tiers", "most_of", "tiers_of"]
