"""Forms of Timeloop's files, each with what the real timeloop-model said of it.

The numbers are (cycles, fJ per compute) as printed by 4cf6d4c and by v3.0.3.
"""

from __future__ import annotations

import math

import pytest

import dse
from dse.timeloop.evaluate import evaluate_text
from dse.timeloop.read import read_text

PROBLEM = """\
problem:
  shape: cnn-layer
  instance: {R: 3, S: 2, P: 4, Q: 4, C: 4, K: 8, N: 1}
"""
MAPPING = """\
mapping:
- {target: DRAM, type: temporal, factors: P=2 Q=4, permutation: QP}
- {target: GLB, type: temporal, factors: R=3 S=2 C=2, permutation: RSC}
- {target: GLB, type: spatial, factors: K=4 P=2, permutation: KP, split: 1}
- {target: RF, type: temporal, factors: C=2 K=2, permutation: CK}
"""
ERT = """\
ERT:
  version: 0.4
  tables:
  - {name: s.MAC, actions: [{name: compute, arguments: {}, energy: 1.5}]}
  - name: s.GLB
    actions:
    - {name: read, arguments: {}, energy: 7.5}
    - {name: write, arguments: {}, energy: 3.25}
"""
RF = "entries: 64, word-bits: 8, meshX: 4"
MAC = "word-bits: 8, meshX: 4"
BIG = "entries: 65536"


def tree(
    glb="depth: 4096, width: 32, word-bits: 8, block-size: 4",
    rf=RF,
    mac=MAC,
    pe="PE[0..7]",
    rf_name="RF",
    mac_name="MAC",
    glb_class="SRAM",
    dram_class="DRAM",
):
    return f"""\
architecture:
  version: 0.4
  subtree:
  - name: s
    local:
    - {{name: DRAM, class: {dram_class}, attributes: {{width: 64, word-bits: 8}}}}
    subtree:
    - name: chip
      local:
      - {{name: GLB, class: {glb_class}, attributes: {{{glb}}}}}
      subtree:
      - name: {pe}
        local:
        - {{name: "{rf_name}", class: regfile, attributes: {{{rf}}}}}
        - {{name: "{mac_name}", class: intmac, attributes: {{{mac}}}}}
"""


def table(name, actions):
    listed = ", ".join(f"{{name: {action}, energy: {pj}}}" for action, pj in actions)
    return f"  - {{name: '{name}', actions: [{listed}]}}\n"


FLAT = """\
architecture:
  arithmetic: {name: MAC, instances: 8, meshX: 4, word-bits: 8}
  storage:
  - {name: RF, entries: 64, instances: 8, meshX: 4, word-bits: 8}
  - {name: GLB, sizeKB: 64, instances: 1, word-bits: 8, block-size: 4}
  - {name: DRAM, technology: DRAM, instances: 1, word-bits: 8, block-size: 8}
ERT:
  version: 0.4
  tables: [{name: s.MAC, actions: [{name: compute, energy: 1.5}]}]
"""
TABLE_0_2 = """\
ERT:
  version: 0.2
  tables:
    s.RF:
      read: {energy: 5}
      write: [{arguments: {a: 1}, energy: 2}, {arguments: {a: 2}, energy: 4}]
    s.MAC: {mac_random: {energy: 2}}
"""
NO_REUSE_IN_TIME = MAPPING.replace(
    "GLB, type: temporal", "GLB, no_reuse: [Weights, Inputs], type: temporal"
)
NO_REUSE_IN_SPACE = MAPPING.replace(
    "GLB, type: spatial",
    "GLB, no_reuse: [Inputs], no_multicast_no_reduction: [Outputs], type: spatial",
)
AFTER = PROBLEM + MAPPING + ERT

FORMS = {
    "plain": tree() + AFTER,
    "block size from the width": tree(glb="depth: 4096, width: 64, word-bits: 8") + AFTER,
    "cluster size from the width": tree(rf=f"{RF}, width: 32, block-size: 1") + AFTER,
    "block from width and cluster": tree(rf=f"{RF}, width: 64, cluster-size: 4") + AFTER,
    "sizeKB": tree(glb="sizeKB: 64, datawidth: 8") + AFTER,
    "other names": tree(glb=f"{BIG}, n_words: 4, word_width: 8") + AFTER,
    "16 bits by default": tree(glb=BIG) + AFTER,
    "hexadecimal and octal": tree(glb="entries: 0x10000, block-size: 010") + AFTER,
    "ranges on components": tree(pe="PE", rf_name="RF[0..7]", mac_name="MAC[0..7]") + AFTER,
    "vector access energy": tree(glb=f"{BIG}, vector-access-energy: 2.5") + AFTER,
    "address generation": tree(glb=f"{BIG}, addr-gen-energy: 2.5") + AFTER,
    "negative address generation": tree(glb=f"{BIG}, addr-gen-energy: -2.5") + AFTER,
    "wire and area": tree(rf=f"{RF}, cluster-area: 400", glb=f"{BIG}, wire-energy: 1.5") + AFTER,
    "tile width": tree(glb=f"{BIG}, wire-energy: 1.5, tile-width: 40") + AFTER,
    "wire in the ERT": tree(mac=f"{MAC}, area: 900")
    + AFTER
    + table("s.wire", [("transfer_random", 0.3)]),
    "latency": tree(glb=f"{BIG}, network_fill_latency: 7, shared_bandwidth: 0.5") + AFTER,
    "bandwidth": tree(glb=f"{BIG}, bandwidth: 3, read_bandwidth: 9.5") + AFTER,
    "range in a table's path": tree()
    + AFTER
    + table("s.PE[0..7].RF", [("read", "1e-1"), ("fill", 2), ("update", 3)]),
    "range at a table's end": tree()
    + AFTER
    + table("s.RF[1..8]", [("read", 0.1), ("write", 2), ("update", 3), ("leak", 0.25)]),
    "range of two digits": tree() + AFTER + table("s.RF[10..17]", [("read", 0.1)]),
    "two tables": tree()
    + AFTER
    + table("a.RF", [("read", 1), ("write", 2)])
    + table("b.RF", [("read", 5)]),
    "ERT 0.2": tree() + PROBLEM + MAPPING + TABLE_0_2,
    "technology DRAM": tree(glb="technology: DRAM, word-bits: 8") + AFTER,
    "a class of DRAM": tree(dram_class="LPDDR_DRAM") + AFTER,
    "variables": tree(glb="entries: GE, word-bits: 8") + AFTER + "variables: {GE: 70000}\n",
    "no_reuse in time": tree() + PROBLEM + NO_REUSE_IN_TIME + ERT,
    "no_reuse in space": tree() + PROBLEM + NO_REUSE_IN_SPACE + ERT,
    "loose factors": tree()
    + PROBLEM
    + MAPPING.replace("factors: R=3 S=2 C=2", 'factors: "R 3,S2;C==2#K=9"')
    + ERT,
    "zero factors": tree() + PROBLEM + MAPPING.replace("R=3 S=2", "R=0 S=0") + ERT,
    "nulls": tree(glb=f"{BIG}, meshX: null, power_gated_at: null, bandwidth: ~") + AFTER,
    "no shape": tree() + AFTER.replace("  shape: cnn-layer\n", ""),
    "bounds beside the shape": tree()
    + "problem: {R: 3, S: 2, P: 4, Q: 4, C: 4, K: 8, N: 1}\n"
    + MAPPING
    + ERT,
    "the flat format": FLAT + PROBLEM + MAPPING,
    "a free buffer": tree(glb="entries: 0")
    + PROBLEM
    + MAPPING
    + "- {target: GLB, type: bypass, bypass: [Inputs, Outputs, Weights]}\n"
    + ERT,
    "shape gemm": tree() + "problem: {shape: gemm, instance: {M: 4, N: 8, K: 2}}\nmapping:\n"
    "- {target: DRAM, type: temporal, factors: M=0 K=0, permutation: KM}\n"
    "- {target: GLB, type: spatial, factors: N4, permutation: N}\n"
    "- {target: RF, type: temporal, factors: N2}\n" + ERT,
    "an anchor": tree()
    + PROBLEM
    + MAPPING.replace("- {target: DRAM", "- &first {target: DRAM")
    + "- *first\n"
    + ERT,
}

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
def test_hyphens_and_underscores_mean_the_same(name):
    keys = ("word-bits", "block-size", "cluster-size", "wire-energy", "tile-width")
    keys += ("vector-access-energy", "addr-gen-energy", "cluster-area")
    text = FORMS[name]
    for key in keys:
        text = text.replace(key, key.replace("-", "_"))
    for version in ("4cf6d4c", "3.0.3"):
        one, other = read_text(FORMS[name], version), read_text(text, version)
        assert one.architecture == other.architecture


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
