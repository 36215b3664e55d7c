"""Timeloop's first files, in libconfig."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dse.errors import SpecError
from dse.timeloop.evaluate import evaluate_files, evaluate_text
from dse.timeloop.yaml.libconfig import parse_libconfig
from dse.timeloop.yaml.nodes import Node

CFG = """
# the hardware
arch : {
  arithmetic = { instances = 4; "word-bits" = 16; meshX = 4; };
  storage = (
    { name = "RF"; entries = 64; instances = 4; meshX = 4; word_bits = 16; },
    { name = "DRAM"; technology = "DRAM"; instances = 1; word_bits = 16 }  // no semicolon
  );
};
problem = {
  R = 1; S = 1; P = 8; Q = 1; C = 2; K = 4; N = 1;
  Wstride = 1; Hstride = 1; Wdilation = 1; Hdilation = 1;
};
/* from the inside out
   */
mapping = (
  { target = 0, type = "datatype"; keep = [ "Weights", "Outputs", "Inputs" ]; bypass = [ ] },
  { target = 0; type = "temporal"; factors = "R1 S1 P8 Q1 C2 K1 N1"; permutation = "PCKRSQN"; },
  { target = 1; type = "spatial"; factors = "R1 S1 P1 Q1 C1 K4 N1"; permutation = "KQRSPCN";
    split = 7; },
  { target = 1; type = "temporal"; factors = "R1 S1 P1 Q1 C1 K1 N1"; permutation = "PQ" "RSCKN"; }
);
"""
YAML = """
arch:
  arithmetic: {instances: 4, word-bits: 16, meshX: 4}
  storage:
  - {name: RF, entries: 64, instances: 4, meshX: 4, word_bits: 16}
  - {name: DRAM, technology: DRAM, instances: 1, word_bits: 16}
problem: {R: 1, S: 1, P: 8, Q: 1, C: 2, K: 4, N: 1, Wstride: 1, Hstride: 1, Wdilation: 1,
  Hdilation: 1}
mapping:
- {target: RF, type: datatype, keep: [Weights, Outputs, Inputs], bypass: []}
- {target: RF, type: temporal, factors: R1 S1 P8 Q1 C2 K1 N1, permutation: PCKRSQN}
- {target: DRAM, type: spatial, factors: R1 S1 P1 Q1 C1 K4 N1, permutation: KQRSPCN, split: 7}
- {target: DRAM, type: temporal, factors: R1 S1 P1 Q1 C1 K1 N1, permutation: PQRSCKN}
"""


def plain(node: Node):
    if isinstance(node.value, dict):
        return {key: plain(child) for key, child in node.value.items()}
    if isinstance(node.value, list):
        return [plain(child) for child in node.value]
    return node.value


def test_a_whole_input_is_the_same_in_both_forms(tmp_path):
    (tmp_path / "old.cfg").write_text(CFG)
    found = evaluate_files([tmp_path / "old.cfg"])
    assert found.stats == evaluate_text(YAML).stats
    assert found.stats.cycles == 16
    # a number in quotes is a name, in libconfig and in YAML
    (tmp_path / "old.cfg").write_text(CFG.replace("target = 0", 'target = "0"'))
    with pytest.raises(SpecError, match="target storage level not found: 0"):
        evaluate_files([tmp_path / "old.cfg"])
    (tmp_path / "old.cfg").write_text(CFG.replace("target = 1", "target = 2"))
    with pytest.raises(SpecError, match="an integer of at most 1"):
        evaluate_files([tmp_path / "old.cfg"])


def test_values_of_all_kinds():
    text = r"""a = 0x1F; b = 1.5e3; c = -7L; d = TRUE; e = "x\"y\n\x41" "z";
        f = (1, (), {}); *g = []"""
    assert plain(parse_libconfig("a.cfg", text)) == {
        **{"a": "0x1F", "b": "1.5e3", "c": "-7", "d": "true", "e": 'x"y\nAz'},
        **{"f": ["1", [], {}], "*g": []},
    }
    assert parse_libconfig("a.cfg", "# nothing\n") is None


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a = 1; a = 2;", r"a.cfg:1: setting 'a' is given twice"),
        ("a = {\n b = 1;", r"a.cfg:2: the end of the file: expected }"),
        ("a = (1 2);", r"a.cfg:1: 2: expected a comma or \)"),
        ("a 1;", r"a.cfg:1: 1: expected = or :"),
        ("\n\na = ;", r"a.cfg:3: ;: expected a value"),
        ('a = "open', r"""a.cfg:1: '"open' is not libconfig"""),
        ('@include "b.cfg"', r"""a.cfg:1: '@include "b.cfg"' is not libconfig"""),
        ("a = " + "(" * 200, r"deeper than 100 levels"),
        (b"a = \xff", r"a.cfg: not UTF-8"),
        ("= 3", r"a.cfg:1: =: expected the name of a setting"),
    ],
)
def test_what_is_wrong_is_refused_with_its_line(text, told):
    with pytest.raises(SpecError, match=told):
        parse_libconfig("a.cfg", text)


NAMES = st.text(string.ascii_letters, min_size=1, max_size=5)
TREES = st.recursive(
    st.integers(-99, 99) | st.text(max_size=6) | st.booleans(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=12,
)


def written(tree):
    if isinstance(tree, bool):
        return str(tree).lower()
    if isinstance(tree, int):
        return str(tree)
    if isinstance(tree, str):
        return '"' + tree.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
    if isinstance(tree, list):
        return "( " + ", ".join(map(written, tree)) + " )"
    return "{ " + " ".join(f"{k} = {written(v)};" for k, v in tree.items()) + " }"


def told(tree):
    if isinstance(tree, dict):
        return {key: told(value) for key, value in tree.items()}
    if isinstance(tree, list):
        return [told(value) for value in tree]
    return str(tree).lower() if isinstance(tree, bool) else str(tree)


@given(TREES)
def test_what_is_written_is_read(tree):
    assert plain(parse_libconfig("a.cfg", f"x = {written(tree)};")) == {"x": told(tree)}


@given(st.text(max_size=60))
def test_no_text_does_harm(text):
    try:
        parse_libconfig("a.cfg", text)
    except SpecError as error:
        assert str(error).startswith("a.cfg")
