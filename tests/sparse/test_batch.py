"""Batches of mappings of sparse designs against the model of one mapping at a time."""

from __future__ import annotations

import math

import numpy as np
import pytest
from comparison import examples
from hypothesis import given
from hypothesis import strategies as st
from reference_cases import SPARSE, read_cases

from dse.domain.architecture import AccessEnergy, Architecture, Compute, Network, StorageLevel
from dse.domain.density import Density
from dse.domain.mapping import MappingBatch
from dse.domain.problem import SHAPES, Problem
from dse.domain.sparse import (
    STORAGE_ACTIONS,
    MetadataStorage,
    RankFormat,
    Saving,
    SparseDesign,
    SparseLevel,
    TensorFormat,
)
from dse.errors import InvalidMapping, SpecError
from dse.mapspace import Mapspace, sample_valid
from dse.sparse.batch.evaluate import SparseModel
from dse.sparse.batch.memory import grown, new_memo
from dse.sparse.evaluate import evaluate_sparse
from dse.timeloop.read.inputs import read_entry
from dse.timeloop.yaml.io import load_texts

VERSIONS = ("4cf6d4c", "3.0.3")
PROBLEMS = (
    Problem(SHAPES["gemm"], {"M": 12, "N": 8, "K": 16}),
    Problem(
        SHAPES["cnn-layer"],
        {"R": 3, "S": 2, "P": 4, "Q": 6, "C": 4, "K": 4, "N": 1},
        {"Wstride": 2},
    ),
)


def level(name: str, words: int | None, x: int, y: int, pj: float, hop_pj: float) -> StorageLevel:
    return StorageLevel(
        name,
        "DRAM" if words is None else "SRAM",
        word_bits=16,
        size_words=words,
        mesh_x=x,
        mesh_y=y,
        instances=x * y,
        block_size=2 if name == "B" else 1,
        read_bandwidth=1.5,
        write_bandwidth=2.0,
        energy=AccessEnergy(pj, pj, pj, 0.01, 0.1),
        network=Network(hop_energy_pj=hop_pj),
    )


def hardware(hop_pj: float = 0.0) -> Architecture:
    levels = (
        level("A", 4096, 4, 2, 1.0, 0.0),
        level("B", 4096, 1, 1, 7.0, hop_pj),
        level("C", None, 1, 1, 90.0, 0.0),
    )
    return Architecture("small", levels, Compute(mesh_x=4, mesh_y=2, instances=8, energy_pj=0.7))


@st.composite
def formats(draw: st.DrawFn, dimensions: tuple[str, ...]) -> TensorFormat:
    compressed = draw(st.lists(st.sampled_from(("b", "cp", "rle")), max_size=2))
    plain = draw(st.lists(st.sampled_from(("uop", "ub")), max_size=2))
    names = (compressed + plain) or ["cp"]
    whole = (tuple(dimensions),)
    some = tuple((d,) for d in dimensions[::2])
    groups = st.sampled_from((whole, whole, some, ()))
    ranks = tuple(RankFormat(name, 3, 5, draw(groups)) for name in names)
    return TensorFormat(ranks, draw(st.booleans()))


@st.composite
def designs(draw: st.DrawFn, problem: Problem) -> SparseDesign:
    tensors = problem.tensors
    operands = [t for t, rw in zip(tensors, problem.read_write, strict=True) if not rw]
    shared = {t: draw(formats(problem.dimensions)) for t in tensors}

    def savings() -> tuple[tuple[Saving, ...], ...]:
        one = st.builds(
            Saving,
            st.sampled_from(tensors),
            st.lists(st.sampled_from(operands), min_size=1, max_size=2, unique=True).map(tuple),
        )
        return tuple(draw(st.lists(st.lists(one, min_size=1, max_size=2).map(tuple), max_size=2)))

    levels = []
    for _ in range(3):
        kept = draw(st.lists(st.sampled_from(tensors), unique=True))
        own = {t: shared[t] if draw(st.booleans()) else draw(formats(problem.dimensions))
               for t in kept}  # fmt: skip
        prices = {name: float(i % 7) / 4 for i, name in enumerate(STORAGE_ACTIONS)}
        storage = MetadataStorage(draw(st.sampled_from((0, 16))), 4096, 4)
        levels.append(
            SparseLevel(storage, True, True, own, savings(), savings(), energies_pj=prices)
        )
    density = st.builds(
        Density,
        st.sampled_from(("fixed_structured", "hypergeometric")),
        st.sampled_from((0.07, 0.3, 0.5, 0.93, 1.0)),
    )
    return SparseDesign(
        {t: draw(density) for t in tensors},
        tuple(levels),
        draw(st.booleans()),
        draw(st.booleans()),
        {"random": 0.7, "gated": 0.3, "skipped": 0.1},
    )


def disagreements(
    architecture: Architecture,
    problem: Problem,
    design: SparseDesign,
    mappings: MappingBatch,
    version: str,
) -> list[str]:
    """Where the batch and the single mappings differ; empty if nowhere."""
    totals = SparseModel(architecture, problem, design, version).evaluate(mappings)
    found = []
    for b in range(len(mappings)):
        try:
            one = evaluate_sparse(architecture, problem, mappings[b], design, version)
        except (InvalidMapping, SpecError) as error:
            if totals.valid[b]:
                found.append(f"{b}: valid, expected {error}")
            continue
        got = (totals.cycles[b], totals.energy_pj[b], totals.utilization[b])
        same = got[0] == one.cycles and all(
            math.isclose(x, y, rel_tol=1e-9)
            for x, y in zip(got[1:], (one.energy_pj, one.utilization), strict=True)
        )
        if not same:
            found.append(f"{b}: {got}, expected {one.cycles, one.energy_pj, one.utilization}")
    return found


def with_keeps(mappings: MappingBatch, rng: np.random.Generator) -> MappingBatch:
    """The mappings, some of which bypass what others keep."""
    shape = (*mappings.keep.shape[:2], len(mappings))
    keep = np.broadcast_to(mappings.keep, shape) & (rng.random(shape) < 0.8)
    keep[-1] = True
    arrays = {name: getattr(mappings, name) for name in MappingBatch.__dataclass_fields__}
    return MappingBatch(**{**arrays, "keep": keep})


@examples(60)
@given(data=st.data(), seed=st.integers(0, 2**32))
def test_batches_equal_single_mappings(data, seed):
    problem = data.draw(st.sampled_from(PROBLEMS))
    design = data.draw(designs(problem))
    architecture = hardware(data.draw(st.sampled_from((0.0, 0.0, 0.3))))
    space = Mapspace(problem, architecture, {})
    drawn = sample_valid(space, 12, seed, 10_000).mappings
    mappings = drawn
    if data.draw(st.booleans()):
        mappings = with_keeps(drawn, np.random.default_rng(seed))
    version = data.draw(st.sampled_from(VERSIONS))
    assert disagreements(architecture, problem, design, mappings, version) == []


@pytest.mark.slow
def test_recorded_cases_are_the_same_in_batches():
    count = 0
    for case in read_cases(SPARSE):
        try:
            texts = load_texts([("input", case["input"])])
            spec, fault = read_entry(texts, case["timeloop"], for_model=True)
            design = spec.architecture.sparse
            if design is None or spec.mapping is None or fault is not None:
                continue
            batch = MappingBatch.of([spec.mapping])
            parts = (spec.architecture, spec.problem, design, batch, case["timeloop"])
            assert disagreements(*parts) == [], case["id"]
        except SpecError:  # of files, or of densities
            assert case["status"] != "ok" or case.get("nonsense")
            continue
        count += 1
    assert count > 1200


def test_threads_and_the_way_a_batch_is_cut_do_not_matter():
    problem = PROBLEMS[1]
    fmt = TensorFormat((RankFormat("cp", 3, 3, (problem.dimensions,)),))
    prices = dict.fromkeys(STORAGE_ACTIONS, 1.0)
    levels = [
        SparseLevel(MetadataStorage(16, 4096, 4), True, True, {"Weights": fmt}, energies_pj=prices)
        for _ in range(3)
    ]
    densities = {"Weights": Density("hypergeometric", 0.3), "Inputs": Density(density=0.5)}
    computes = {"random": 1.0, "gated": 0.1, "skipped": 0.0}
    design = SparseDesign(densities, tuple(levels), True, True, computes)
    architecture = hardware()
    mappings = sample_valid(Mapspace(problem, architecture, {}), 5000, 3, 10**7).mappings
    whole = SparseModel(architecture, problem, design).evaluate(mappings, threads=2)
    model = SparseModel(architecture, problem, design)
    assert whole.valid.any()
    for start, stop in ((0, 1), (1, 700), (700, 5000)):
        part = model.evaluate(mappings.window(start, stop))
        for one, other in zip(whole, part, strict=True):
            np.testing.assert_array_equal(one[start:stop], other)


def test_what_is_banded_is_modelled_one_by_one():
    problem = Problem(SHAPES["gemm"], {"M": 16, "N": 8, "K": 16})
    prices = dict.fromkeys(STORAGE_ACTIONS, 1.0)
    square = problem.tensors[0]
    fmt = TensorFormat((RankFormat("cp", 3, 3, (problem.dimensions,)),))
    levels = [
        SparseLevel(MetadataStorage(16, 4096, 4), True, True, {square: fmt}, energies_pj=prices)
        for _ in range(3)
    ]
    computes = {"random": 1.0, "gated": 0.1, "skipped": 0.0}
    design = SparseDesign(
        {square: Density("banded", band_width=2)}, tuple(levels), compute_energies_pj=computes
    )
    architecture = hardware()
    mappings = sample_valid(Mapspace(problem, architecture, {}), 20, 3, 10**5).mappings
    assert SparseModel(architecture, problem, design).singly == "banded densities"
    assert disagreements(architecture, problem, design, mappings, "4cf6d4c") == []


def test_other_versions_are_refused():
    design = SparseDesign({}, ())
    with pytest.raises(SpecError, match="'dosa': sparse_optimizations are not modelled"):
        SparseModel(hardware(), PROBLEMS[0], design, "dosa")


def test_a_table_that_is_full_grows_and_then_starts_anew():
    memo = new_memo(8)
    memo.key[3] = (0, 1, 2, 3, 4, 5)
    memo.value[3] = (1.0, 2.0, 3.0, 4.0)
    memo.used[0] = 1
    larger = grown(memo)
    assert len(larger.key) == 32
    assert larger.used[0] == 1
    place = int(np.flatnonzero(larger.key[:, 0] != -1)[0])
    assert larger.key[place].tolist() == [0, 1, 2, 3, 4, 5]
    assert larger.value[place].tolist() == [1.0, 2.0, 3.0, 4.0]
    assert grown(new_memo(1 << 20)).used[0] == 0
