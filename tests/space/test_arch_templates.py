"""The built-in accelerators: they build, price and map; variables, requirements, budgets."""

import os
from pathlib import Path

import numpy as np
import pytest
import yaml

from dse.components.chain import energy_chain
from dse.domain.constraints import for_problem
from dse.domain.mapping import Mapping
from dse.domain.problem import SHAPES, Problem
from dse.errors import SpecError
from dse.mapspace import Mapspace, sample_valid
from dse.model import evaluate_one
from dse.space import catalog
from dse.space.template import ArchTemplate

REPOSITORY = Path(__file__).resolve().parents[2]
_REFERENCE = Path(os.environ.get("DSE_REFERENCE", REPOSITORY.parent / "shared" / "reference"))
_POSTER = _REFERENCE / "ga_poster"


@pytest.mark.parametrize("name", catalog.names("arch"))
def test_template(name):
    template = catalog.template(name)
    assert template.name == name
    assert template.description
    assert yaml.safe_load(catalog.find("arch", name).read_text())["source"]
    chain = energy_chain(template.energy)
    rng = np.random.default_rng(0)
    for _ in range(3):
        values = template.sample(rng)
        assert template.check(values) == values
        priced = chain.price(template.build(values))
        assert priced.area_um2 > 0
        assert all(x.energy.read_pj > 0 for x in priced.levels if x.kind != "dummy_storage")
    if not name.startswith("naas_"):
        assert template.defaults is not None


@pytest.mark.parametrize(
    "name", ["eyeriss", "nvdla_256", "naas_eyeriss", "simple_weight_stationary"]
)
def test_every_shape_of_layer_maps(name):
    template = catalog.template(name)
    values = template.sample(np.random.default_rng(1))
    architecture = template.build(values)
    for shape in SHAPES.values():
        problem = Problem(shape, dict.fromkeys(shape.dimensions, 2))
        space = Mapspace(problem, architecture)
        assert len(sample_valid(space, 3, 0, 100_000).mappings) == 3, shape.name


def test_constraints_speak_of_convolutions():
    constraints = catalog.template("gemmini").constraints
    gemm = for_problem(constraints, Problem(SHAPES["batched-gemm"], dict.fromkeys("HMNK", 2)))
    assert gemm["Scratchpad"].keep == ("B", "A")
    assert gemm["Scratchpad"].spatial.x == ("N",)
    assert gemm["Accumulator"].spatial.x == ("K",)
    assert gemm["Accumulator"].temporal.permutation == ("M", "K", "N")
    bounds = dict.fromkeys(SHAPES["depthwise-cnn-layer"].dimensions, 2)
    depthwise = for_problem(constraints, Problem(SHAPES["depthwise-cnn-layer"], bounds))
    assert depthwise["Scratchpad"].spatial.x == ()
    bounds = dict.fromkeys(SHAPES["cnn-layer"].dimensions, 2)
    same = for_problem(constraints, Problem(SHAPES["cnn-layer"], bounds))
    assert same["Scratchpad"] == constraints["Scratchpad"]


def free_array():
    return {
        "name": "free",
        "technology": {"node_nm": "node", "clock_ns": 1},
        "variables": {
            "side": {"min": 2, "max": 16, "step": 2},
            "along": {"choices": ["K", "C", "P"], "default": "C"},
            "size": {"values": [16, 64, 1024]},
            "node": {"values": [22, 45]},
        },
        "require": ["side * size <= 1024"],
        "storage": [
            {"name": "DRAM", "class": "DRAM", "constraints": {"keep": ["Weights"]}},
            {
                "name": "Buffer",
                "size_words": "size",
                "read_bandwidth": "side",
                "constraints": {
                    "spatial": {"dimensions": ["along"], "max_factors": {"along": "side // 2"}}
                },
            },
            {"name": "Register", "class": "regfile", "size_words": 4, "mesh_x": "side"},
        ],
        "compute": {"mesh_x": "side"},
    }


def test_variables_with_values_and_choices():
    template = ArchTemplate.parse(free_array(), "free.yaml")
    side, along, size, _ = template.variables
    assert (side.count, along.count, size.count) == (8, 3, 3)
    assert [size.value_at(i) for i in range(3)] == [16, 64, 1024]
    assert size.index_of(64) == 1
    assert side.index_of(6) == 2
    assert side.value_at(2) == 6
    assert (along.check("P"), along.label(2), along.default) == (2, "P", 1)
    with pytest.raises(SpecError, match="size = 17: expected one of 16, 64, 1024"):
        size.check(17)
    with pytest.raises(SpecError, match="along = 'N': expected one of K, C, P"):
        along.check("N")
    with pytest.raises(IndexError):
        size.value_at(3)


def test_hardware_brings_the_constraints_of_its_variables():
    template = ArchTemplate.parse(free_array(), "free.yaml")
    problem = Problem(SHAPES["cnn-layer"], {**dict.fromkeys("RSQN", 1), "P": 8, "C": 8, "K": 8})
    for name in ("K", "C", "P"):
        values = template.check({"side": 8, "along": name, "size": 64, "node": 45})
        hardware = template.build(values)
        assert hardware.technology is not None
        assert hardware.technology.node_nm == 45
        space = Mapspace(problem, hardware)
        spatial = sample_valid(space, 200, 0, 100_000).mappings.spatial
        used = {problem.dimensions[d] for d in np.nonzero((spatial > 1).any(axis=(0, 2)))[0]}
        assert used == {name}
        assert spatial.max() == 4


def test_random_hardware_meets_requirements_and_budget():
    content = free_array() | {"budget": {"pes": 10, "on_chip_bytes": 400, "noc_words_per_cycle": 6}}
    template = ArchTemplate.parse(content, "free.yaml")
    rng = np.random.default_rng(0)
    for _ in range(100):
        values = template.sample(rng, {"node": 22})
        assert template.admits(values)
        assert values["side"] * values["size"] <= 1024
        assert values["side"] <= 6
        assert values["size"] * 2 + values["side"] * 8 <= 400
        assert values["node"] == 22


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"side": 4, "size": 1024}, r"requires side \* size <= 1024, but 4096 <= 1024 is false"),
        ({"side": 12, "size": 16}, "12 PEs, over the budget of 10"),
        ({"side": 2, "size": 64}, "144 bytes on chip, over the budget of 100"),
        ({"side": 8, "size": 16}, "8 words per cycle from the outermost buffer, over the budget"),
    ],
)
def test_what_is_over_budget_is_said(values, message):
    content = free_array() | {"budget": {"pes": 10, "on_chip_bytes": 100, "noc_words_per_cycle": 6}}
    template = ArchTemplate.parse(content, "free.yaml")
    with pytest.raises(SpecError, match=f"free.yaml: with side=.*along=C.*{message}"):
        template.build({**values, "along": 1, "node": 45})
    assert not template.admits({**values, "along": 1, "node": 45})


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("require", ["side = 3"], r"require\[0\].*expected two pieces of arithmetic"),
        ("require", ["sied < 3"], "require = 'sied < 3': unknown variable 'sied'"),
        ("require", [3], r"require\[0\]"),
        ("technology", {"node_nm": 40}, "technology.clock_ns"),
        ("technology", {"node_nm": "nod", "clock_ns": 1}, "technology.node_nm = 'nod'"),
        ("technology", None, "energy = table needs 'technology"),
        ("variables", {"side": {"min": 1}}, "variables.side: expected both min and max"),
        ("variables", {"side": {"values": [2, 1]}}, "values: expected growing order"),
        ("variables", {"side": {"values": [1], "min": 2}}, "either min and max, or values"),
        ("variables", {"side": {"choices": ["a", "a"]}}, "a value stands twice"),
        (
            "variables",
            {"side": {"values": [1], "default": 2}},
            "variables.side.default: .*one of 1",
        ),
        ("budget", {"pe": 3}, "unknown key 'pe'; did you mean 'pes'"),
    ],
)
def test_what_is_wrong_with_a_template_is_said(key, value, message):
    content = free_array() | {key: value}
    with pytest.raises(SpecError, match=f"free.yaml: .*{message}"):
        ArchTemplate.parse(content, "free.yaml")


def test_choices_of_different_variables_do_not_compare():
    content = free_array()
    content["variables"]["other"] = {"choices": ["K", "N"]}
    content["require"] = ["along != other"]
    with pytest.raises(SpecError, match="compares variables with different choices"):
        ArchTemplate.parse(content, "free.yaml")


def poster_mapping(problem, levels):
    """The poster's mapping, in its words: level, temporal and spatial factors, loop order."""
    names = ["psum_spad", "weights_spad", "ifmap_spad", "inter_PE_spatial"]
    names += ["inter_PE_column_spatial", "shared_glb", "DRAM"]
    assert [x.name for x in levels] == names
    mapping = Mapping.trivial(7, len(problem.dimensions), 3)
    index = {d: i for i, d in enumerate(problem.dimensions)}
    temporal = {
        0: {"K": 4},
        1: {"C": 3, "R": 3},
        5: {"P": 112, "Q": 4},
        6: {"K": 4, "P": 2, "Q": 7},
    }
    spatial = {3: {"K": 4, "S": 3}, 4: {"Q": 8}}
    inner_first = {1: "CR", 5: "QP", 6: "KPQ"}
    for table, array in ((temporal, mapping.temporal), (spatial, mapping.spatial)):
        for level, factors in table.items():
            for dimension, factor in factors.items():
                array[level, index[dimension]] = factor
    for level, order in inner_first.items():
        first = [index[d] for d in order]
        rest = [i for i in range(len(index)) if i not in first]
        mapping.permutation[level] = [*first, *rest]
    mapping.spatial_permutation[3] = [index[d] for d in "SKCRNPQ"]
    mapping.split[3] = 0
    keeps = {0: "Outputs", 1: "Weights", 2: "Inputs", 5: "Inputs Outputs"}
    for level in range(6):
        for t, tensor in enumerate(problem.tensors):
            mapping.keep[level, t] = tensor in keeps.get(level, "").split()
    return mapping


@pytest.mark.reference
@pytest.mark.skipif(not _POSTER.is_dir(), reason="no reference data")
def test_the_poster_baseline_is_reproduced():
    template = catalog.template("eyeriss_poster")
    hardware = energy_chain(f"ert:{_POSTER}").price(template.build(template.defaults))
    problem = catalog.workload("vgg16").layers[0].problem
    stats = evaluate_one(hardware, problem, poster_mapping(problem, hardware.levels))
    assert stats.cycles == 903_168
    assert stats.utilization == pytest.approx(0.5714, abs=5e-5)
    assert stats.energy_pj / 1e6 == pytest.approx(720.89, abs=0.005)
    assert stats.energy_pj / 1e12 * stats.cycles == pytest.approx(651, abs=0.5)


def test_what_keeps_a_layer_from_the_hardware_is_said(tmp_path):
    import dse
    from dse.errors import NothingFeasible

    values = {**catalog.template("eyeriss_256").defaults, "ifmap_words": 12}
    with pytest.raises(
        NothingFeasible,
        match="smallest tiles, couldn't map level InputRegFile: "
        "mapped tile size 13 exceeds buffer capacity 12",
    ):
        dse.run("eyeriss_256", "conv_cases", samples=1, variables=values, folder=tmp_path / "run")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["eyeriss_poster", "naas_nvdla_256", "simba", "shidiannao"])
def test_the_best_design_reads_back_from_its_timeloop_files(name, tmp_path):
    import dse

    found = dse.run(name, "squeezenet", samples=10, seed=1, folder=tmp_path / "run")
    layer = found.metrics.layers[1]
    names = ("arch", "ERT", "ART", f"{layer.name}.problem", f"{layer.name}.mapping")
    stats = dse.model_files(*(tmp_path / "run" / "best" / f"{x}.yaml" for x in names))
    assert stats.cycles == layer.cycles
    assert stats.energy_pj == pytest.approx(layer.energy_pj, rel=1e-9)


def test_the_template_of_the_manual_is_one():
    manual = (REPOSITORY / "docs" / "templates.md").read_text()
    text = manual.partition("```yaml\n")[2].partition("```")[0]
    template = ArchTemplate.parse(yaml.safe_load(text), "templates.md")
    assert template.build(template.defaults).compute.instances == 64
