"""Sliding windows in lanes equal the exact kernel bit for bit, on the grid, too."""

from __future__ import annotations

import dataclasses

import numpy as np
from comparison import examples
from hypothesis import given
from hypothesis import strategies as st

from dse.domain.architecture import AccessEnergy, Architecture, Compute, HardwareBatch, StorageLevel
from dse.domain.mapping import MappingBatch
from dse.domain.problem import SHAPES, DataSpace, Problem, Shape, Term
from dse.mapspace import Mapspace, sample_any
from dse.model import arrays as a
from dse.model.batch import has_closed_form, make_plan, run_lanes
from dse.model.evaluate import evaluate_exact

COUNT = 72  # a wide block and a rest
CONVOLUTION = "RSPQCKN"
#: Rows of three dimensions, and of one with gaps.
THREE_IN_A_ROW = Shape(
    "three",
    tuple("ABCDE"),
    (
        DataSpace("T0", ((Term("A"), Term("B", "two"), Term("C", "three")), (Term("D", "two"),))),
        DataSpace("T1", ((Term("A"),), (Term("E"),))),
        DataSpace("T2", ((Term("B"),), (Term("E"),)), True),
    ),
    {"two": 2, "three": 3},
)


def _level(name: str, words: int | None, x: int, y: int) -> StorageLevel:
    return StorageLevel(
        name,
        "DRAM" if words is None else "SRAM",
        word_bits=16,
        size_words=words,
        mesh_x=x,
        mesh_y=y,
        instances=x * y,
        block_size=2 if words is None else 1,
        read_bandwidth=3.0,
        write_bandwidth=2.0,
        energy=AccessEnergy(x + 0.3, 1.7, 2.9, 0.01),
    )


def _hardware(x: int, y: int) -> Architecture:
    levels = (_level("A", 600, x, y), _level("B", 5000, 1, y), _level("C", None, 1, 1))
    return Architecture("small", levels, Compute(mesh_x=x, mesh_y=y, instances=x * y))


@st.composite
def problems(draw: st.DrawFn) -> Problem:
    bound = st.sampled_from((1, 2, 3, 4, 6, 8))
    if draw(st.integers(0, 3)) == 0:
        return Problem(THREE_IN_A_ROW, {d: draw(bound) for d in "ABCDE"})
    names = ("Wstride", "Hstride", "Wdilation", "Hdilation")
    coefficients = {name: draw(st.sampled_from((1, 1, 2, 3))) for name in names}
    bounds = {d: draw(bound) for d in CONVOLUTION[:6]}
    return Problem(SHAPES["cnn-layer"], {**bounds, "N": 1}, coefficients)


def _with_keeps(mappings: MappingBatch, rng: np.random.Generator) -> MappingBatch:
    """The mappings, all of which bypass the same tensors at some levels."""
    keep = rng.random((*mappings.keep.shape[:2], 1)) < 0.8
    keep[-1] = True
    return dataclasses.replace(mappings, keep=keep)


@examples(120)
@given(data=st.data(), seed=st.integers(0, 2**32))
def test_windows_in_lanes_equal_the_exact_kernel(data, seed):
    problem = data.draw(problems())
    shape = data.draw(st.sampled_from(((4, 3), (6, 4), (7, 5), (3, 8))))
    architecture = _hardware(*shape)
    version = data.draw(st.sampled_from((a.HEAD, a.HEAD, a.V303, a.DOSA)))
    drawn = sample_any(Mapspace(problem, architecture, {}), COUNT, seed, 10_000).mappings
    mappings = _with_keeps(drawn, np.random.default_rng(seed))
    hardware, index = HardwareBatch.of(architecture), np.zeros(len(mappings), np.int32)
    assert has_closed_form(hardware, problem, mappings)
    exact, _ = evaluate_exact(hardware, problem, mappings, index, version)
    totals, again = a.new_totals(len(mappings)), np.zeros(len(mappings), np.bool_)
    plan = make_plan(problem, mappings.keep[:, :, 0], version)
    run_lanes(hardware, problem, mappings, index, plan, totals, again, 1)
    for name in a.Totals._fields:
        np.testing.assert_array_equal(
            getattr(totals, name)[~again], getattr(exact, name)[~again], err_msg=name
        )


def test_tiles_that_neighbours_pass_on_are_told_in_the_block():
    bounds = {"R": 3, "S": 3, "P": 8, "Q": 8, "C": 8, "K": 8, "N": 1}
    problem = Problem(SHAPES["cnn-layer"], bounds)
    architecture = _hardware(8, 6)
    mappings = sample_any(Mapspace(problem, architecture, {}), 3000, 5, 10**6).mappings
    inside = np.flatnonzero((mappings.spatial[0] == 1).all(axis=0))
    mappings = dataclasses.replace(mappings.take(inside), keep=np.ones((3, 3, 1), np.bool_))
    hardware, index = HardwareBatch.of(architecture), np.zeros(len(mappings), np.int32)
    totals, again = a.new_totals(len(mappings)), np.zeros(len(mappings), np.bool_)
    plan = make_plan(problem, mappings.keep[:, :, 0], a.HEAD)
    run_lanes(hardware, problem, mappings, index, plan, totals, again, 1)
    exact, details = evaluate_exact(hardware, problem, mappings, index, a.HEAD, details=True)
    passed_on = (details.network[a.LINKS, :, 1] > 0).any(axis=0)
    assert (passed_on & exact.valid).sum() > 20
    assert not again.any()
    for name in a.Totals._fields:
        np.testing.assert_array_equal(getattr(totals, name), getattr(exact, name), err_msg=name)
