"""Density models: probabilities against counting, one by one."""

from __future__ import annotations

import math
from collections import Counter
from fractions import Fraction
from itertools import combinations

import numpy as np
import pytest
from comparison import examples
from hypothesis import assume, given
from hypothesis import strategies as st

from dse.domain.density import Density
from dse.errors import SpecError
from dse.sparse.banded import Banded
from dse.sparse.fixed import FixedStructured
from dse.sparse.hypergeometric import Hypergeometric

SHARES = st.floats(0.001, 1.0)


def drawn(n: int, r: int, whole: int, occupancy: int) -> Fraction:
    """How likely n of ``whole`` words hold so many of the r that are not 0."""
    ways = math.comb(r, occupancy) * math.comb(whole - r, n - occupancy)
    return Fraction(ways, math.comb(whole, n))


def test_the_formula_is_what_counting_gives():
    whole, r, n = 7, 3, 4
    held = Counter(sum(i < r for i in tile) for tile in combinations(range(whole), n))
    for occupancy, count in held.items():
        assert drawn(n, r, whole, occupancy) == Fraction(count, math.comb(whole, n))


@examples(200)
@given(whole=st.integers(1, 3000), density=SHARES, data=st.data())
def test_hypergeometric_probabilities_are_the_rationals_rounded(whole, density, data):
    model = Hypergeometric(density, whole)
    n = data.draw(st.integers(1, whole))
    occupancies, likely = model.distribution((n,))
    assert model.most((n,)) == min(n, model.nonzero)
    chosen = data.draw(st.lists(st.sampled_from(range(len(likely))), max_size=20))
    for i in chosen:
        occupancy = int(occupancies[i])
        assert likely[i] == float(drawn(n, model.nonzero, whole, occupancy))
        assert model.probability((n,), occupancy) == likely[i]
    assert math.isclose(model.expected((n,)), n * model.nonzero / whole, rel_tol=1e-12)
    assert model.probability((n,), model.most((n,)) + 1) == 0.0


@examples(100)
@given(around=st.integers(1, 400), data=st.data())
def test_hypergeometric_tiles_within_tiles(around, data):
    model = Hypergeometric(0.5, 1000)
    n = data.draw(st.integers(1, around))
    occupancies = np.array(data.draw(st.lists(st.integers(0, around), min_size=1, max_size=9)))
    found = model.empty_within((n,), (around,), occupancies)
    for occupancy, probability in zip(occupancies.tolist(), found.tolist(), strict=True):
        assert probability == float(drawn(n, occupancy, around, 0))


@pytest.mark.parametrize(("whole", "density", "n"), [(104_800, 0.3, 5000), (200_000, 0.9, 150_000)])
def test_large_tensors_are_right_to_thirteen_digits(whole, density, n):
    model = Hypergeometric(density, whole)
    occupancies, likely = model.distribution((n,))
    middle = n * model.nonzero // whole
    for occupancy in (middle - 500, middle, middle + 1, middle + 300):
        want = float(drawn(n, model.nonzero, whole, occupancy))
        assert likely[occupancy - occupancies[0]] == pytest.approx(want, rel=1e-13)
    assert likely.sum() == pytest.approx(1.0, abs=1e-13)
    some = np.array([0, 3, 10])
    found = model.empty_within((n,), (whole,), some).tolist()
    for occupancy, probability in zip(some.tolist(), found, strict=True):
        assert probability == pytest.approx(float(drawn(n, occupancy, whole, 0)), rel=1e-13)


def test_a_tile_larger_than_its_tensor_is_never_empty():
    model = Hypergeometric(0.5, 10)
    assert model.probability((11,), 0) == 0.0
    assert model.empty_within((11,), (10,), np.array([0, 3])).tolist() == [0.0, 0.0]


def test_occupancies_that_timeloop_does_not_look_at():
    """Its count of the least one wraps around, but for the whole tensor."""
    model = Hypergeometric(0.75, 8)
    assert model.nonzero == 6
    assert model.least((2,)) == 0
    assert model.least((4,)) == 0
    assert model.least((8,)) == 6


def test_hypergeometric_tiles_that_take_too_long_are_refused():
    with pytest.raises(SpecError, match="takes too long"):
        Hypergeometric(0.5, 2**40).distribution((2**30,))


@examples(200)
@given(words=st.integers(1, 10**6), density=SHARES)
def test_fixed_tiles_hold_their_share(words, density):
    model = FixedStructured(density)
    occupancies, likely = model.distribution((words,))
    assert likely.sum() == pytest.approx(1.0, abs=1e-15)
    mean = float((likely * occupancies).sum())
    assert mean == pytest.approx(model.expected((words,)), rel=1e-9, abs=1e-12)
    assert model.least((words,)) <= occupancies.min()
    assert model.most((words,)) == occupancies.max()
    assert len(occupancies) <= 2


@examples(100)
@given(words=st.integers(1, 60), around=st.integers(1, 60), held=st.integers(0, 60))
def test_fixed_tiles_within_tiles_have_the_share_of_those(words, around, held):
    assume(words <= around >= held)
    (found,) = FixedStructured(0.1).empty_within((words,), (around,), np.array([held]))
    assert found == pytest.approx(max(0.0, 1.0 - words * held / around), abs=1e-12)


def band(side: int, width: int) -> np.ndarray:
    rows, columns = np.indices((side, side))
    return abs(rows - columns) <= width


@st.composite
def tiled_bands(draw):
    """A matrix, the width of its band, and tiles that Timeloop's short cut is right for."""
    columns = draw(st.integers(1, 6))
    rows = columns * draw(st.integers(1, 3))
    side = rows * draw(st.integers(1, 6))
    width = draw(st.integers(0, side - 1))
    assume(side // rows >= 2 * -(-width // rows))
    return side, width, (rows, columns)


@examples(200)
@given(case=tiled_bands())
def test_banded_tiles_are_those_of_the_matrix(case):
    side, width, (rows, columns) = case
    matrix = band(side, width)
    tiles = matrix.reshape(side // rows, rows, side // columns, columns).sum(axis=(1, 3))
    model = Banded(side, width)
    assert model.nonzero == matrix.sum()
    counts = Counter(tiles.ravel().tolist())
    occupancies, likely = model.distribution((rows, columns))
    assert occupancies.tolist() == sorted(counts)
    assert likely.tolist() == [counts[o] / tiles.size for o in sorted(counts)]
    assert model.most((rows, columns)) >= tiles.max()
    assert model.expected((rows, columns)) == pytest.approx(tiles.mean())


def test_a_tile_at_the_corner_is_looked_at_where_it_is():
    """Timeloop adds the place of the tile around twice, which is no error at the origin."""
    model = Banded(8, 1)
    inner = band(8, 1)[:4, :4].reshape(2, 2, 2, 2).sum(axis=(1, 3))
    (found,) = model.empty_within((2, 2), (4, 4), np.array([10]))
    assert found == (inner == 0).mean()


def test_banded_tiles_must_divide_the_matrix():
    with pytest.raises(SpecError, match="does not divide a banded matrix of 8 x 8"):
        Banded(8, 1).empty_within((3, 3), (8, 8), np.array([22]))
    with pytest.raises(SpecError, match="no tile of 4 x 4 of the banded matrix holds 3 words"):
        Banded(8, 1).empty_within((2, 2), (4, 4), np.array([3]))
    with pytest.raises(SpecError, match="too wide"):
        Banded(4, 40)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"density": 1.5}, "expected a number from 0 to 1"),
        ({"density": -0.5}, "expected a number from 0 to 1"),
        ({"density": math.nan}, "expected a number from 0 to 1"),
        ({"distribution": "bandd"}, "did you mean 'banded'"),
        ({"band_width": -1}, "expected an integer"),
    ],
)
def test_densities_that_cannot_be(given, said):
    with pytest.raises(SpecError, match=said):
        Density(**given)
