"""Numbers and kinds that no file should hold: one line that names file, key and value."""

import numpy as np
import pytest

from dse.domain.expression import Expression
from dse.domain.problem import LARGEST, SHAPES, Problem
from dse.errors import SpecError
from dse.relaxed.sizing import MOST_VALUES, Sizing
from dse.space.template import ArchTemplate
from dse.space.workload import parse_workload

TEMPLATE = """\
name: t
energy: dosa
variables: {words: {min: 16, max: MAX}}
storage:
  - {name: DRAM, class: DRAM, word_bits: 8}
  - {name: Buffer, word_bits: 8, size_words: SIZE}
compute: {name: MACC, word_bits: 8}
"""


def _template(tmp_path, size: str, largest: int = 1024) -> ArchTemplate:
    path = tmp_path / "t.yaml"
    path.write_text(TEMPLATE.replace("SIZE", size).replace("MAX", str(largest)), encoding="utf-8")
    return ArchTemplate.read(path)


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"K": 2**31}, "layers[0] ('a'): problem: K = 2147483648, expected at most 2147483647"),
        ({"K": 10**30}, "expected at most 2147483647"),
        ({"Wstride": 2**31}, "Wstride = 2147483648, expected at most 2147483647"),
        ({"K": 0}, "K = 0, expected an integer of at least 1"),
        ({"K": -8}, "K = -8, expected an integer of at least 1"),
        ({"K": float("nan")}, "K = nan, expected an integer of at least 1"),
        ({"count": 0}, "count = 0, expected an integer of at least 1"),
        ({"count": -1}, "count = -1, expected an integer of at least 1"),
        ({"shape": {"x": 1}}, "shape = {'x': 1}, expected the name of a shape"),
        ({"shape": ["gemm"]}, "shape = ['gemm'], expected the name of a shape"),
        ({"shape": False}, "shape = False, expected the name of a shape"),
        ({"weights": 0}, "weights = 0, expected own, shared or none"),
        ({"weights": {"x": 1}}, "weights = {'x': 1}, expected own, shared or none"),
    ],
)
def test_a_layer_says_what_is_wrong_with_its_numbers(row, expected):
    with pytest.raises(SpecError) as caught:
        parse_workload({"name": "w", "layers": [{"name": "a", **row}]}, "w.yaml")
    message = str(caught.value)
    assert message.startswith("w.yaml: layers[0] ('a'): ")
    assert expected in message
    assert "\n" not in message


def test_the_largest_dimension_is_taken():
    assert Problem(SHAPES["gemm"], {"M": LARGEST, "N": 1, "K": 1}).macs == 2**31 - 1


@pytest.mark.parametrize("text", ["1e999", "2 * 1e999", "words - 1e999", "min(words, 1e400)"])
def test_numbers_beyond_floating_point_are_refused(tmp_path, text):
    with pytest.raises(SpecError, match="a number in it is too large"):
        Expression(text)
    with pytest.raises(SpecError, match=r"t\.yaml.*size_words.*1e[49].*too large"):
        _template(tmp_path, f'"{text}"')


@pytest.mark.parametrize("size", ["-1", "words - 17", "-words"])
def test_negative_sizes_are_refused(tmp_path, size):
    with pytest.raises(SpecError, match="size_words = -[0-9]+, expected at least 0"):
        _template(tmp_path, f'"{size}"').build({"words": 16})


def test_inferred_variables_have_values_that_can_be_listed(tmp_path):
    with pytest.raises(SpecError) as caught:
        Sizing(_template(tmp_path, "words", 10**12))
    assert "variables.words: 999,999,999,985 values, expected at most" in str(caught.value)
    few = Sizing(_template(tmp_path, "words", MOST_VALUES))
    assert [v.name for v in few.inferred] == ["words"]


@pytest.mark.parametrize(
    ("low", "high", "step"),
    [(1, 4096, 1), (0, 5000, 1), (4, 128, 4), (7, 90001, 13), (16, 2**20, 16), (3, 3, 1)],
)
def test_the_grid_of_a_range_holds_the_nearest_legal_values(low, high, step):
    from dse.relaxed.price_table import _grid
    from dse.space.variable import Variable

    for most in (1, 2, 10, 33):
        variable = Variable("v", low, high, step)
        legal = np.array([variable.value_at(i) for i in range(variable.count)])
        found = _grid(variable, most)
        assert len(found) <= most
        if variable.count > most > 1:
            wanted = np.geomspace(max(low, 1e-9), high, most)
            nearest = np.abs(legal[None, :] - wanted[:, None]).argmin(axis=1)
            assert found == legal[np.unique(nearest)].tolist()


def test_the_grid_of_a_huge_range_takes_no_memory():
    from dse.relaxed.price_table import _grid
    from dse.space.variable import Variable

    found = _grid(Variable("v", 1, 10**12), 33)
    assert (found[0], found[-1], len(found)) == (1, 10**12, 33)
