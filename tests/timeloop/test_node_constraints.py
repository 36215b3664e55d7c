"""Constraints in and for timeloopfe's nodes: short forms, arithmetic, lists, misspelt keys."""

import re

import pytest

from dse.errors import SpecError
from dse.timeloop.evaluate import evaluate_text
from dse.timeloop.read.flatten import flatten
from dse.timeloop.read.inputs import read_entry
from dse.timeloop.read.mapspace import read_constraints
from dse.timeloop.yaml.io import load_texts

NODES = """\
variables: {version: 0.4, pes_x: 3, pes_y: 3}
architecture:
  version: 0.4
  nodes:
  - !Container
    name: System
    attributes: {technology: 40nm}
  - !Component
    name: MainMemory
    class: DRAM
    attributes: {depth: 65536, width: 64, datawidth: 8}
    constraints:
      dataspace: {keep: [Inputs, Outputs, Weights]}
  - !Component
    name: GLB
    class: SRAM
    attributes: {depth: 4096, width: 64, datawidth: 8}
    constraints:
      temporal: {factors_only: [K=4], permutation: [R, P, K, N]}
      dataspace: {keep_only: [Inputs, Outputs]}
  - !Container
    name: PE
    spatial: {meshX: pes_x, meshY: pes_y}
    constraints:
      spatial: {factors: [R=3, K=3], permutation: [R, K], split: 1}
  - !Component
    name: WReg
    class: regfile
    attributes: {depth: 1, width: 8, datawidth: 8}
    constraints:
      dataspace: {keep_only: [Weights]}
      temporal: {no_reuse: []}
  - !Component
    name: MAC
    class: intmac
    attributes: {datawidth: 8, width: 8}
problem:
  version: 0.4
  shape:
    name: C1D
    dimensions: [N, K, R, P]
    data_spaces:
    - {name: Weights, projection: [[[K]], [[R]]]}
    - {name: Inputs, projection: [[[N]], [[R], [P]]]}
    - {name: Outputs, projection: [[[N]], [[K]], [[P]]], read_write: true}
  instance: {N: 1, K: 12, R: 3, P: 16}
"""
MAPPING = """\
mapping:
- {target: MainMemory, type: temporal, factors: [P=16, K=1], permutation: [P]}
- {target: GLB, type: temporal, factors: [K=4]}
"""
SPATIAL = "{factors: [R=3, K=3], permutation: [R, K], split: 1}"
TEMPORAL = "{factors_only: [K=4], permutation: [R, P, K, N]}"
BETWEEN = "inter_PE_spatial"


def constraints(old="", new="", more=""):
    assert old in NODES
    root = load_texts([("in", NODES.replace(old, new) + more)])
    spec, _ = read_entry(root, "4cf6d4c", for_model=False)
    return read_constraints(flatten(root, spec.problem), spec.architecture, spec.problem)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("factors_only", "factors_olny", "unknown key 'factors_olny'; did you mean 'factors_only'"),
        ("permutation: [R, K]", "permutaton: [R, K]", "did you mean 'permutation'?"),
        ("keep_only: [Weights]", "keeponly: [Weights]", "did you mean 'keep_only'?"),
        ("spatial: {meshX", "spatail: {meshX", "did you mean 'spatial'?"),
        ("meshX: pes_x", "meshx: pes_x", "did you mean 'meshX'?"),
        ("    constraints:\n      spatial", "    constraint:\n      spatial", "'constraints'?"),
        ("4096, width: 64, datawidth", "4096, width: 64, datawidht", "did you mean 'datawidth'?"),
        ("split: 1", "split: 1, speed: 3", "unknown key 'speed'; expected "),
        ("nodes:", "nodes: []\n  knots:", "unknown key 'knots'"),
        ("no_reuse: []", "no_reuse: [Wights]", "unknown data space 'Wights'"),
        ("factors_only: [K=4]", "factors_only: [K=4], factors: [K=2]", "contradict each other"),
        ("keep_only: [Weights]", "keep: [Weights], bypass: [Weights]", "both kept and bypassed"),
        ("temporal: {no_reuse: []}", "temporal: {maximize_dims: [P]}", "maximize_dims_capacity"),
    ],
)  # fmt: skip
def test_misspelt_keys_and_contradictions_are_refused(old, new, said):
    assert old in NODES
    with pytest.raises(SpecError, match=re.escape(said)) as error:
        evaluate_text(NODES.replace(old, new) + MAPPING)
    assert str(error.value).startswith("input:")


def test_python_conditionals_in_arithmetic():
    text = NODES.replace("depth: 4096", "depth: 4096 if pes_x == 3 and not pes_y > 3 else 2")
    assert evaluate_text(text + MAPPING).input.architecture.levels[2].size_words == 4096 * 8
    text = NODES.replace("depth: 4096", "depth: (2 if pes_x < 3 else pes_x) * 8")
    assert evaluate_text(text + MAPPING).input.architecture.levels[2].size_words == 24 * 8


def test_splits_are_arithmetic_too():
    plain = evaluate_text(NODES + MAPPING).stats
    text = NODES.replace("split: 1", "split: pes_x-2")
    assert evaluate_text(text + MAPPING).stats.cycles == plain.cycles
    with pytest.raises(SpecError, match="split = 'pes_z-2': expected an integer"):
        evaluate_text(NODES.replace("split: 1", "split: pes_z-2") + MAPPING)


def test_limits_reach_the_mapspace():
    found = constraints(TEMPORAL, "{default_max_factor: 2, factors: [K>=2]}")["GLB"].temporal
    assert found.max_factors == {"N": 2, "K": 2, "R": 2, "P": 2}
    assert found.min_factors == {"K": 2}


@pytest.mark.parametrize("key", ["constraints", "extra_mapping_constraints", "my_constraints"])
def test_constraints_in_lists_are_attached_to_nodes(key):
    listed = (
        f"{key}:\n  targets:\n"
        "  - {target: PE, type: spatial, no_reuse: ['*']}\n"
        "  - {target: WReg, type: temporal, factors_only: [P=2]}\n"
        "  - {target: WReg, type: dataspace, bypass: [Inputs]}\n"
    )
    found = constraints(more=listed)
    assert found[BETWEEN].no_multicast == ("Weights", "Inputs", "Outputs")
    assert found[BETWEEN].spatial.factors == {"R": 3, "K": 3}
    assert found["WReg"].temporal.factors == {"P": 2, "N": 1, "K": 1, "R": 1}
    assert found["WReg"].bypass == ("Inputs", "Outputs")
    with pytest.raises(SpecError, match="unknown target 'GLBS'; did you mean 'GLB'"):
        constraints(more=f"{key}: [{{target: GLBS, type: spatial}}]\n")


def test_a_mapping_takes_the_constraints_in_lists():
    """What timeloopfe's call_model does."""
    listed = "constraints: {targets: [{target: GLB, type: temporal, factors: [K=4]}]}\n"
    mapping = "mapping: [{target: MainMemory, type: temporal, factors: [P=16, K=1]}]\n"
    text = NODES.replace(TEMPORAL, "{permutation: [R, P, K, N]}")
    stats = evaluate_text(text + mapping + listed).stats
    assert stats.cycles == evaluate_text(NODES + MAPPING).stats.cycles


@pytest.mark.parametrize(
    ("old", "new", "level", "factors"),
    [
        # 3 x 3 PEs; the GLB has 4 of K = 12
        (SPATIAL, "{maximize_dims: [[K]]}", BETWEEN, {"K": 3}),
        (SPATIAL, "{maximize_dims: [[R, K]]}", BETWEEN, {"R": 3, "K": 3}),
        (SPATIAL, "{factors: [R=3], maximize_dims: [K, P]}", BETWEEN, {"R": 3, "K": 3, "P": 1}),
        (SPATIAL, "{maximize_dims: [[R], [P]]}", BETWEEN, {"R": 3, "P": 3}),
        (
            "{no_reuse: []}",
            "{maximize_dims: [P], maximize_dims_capacity: 5}",
            "WReg",
            {"P": 4},
        ),
    ],
)
def test_dimensions_are_maximized_as_timeloopfe_does(old, new, level, factors):
    found = constraints(old, new)[level]
    loops = found.spatial if level == BETWEEN else found.temporal
    assert loops.factors == factors


def test_a_sibling_without_constraints_keeps_nothing():
    parallel = """\
  - !Parallel
    nodes:
    - !Component
      name: GLB
      class: SRAM
      attributes: {depth: 4096, width: 64, datawidth: 8}
      constraints: {dataspace: {keep: [Inputs, Outputs, Weights]}}
    - !Component
      name: Other
      class: SRAM
      attributes: {depth: 4096, width: 64, datawidth: 8}
"""
    start = NODES.index("  - !Component\n    name: GLB")
    end = NODES.index("  - !Container\n    name: PE")
    found = constraints(NODES[start:end], parallel)
    assert found["Other"].bypass == ("Weights", "Inputs", "Outputs")
