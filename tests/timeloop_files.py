"""Small sets of Timeloop files for the tests of commands that take them."""

ARCH = """
architecture:
  version: 0.4
  subtree:
  - name: system
    local:
    - {name: DRAM, class: DRAM, attributes: {word_bits: 8, width: 64}}
    subtree:
    - name: PE
      local:
      - {name: Buf, class: SRAM, attributes: {depth: 64, width: 8, word_bits: 8}}
      - {name: MAC, class: intmac, attributes: {datawidth: 8, word_bits: 8}}
"""
PROBLEM = """
problem:
  shape:
    name: conv1d
    dimensions: [R, P]
    data-spaces:
    - {name: W, projection: [[[R]]]}
    - {name: I, projection: [[[R], [P]]]}
    - {name: O, projection: [[[P]]], read-write: True}
  instance: {R: 3, P: %d}
"""
#: Three levels, and what they do of the problem with P = 16.
CHIP = """
architecture:
  version: 0.4
  subtree:
  - name: system
    attributes: {technology: 45nm}
    local:
    - {name: DRAM, class: DRAM, attributes: {word_bits: 8, width: 64}}
    - {name: GlobalBuffer, class: SRAM, attributes: {depth: 1024, width: 64, word_bits: 8}}
    - {name: Buffer, class: SRAM, attributes: {depth: 256, width: 8, word_bits: 8}}
    - {name: MAC, class: intmac, attributes: {datawidth: 8, word_bits: 8}}
"""
CHIP_MAPPING = """
mapping:
- {target: DRAM, type: temporal, factors: R=1 P=1, permutation: RP}
- {target: GlobalBuffer, type: temporal, factors: R=1 P=4, permutation: RP}
- {target: Buffer, type: temporal, factors: R=3 P=4, permutation: RP}
"""
MAPPER = "mapper: {optimization_metrics: [%s], search_size: 60, algorithm: random}\n"
#: P stays inside.
CONSTRAINTS = """
mapspace_constraints:
  targets:
  - {target: DRAM, type: temporal, factors: P=1}
"""
#: The buffer keeps everything.
KEEP = """
mapspace_constraints:
  targets:
  - {target: Buf, type: bypass, keep: [W, I, O]}
"""

#: What both timeloop-model and timeloop-mapper write, behind their names.
WRITTEN = ("map.txt", "stats.txt", "map+stats.xml", "ERT.yaml", "ART.yaml")


def write(folder, size=16, metrics="edp", constraints=None):
    """Write the files into a folder; return their paths."""
    texts = {
        "arch.yaml": ARCH,
        "prob.yaml": PROBLEM % size,
        "mapper.yaml": MAPPER % metrics,
        **({"constraints.yaml": constraints} if constraints else {}),
    }
    paths = []
    for name, text in texts.items():
        (folder / name).write_text(text)
        paths.append(str(folder / name))
    return paths
