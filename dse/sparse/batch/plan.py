"""What of a sparse design does not depend on the mapping, as arrays."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from dse.domain.architecture import Architecture
from dse.domain.density import Density
from dse.domain.problem import Problem
from dse.domain.sparse import ACCESSES, KINDS, Saving, SparseDesign
from dse.model import rules
from dse.numeric import Flags, Floats, Ints
from dse.sparse.banded import Banded
from dse.sparse.buffers import FULL_BLOCKS
from dse.sparse.format_units import FORMAT_CODES
from dse.sparse.hypergeometric import Hypergeometric
from dse.sparse.numbers import millionth
from dse.sparse.ranks import continues
from dse.sparse.tiles import density_model, footprint, whole_extents

#: Numbers of what becomes of an access, and of the accesses.
RANDOM, GATED, SKIPPED = range(len(KINDS))
READ, FILL, UPDATE = range(len(ACCESSES))


class Tensors(NamedTuple):
    """The problem's T tensors of D dimensions and up to Q rows, and how dense they are."""

    coefficient: Ints  # (T, Q, D) without sign
    relevant: Flags  # (T, D)
    simple: Flags  # (T,) the tile is the product of the extents of its dimensions
    read_write: Flags  # (T,)
    operands: Ints  # (2,)
    spread: Flags  # (T,) hypergeometric, else fixed
    density: Floats  # (T,)
    words: Ints  # (T,) of the whole tensor
    nonzero: Ints  # (T,) of them
    single: Floats  # (T,) density of a word, to a millionth


class Formats(NamedTuple):
    """How L levels store tensors; of up to R ranks, from the inside, with up to G groups."""

    ranks: Ints  # (L, T)
    anywhere: Flags  # (T,) whether any level stores a tensor in ranks
    compressed: Flags  # (L, T)
    inner_first: Flags  # (L, T) ranks take loops from the inside
    code: Ints  # (L, T, R)
    bits: Floats  # (L, T, R, 2) of metadata, and of payload
    groups: Ints  # (L, T, R) 0: the rank takes one loop
    group: Ints  # (L, T, R, G) dimensions as bits
    aligned: Flags  # (L, L, T) whether a level's ranks continue those of the level inside
    decompresses: Flags  # (L,)
    compresses: Flags  # (L,)


class Savings(NamedTuple):
    """Savings in the order in which Timeloop enters them; each is one of several options."""

    how: Ints  # (S,)
    level: Ints  # (S,)
    first: Ints  # (S + 1,) first option of each
    target: Ints  # (O,) tensor
    condition_first: Ints  # (O + 1,) first condition of each option
    condition: Ints  # (C,) tensor
    weighs: bool  # whether some have several options
    gates_computes: bool
    skips_computes: bool


class Buffers(NamedTuple):
    """The L levels: room, time and energy."""

    fanned: Flags  # (L,) whether there is a fan-out below
    usable: Floats  # (L,) words for tiles; infinite: as many as come
    least: Floats  # (L,)
    room: Floats  # (L,) bits for metadata; infinite without a size
    width: Ints  # (L,) bits of metadata in a row, 0: none is kept
    word_bits: Ints  # (L,)
    word_ratio: Ints  # (L,) metadata words in a word
    block: Ints  # (L,)
    block_row: Ints  # (L,) row of ``full_blocks``, -1: not known
    full_blocks: Ints  # (5, 9)
    instances: Floats  # (L,)
    mesh_x: Floats  # (L,)
    mesh_y: Floats  # (L,)
    clusters: Ints  # (L,)
    read_bandwidth: Floats  # (L,)
    write_bandwidth: Floats  # (L,)
    shared_bandwidth: Floats  # (L,)
    read_pj: Floats  # (L,) of a word, where options are compared
    data_pj: Floats  # (L, 3, 3) by what becomes of an access, and by access
    metadata_pj: Floats  # (L, 3, 3)
    decompression_pj: Floats  # (L,)
    compression_pj: Floats  # (L,)
    address_pj: Floats  # (L,)
    leak_pj: Floats  # (L,)
    latency: float
    mac_instances: float
    mac_mesh_x: float
    mac_mesh_y: float
    compute_pj: Floats  # (3,)


class SparsePlan(NamedTuple):
    """All of it."""

    tensors: Tensors
    formats: Formats
    savings: Savings
    buffers: Buffers
    version: int


def why_singly(architecture: Architecture, problem: Problem, design: SparseDesign) -> str | None:
    """Return what of a design is modelled one mapping at a time; None: nothing.

    Raises:
        SpecError: a density is not defined for its tensor.
    """
    if design.skips_instances:
        return "skipping in space"
    if any(isinstance(model, Banded) for model in _models(problem, design)):
        return "banded densities"
    if sum(not space.read_write for space in problem.shape.data_spaces) != 2:
        return "other than two operands"
    if not (problem.projection != 0).any(axis=(1, 2)).all():
        return "a tensor of one word"
    if len(problem.dimensions) < 2:
        return "a problem of one dimension"
    return architecture.singly


def make_plan(
    architecture: Architecture, problem: Problem, design: SparseDesign, version: int
) -> SparsePlan:
    """Return the arrays of a design.

    Args:
        architecture: the hardware.
        problem: the workload.
        design: what is sparse; nothing of what `why_singly` names.
        version: a value of :data:`dse.model.arrays.TIMELOOP_VERSIONS`.
    """
    return SparsePlan(
        _tensors(problem, design),
        _formats(problem, design),
        _savings(problem, design),
        _buffers(architecture, design),
        version,
    )


def _models(problem: Problem, design: SparseDesign) -> list[Any]:
    extents = whole_extents(problem)
    found = []
    for t, space in enumerate(problem.shape.data_spaces):
        rows = np.abs(problem.projection[t, : len(space.projection)]).tolist()
        density = design.densities.get(space.name, Density())
        found.append(density_model(space.name, density, footprint(rows, extents)))
    return found


def _tensors(problem: Problem, design: SparseDesign) -> Tensors:
    coefficient = np.abs(problem.projection)
    hit = coefficient > 0
    simple = (hit.sum(axis=2) <= 1).all(axis=1) & (coefficient.sum(axis=1) <= 1).all(axis=1)
    models = _models(problem, design)
    spread = np.array([isinstance(model, Hypergeometric) for model in models])
    extents = whole_extents(problem)
    rows = [
        coefficient[t, : len(space.projection)].tolist()
        for t, space in enumerate(problem.shape.data_spaces)
    ]
    return Tensors(
        coefficient=np.ascontiguousarray(coefficient),
        relevant=np.asarray(hit.any(axis=1)),
        simple=simple,
        read_write=problem.read_write,
        operands=np.flatnonzero(~problem.read_write),
        spread=spread,
        density=np.array([model.density for model in models]),
        words=np.array([math.prod(footprint(row, extents)) for row in rows], np.int64),
        nonzero=np.array(
            [model.nonzero if spread[t] else 0 for t, model in enumerate(models)], np.int64
        ),
        single=np.array(
            [
                millionth(model.expected((1,) * len(row)))
                for model, row in zip(models, rows, strict=True)
            ]
        ),
    )


def _formats(problem: Problem, design: SparseDesign) -> Formats:
    names, dimensions = problem.tensors, problem.dimensions
    stored = [[level.formats.get(name) for name in names] for level in design.levels]
    all_ranks = [rank for row in stored for form in row if form for rank in form.ranks]
    most = max([len(form.ranks) for row in stored for form in row if form], default=1)
    wide = max([len(rank.flattened) for rank in all_ranks], default=1) or 1
    shape = (len(stored), len(names))
    found = Formats(
        ranks=np.zeros(shape, np.int64),
        anywhere=np.array([any(row[t] is not None for row in stored) for t in range(len(names))]),
        compressed=np.zeros(shape, np.bool_),
        inner_first=np.zeros(shape, np.bool_),
        code=np.zeros((*shape, most), np.int64),
        bits=np.zeros((*shape, most, 2)),
        groups=np.zeros((*shape, most), np.int64),
        group=np.zeros((*shape, most, wide), np.int64),
        aligned=np.zeros((len(stored), *shape), np.bool_),
        decompresses=np.array([level.decompresses for level in design.levels]),
        compresses=np.array([level.compresses for level in design.levels]),
    )
    for s, row in enumerate(stored):
        for t, form in enumerate(row):
            if form is None:
                continue
            found.ranks[s, t] = len(form.ranks)
            found.compressed[s, t] = form.compressed
            found.inner_first[s, t] = form.inner_to_outer
            for r, rank in enumerate(form.ranks):
                found.code[s, t, r] = FORMAT_CODES[rank.name]
                found.bits[s, t, r] = rank.metadata_bits, rank.payload_bits
                found.groups[s, t, r] = len(rank.flattened)
                for g, group in enumerate(rank.flattened):
                    found.group[s, t, r, g] = sum(1 << dimensions.index(d) for d in group)
            for inner in range(s):
                found.aligned[s, inner, t] = continues(form, stored[inner][t])
    return found


def _savings(problem: Problem, design: SparseDesign) -> Savings:
    how, level_of, first = [], [], [0]
    savings: list[Saving] = []
    for kind, key in ((GATED, "gating"), (SKIPPED, "skipping")):
        for s, level in enumerate(design.levels):
            for options in getattr(level, key):
                how.append(kind)
                level_of.append(s)
                savings += options
                first.append(len(savings))
    conditions = [name for saving in savings for name in saving.conditions]
    counts = [len(saving.conditions) for saving in savings]
    return Savings(
        how=_ints(how),
        level=_ints(level_of),
        first=_ints(first),
        target=_ints([problem.tensors.index(saving.target) for saving in savings]),
        condition_first=_ints([0, *np.cumsum(counts, dtype=np.int64).tolist()]),
        condition=_ints([problem.tensors.index(name) for name in conditions]),
        weighs=len(savings) > len(how),
        gates_computes=design.gates_computes,
        skips_computes=design.skips_computes,
    )


def _buffers(architecture: Architecture, design: SparseDesign) -> Buffers:
    levels, compute = architecture.levels, architecture.compute
    sizes = [
        math.inf
        if level.size_words is None
        else rules.usable_words(level.size_words, level.multiple_buffering)
        for level in levels
    ]
    blocks = list(FULL_BLOCKS)
    energies = [level.energies_pj for level in design.levels]
    return Buffers(
        fanned=np.array([math.prod(architecture.fanout(s)) > 1 for s in range(len(levels))]),
        usable=_floats(sizes),
        least=_floats(
            [
                rules.least_words(size, level.min_utilization) if math.isfinite(size) else 0.0
                for size, level in zip(sizes, levels, strict=True)
            ]
        ),
        room=_floats(
            [
                math.inf
                if level.size_words is None
                else math.floor(sparse.metadata.bits / level.multiple_buffering)
                for level, sparse in zip(levels, design.levels, strict=True)
            ]
        ),
        width=_ints([level.metadata.width_bits for level in design.levels]),
        word_bits=_ints([level.word_bits for level in levels]),
        word_ratio=_ints(
            [
                sparse.metadata.word_bits // level.word_bits
                for level, sparse in zip(levels, design.levels, strict=True)
            ]
        ),
        block=_ints([level.block_size for level in levels]),
        block_row=_ints(
            [blocks.index(x.block_size) if x.block_size in blocks else -1 for x in levels]
        ),
        full_blocks=np.array(list(FULL_BLOCKS.values()), np.int64),
        instances=_floats([level.instances for level in levels]),
        mesh_x=_floats([level.mesh_x for level in levels]),
        mesh_y=_floats([level.mesh_y for level in levels]),
        clusters=_ints([rules.clusters(x.instances, x.cluster_size) for x in levels]),
        read_bandwidth=_floats([level.read_bandwidth for level in levels]),
        write_bandwidth=_floats([level.write_bandwidth for level in levels]),
        shared_bandwidth=_floats([level.shared_bandwidth for level in levels]),
        read_pj=_floats([level.energy.read_pj / level.block_size for level in levels]),
        data_pj=np.array([_table(own, "{kind}_{access}") for own in energies]),
        metadata_pj=np.array([_table(own, "{kind}_metadata_{access}") for own in energies]),
        decompression_pj=_floats([own["decompression_count"] for own in energies]),
        compression_pj=_floats([own["compression_count"] for own in energies]),
        address_pj=_floats([level.energy.address_generation_pj for level in levels]),
        leak_pj=_floats([level.energy.leak_pj for level in levels]),
        latency=float(sum(level.latency_cycles for level in levels)),
        mac_instances=float(compute.instances),
        mac_mesh_x=float(compute.mesh_x),
        mac_mesh_y=float(compute.mesh_y),
        compute_pj=_floats([design.compute_energies_pj[kind] for kind in KINDS]),
    )


def _table(energies_pj: Any, name: str) -> list[list[float]]:  # noqa: ANN401
    return [
        [energies_pj[name.format(kind=kind, access=access)] for access in ACCESSES]
        for kind in KINDS
    ]


def _ints(values: Sequence[int]) -> Ints:
    return np.array(values, np.int64)


def _floats(values: Sequence[float]) -> npt.NDArray[np.float64]:
    return np.array(values, np.float64)
