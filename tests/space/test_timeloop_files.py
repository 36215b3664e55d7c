"""Timeloop's architectures and problems as templates and workloads."""

from dataclasses import fields, replace

import pytest
import timeloop_files
import yaml

from dse.components.chain import energy_chain
from dse.domain.constraints import LevelConstraint, LoopConstraint, SpatialConstraint
from dse.domain.problem import SHAPES, Layer, Problem
from dse.errors import SpecError
from dse.space.rules import Resolver
from dse.space.schema import ConstraintSpec
from dse.space.template import ArchTemplate
from dse.space.timeloop_files import Reading
from dse.space.timeloop_template import (
    constraint_content,
    template_content,
    template_files,
    template_source,
    template_text,
)
from dse.space.timeloop_workload import workload_files, workload_source, workload_text
from dse.space.workload import parse_workload, read_workload
from dse.timeloop.convert import read_project
from dse.timeloop.yaml.io import load_files

ERT = """
ERT:
  version: 0.4
  tables:
  - {name: system.DRAM, actions: [{name: read, energy: 7}, {name: write, energy: 9}]}
  - {name: system.Buf, actions: [{name: read, energy: 1}, {name: update, energy: 3},
     {name: write, energy: 2}]}
  - {name: system.MAC, actions: [{name: compute, energy: 0.25}]}
ART: {version: 0.4, tables: [{name: system.Buf, area: 12.5}]}
"""


def built(content):
    """Return the priced architecture of a template's content, read back from text."""
    template = ArchTemplate.parse(yaml.safe_load(yaml.safe_dump(content)), "made")
    return energy_chain(template.energy).price(template.build({}))


@pytest.mark.parametrize("ert", [False, True])
def test_the_template_is_the_architecture(tmp_path, ert):
    files = timeloop_files.write(tmp_path, constraints=timeloop_files.CONSTRAINTS)
    if ert:
        (tmp_path / "ERT.yaml").write_text(ERT)
        files.append(tmp_path / "ERT.yaml")
    project = read_project(files)
    found = built(template_content("made", project))
    assert found.levels == project.architecture.levels
    assert found.compute == project.architecture.compute
    assert found.constraints["DRAM"] == project.constraints["DRAM"]
    assert found.levels[1].energy.fill_pj == (9.0 if ert else pytest.approx(800.0))


def test_freed_attributes_are_variables(tmp_path):
    arch, prob, _ = timeloop_files.write(tmp_path)
    problem = read_project([arch, prob]).problem
    freed = {
        "Buf": {"depth": [64, 16, 16], "read_bandwidth": 2},
        "MAC": {"meshX": {"min": 1, "max": 4}},
    }
    source, fixed = template_source(arch, template_files(arch), problem, freed, Reading())
    template = ArchTemplate.read(source)
    assert {v.name: v.maximum for v in template.variables} == {
        "Buf_depth": 64,
        "Buf_read_bandwidth": 2,
        "MAC_meshX": 4,
    }
    assert fixed == {"Buf_read_bandwidth": 2}
    made = template.tree({"Buf_depth": 16, "Buf_read_bandwidth": 2, "MAC_meshX": 3})
    assert made.levels[0].size_words == 16
    assert made.levels[0].read_bandwidth == 2
    assert made.compute.mesh_x == 3


@pytest.mark.parametrize(
    ("freed", "told"),
    [
        ({"Bof": {"depth": 1}}, "variables.Bof: unknown component 'Bof'; did you mean 'Buf'"),
        ({"Buf": {"dept": 1}}, "variables.Buf.dept: .*did you mean 'depth'"),
        ({"Buf": 3}, "variables.Buf = 3: expected attributes"),
        ({"Buf": {"depth": "x"}}, "variables.Buf.depth = 'x': expected a whole number"),
        ({"MAC": {"depth": 1}}, "variables.MAC.depth: unknown attribute 'depth'"),
    ],
)
def test_wrong_variables_are_refused(tmp_path, freed, told):
    arch, prob, _ = timeloop_files.write(tmp_path)
    problem = read_project([arch, prob]).problem
    with pytest.raises(SpecError, match=told):
        template_source(arch, template_files(arch), problem, freed, Reading())


def test_what_is_timeloops_and_what_is_not(tmp_path):
    arch, prob, _ = timeloop_files.write(tmp_path)
    assert [p.name for p in template_files(str(tmp_path))] == ["arch.yaml", "mapper.yaml"]
    assert template_files(prob) is None
    assert template_files(f"{arch}+{prob}") is not None
    assert workload_files(arch) is None
    assert [p.name for p in workload_files(str(tmp_path))] == ["prob.yaml"]
    assert workload_files("resnet50") is None
    (tmp_path / "empty").mkdir()
    with pytest.raises(SpecError, match="no file of this folder has the key 'problem'"):
        workload_files(str(tmp_path / "empty"))


def test_a_folder_of_problems_is_a_workload(tmp_path):
    for name, size in (("a", 4), ("b", 9), ("c", 4)):
        (tmp_path / f"{name}.yaml").write_text(timeloop_files.PROBLEM % size)
    source = workload_source(str(tmp_path), workload_files(str(tmp_path)))
    found = read_workload(source)
    assert [(x.name, x.problem.bounds["P"], x.count) for x in found] == [("a", 4, 2), ("b", 9, 1)]


def test_shapes_of_all_kinds_go_through_the_text():
    conv = SHAPES["cnn-layer"]
    other = replace(conv, dimensions=conv.dimensions[::-1])
    bounds = {**dict.fromkeys(conv.dimensions, 1), "P": 4}
    layers = [
        Layer("one", Problem(conv, bounds, {"Wstride": 2})),
        Layer("two", Problem(other, bounds), 3),
        Layer("three", Problem(SHAPES["gemm"], {"M": 4, "N": 2, "K": 8})),
    ]
    found = parse_workload(yaml.safe_load(workload_text("made", layers)), "made")
    for before, after in zip(layers, found, strict=True):
        assert after.name == before.name
        assert after.count == before.count
        assert after.problem.bounds == before.problem.bounds
        assert after.problem.coefficients == before.problem.coefficients
        assert after.problem.shape.dimensions == before.problem.shape.dimensions
        assert after.problem.shape.data_spaces == before.problem.shape.data_spaces


def test_a_shape_of_the_file_may_not_take_a_known_name():
    shape = {"name": "gemm", "dimensions": ["A"], "data_spaces": {"X": {"projection": "A"}}}
    content = {"name": "w", "shapes": [shape], "layers": [{"name": "x", "A": 2}]}
    with pytest.raises(SpecError, match=r"shapes\[0\].name = 'gemm': a shape has that name"):
        parse_workload(content, "made")


def test_prices_beside_another_chain_are_refused(tmp_path):
    files = timeloop_files.write(tmp_path)
    (tmp_path / "ERT.yaml").write_text(ERT)
    content = template_content("made", read_project([*files, tmp_path / "ERT.yaml"]))
    with pytest.raises(SpecError, match="DRAM.fill_pj: the energy chain 'pat' prices it"):
        ArchTemplate.parse({**content, "energy": "pat"}, "made")


NETWORK = """
architecture:
  version: 0.4
  subtree:
  - name: system
    local:
    - {name: DRAM, class: DRAM, attributes: {word_bits: 8, width: 64, network_read: NoC}}
    - {name: NoC, class: Legacy, attributes: {datawidth: 8}}
    subtree:
    - name: PE
      local:
      - name: Buf
        class: SRAM
        attributes: {depth: 64, width: 8, word_bits: 8, network_fill: NoC}
      - {name: MAC, class: intmac, attributes: {datawidth: 8, word_bits: 8}}
"""


def test_declared_networks_are_not_lost_without_a_word(tmp_path):
    _, prob, _ = timeloop_files.write(tmp_path)
    (tmp_path / "net.yaml").write_text(NETWORK)
    problem = read_project([tmp_path / "arch.yaml", prob]).problem
    arch = str(tmp_path / "net.yaml")
    with pytest.raises(SpecError, match="network 'NoC': user-declared networks .* a template"):
        template_source(arch, template_files(arch), problem, {}, Reading())


def test_a_whole_input_is_an_architecture_for_any_workload(tmp_path):
    arch, prob, _ = timeloop_files.write(tmp_path)
    mapping = "mapping:\n- {target: DRAM, type: temporal, factors: P=16 R=3}\n"
    (tmp_path / "all.yaml").write_text(timeloop_files.ARCH + timeloop_files.PROBLEM % 16 + mapping)
    other = read_project([arch, prob]).problem
    name = str(tmp_path / "all.yaml")
    larger = Problem(other.shape, {"R": 5, "P": 30})
    source, _ = template_source(name, template_files(name), larger, {}, Reading())
    assert [x.name for x in ArchTemplate.read(source).build({}).levels] == ["Buf", "DRAM"]


def test_libconfig_is_told_by_its_keys(tmp_path):
    (tmp_path / "old.cfg").write_text("arch = { };\n")
    (tmp_path / "prob.cfg").write_text("problem : { };\n")
    assert template_files(str(tmp_path)) == [tmp_path / "old.cfg"]
    assert workload_files(str(tmp_path)) == [tmp_path / "prob.cfg"]


def test_all_that_constrains_goes_through_the_template():
    rules = LevelConstraint(
        keep=("W",),
        bypass=("O",),
        temporal=LoopConstraint(("R",), {"P": 2}, {"R": 3}, {"R": 1}, ("P",), ("R",)),
        spatial=SpatialConstraint(x=("P",), y=()),
        no_temporal_reuse=("W",),
        no_multicast=("I",),
        no_link_transfer=("O",),
        min_parallelism=0.5,
        onchip="timeloop",
    )
    left = [f.name for f in fields(rules) if getattr(rules, f.name) == f.default]
    assert left == []
    assert constraint_content(LevelConstraint()) == {}
    content = yaml.safe_load(yaml.safe_dump(constraint_content(rules)))
    spec = ConstraintSpec.model_validate(content)
    assert spec.build(Resolver({}, {})) == rules


def converted(paths):
    """Return what `convert --to dse` makes of files."""
    return template_text(load_files(paths), "4cf6d4c")


@pytest.mark.parametrize("name", ["arch.yaml", "3level.arch.yaml", "_x.yaml"])
def test_the_written_template_is_what_a_run_makes_of_the_files(tmp_path, name):
    (tmp_path / "c").mkdir()
    arch, prob, _, rules = timeloop_files.write(
        tmp_path / "c", constraints=timeloop_files.CONSTRAINTS
    )
    own = tmp_path / name
    own.write_text(timeloop_files.ARCH)
    problem = read_project([arch, prob]).problem
    paths = template_files(f"{own}+{rules}")
    source, _ = template_source(str(own), paths, problem, {}, Reading())
    assert converted([own, rules, prob]) == source.text


def test_a_template_without_constraints_needs_no_problem(tmp_path):
    arch, prob, _, rules = timeloop_files.write(tmp_path, constraints=timeloop_files.CONSTRAINTS)
    assert converted([arch]) == converted([arch, prob])
    with pytest.raises(SpecError, match="key 'problem' is missing, .* of whose dimensions"):
        converted([arch, rules])


def test_what_a_template_does_not_hold_is_said(tmp_path, caplog):
    arch, prob, _ = timeloop_files.write(tmp_path)
    (tmp_path / "map.yaml").write_text(
        "mapping:\n- {target: DRAM, type: temporal, factors: P=16}\n"
    )
    converted([arch, prob, tmp_path / "map.yaml"])
    assert "map.yaml:1: mapping: is left out, as a template has no mappings" in caplog.text
    (tmp_path / "net.yaml").write_text(NETWORK)
    with pytest.raises(SpecError, match="network 'NoC': .* a template cannot have them"):
        converted([tmp_path / "net.yaml", prob])


def test_problems_are_read_by_the_rules_of_the_version(tmp_path):
    density = "densities: {W: {distribution: fixed_structured, density: 0.5}}"
    text = (timeloop_files.PROBLEM % 16).replace("{R: 3, P: 16}", f"{{R: 3, P: 16, {density}}}")
    path = tmp_path / "prob.yaml"
    path.write_text(text)
    assert workload_source(str(path), [path], Reading("4cf6d4c"))
    with pytest.raises(SpecError, match="unrecognized density distribution type"):
        workload_source(str(path), [path], Reading("3.0.3"))
