"""The rules that several kernels share, against what the text of the rules says they mean."""

import math
from collections import Counter
from fractions import Fraction
from itertools import product

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dse.jit import OPTIONS
from dse.model import rules
from dse.model.arrays import DOSA, HEAD, V303

SMALL = st.integers(1, 6)
WORDS = st.floats(0.0, 1e9)
BANDWIDTH = st.floats(1e-3, 1e6) | st.just(math.inf)


def compiled(function):
    return numba.njit(**{**OPTIONS, "cache": False})(function)


@given(st.integers(1, 9), st.integers(-12, 12), st.integers(1, 5))
def test_a_move_brings_in_what_was_not_there(side, move, across):
    before = set(product(range(side), range(across)))
    after = {(x + move, y) for x, y in before}
    assert rules.refetch(len(before), across, side, move) == len(after - before)


@given(st.lists(st.tuples(SMALL, st.integers(-3, 3)), min_size=1, max_size=4))
def test_a_side_spans_from_the_least_place_to_the_largest(dimensions):
    places = [
        sum(c * x for (_, c), x in zip(dimensions, at, strict=True))
        for at in product(*(range(extent) for extent, _ in dimensions))
    ]
    side = 1 + sum(rules.stretch(c, extent) for extent, c in dimensions)
    assert side == max(places) - min(places) + 1


@given(SMALL, SMALL, SMALL, SMALL)
def test_children_of_two_loops_in_one_row_meet_where_their_offsets_do(n1, n2, v1, v2):
    offsets = Counter(i * v1 + j * v2 for i, j in product(range(n1), range(n2)))
    steps = v1 // math.gcd(v1, v2), v2 // math.gcd(v1, v2)
    sizes = Counter(offsets.values())
    assert rules.distinct_offsets(n1, n2, *steps) == len(offsets)
    for size in range(1, n1 * n2 + 1):
        assert rules.groups_of(n1, n2, *steps, size) == sizes[size]
    assert rules.colliding_pairs(n1, n2, *steps, 0) == n1 * n2
    assert rules.colliding_pairs(n1, n2, *steps, max(sizes)) == 0


def test_moves_after_the_first_are_free_where_there_is_none_or_partial_where_they_repeat():
    brought = {
        (version, still, repeats): rules.later_delta(version, still, repeats, 3, 7)
        for version, still, repeats in product((HEAD, V303, DOSA), (True, False), (True, False))
    }
    for version in (HEAD, V303, DOSA):
        assert (brought[version, False, True], brought[version, False, False]) == (3, 7)
    assert brought[HEAD, True, True] == brought[HEAD, True, False] == 0
    assert (brought[V303, True, True], brought[DOSA, True, False]) == (3, 7)


def test_what_the_versions_differ_in():
    assert [rules.leaks(v) for v in (HEAD, V303, DOSA)] == [True, False, False]
    assert [rules.zero_moves_are_free(v) for v in (HEAD, V303, DOSA)] == [True, False, False]
    assert [rules.elides(False, v) for v in (HEAD, V303, DOSA)] == [True, True, False]
    assert not any(rules.elides(True, v) for v in (HEAD, V303, DOSA))


@given(st.integers(-1000, 1000), st.sampled_from((1, 2, 3, 4, 8)))
def test_counts_are_rounded_half_away_from_zero(numerator, denominator):
    count = Fraction(numerator, denominator)
    nearest = math.floor(abs(count) + Fraction(1, 2))
    assert rules.rounded(numerator / denominator) == (nearest if count >= 0 else -nearest)


@given(st.integers(0, 10**6), st.integers(1, 64))
def test_a_block_that_is_not_full_is_an_access(words, block):
    assert rules.blocks(words, block) == -(-words // block)
    assert rules.access_pj(words, block, 0.5) == -(-words // block) * 0.5


@compiled
def _slowdown(reads, writes, read_bandwidth, write_bandwidth, shared_bandwidth):
    return rules.slowdown(reads, writes, read_bandwidth, write_bandwidth, shared_bandwidth)


def _as_written(reads, writes, read_bandwidth, write_bandwidth, shared_bandwidth):
    """Section 9, word by word."""
    slow = 1.0
    if read_bandwidth < reads:
        slow = min(slow, read_bandwidth / reads)
    if write_bandwidth < writes:
        slow = min(slow, write_bandwidth / writes)
    if shared_bandwidth < writes + reads:
        slow = min(slow, shared_bandwidth / (writes + reads))
    return slow


@settings(deadline=None)  # compiles
@given(st.tuples(WORDS, WORDS, BANDWIDTH, BANDWIDTH, BANDWIDTH))
def test_bandwidths_slow_a_level_down_as_the_text_says(loads_and_limits):
    assert _slowdown(*loads_and_limits) == _as_written(*loads_and_limits)


@pytest.mark.parametrize("words", [(0.0, 0.0), (0.0, 3.0), (3.0, 0.0)])
def test_a_level_without_words_is_not_slowed_down_by_them(words):
    assert _slowdown(*words, 8.0, 8.0, 8.0) == 1.0
    assert _slowdown(*words, math.inf, math.inf, math.inf) == 1.0


@settings(deadline=None)  # compiles
@given(st.integers(1, 10**6), st.floats(0.0, 64.0), st.floats(0.0, 64.0), BANDWIDTH, BANDWIDTH)
def test_cycles_for_words_are_those_of_slowed_iterations_but_for_rounding(
    iterations, reads, writes, one, two
):
    smooth = rules.transfer_cycles(reads * iterations, writes * iterations, one, two, one + two)
    cycles = rules.slowed(iterations, _slowdown(reads, writes, one, two, one + two))
    assert cycles == pytest.approx(max(smooth, iterations), abs=1.0, rel=1e-9)


@given(st.integers(1, 10**6), st.integers(1, 64), st.integers(1, 10**4))
def test_tiles_may_take_what_the_buffering_leaves(size, copies, words):
    assert (words <= rules.usable_words(size, copies)) == (words * copies <= size)


@given(SMALL, SMALL, st.integers(1, 36), SMALL, SMALL)
def test_a_level_has_so_many_instances_along_each_axis_and_in_all(x, y, instances, mesh_x, mesh_y):
    demand = (x * y > instances, x > mesh_x, y > mesh_y)
    assert rules.fits_mesh(x, y, instances, mesh_x, mesh_y) == (not any(demand))


def test_clusters_share_an_access():
    """Section 10 with 12 instances in clusters of 4, of which 6 work: 3 clusters for 6 of them."""
    working = rules.used_clusters(6, rules.clusters(12, 4))
    assert working == 3
    assert rules.instance_pj(8.0, 6, working) * 6 == 8.0 * 3
    assert rules.used_clusters(2, rules.clusters(12, 4)) == 2


def test_compiled_code_computes_in_the_type_of_the_arguments():
    @compiled
    def words(full, side, move):
        return rules.refetch(full, full // side, side, move)

    large = 2**60
    assert words(large, 8, 1) == large // 8  # a float would have lost the last digits of 2^60 + 8
    assert words(large + 8, 8, 1) == large // 8 + 1
    assert isinstance(words(np.int64(24), np.int64(4), np.int64(3)), int)
    assert words(24.0, 4.0, 3.0) == 18.0
