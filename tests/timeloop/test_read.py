"""Forms of Timeloop's files, each with what the real timeloop-model said of it.

The numbers are (cycles, fJ per compute) as printed by 4cf6d4c and by v3.0.3.
"""

from __future__ import annotations

import math

import pytest
from timeloop_texts import ERT, FORMS, MAPPING, PROBLEM, tree

import dse
from dse.timeloop.evaluate import evaluate_text
from dse.timeloop.read.inputs import read_text

TIMELOOP = {
    "plain": ((384, 21096.37), (384, 21096.37)),
    "block size from the width": ((384, 20486.02), (384, 20486.02)),
    "cluster size from the width": ((384, 19039.99), (384, 19039.99)),
    "block from width and cluster": ((384, 19039.99), (384, 19039.99)),
    "sizeKB": ((384, 24758.48), (384, 24758.48)),
    "other names": ((384, 21096.37), (384, 21096.37)),
    "16 bits by default": ((384, 24758.48), (384, 24758.48)),
    "hexadecimal and octal": ((384, 20486.02), (384, 20486.02)),
    "ranges on components": ((384, 21096.37), (384, 21096.37)),
    "vector access energy": ((384, 21724.63), (384, 21724.63)),
    "address generation": ((384, 26607.44), (384, 26607.44)),
    "negative address generation": ((384, 24758.48), (384, 24758.48)),
    "wire and area": ((384, 25678.48), (384, 25678.48)),
    "tile width": ((384, 26598.48), (384, 26598.48)),
    "wire in the ERT": ((384, 21234.37), (384, 21234.37)),
    "latency": ((4551, 24758.48), (4551, 24758.48)),
    "bandwidth": ((384, 24758.48), (384, 24758.48)),
    "range in a table's path": ((384, 24658.2), (384, 19880.72)),
    "range at a table's end": ((384, 24908.2), (384, 23658.2)),
    "range of two digits": ((384, 21096.37), (384, 21096.37)),
    "two tables": ((384, 38970.7), (384, 38970.7)),
    "ERT 0.2": ((384, 43907.82), (384, 43907.82)),
    "technology DRAM": ((384, 24758.48), (384, 24758.48)),
    "a class of DRAM": ((384, 21096.37), (384, 21096.37)),
    "variables": ((384, 24758.48), (384, 24758.48)),
    "no_reuse in time": ((384, 68352.23), (384, 21096.37)),
    "no_reuse in space": ((384, 21565.12), (384, 21096.37)),
    "loose factors": ((384, 21096.37), (384, 21096.37)),
    "zero factors": ((384, 21096.37), (384, 21096.37)),
    "nulls": ((384, 24758.48), (384, 24758.48)),
    "no shape": ((384, 21096.37), (384, 21096.37)),
    "bounds beside the shape": ((384, 21096.37), (384, 21096.37)),
    "the flat format": ((384, 21425.45), (384, 21425.45)),
    "a free buffer": ((384, 66750.67), (384, 66750.67)),
    "shape gemm": ((16, 221951.99), (16, 221951.99)),
    "an anchor": ((384, 21096.37), (384, 21096.37)),
}


def test_every_form_has_an_answer():
    assert set(FORMS) == set(TIMELOOP)


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("version", ["4cf6d4c", "3.0.3"])
def test_forms_are_read_as_timeloop_reads_them(name, version):
    cycles, femtojoule = TIMELOOP[name][0 if version == "4cf6d4c" else 1]
    stats = evaluate_text(FORMS[name], version).stats
    assert stats.cycles == cycles
    assert stats.energy_pj_per_compute * 1000 == pytest.approx(femtojoule, abs=0.0051)


@pytest.mark.parametrize("name", FORMS)
def test_hyphens_and_underscores_mean_the_same_to_4cf6d4c(name):
    keys = ("word-bits", "block-size", "cluster-size", "wire-energy", "tile-width")
    keys += ("vector-access-energy", "addr-gen-energy", "cluster-area")
    text = FORMS[name]
    for key in keys:
        text = text.replace(key, key.replace("-", "_"))
    assert read_text(FORMS[name]).architecture == read_text(text).architecture


def test_levels_run_from_the_inside_out():
    architecture = read_text(FORMS["plain"]).architecture
    assert [level.name for level in architecture.levels] == ["RF", "GLB", "DRAM"]
    register, buffer, dram = architecture.levels
    assert (register.instances, register.mesh_x, register.mesh_y) == (8, 4, 2)
    assert (buffer.size_words, buffer.block_size) == (16384, 4)
    assert dram.size_words is None
    assert math.isinf(dram.shared_bandwidth)
    assert architecture.fanout(1) == (4, 2)


def test_without_a_mapping_there_is_an_architecture_and_a_problem(tmp_path):
    found = read_text(tree() + PROBLEM)
    assert found.mapping is None
    assert found.problem.macs == 3072
    path = tmp_path / "no_mapping.yaml"
    path.write_text(tree() + PROBLEM + "mapping: []\n")
    with pytest.raises(dse.SpecError, match="mapping"):
        dse.model_files(path)


def test_empty_placeholders_give_way_to_the_real_thing(tmp_path):
    (tmp_path / "a.yaml").write_text(tree() + PROBLEM + "mapping: []\n")
    (tmp_path / "b.yaml").write_text(MAPPING + ERT)
    for order in (("a", "b"), ("b", "a")):
        assert dse.model_files(*(tmp_path / f"{n}.yaml" for n in order)).cycles == 384


def test_constraints_on_factors_are_checked():
    constraints = """\
architecture_constraints:
  targets:
  - {target: GLB, type: temporal, factors: "R=3 C<=2", permutation: CSR}
  - {target: GLB, type: spatial, factors: "K=4 R=100", split: 5}
  - {target: GLB, type: bypass, bypass: [Weights]}
"""
    assert evaluate_text(FORMS["plain"] + constraints).stats.cycles == 384
    for broken in (constraints.replace("R=3", "R=1"), constraints.replace("C<=2", "C<=1")):
        with pytest.raises(dse.SpecError, match="ERROR: mapping violates architecture constr"):
            evaluate_text(FORMS["plain"] + broken)


def test_the_dosa_version_reads_tables_as_3_0_3():
    text = FORMS["range in a table's path"]
    assert read_text(text, "dosa").architecture == read_text(text, "3.0.3").architecture
    assert read_text(text, "dosa").architecture != read_text(text).architecture
