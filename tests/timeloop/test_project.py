"""timeloopfe's projects: nodes, templates, conversion; and constraints."""

from __future__ import annotations

import pytest

from dse.cli import main
from dse.errors import SpecError
from dse.mapspace import Mapspace
from dse.model import evaluate_one
from dse.timeloop.convert import FORMATS, read_project, written
from dse.timeloop.read.inputs import read_files, read_text

ARCH = """\
architecture:
  version: 0.4
  nodes:
  - !Container
    name: chip
    attributes: {technology: "45nm", datawidth: 8}
  - !Component
    name: Main
    class: DRAM
    attributes: {width: 64}
  - !Component
    name: Buffer
    class: smartbuffer_SRAM
    attributes: {depth: 2 * rows, width: 4 * datawidth, read_bandwidth: 4}
    constraints:
      dataspace: {keep: [Inputs, Outputs], bypass: [Weights]}
  - !Container
    name: column
    spatial: {meshX: 4}
    constraints:
      spatial: {factors: [P=1, R=1], permutation: [K, C], split: 1}
  - !Parallel
    nodes:
    - !Component
      name: WeightSpad
      class: storage
      attributes: &spad {depth: 16, width: datawidth}
      constraints:
        dataspace: {keep: [Weights]}
        temporal: {factors_only: [R=0]}
    - !Component
      name: SumSpad
      class: storage
      attributes: {<<: *spad, depth: 4}
      constraints:
        dataspace: {keep: [Outputs]}
        temporal: {no_iteration_over_dataspaces: [Weights], no_reuse: [Outputs]}
    - !Nothing {constraints: {dataspace: {keep: [Inputs]}}}
  - !Component
    name: Register
    class: storage
    spatial: {meshY: 2}
    enabled: true
    attributes: {depth: 1, width: 8}
    constraints:
      dataspace: {keep_only: [Inputs]}
      spatial: {factors: "C<=2 K=1 P=1 R=1"}
  - !Component {name: Off, class: storage, enabled: false, attributes: {depth: 1, width: 8}}
  - !Component
    name: mac
    class: intmac
"""
PROBLEM = """\
problem:
  instance: {R: 3, P: 8, C: 4, K: 8}
  shape:
    name: conv
    dimensions: [R, P, C, K]
    data_spaces:
    - {name: Weights, projection: [[[C]], [[K]], [[R]]]}
    - {name: Inputs, projection: [[[C]], [[R], [P]]]}
    - {name: Outputs, projection: [[[K]], [[P]]], read_write: true}
variables: {version: 0.4, rows: 64}
"""
MAPPING = """\
mapping:
- {target: Main, type: temporal, factors: [P=4, K=2], permutation: [P, K]}
- {target: Buffer, type: temporal, factors: [C=2]}
- {target: column, type: spatial, factors: [K=4], permutation: [K, C], split: 1}
- {target: WeightSpad, type: temporal, factors: [R=3]}
- {target: SumSpad, type: temporal, factors: [P=2]}
- {target: Register, type: spatial, factors: [C=2], split: 0}
- {target: Register, type: temporal, factors: [C=1]}
"""
LEVELS = [
    *("Register", "inter_Register_spatial", "SumSpad", "WeightSpad"),
    *("inter_column_spatial", "Buffer", "Main"),
]


@pytest.fixture
def project(tmp_path):
    for name, text in (("arch", ARCH), ("problem", PROBLEM), ("mapping", MAPPING)):
        (tmp_path / f"{name}.yaml").write_text(text)
    return tmp_path


def files(folder, *names):
    return [folder / f"{name}.yaml" for name in names or ("arch", "problem", "mapping")]


def test_nodes_become_the_flat_tree(project):
    spec = read_files(files(project, "arch", "problem"))
    architecture = spec.architecture
    assert [level.name for level in architecture.levels] == LEVELS
    assert [level.mesh_x for level in architecture.levels] == [4, 4, 4, 4, 1, 1, 1]
    assert [level.mesh_y for level in architecture.levels] == [2, 1, 1, 1, 1, 1, 1]
    buffer = architecture.level("Buffer")
    # depth 2 * rows, width 4 * datawidth: arithmetic over variables and what is around
    assert (buffer.size_words, buffer.block_size, buffer.word_bits) == (512, 4, 8)
    assert buffer.read_bandwidth == 4
    assert architecture.level("SumSpad").size_words == 4
    assert architecture.compute.instances == 8
    assert architecture.compute.word_bits == 8


def test_constraints_in_nodes_are_the_mapspaces(project):
    c = read_project(files(project, "arch", "problem")).constraints
    assert c["Buffer"].bypass == ("Weights",)
    assert set(c["SumSpad"].bypass) == {"Weights", "Inputs"}
    assert c["WeightSpad"].temporal.factors == {"R": 0, "P": 1, "C": 1, "K": 1}
    assert c["SumSpad"].temporal.factors == {"R": 1, "C": 1, "K": 1}
    assert c["SumSpad"].no_temporal_reuse == ("Outputs",)
    assert set(c["Register"].bypass) == {"Weights", "Outputs"}
    column = c["inter_column_spatial"]
    assert column.spatial.x == ("K",)
    assert column.spatial.y == ("C", "R", "P")
    assert set(column.bypass) == {"Weights", "Inputs", "Outputs"}
    register = c["inter_Register_spatial"].spatial
    assert (register.max_factors, register.factors) == ({"C": 2}, {"K": 1, "P": 1, "R": 1})


def test_a_mapping_of_nodes_takes_their_constraints(project):
    spec = read_files(files(project))
    assert spec.mapping is not None
    column = LEVELS.index("inter_column_spatial")
    assert spec.mapping.spatial[column].tolist() == [1, 1, 1, 4]
    assert not spec.mapping.keep[column].any()
    weights = spec.mapping.keep[LEVELS.index("WeightSpad")].tolist()
    assert weights == [True, False, False]
    assert evaluate_one(spec.architecture, spec.problem, spec.mapping).cycles == 112


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("mapped", [True, False])
def test_conversion_keeps_the_meaning(project, tmp_path, form, mapped):
    whole = read_project(files(project, *(("arch", "problem") if not mapped else ())))
    out = tmp_path / form
    out.mkdir()
    for name, text in written(whole, form).items():
        (out / name).write_text(text)
    back = read_project(sorted(out.iterdir()))
    assert back.architecture == whole.architecture
    if mapped:
        assert evaluate_one(back.architecture, back.problem, back.mapping) == evaluate_one(
            whole.architecture, whole.problem, whole.mapping
        )
    if form != "template" or not mapped:
        spaces = [Mapspace(p.problem, p.architecture, p.constraints) for p in (whole, back)]
        assert spaces[0].size == spaces[1].size
    if form == "template":
        text = (out / "arch.yaml").read_text()
        assert "- !Container\n    name: column\n" in text


def test_convert_command(project, tmp_path, capsys):
    arguments = ["convert", *map(str, files(project)), "--to", "v0.3", "-o", str(tmp_path / "o")]
    assert main(arguments) == 0
    assert (tmp_path / "o" / "arch.yaml").read_text().count("[0..7]") == 2
    assert main(["convert", *map(str, files(project)), "--to", "v0.5"]) == 2
    assert "unknown format 'v0.5'; did you mean" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("keep: [Outputs]}", "keep: [Weights]}", "2 nodes of this !Parallel keep data space"),
        ("P=1, R=1", "P=1, Z=1", "unknown dimension 'Z'"),
        ("keep: [Inputs, Outputs]", "keep: [Input, Outputs]", "unknown data space 'Input'"),
        ("meshX: 4", "meshX: four", "expected an integer"),
        ("factors: [P=1, R=1]", "factors: [P>2]", "expected =, <= or >="),
        (
            "- !Container\n    name: column",
            "- !Contaner\n    name: column",
            "expected .* !Container",
        ),
        ("    name: Buffer\n", "", "key 'name' is missing"),
        (
            "enabled: true",
            "sparse_optimizations: {action_optimization: [{type: gating, target: Weight,"
            " condition_on: [Inputs]}]}",
            "unknown data space 'Weight'",
        ),
        ("depth: 2 * rows", "depth: 2 * row", "expected an integer"),
        ("depth: 2 * rows", "depth: __import__('os')", "expected an integer"),
    ],
)
def test_errors_name_the_place(old, new, said):
    assert old in ARCH
    with pytest.raises(SpecError, match=said) as error:
        read_text(ARCH.replace(old, new) + PROBLEM, source="a.yaml")
    assert str(error.value).startswith("a.yaml:")


def test_templates_include_files_with_their_own_lines(project):
    (project / "parts").mkdir()
    (project / "parts" / "extra.yaml").write_text("list: [1]\nmap: {nodes: oops}\n")
    (project / "top.yaml.jinja2").write_text(
        "{{add_to_path('parts')}}\n"
        "architecture: {{include(arch | default('arch.yaml'), 'architecture')}}\n"
        "{{include_text('problem.yaml')}}\n"
        "components: {classes: {{include_all('parts/*.yaml', 'list')}}}\n"
        "{% if path_exists('extra.yaml') and depth is defined %}mapping: []{% endif %}\n"
    )
    top = project / "top.yaml.jinja2"
    assert [x.name for x in read_files([top]).architecture.levels] == LEVELS
    bad = {"arch": "extra.yaml"}
    with pytest.raises(SpecError, match="extra.yaml: has no key 'architecture'"):
        read_files([top], values=bad)
    (project / "parts" / "extra.yaml").write_text("list: []\n\narchitecture: {nodes: oops}\n")
    with pytest.raises(SpecError, match=r"extra.yaml:3: architecture.nodes = 'oops'"):
        read_files([top], values=bad)


def test_hierarchical_merge_keys(tmp_path):
    path = tmp_path / "in.yaml"
    text = ARCH.replace("{<<: *spad, depth: 4}", "{<<<: *spad, depth: 4}") + PROBLEM
    path.write_text(text)
    assert read_files([path]).architecture.level("SumSpad").size_words == 4
