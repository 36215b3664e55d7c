"""Sparse designs: what must hold whatever the mapping, and what Timeloop does not answer."""

from __future__ import annotations

from dataclasses import replace

import pytest
from comparison import answer, differences, examples
from hypothesis import assume, given
from hypothesis import strategies as st
from strategies import cases

from dse.breakdown.energy import energy_parts
from dse.domain.density import Density
from dse.domain.sparse import (
    MetadataStorage,
    RankFormat,
    Saving,
    SparseDesign,
    SparseLevel,
    TensorFormat,
)
from dse.model import evaluate_one
from dse.model.stats import Stats
from dse.sparse.evaluate import evaluate_sparse
from dse.timeloop.read.sparse_prices import storage_energies_pj
from dse.timeloop.read.tables import EnergyTable

VERSIONS = ("3.0.3", "4cf6d4c")


def design_of(architecture, densities=(), **given):
    """A design of the architecture that saves nothing unless it is told to."""
    levels = tuple(
        SparseLevel(
            MetadataStorage(64, 2**24),
            decompresses=True,
            compresses=True,
            energies_pj=storage_energies_pj(level, False, EnergyTable(), "4cf6d4c"),
        )
        for level in architecture.levels
    )
    energies = {"random": architecture.compute.energy_pj, "gated": 0.0, "skipped": 0.0}
    return SparseDesign(dict(densities), levels, compute_energies_pj=energies, **given)


def operands_of(problem):
    return [space.name for space in problem.shape.data_spaces if not space.read_write]


def sparse(case, design, version="4cf6d4c"):
    return answer(lambda *parts: evaluate_sparse(*parts[:3], design, parts[3]), case, version)


@pytest.mark.slow
@pytest.mark.parametrize("version", VERSIONS)
@examples(150)
@given(case=cases(), gates=st.booleans(), skips=st.booleans())
def test_a_design_without_zeros_is_the_dense_one(version, case, gates, skips):
    architecture, problem, _ = case
    assume(len(operands_of(problem)) == 2)
    design = design_of(architecture, gates_computes=gates, skips_computes=skips)
    want = answer(evaluate_one, case, version)
    got = sparse(case, design, version)
    if isinstance(want, Stats):
        assert differences(got, want) == []
        assert got.sparse_computes.random == want.computes
    elif want.startswith("ERROR"):
        assert got == want or "partition exceeds" in got


@pytest.mark.slow
@examples(150)
@given(case=cases(), density=st.sampled_from([0.1, 0.25, 0.5, 0.9]), skips=st.booleans())
def test_gated_and_skipped_accesses_add_up_to_the_dense_ones(case, density, skips):
    architecture, problem, _ = case
    operands = operands_of(problem)
    assume(len(operands) == 2)
    a, b = operands
    design = design_of(architecture, {b: Density("hypergeometric", density)}, gates_computes=True)
    saving = ((Saving(a, (b,)),),)
    saves = {"skipping": saving} if skips else {"gating": saving}
    levels = (replace(design.levels[0], **saves), *design.levels[1:])
    got = sparse(case, replace(design, levels=levels))
    assume(isinstance(got, Stats))
    dense = evaluate_one(*case)
    for name, level in got.levels.items():
        for tensor, counts in level.tensors.items():
            want = dense.levels[name].tensors[tensor]
            assert counts.random_reads + counts.gated_reads + counts.skipped_reads <= want.reads
            if tensor != a:
                assert counts.random_reads == want.reads
    computes = got.sparse_computes
    assert computes.random + computes.gated + computes.skipped <= dense.computes
    assert got.cycles <= dense.cycles + 1  # a level's are rounded up from its slowdown
    total = sum(part.energy_pj for part in energy_parts(architecture, got))
    assert total == pytest.approx(got.energy_pj, rel=1e-9)


@pytest.mark.slow
@examples(100)
@given(case=cases(), density=st.sampled_from([0.05, 0.3, 0.7]))
def test_a_compressed_tensor_takes_no_more_room_or_reads(case, density):
    architecture, problem, mapping = case
    operands = operands_of(problem)
    assume(len(operands) == 2)
    name = operands[0]
    top = max(s for s in range(len(architecture.levels)) if mapping.keep[s, 0])
    design = design_of(architecture, {name: Density("hypergeometric", density)})
    one = TensorFormat((RankFormat("cp", 4, 4, (tuple(problem.dimensions),)),))
    levels = list(design.levels)
    levels[top] = replace(levels[top], formats={name: one})
    got = sparse(case, replace(design, levels=tuple(levels)))
    assume(isinstance(got, Stats))
    counts = got.levels[architecture.levels[top].name].tensors[name]
    assert counts.utilized_capacity <= counts.tile_shape
    assert counts.random_reads <= counts.reads
    assert counts.storage_format == "cp"
    assert counts.max_metadata[0][0] <= counts.tile_shape
