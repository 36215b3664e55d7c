"""A small sparse template, and workloads for it, of the tests of searches over sparse designs."""

from __future__ import annotations

TEMPLATE = """
name: tiny_sparse
energy: table
technology: {node_nm: 45, clock_ns: 1, dram: LPDDR4}
variables:
  words: {values: [64, 256], default: 256}
  side: {values: [2, 4], default: 2}
storage:
  - {name: DRAM, class: DRAM, word_bits: 8, block_size: 4, shared_bandwidth: 4,
     metadata_storage_width: 32, metadata_word_bits: 4,
     constraints: {keep: [Weights, Inputs, Outputs], spatial: {dimensions: []}}}
  - name: Buffer
    class: regfile
    word_bits: 8
    size_words: words
    block_size: 2
    metadata_storage_width: 8
    metadata_storage_depth: words
    metadata_word_bits: 4
    constraints: {spatial: {x: [K], y: [C]}}
compute: {name: MAC, class: intmac, word_bits: 8, mesh_x: side, mesh_y: side}
sparse_optimizations:
  targets:
    - name: DRAM
      representation_format:
        data_spaces:
          - name: Weights
            ranks:
              - {format: UOP, payload_word_bits: 8, flattened_rankIDs: [[G, C, K, R, S, P, Q, N]]}
              - {format: CP, flattened_rankIDs: [[G, C, K, R, S, P, Q, N]]}
    - name: Buffer
      representation_format:
        data_spaces:
          - name: Weights
            ranks: [{format: CP, flattened_rankIDs: [[G, C, K, R, S, P, Q, N]]}]
      action_optimization:
        - {type: gating, target: Inputs, condition_on: [Weights]}
    - {name: MAC, compute_optimization: [{type: skip_on_not_aligned_operands}]}
"""
WORKLOAD = """
name: net
densities: {Weights: {distribution: hypergeometric, density: 0.2}}
layers:
  - {name: conv, R: 3, P: 6, C: 8, K: 8, densities: {Inputs: 0.5}}
  - {name: product, shape: gemm, M: 4, N: 8, K: 16}
  - {name: scores, shape: grouped-cnn-layer, G: 2, P: 4, C: 8, K: 4, weights: none}
"""


def files(folder, template=TEMPLATE, workload=WORKLOAD):
    """Write both; return the settings that name them."""
    for name, text in (("arch", template), ("net", workload)):
        (folder / f"{name}.yaml").write_text(text)
    return {"arch": str(folder / "arch.yaml"), "workload": str(folder / "net.yaml")}
