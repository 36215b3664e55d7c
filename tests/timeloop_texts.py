"""Timeloop files as texts, with parts that tests change."""

from __future__ import annotations

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
