"""How far dimensions may be padded, which ones, and what a mapping says of it."""

import numpy as np
import pytest

from dse.domain.mapping import Mapping
from dse.domain.padding import (
    Padding,
    mapped_problem,
    paddable,
    padded_layers,
    padded_sizes,
    padding_text,
)
from dse.domain.problem import SHAPES, DataSpace, Layer, Problem, Shape, Term
from dse.errors import SpecError

GEMM = Problem(SHAPES["gemm"], {"M": 7, "N": 5, "K": 3})


def mapping(*factors):
    """A mapping on one level with these temporal factors."""
    one = Mapping.trivial(1, len(factors), 3)
    one.temporal[0] = factors
    return one


@pytest.mark.parametrize(
    ("text", "on", "most"),
    [
        ("off", False, 30),
        ("0%", False, 30),
        ("auto", True, 60),
        ("10%", True, 33),
        ("3.4%", True, 31),
    ],
)
def test_the_setting_says_how_far(text, on, most):
    padding = Padding.parse(text)
    assert padding.on == on
    assert padding.most(30) == most


@pytest.mark.parametrize("text", ["on", "10", "-1%", "101%", "x%", "", "nan%"])
def test_other_settings_are_refused(text):
    with pytest.raises(SpecError, match=r"mapspace.padding = .*: expected off, auto, or a share"):
        Padding.parse(text)


def test_a_mapping_says_what_it_pads():
    padded = mapped_problem(GEMM, mapping(8, 5, 4))
    assert padded.bounds == {"M": 8, "N": 5, "K": 4}
    assert padded_sizes(GEMM, padded) == {"M": (7, 8), "K": (3, 4)}
    assert padding_text(GEMM, padded) == "M 7 -> 8, K 3 -> 4"
    assert padding_text(GEMM, GEMM) == ""
    layers = [Layer("a", GEMM), Layer("b", GEMM)]
    assert padded_layers(layers, [mapping(7, 5, 3), mapping(7, 6, 3)]) == {"b": {"N": 6}}


def test_spatial_factors_count_too():
    one = mapping(4, 5, 3)
    one.spatial[0] = (2, 1, 1)
    assert mapped_problem(GEMM, one).bounds["M"] == 8


def test_a_mapping_of_the_problem_itself_is_of_that_very_problem():
    assert mapped_problem(GEMM, mapping(7, 5, 3)) is GEMM


def test_imperfect_factors_pad_nothing():
    one = Mapping(
        **{
            **vars(mapping(4, 5, 3)),
            "temporal_remainder": np.array([[3, 5, 3]], np.int32),
            "spatial_remainder": np.ones((1, 3), np.int32),
        }
    )
    assert mapped_problem(GEMM, one) is GEMM


def test_dimensions_of_convolutions_and_products_may_all_be_padded():
    """Filters and channels run over zeros, outputs and batches over results that nobody reads."""
    for shape in SHAPES.values():
        problem = Problem(shape, dict.fromkeys(shape.dimensions, 2))
        assert paddable(problem) == shape.dimensions


def test_a_dimension_that_would_add_to_results_is_left_alone():
    # Z[i] += A[i, j] for every k: nothing is zero along k, and each k adds to the same results
    i, j = (Term("i"),), (Term("j"),)
    shape = Shape(
        "repeat", ("i", "j", "k"), (DataSpace("A", (i, j)), DataSpace("Z", (i,), read_write=True))
    )
    assert paddable(Problem(shape, {"i": 3, "j": 3, "k": 3})) == ("i", "j")


def test_a_dimension_that_shares_its_ranks_is_left_alone():
    # Z[p + r] += A[p + r]: what p runs beyond its end is read and written within that of r
    both = (Term("p"), Term("r"))
    shape = Shape(
        "both", ("p", "r"), (DataSpace("A", (both,)), DataSpace("Z", (both,), read_write=True))
    )
    assert paddable(Problem(shape, {"p": 3, "r": 3})) == ()


def test_a_stride_of_zero_does_not_make_a_dimension_stand_alone():
    row = (Term("p", "s"),)
    shape = Shape("still", ("p",), (DataSpace("A", (row,)), DataSpace("Z", (), True)), {"s": 1})
    assert paddable(Problem(shape, {"p": 3})) == ("p",)
    assert paddable(Problem(shape, {"p": 3}, {"s": 0})) == ()
