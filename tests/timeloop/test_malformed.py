"""Malformed input of every kind: one clear error that names file, key and value, and soon."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from reference_cases import SUBSET, read_cases
from timeloop_texts import AFTER, FORMS, MAC, MAPPING, RF, tree

import dse
from dse.timeloop.evaluate import evaluate_text
from dse.timeloop.read.inputs import read_files, read_text
from dse.timeloop.yaml.parse import MAX_BYTES

PLAIN = FORMS["plain"]


def complaint(text: str | bytes, version: str = "4cf6d4c") -> str:
    start = time.process_time()
    with pytest.raises(dse.SpecError) as caught:
        evaluate_text(text, version, source="in.yaml")
    assert time.process_time() - start < 60  # s of CPU; what is quadratic takes minutes
    message = str(caught.value)
    assert "in.yaml" in message
    assert len(message) < 2000
    return message


# ------------------------------------------------------------------------------------ wrong YAML


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: [1, 2", "not valid YAML"),
        ("a: b: c", "in.yaml:1: not valid YAML"),
        ("\tproblem: 1", "not valid YAML"),
        ("problem: &x *x", "not valid YAML|contains itself"),
        ("problem: *nowhere", "alias '\\*nowhere' has no anchor"),
        ("problem: &x [*x]", "contains itself"),
        ("problem: 'open", "not valid YAML"),
        ('problem: "\\q"', "not valid YAML"),
        ("a: 1\n---\nb: 2", "in.yaml:2: a second document"),
        ("problem: !!python/object/apply:os.system [ls]", "tag .* is not plain data"),
        ("problem: !!set {a}", "tag .* is not plain data"),
        ("architecture: !Chip {nodes: []}", "tag .* is not plain data"),
        ("? [a, b]\n: c", "expected a name"),
        ("", "empty"),
        ("# only a comment", "empty"),
        ("~", "empty"),
        ("just text", "expected a map"),
        ("- a\n- list", "expected a map"),
        ("<<: 3", "expects a map"),
        (b"\xff\xfe\x00p", "not UTF-8"),
        ("p: \x07", "not valid YAML"),
        ("p: \x00", "not valid YAML"),
        ("p: \ud800", "not UTF-8"),
    ],
)
def test_text_that_is_no_plain_yaml(text, said):
    assert re.search(said, complaint(text))


@pytest.mark.parametrize("opening", ["[", "{a: ", "- ", "? ", "&a ["])
def test_ten_megabytes_of_nesting(opening):
    # libyaml looks ahead of what it hands out, and has a bound of its own: either may come first
    said = complaint(opening * (10 * 2**20 // len(opening)))
    assert re.search("nested deeper than 100 levels|not valid YAML", said)


def test_ten_megabytes_of_one_key():
    said = complaint("a:\n " * (10 * 2**20 // 4))
    assert "in.yaml:23: key 'a' is given twice, as 20 others are" in said


def test_deep_block_nesting():
    text = "".join(" " * i + "a:\n" for i in range(4000))
    assert "nested deeper" in complaint(text)


@pytest.mark.slow
def test_ten_megabytes_of_other_things():
    assert "more than" in complaint("problem: [" + "1," * (5 * 2**20) + "]")
    assert "missing" in complaint("problem_text: " + "x" * (10 * 2**20))
    assert "missing" in complaint("#" * (10 * 2**20) + "\na: 1")
    assert "expected" in complaint("problem: " + "x" * (10 * 2**20))
    assert "larger than" in complaint(" " * (MAX_BYTES + 1))


def test_a_yaml_bomb():
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 20)]
    assert "more than" in complaint("\n".join(lines))


def test_long_numbers_and_names():
    for digits in ("9" * 5000, "-" + "9" * 5000, "1e" + "9" * 5000, "0x" + "f" * 5000):
        assert "expected" in complaint(tree(glb=f"entries: {digits}") + AFTER)
    for digits in ("9" * 5000, "1e" + "9" * 5000):
        factors = MAPPING.replace("R=3", f"R={digits}")
        complaint(tree() + AFTER.replace(MAPPING, factors))
    complaint(tree() + AFTER.replace("target: GLB", "target: " + "G" * 1000))


def test_files_that_are_not_there(tmp_path: Path):
    for path, said in (
        (tmp_path / "none.yaml", "no such file"),
        (tmp_path, "is a directory"),
        (Path("a\0b"), "cannot be read"),
    ):
        with pytest.raises(dse.SpecError, match=said):
            read_files([path])
    with pytest.raises(dse.SpecError, match="no input files"):
        read_files([])


def test_a_key_in_two_files(tmp_path: Path):
    for name in ("a", "b"):
        (tmp_path / f"{name}.yaml").write_text(PLAIN)
    with pytest.raises(dse.SpecError, match=r"b\.yaml:1: top-level key 'architecture' .*a\.yaml:1"):
        read_files([tmp_path / "a.yaml", tmp_path / "b.yaml"])


def test_merge_keys_and_variables_work():
    text = PLAIN.replace(
        "attributes: {width: 64, word-bits: 8}",
        "attributes: {<<: [{width: 64}, {width: 1}], word-bits: 8}",
    )
    assert evaluate_text(text).stats == evaluate_text(PLAIN).stats


# ---------------------------------------------------------------------------------- wrong values

BIG = "entries: 65536"
GLB = "architecture.subtree\\[0\\].subtree\\[0\\].local\\[0\\].attributes"


@pytest.mark.parametrize(
    ("attributes", "said"),
    [
        ("entries: abc", rf"in.yaml:10: {GLB}.entries = 'abc': expected an integer"),
        ("entries: -1", "entries = '-1': expected an integer of at least 0"),
        ("entries: 1.5", "expected an integer"),
        ("entries: [1]", "entries = a list of 1: expected an integer"),
        ("entries: 4294967296", "at most 4294967295"),
        ("sizeKB: 1, depth: 3", "expected one of entries, depth and sizeKB"),
        ("word-bits: 8", "has no size; expected entries, depth or sizeKB"),
        (f"{BIG}, meshX: abc", "meshX = 'abc': expected an integer"),
        (f"{BIG}, meshX: 0", "at least 1"),
        (f"{BIG}, meshX: 2", "meshX 2 does not divide 1 instances"),
        (f"{BIG}, meshX: 2, meshY: 2", "meshX 2 x meshY 2 is 4, expected 1"),
        (f"{BIG}, instances: 3", "does not divide mesh_x 4|mesh_x 3"),
        (f"{BIG}, cluster-size: 3", "cluster_size 3 does not divide 1 instances"),
        (f"{BIG}, block-size: 0", "at least 1"),
        (f"{BIG}, width: 30", "ERROR: data storage width: 30"),
        (f"{BIG}, word-bits: 8, width: 64, block-size: 2, cluster-size: 2", "storage width"),
        (f"{BIG}, multiple-buffering: 0", "above 0"),
        (f"{BIG}, read_bandwidth: 0", "above 0"),
        (f"{BIG}, read_bandwidth: fast", "expected a number"),
        (f"{BIG}, read_bandwidth: .nan", "expected a number"),
        (f"{BIG}, shared_bandwidth: -3", "above 0"),
        (f"{BIG}, min-utilization: -0.5", "at least 0"),
        (f"{BIG}, wire-energy: -1", "at least 0"),
        (f"{BIG}, reduction_supported: maybe", "true or false"),
        (f"{BIG}, network_read: bus", "ERROR: network bus not found"),
        (f"{BIG}, network-type: 'N:1'", "expected 1:1, 1:N or M:N"),
        (f"{BIG}, power_gated_at: RFs", "ERROR: power_gated_at buffer RFs not found"),
        (f"{BIG}, allow_overbooking: perhaps", "allow_overbooking = 'perhaps'"),
        (f"{BIG}, per_dataspace_bandwidth_consumption_scale: 2", "expected a map"),
        (f"{BIG}, per_dataspace_bandwidth_consumption_scale: {{Inputs: -2}}", "at least 0"),
        (
            f"{BIG}, per_dataspace_bandwidth_consumption_scale: {{Input: 2}}",
            "not a valid dimension",
        ),
        (f"{BIG}, entires: 3", "unknown key 'entires'; did you mean 'entries'"),
        (f"{BIG}, mesh_x: 3", "did you mean 'meshX'"),
        (f"{BIG}, word_bit: 3", "did you mean 'word_bits'"),
        (f"{BIG}, cluster-sizes: 3", "did you mean 'cluster_size'"),
    ],
)
def test_wrong_attributes(attributes, said):
    assert re.search(said, complaint(tree(glb=attributes) + AFTER))


def test_attributes_that_timeloop_ignores_are_accepted():
    ignored = "technology: 32nm, n_banks: 2, n_rdwr_ports: 2, has_power_gating: false, foo: {a: b}"
    text = tree(glb=f"{BIG}, {ignored}") + AFTER
    assert evaluate_text(text).stats == evaluate_text(tree(glb=BIG) + AFTER).stats


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("version: 0.4\n  sub", "version: 0.5\n  sub", "architecture.version = '0.5'"),
        ("version: 0.4\n  sub", "sub", "'version' is missing"),
        ("subtree:\n    - name: chip", "subtree:\n    - name: a\n    - name: chip", "exactly one"),
        ("name: PE[0..7]", "name: PE[7..0]", "backwards"),
        ("name: PE[0..7]", "name: PE[a..b]", "range"),
        ("class: intmac", "class: alu", "no compute found"),
        ("class: regfile", "class: intmac", "a second compute"),
        ("class: SRAM", "class: SimpleMulticast", "'action_name' is missing"),
        ("name: GLB,", "name: DRAM,", "declared twice"),
        ("architecture:", "architectures:", "did you mean 'architecture'"),
        ("architecture:", "hardware:", "'architecture' is missing"),
        ("problem:", "problems:", "did you mean 'problem'"),
        ("shape: cnn-layer", "shape: cnn_layers", "did you mean 'cnn-layer'"),
        ("shape: cnn-layer", "shape: [a]", "expected a map"),
        ("shape: cnn-layer", "shape: {name: a}", "'dimensions' is missing"),
        ("shape: cnn-layer", "shape: {dimensions: [R], flatten: [a]}", "flatten"),
        ("shape: cnn-layer", "shape: {dimensions: [RS], data-spaces: []}", "1 character"),
        ("R: 3, ", "", "dimension 'R' has no bound"),
        ("R: 3, ", "R: 0, ", "R = '0': expected an integer of at least 1"),
        ("R: 3, ", "R: x, ", "R = 'x'"),
        ("R: 3, ", "R: 3, Wstrides: 2, ", "did you mean 'Wstride'"),
        ("R: 3, ", "R: 3, densities: {Inputs: 1.5}, ", "a density of at most 1"),
        (
            "R: 3, ",
            "R: 3, commonDensity: {distribution: normal, density: 0.5}, ",
            "ERROR: unrecognized density distribution type: normal",
        ),
        ("N: 1}", "N: 2147483647}", "."),
        ("mapping:\n", "sparse_optimizations: [a]\nmapping:\n", "expected a map with targets"),
        ("mapping:\n", "layout: [a]\nmapping:\n", "not supported"),
        ("mapping:\n", "model: {auto_bypass_on_failure: perhaps}\nmapping:\n", "true or false"),
        ("target: RF, ", "", "'target' is missing"),
        ("target: RF", "target: RG", "ERROR: target storage level not found: RG"),
        ("type: spatial, ", "", "'type' is missing"),
        ("type: spatial", "type: diagonal", "ERROR: illegal mapping directive type: diagonal"),
        ("type: spatial", "type: skew", "skewed"),
        (
            "DRAM, type: temporal",
            "DRAM, type: spatial",
            "storage level DRAM. This is because the number of instances of the next-inner level "
            r"\(GLB\) is the same as this level, which means there cannot be a spatial fanout\.",
        ),
        ("R=3", "R=4", "product of all factors of dimension R is 4, which is not equal to"),
        ("factors: R=3 S=2 C=2", "factors: 'R=4,2 S=2 C=2'", "dimension R is 2, which is not"),
        ("factors: R=3 S=2 C=2", "factors: 'R=4,0 S=2 C=2'", "dimension R is 0, which is not"),
        ("factors: R=3", "factor: R=3", "did you mean 'factors'"),
        ("R=3", "X=3", "dimension X not found in problem shape"),
        ("factors: R=3 S=2 C=2", "factors: [R=3, S=2, C=2]", "expected a string"),
        ("permutation: RSC", "permutation: RSX", "unknown dimension 'X'"),
        ("permutation: RSC", "permutation: RSR", "'R' stands twice"),
        ("split: 1", "split: -1", "split = '-1'"),
        ("split: 1", "no_link_transfer: [Input]", "ERROR: parsing no_link_transfer setting"),
        ("split: 1", "no_reuse: [Input]", "ERROR: parsing no_multicast_no_reduction setting"),
        ("permutation: QP", "no_temporal_reuse: [I]", "ERROR: parsing no_temporal_reuse setting"),
        ("type: temporal, factors: P=2", "type: bypass, keep: [I], factors: P=2", "'I'"),
        ("type: temporal, factors: P=2", "type: bypass, keep: I, factors: P=2", "a list of"),
        ("mapping:\n", "mapping: {a: b}\nunused:\n", "expected a list of directives"),
        ("- {target: RF", "- text\n- {target: RF", "expected a directive"),
        ("ERT:\n  version: 0.4", "ERT:\n  version: 0.7", "ERT.version = '0.7'"),
        ("ERT:\n  version: 0.4\n", "ERT:\n", "'version' is missing"),
        ("energy: 7.5", "energy: much", "energy = 'much'"),
        ("energy: 7.5", "energy: -7.5", "at least 0"),
        ("actions:\n", "action:\n", "'actions' is missing"),
        ("ERT:\n", "ART:\n", "an ART without an ERT"),
    ],
)
def test_wrong_structure(old, new, said):
    assert old in PLAIN
    assert re.search(said, complaint(PLAIN.replace(old, new, 1)))


def test_more_elements_than_memory_can_hold():
    text = tree(pe="PE[1..1073741824]", rf="entries: 64", mac="") + AFTER
    text = text.replace("K: 8,", "K: 1073741824,").replace("K=4 P=2", "K=536870912 P=2")
    assert "536870912" in complaint(text) or "1073741824" in complaint(text)


def test_an_error_stands_at_one_place_only():
    message = complaint(tree(glb=f"{BIG}, reduction_supported: maybe") + AFTER)
    assert message.count("in.yaml") == 1


def test_a_dram_of_clusters_is_refused():
    text = tree(glb="technology: DRAM, cluster-size: 2", rf=RF, mac=MAC) + AFTER
    assert "expected 1 for class DRAM" in complaint(text)


# ------------------------------------------------------------------------------------------- fuzz

INPUTS = [PLAIN, FORMS["the flat format"], FORMS["ERT 0.2"]]
INPUTS += [case["input"] for case in list(read_cases(SUBSET))[::60]]
TOKENS = st.sampled_from(
    [
        "",
        " ",
        "\n",
        "0",
        "-1",
        "1e9",
        "99999999999999999999",
        ".nan",
        "~",
        "[]",
        "{}",
        "[",
        "]",
        "{",
    ]
    + ["}", ":", "- ", "&a ", "*a", "!!x ", "'", '"', "|", ">", "#", "\t", "abc", "\u0663", "<<: "]
    + ["name: ", "[0..3]", "..", "DRAM", "spatial", "temporal", ",", "%", "@", "\u2028", "\x85"]
)


@pytest.mark.slow
@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_mutated_input_is_answered_or_refused(data):
    text = data.draw(st.sampled_from(INPUTS))
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(text)))
        length = data.draw(st.sampled_from((0, 0, 1, 1, 2, 5, 20, 200)))
        text = text[:start] + data.draw(TOKENS) + text[start + length :]
    version = data.draw(st.sampled_from(("4cf6d4c", "3.0.3", "dosa")))
    try:
        evaluate_text(text, version)
    except (dse.SpecError, dse.InvalidMapping) as error:
        assert str(error)


SCALARS = st.sampled_from(["0", "-3", "2.5", "1e30", "x", "~", "true", "[]", "{}", "[[]]", "7"])


@pytest.mark.slow
@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_other_values_are_answered_or_refused(data):
    text = data.draw(st.sampled_from(INPUTS))
    places = list(re.finditer(r"(?<=: )[^\s{}\[\],][^\n{}\[\],]*", text))
    for _ in range(data.draw(st.integers(1, 2))):
        match = data.draw(st.sampled_from(places))
        text = text[: match.start()] + data.draw(SCALARS) + text[match.end() :]
        places = list(re.finditer(r"(?<=: )[^\s{}\[\],][^\n{}\[\],]*", text))
    try:
        read_text(text)
    except dse.SpecError as error:
        assert str(error)
