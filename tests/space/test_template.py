"""Templates, workloads and their files: what they build, and how they say what is wrong."""

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from dse.components.chain import energy_chain
from dse.domain.expression import Expression
from dse.domain.problem import SHAPES
from dse.errors import SpecError
from dse.files import parse_yaml
from dse.space import catalog
from dse.space.search_space import SearchSpace
from dse.space.template import ArchTemplate
from dse.space.workload import parse_workload

MACS = {
    "alexnet": (8, 8, 714_188_480),
    "deepbench": (9, 9, 433_695_744),
    "dosa_bert": (5, 6, 757_071_872),
    "dosa_retinanet": (22, 27, 3_323_622_400),
    "dosa_unet": (23, 23, 167_322_556_672),
    "resnet50": (24, 54, 4_089_184_256),
    "dosa_resnext50": (25, 54, 4_230_479_872),
    "vgg16": (12, 16, 15_470_264_320),
}


def gemmini_file():
    return yaml.safe_load(catalog.find("arch", "gemmini").read_text())


def net_file():
    return {
        "name": "net",
        "shape": "cnn-layer",
        "layers": [{"name": "a", "R": 3, "C": 8}, {"name": "b", "K": 4, "Wstride": 2, "count": 3}],
    }


def test_builtin_workloads():
    assert set(catalog.names("workload")) >= set(MACS)
    for name, (unique, total, macs) in MACS.items():
        workload = catalog.workload(name)
        assert workload.name == name
        assert (len(workload), sum(x.count for x in workload), workload.macs) == (
            *(unique, total, macs),
        )


def test_gemmini_is_that_of_dosa():
    template = catalog.template("gemmini")
    a = template.build({"pe_dim": 32, "scratchpad_kb": 2, "accumulator_kb": 16})
    assert [x.name for x in a.levels] == ["Registers", "Accumulator", "Scratchpad", "DRAM"]
    assert template.level_names == tuple(x.name for x in a.levels)
    registers, accumulator, scratchpad, dram = a.levels
    assert [x.instances for x in (a.compute, *a.levels)] == [1024, 1024, 32, 1, 1]
    assert [x.size_words for x in a.levels] == [1, 128, 2048, None]
    assert [x.word_bits for x in a.levels] == [8, 32, 8, 8]
    assert [x.block_size for x in a.levels] == [1, 1, 32, 64]
    assert accumulator.shared_bandwidth == 2
    assert scratchpad.shared_bandwidth == 64
    assert dram.shared_bandwidth == 8
    assert dram.is_dram
    assert (accumulator.ports, accumulator.banks) == (2, 2)


def test_random_hardware_is_powers_of_two_within_bounds():
    rng = np.random.default_rng(0)
    for variable in catalog.template("gemmini").variables:
        drawn = {variable.sample(rng) for _ in range(500)}
        low, high = variable.minimum, variable.maximum
        assert drawn == {2**e for e in range(40) if low <= 2**e <= high}
        assert all(variable.check(value) == value for value in drawn)


def change(content, path, value):
    *parents, last = path
    for key in parents:
        content = content[key]
    content[last] = value


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (["storge"], 1, r"file.yaml: .*unknown key 'storge'; did you mean 'storage'"),
        (["storage", 1, "word_bit"], 8, r"storage\[1\].*did you mean 'word_bits'"),
        (["storage", 1, "constraints", "kep"], [], r"storage\[1\].constraints.*'keep'"),
        (["storage"], [], r"storage = \[\]"),
        (["storage", 1, "size_words"], "scratch_kb * 2", r"Scratchpad.size_words.*'scratchpad_kb'"),
        (["storage", 1, "size_words"], "__import__('os')", r"storage\[1\].size_words.*arithmetic"),
        (["storage", 1, "size_words"], "scratchpad_kb / 0", r"Scratchpad.size_words.*no value"),
        (["storage", 1, "size_words"], "scratchpad_kb / 3", r"size_words.*whole number"),
        (["storage", 1, "size_words"], -5, r"Scratchpad.*size_words = -5"),
        (["storage", 1, "size_words"], True, r"storage\[1\].size_words.*True is neither"),
        (["storage", 1, "size_words"], float("nan"), r"storage\[1\].size_words.*finite"),
        (["storage", 1, "block_size"], 0, r"Scratchpad.*block_size = 0"),
        (["storage", 2, "mesh_x"], 3, r"Accumulator.*mesh_x 3 does not divide"),
        (["storage", 1, "name"], "DRAM", r"'DRAM' is declared twice"),
        (["variables", "pe_dim", "max"], 1, r"variables.pe_dim.*max = 1 lies below min = 2"),
        (["variables", "pe_dim", "min"], "two", r"variables.pe_dim.min = 'two'"),
        (["variables", "pe_dim", "sampling"], "log", r"variables.pe_dim.sampling = 'log'"),
        (["compute"], None, r"compute"),
        (["budget"], {"area_um2": -1}, r"budget.area_um2 = -1"),
        (["energy"], ["dosa"], r"energy = \['dosa'\]"),
        (["storage", 1, "constraints", "bypass"], ["Inputs"], r"'Inputs' is both kept and bypass"),
    ],
)
def test_what_is_wrong_with_a_template_is_said(path, value, message):
    content = gemmini_file()
    change(content, path, value)
    with pytest.raises(SpecError, match=message) as caught:
        ArchTemplate.parse(content, "file.yaml")
    assert str(caught.value).startswith("file.yaml: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (["layer"], [], r"unknown key 'layer'; did you mean 'layers'"),
        (["shape"], "cnn", r"shape: unknown shape 'cnn'"),
        (["layers"], [], r"layers = \[\]"),
        (["layers", 1, "J"], 3, r"layers\[1\] \('b'\): unknown key 'J'"),
        (["layers", 1, "K"], 0, r"layers\[1\] \('b'\).*K = 0"),
        (["layers", 1, "K"], "4", r"K = '4'"),
        (["layers", 1, "K"], 2**62, r"K = 4611686018427387904, expected at most 2147483647"),
        (["layers", 1], {"name": "b", **dict.fromkeys("KCP", 2**31 - 1)}, r"operations|elements"),
        (["layers", 1, "count"], 0, r"count = 0"),
        (["layers", 1, "name"], "a", r"layer 'a' is declared twice"),
        (["layers", 1, "aliases"], ["a"], r"layer 'a' is declared twice, as name or alias"),
        (["layers", 1, "aliases"], ["b"], r"layer 'b' is declared twice"),
        (["layers", 1, "aliases"], ["c", "c"], r"layer 'c' is declared twice"),
        (["layers", 1, "aliases"], "c", r"layers\[1\] \('b'\): aliases = 'c', expected a list"),
        (
            ["layers", 1, "aliases"],
            [7],
            r"layers\[1\] \('b'\): aliases = \[7\], expected a list",
        ),
        (["layers", 1, "aliases"], [""], r"layer name '', expected 1 to 100 printable"),
        (["layers", 1, "name"], None, r"layers\[1\].*name = None"),
        (["layers", 1], 7, r"layers\[1\] = 7"),
    ],
)
def test_what_is_wrong_with_a_workload_is_said(path, value, message):
    content = net_file()
    change(content, path, value)
    with pytest.raises(SpecError, match=message) as caught:
        parse_workload(content, "net.yaml")
    assert str(caught.value).startswith("net.yaml: ")


def test_a_workload_may_declare_its_shape():
    strided = "R*Wdilation + P*Wstride, S*Hdilation + Q*Hstride"
    content = {
        "name": "own",
        "shape": {
            "name": "cnn-layer",
            "dimensions": list("RSPQCKN"),
            "coefficients": dict.fromkeys(("Wstride", "Hstride", "Wdilation", "Hdilation"), 1),
            "data_spaces": {
                "Weights": {"projection": "C, K, R, S"},
                "Inputs": {"projection": f"N, C, {strided}"},
                "Outputs": {"projection": "N, K, Q, P", "read_write": True},
            },
        },
        "layers": [{"name": "a", "R": 3, "C": 8}],
    }
    workload = parse_workload(content, "own.yaml")
    assert workload.layers[0].problem.shape == SHAPES["cnn-layer"]
    assert workload.layers[0].problem.bounds["K"] == 1
    content["shape"]["data_spaces"]["Inputs"]["projection"] = "N, X"
    with pytest.raises(SpecError, match="own.yaml: shape.*'X'"):
        parse_workload(content, "own.yaml")


def test_constraints_must_fit_the_workload():
    shape = {
        "name": "product",
        "dimensions": ["M", "N"],
        "data_spaces": {
            "A": {"projection": "M"},
            "B": {"projection": "N"},
            "Z": {"projection": "M, N", "read_write": True},
        },
    }
    content = {"name": "g", "shape": shape, "layers": [{"name": "a", "M": 4}]}
    workload = parse_workload(content, "g.yaml")
    with pytest.raises(SpecError, match="'DRAM'.*tensor 'Weights'.*layer 'a' has A, B, Z"):
        SearchSpace(catalog.template("gemmini"), workload, energy_chain("pat"))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"pe_dm": 4}, "did you mean 'pe_dim'"),
        ({"pe_dim": 1}, "pe_dim = 1: expected an integer from 2 to 128"),
        ({"pe_dim": 2.5}, "pe_dim = 2.5"),
        ({"pe_dim": True}, "pe_dim = True"),
    ],
)
def test_values_out_of_range(values, message):
    with pytest.raises(SpecError, match=message):
        catalog.template("gemmini").check(values)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2 * pe + 1", 33),
        ("pe ** 2 // 3 % 7", 1),
        ("min(pe, 3) + max(pe, 3)", 19),
        ("ceil(pe / 3) - floor(pe / 3)", 1),
        ("log2(pe)", 4),
        ("-pe + +2", -14),
        ("min(pe)", 16),
        (" pe ", 16),
        (7, 7),
    ],
)
def test_arithmetic(text, value):
    assert Expression(text).value({"pe": 16}) == value


@pytest.mark.parametrize(
    "text",
    [
        "4 if pe == 3 else 2",
        "pe * 2 if 2 <= pe < 4 else pe - 1",
        "1 if pe > 2 and not pe == 5 or pe < 1 else (7 if pe != 0 else 8)",
        "max(1, (3 if pe else 4))",
    ],
)
def test_conditionals_are_pythons(text):
    expression = Expression(text)
    assert expression.names == {"pe"}
    values = [expression.value({"pe": pe}) for pe in range(7)]
    assert values == [eval(text, {"pe": pe, "max": max}) for pe in range(7)]  # noqa: S307
    assert expression.array({"pe": np.arange(7)}).tolist() == values


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "pe pe",
            "pe.real",
            "pe[0]",
            "lambda: 1",
            "[1]",
            "'a'",
            "1 if pe is 2 else 3",
            "pe == 2",
        ),
        *("open('x')", "min()", "min(a=1)", "(min)(*[1])", "pe := 2", "1j", "True", "f(1)"),
        *("9" * 300, "(" * 150 + "1" + ")" * 150, "1 and 2", "not 1", "~1", "1 << 2", "..."),
    ],
)
def test_what_is_not_arithmetic_is_refused(text):
    with pytest.raises(SpecError):
        Expression(text).value({"pe": 16})


@pytest.mark.parametrize(
    "text", ["1/0", "2**99999999", "9**9**9", "log2(0)", "(-8)**0.5", "1e300**2"]
)
def test_arithmetic_without_a_value_is_refused(text):
    with pytest.raises(SpecError):
        Expression(text).value({})


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=40))
def test_any_text_is_a_number_or_refused(text):
    try:
        value = Expression(text).value({"a": 3})
    except SpecError:
        return
    assert isinstance(value, (int, float))


BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{b}: &{b} [*{a},*{a},*{a},*{a},*{a},*{a},*{a},*{a}]\n"
    for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [1", "line 2.*not valid YAML"),
        ("a: 1\na: 2\n", "line 2.*'a' stands twice"),
        ("a: !!python/object/apply:os.system [x]", "line 1: tag"),
        ("!!python/name:os.system", "tag"),
        (BOMB, "anchors and aliases"),
        ("[" * 1000, "nested deeper"),
        ("- " * 5_000_000, "nested deeper"),
        ("a: 1\n---\nb: 2\n", "not valid YAML"),
        (b"\xff\xfe\x00\xd8", "not valid YAML"),
        (b"a: \x00", "not valid YAML"),
        ("2020-99-99", "not valid YAML"),
        ("? [1, 2]\n: 3", "not valid YAML"),
        ("[" + "x," * 300_000 + "]", "more than"),
    ],
)
def test_yaml_that_would_hurt_is_refused(text, message):
    with pytest.raises(SpecError, match=f"(?s)f.yaml.*{message}"):
        parse_yaml(text, "f.yaml")


@settings(max_examples=200, deadline=None)
@given(st.one_of(st.text(max_size=60), st.binary(max_size=60)))
def test_any_yaml_is_read_or_refused(text):
    try:
        ArchTemplate.parse(parse_yaml(text, "f.yaml"), "f.yaml")
    except SpecError as error:
        assert str(error).startswith("f.yaml")


def test_files_that_are_not_there(tmp_path):
    for kind, read in (("arch", catalog.template), ("workload", catalog.workload)):
        with pytest.raises(SpecError, match=f"unknown {kind} 'nope'"):
            read("nope")
        with pytest.raises(SpecError, match="no such file"):
            read("./nope.yaml")
        with pytest.raises(SpecError, match="no such file|no file of this folder"):
            read(str(tmp_path) + "/")


def test_a_folder_of_the_same_name_changes_nothing(tmp_path, monkeypatch):
    (tmp_path / "layers").mkdir()
    (tmp_path / "layers" / "resnet50.yaml").write_text("name: fake")
    monkeypatch.chdir(tmp_path)
    assert len(catalog.workload("resnet50")) == 24


def test_derived_names_are_arithmetic_over_variables():
    template = catalog.template("naas_eyeriss")
    variables = {v.name for v in template.variables}
    assert all(names <= variables for _, names, _ in template.mentions())
    values = {**template.defaults, "pes": 24, "array_x": 10, "array_y": 6, "array_dims": 2}
    assert template.build(values).compute.instances == 10 * (24 // 10)
    content = gemmini_file()
    content["derived"] = {"pe_dim": "scratchpad_kb + 1"}
    with pytest.raises(SpecError, match="derived.pe_dim: a variable has that name"):
        ArchTemplate.parse(content, "file")
