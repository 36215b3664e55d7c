"""Useful sizes, and the order in which paddings are searched."""

import itertools
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dse.components.chain import energy_chain
from dse.domain.constraints import LevelConstraint, LoopConstraint
from dse.domain.padding import Padding
from dse.domain.problem import SHAPES, Problem
from dse.mapspace.factorization import divisors
from dse.mapspace.outline import Slot
from dse.mapspace.padding import MOST_ALTERNATIVES, alternatives, useful_sizes
from dse.mapspace.space import Mapspace
from dse.space import catalog

AUTO = Padding.parse("auto")
MANY = 1 << 62


def slots(*caps, fixed=()):
    """Slots with these caps, and others whose factors are fixed."""
    free = tuple(Slot(0, False, cap, 0, 1) for cap in caps)
    return (*free, *(Slot(1, False, f, f, 1) for f in fixed))


def architecture(name):
    template = catalog.template(name)
    return energy_chain(template.energy).price(template.build(template.defaults))


def problem(**bounds):
    shape = SHAPES["cnn-layer"]
    return Problem(shape, {d: bounds.get(d, 1) for d in shape.dimensions})


def paddings(name="eyeriss", padding=AUTO, metric="edp", constraints=None, **bounds):
    space = Mapspace(problem(**bounds), architecture(name), constraints)
    return alternatives(space, padding, metric)


def splits(size, caps):
    """All ordered factorisations over slots with these caps."""
    if not caps:
        return [()] if size == 1 else []
    own = [f for f in divisors(size) if f <= caps[0]]
    return [(f, *rest) for f in own for rest in splits(size // f, caps[1:])]


def test_sizes_of_an_awkward_dimension():
    free = slots(MANY, MANY, MANY)
    assert useful_sizes(197, free, 394) == (198, 200, 203, 204, 208, 210, 216, 224)
    assert useful_sizes(197, free, 204) == (198, 200, 203, 204)
    assert useful_sizes(197, slots(MANY), 394) == ()  # one factor: 198 only takes longer
    assert useful_sizes(1, free, 2) == ()


def test_fixed_factors_stay():
    assert all(size % 5 == 0 for size in useful_sizes(37, slots(MANY, MANY, fixed=(5,)), 74))
    assert useful_sizes(37, slots(MANY, fixed=(5,)), 74) == (40,)
    assert useful_sizes(37, slots(MANY, MANY, fixed=(37,)), 74) == ()


@settings(deadline=None, max_examples=200)
@given(st.integers(1, 80), st.lists(st.sampled_from([2, 3, 4, 7, MANY]), min_size=1, max_size=4))
def test_a_size_is_useful_where_some_split_cannot_be_less(bound, caps):
    """By definition: no factor of the split can be less by one and still cover the bound."""
    wanted = tuple(
        size
        for size in range(bound + 1, 2 * bound + 1)
        if any(
            all(f == 1 or size - size // f < bound for f in split) for split in splits(size, caps)
        )
    )
    assert useful_sizes(bound, slots(*caps), 2 * bound) == wanted


@settings(deadline=None, max_examples=200)
@given(st.integers(1, 60), st.lists(st.integers(1, 12), min_size=1, max_size=4))
def test_every_split_covers_one_of_a_useful_size(bound, factors):
    """Whatever a dimension is padded to, some useful size runs the same loops, or shorter ones."""
    if math.prod(factors) < bound:
        return
    sizes = {bound, *useful_sizes(bound, slots(*factors), 2 * bound)}
    smaller = itertools.product(*(range(1, f + 1) for f in factors))
    assert any(math.prod(split) in sizes for split in smaller)


def test_the_array_decides_what_is_promising():
    """On 16 x 16 MACs, 37 channels fill 13 columns in 3 rounds, and 120 fill 15 rows in 8."""
    first = paddings("gemmini", P=197, C=113, K=37).problems[0]
    assert (first.bounds["P"], first.bounds["C"], first.bounds["K"]) == (197, 120, 39)


def test_what_fills_the_array_comes_first_unpadded():
    found = paddings(P=56, Q=56, C=64, K=64, R=3, S=3)
    assert found.problems[0] == problem(P=56, Q=56, C=64, K=64, R=3, S=3)


def test_the_number_is_bounded_and_told_and_the_problem_itself_is_among_them():
    found = paddings(Q=197, C=113, K=37)
    assert len(found.problems) == len(set(found.problems)) == MOST_ALTERNATIVES
    assert found.known == 9 * 13 * 8
    assert problem(Q=197, C=113, K=37) in found.problems
    assert found.text == "the 64 most promising of 936 useful combinations of sizes"
    few = paddings(Q=197)
    assert few.text == f"all {few.known} useful combinations of sizes"
    assert paddings(Q=197, padding=Padding.parse("off")).text == "no other size is useful"


def test_a_share_bounds_every_dimension():
    own = {"Q": 197, "C": 113, "K": 37}
    for one in paddings(padding=Padding.parse("3%"), **own).problems:
        assert all(n <= one.bounds[d] <= 1.03 * n for d, n in own.items())


@pytest.mark.parametrize("metric", ["edp", "energy", "delay", None])
def test_the_order_follows_the_metric(metric):
    found = paddings(metric=metric, Q=197, C=113, K=37).problems
    if metric == "energy":
        assert [p.macs for p in found] == sorted(p.macs for p in found)
    else:
        assert found[0] != problem(Q=197, C=113, K=37)


def test_where_sizes_are_not_what_is_in_the_way_nothing_is_padded():
    chip = architecture("eyeriss")
    dram = LevelConstraint(bypass=("Weights",), temporal=LoopConstraint(factors={"K": 2}))
    space = Mapspace(problem(K=38, C=37), chip, {**(chip.constraints or {}), "DRAM": dram})
    assert space.infeasible
    assert alternatives(space, AUTO, "edp").problems == (space.problem,)


def test_a_factor_that_does_not_divide_can_be_had_by_padding():
    rules = {"DRAM": LevelConstraint(temporal=LoopConstraint(factors={"K": 5}))}
    found = paddings("eyeriss", constraints=rules, K=37).problems
    assert {p.bounds["K"] for p in found} >= {40}
    assert all(p.bounds["K"] % 5 == 0 for p in found if p.bounds["K"] != 37)


def test_a_problem_beyond_what_can_be_counted_is_left_out():
    found = paddings("eyeriss", P=2**31 - 1, Q=2**29, K=3).problems
    assert all(p.macs < 2**62 for p in found)
