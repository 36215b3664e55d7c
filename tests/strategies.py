"""Hypothesis strategies for architectures, problems and mappings that Timeloop accepts.

The draws lean towards valid mappings full of halos, sharing and links, but every reason for a
rejection turns up. Sizes suit the literal simulator: few temporal loops, small fan-outs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from hypothesis import strategies as st
from simulator_nest import Nest

from dse.domain.architecture import (
    UNLIMITED,
    AccessEnergy,
    Architecture,
    Compute,
    Network,
    StorageLevel,
)
from dse.domain.mapping import Mapping
from dse.domain.problem import SHAPES, DataSpace, Problem, Shape, Term

Case = tuple[Architecture, Problem, Mapping]

#: a problem's bounds have about this many prime factors at most, and so has a nest loops
MOST_FACTORS = 8

ROOMY = 2**30


def often(chance: int) -> st.SearchStrategy[bool]:
    """True in about ``chance`` of 10 draws; shrinks to False."""
    return st.integers(0, 9).map(lambda x: x >= 10 - chance)


# ---------------------------------------------------------------------------------- problems


@st.composite
def custom_shapes(draw: st.DrawFn) -> Shape:
    """Shapes beyond the named ones: rows of up to three dimensions, dimensions in two rows."""
    dimensions = "ABCDE"[: draw(st.integers(2, 5))]
    values = {"one": 1, "two": 2, "three": 3}
    spaces = []
    count = draw(st.integers(2, 4))
    for t in range(count):
        output = t == count - 1
        plain = output and not draw(often(2))
        rows: list[tuple[Term, ...]] = []
        if plain:
            rows = [(Term(d),) for d in draw(st.sets(st.sampled_from(dimensions), min_size=1))]
            rows.sort(key=lambda row: row[0].dimension)
        else:
            for _ in range(draw(st.integers(1, 3))):
                width = draw(st.sampled_from((1, 2, 2, 3)))
                order = draw(st.permutations(dimensions))
                factor = st.sampled_from((None, None, "one", "two", "three"))
                rows.append(tuple(Term(d, draw(factor)) for d in order[:width]))
        spaces.append(DataSpace(f"T{t}", tuple(rows), output))
    return Shape("custom", tuple(dimensions), tuple(spaces), values)


GEMMS = ("gemm", "batched-gemm")
CONVOLUTIONS = ("cnn-layer", "depthwise-cnn-layer", "grouped-cnn-layer")


@st.composite
def problems(
    draw: st.DrawFn, names: Sequence[str] = (*CONVOLUTIONS, "custom", "custom", *GEMMS)
) -> Problem:
    """Convolutions of all kinds (strides and dilations up to 3), GEMMs, and custom shapes."""
    name = draw(st.sampled_from(names))
    shape = draw(custom_shapes()) if name == "custom" else SHAPES[name]
    bounds = dict.fromkeys(shape.dimensions, 1)
    rows = [row for space in shape.data_spaces for row in space.projection if len(row) > 1]
    window = [x.dimension for x in draw(st.sampled_from(rows))] if rows else shape.dimensions
    for _ in range(draw(st.integers(0, 2)) + draw(often(9)) * draw(st.integers(2, MOST_FACTORS))):
        pool = window if draw(often(6)) else shape.dimensions
        bounds[draw(st.sampled_from(pool))] *= draw(st.sampled_from((2, 2, 2, 3, 3, 5, 7)))
    coefficients = {}
    if name != "custom" and shape.coefficients and draw(often(5)):
        coefficients = {c: draw(st.integers(1, 3)) for c in shape.coefficients}
    return Problem(shape, bounds, coefficients)


# ----------------------------------------------------------------------------- architectures

ENERGIES_PJ = st.integers(0, 512).map(lambda x: x / 16)
FANOUTS = (1, 2, 3, 4, 6, 8)
BANDWIDTHS = st.sampled_from((UNLIMITED, UNLIMITED, 16, 7, 3.0, 2.0, 1.0, 0.5, 0.3))


@st.composite
def networks(draw: st.DrawFn) -> Network:
    """Half of them free of charge, the others with any mix of latencies and energies."""
    if not draw(often(5)):
        return Network()
    energy = st.sampled_from((0.0, 0.0, 0.125, 0.5, 1.3))
    return Network(
        word_bits=draw(st.sampled_from((None, 8, 24))),
        fill_latency_cycles=draw(st.sampled_from((0, 1, 5))),
        drain_latency_cycles=draw(st.sampled_from((0, 0, 3))),
        hop_energy_pj=draw(st.sampled_from((None, None, 0.125, 0.7))),
        wire_energy_pj=draw(energy),
        router_energy_pj=draw(energy),
        ingress_energy_pj=draw(energy),
        tile_width_um=draw(st.sampled_from((None, None, 40.0))),
        reduction_supported=draw(st.sampled_from((None, None, True, False))),
    )


@st.composite
def levels(draw: st.DrawFn, index: int, mesh: tuple[int, int], outermost: bool) -> StorageLevel:
    """One storage level of the given mesh with room for everything."""
    instances = mesh[0] * mesh[1]
    divisors = [k for k in range(1, instances + 1) if instances % k == 0]
    kind = "DRAM" if outermost and draw(often(7)) else "SRAM"
    energy = AccessEnergy(
        read_pj=draw(ENERGIES_PJ),
        fill_pj=draw(ENERGIES_PJ),
        update_pj=draw(ENERGIES_PJ),
        leak_pj=draw(st.sampled_from((0.0, 0.5, 3.25))),
        address_generation_pj=draw(st.sampled_from((0.0, 0.0, 0.5))),
    )
    return StorageLevel(
        name=f"L{index}",
        kind=kind,
        word_bits=draw(st.sampled_from((8, 16, 32))),
        size_words=None if kind == "DRAM" and draw(often(5)) else ROOMY,
        mesh_x=mesh[0],
        mesh_y=mesh[1],
        instances=instances,
        block_size=draw(st.sampled_from((1, 1, 2, 3, 8))),
        cluster_size=draw(st.sampled_from(divisors)) if kind != "DRAM" and draw(often(3)) else 1,
        multiple_buffering=draw(st.sampled_from((1.0, 1.0, 1.5, 2.0, 3.0))),
        read_bandwidth=draw(BANDWIDTHS),
        write_bandwidth=draw(BANDWIDTHS),
        shared_bandwidth=draw(BANDWIDTHS),
        energy=energy,
        area_um2=draw(st.integers(0, 999)) / 2,
        network=draw(networks()),
    )


@st.composite
def architectures(draw: st.DrawFn) -> Architecture:
    """One to six levels, fan-out along X and Y below any of them; capacities are roomy."""
    count = draw(st.sampled_from((2, 3, 3, 2, 4, 1, 5, 6)))
    mesh = (draw(st.sampled_from((1, 1, 1, 1, 2))), draw(st.sampled_from((1, 1, 1, 1, 3))))
    outside_in = []
    for s in reversed(range(count)):
        outside_in.append(draw(levels(s, mesh, outermost=s == count - 1)))
        if draw(often(6)):
            x, y = draw(st.sampled_from(FANOUTS)), draw(st.sampled_from(FANOUTS))
            mesh = (mesh[0] * x, mesh[1] * y)
    compute = Compute(
        mesh_x=mesh[0],
        mesh_y=mesh[1],
        instances=mesh[0] * mesh[1],
        energy_pj=draw(ENERGIES_PJ),
        area_um2=draw(st.integers(0, 99)) / 4,
    )
    return Architecture("random", tuple(reversed(outside_in)), compute)


# ---------------------------------------------------------------------------------- mappings


def prime_factors(n: int) -> list[int]:
    """Prime factors in ascending order, with repetition."""
    factors = []
    divisor = 2
    while n > 1:
        while n % divisor == 0:
            factors.append(divisor)
            n //= divisor
        divisor += 1
    return factors


@st.composite
def mappings(draw: st.DrawFn, architecture: Architecture, problem: Problem) -> Mapping:
    """Any factorisation in any order; most keep to the fan-out of every level.

    One in ten only keeps the total within the mesh of the MACs, one in ten heeds nothing.
    """
    count, tensors = len(architecture.levels), len(problem.tensors)
    dimensions = range(len(problem.dimensions))
    result = Mapping.trivial(count, len(dimensions), tensors)
    room = [architecture.fanout(s) for s in range(count)]
    capable = [s for s in range(count) if math.prod(room[s]) > 1]
    axis = {s: [draw(st.booleans()) for _ in dimensions] for s in capable}  # True: along X
    used = [[1, 1] for _ in range(count)]
    whole = (architecture.compute.mesh_x, architecture.compute.mesh_y)
    manner = draw(st.sampled_from(("per level",) * 8 + ("in total", "not at all")))

    def fits(s: int, along: int, factor: int) -> bool:
        if manner == "per level":
            return used[s][along] * factor <= room[s][along]
        total = math.prod(pair[along] for pair in used)
        return manner == "not at all" or total * factor <= whole[along]

    for d in dimensions:
        for factor in prime_factors(problem.bounds[problem.dimensions[d]]):
            open_levels = [s for s in capable if fits(s, 0 if axis[s][d] else 1, factor)]
            if draw(often(6)) and open_levels:
                s = draw(st.sampled_from(open_levels))
                used[s][0 if axis[s][d] else 1] *= factor
                result.spatial[s, d] *= factor
            else:
                result.temporal[draw(st.integers(0, count - 1)), d] *= factor
    for s in range(count):
        result.permutation[s] = draw(st.permutations(dimensions))
        if s in axis:
            order = draw(st.permutations(dimensions))
            result.spatial_permutation[s] = sorted(order, key=lambda d: not axis[s][d])
            result.split[s] = sum(axis[s])
    _draw_flags(draw, result)
    return result


def _draw_flags(draw: st.DrawFn, mapping: Mapping) -> None:
    """Fill in bypassing and directives; one mapping in fifty keeps a tensor nowhere."""
    count, tensors = mapping.keep.shape
    if draw(often(6)):
        for t in range(tensors):
            mapping.keep[:, t] = [draw(often(6)) for _ in range(count)]
            if not mapping.keep[:, t].any() and draw(st.integers(0, 9)) < 9:
                mapping.keep[draw(st.integers(0, count - 1)), t] = True
    if draw(often(3)):
        for flags in (mapping.no_temporal_reuse, mapping.no_multicast, mapping.no_link_transfer):
            for t in range(tensors):
                flags[:, t] = [draw(often(2)) for _ in range(count)]


# ------------------------------------------------------------------------------------- cases


@st.composite
def tightened(draw: st.DrawFn, case: Case) -> Architecture:
    """The architecture with one capacity or minimum utilisation close to what is used."""
    architecture, problem, mapping = case
    s = draw(st.integers(0, len(architecture.levels) - 1))
    level = architecture.levels[s]
    nest = Nest(architecture, problem, mapping, "4cf6d4c")
    used = sum(nest.size(t, s) for t in range(len(problem.tensors)) if mapping.keep[s, t])
    if draw(st.booleans()):
        words = math.ceil(used * level.multiple_buffering) + draw(st.integers(-2, 1))
        level = replace(level, size_words=max(words, 0))
    else:
        share = draw(st.sampled_from((0.01, 0.1, 0.5, 1.0)))
        words = math.ceil(used / share * level.multiple_buffering) + draw(st.integers(-2, 3))
        level = replace(level, size_words=max(words, 0), min_utilization=share)
    return architecture.with_levels(**{level.name: level})


@st.composite
def cases(draw: st.DrawFn, of: st.SearchStrategy[Problem] | None = None) -> Case:
    """An architecture, a problem and a mapping; three in ten lie on the edge of a capacity."""
    architecture, problem = draw(architectures()), draw(problems() if of is None else of)
    mapping = draw(mappings(architecture, problem))
    if draw(often(3)):
        architecture = draw(tightened((architecture, problem, mapping)))
    return architecture, problem, mapping


@st.composite
def batches(draw: st.DrawFn, most: int = 12) -> tuple[list[Architecture], Problem, list[Mapping]]:
    """B mappings of one problem, and B architectures of one structure for them."""
    architecture, problem = draw(architectures()), draw(problems())
    chosen = draw(st.lists(mappings(architecture, problem), min_size=1, max_size=most))
    hardware = [draw(siblings((architecture, problem, mapping))) for mapping in chosen]
    return hardware, problem, chosen


@st.composite
def siblings(draw: st.DrawFn, case: Case) -> Architecture:
    """An architecture of the same levels and fan-out, other in sizes, energies, bandwidths."""
    architecture, problem, mapping = case
    if draw(often(4)):
        architecture = draw(tightened((architecture, problem, mapping)))
    if draw(often(5)):
        last = len(architecture.levels) - 1
        fresh = [
            replace(
                draw(levels(s, (x.mesh_x, x.mesh_y), outermost=s == last)),
                size_words=x.size_words,
                min_utilization=x.min_utilization,
                kind=x.kind,
            )
            for s, x in enumerate(architecture.levels)
        ]
        architecture = replace(architecture, levels=tuple(fresh))
    if draw(often(3)):
        mac = architecture.compute
        wider = replace(mac, mesh_x=2 * mac.mesh_x, instances=2 * mac.instances)
        architecture = replace(architecture, compute=wider)
    return architecture


def reordered(order: Sequence[int], fixed: Sequence[int], shuffled: Sequence[int]) -> list[int]:
    """Put ``shuffled`` in place of ``order``, but keep the relative order of ``fixed``."""
    queue = [d for d in order if d in fixed]
    return [queue.pop(0) if d in fixed else d for d in shuffled]
