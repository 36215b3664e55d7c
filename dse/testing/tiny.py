"""The small space on which the conformance kits test: two variables, two layers."""

from __future__ import annotations

from dataclasses import replace

import yaml

from dse.components.chain import energy_chain
from dse.domain.architecture import HardwareBatch
from dse.domain.problem import SHAPES, Problem
from dse.space.template import ArchTemplate

ARCH = """\
name: tiny
energy: dosa
variables:
  pe_dim: {min: 2, max: 16, sampling: powers_of_two}
  buffer_kb: {min: 1, max: 64, sampling: powers_of_two}
storage:
  - {name: DRAM, class: DRAM, word_bits: 8, block_size: 64, shared_bandwidth: 8}
  - name: Buffer
    word_bits: 8
    size_words: buffer_kb * 1024
    block_size: 4
    shared_bandwidth: 2 * pe_dim
    constraints: {keep: [Weights, Inputs, Outputs], spatial: {x: [K, C]}}
  - name: Registers
    word_bits: 8
    size_words: 8
    mesh_x: pe_dim
    constraints: {keep: [Weights, Outputs], bypass: [Inputs]}
compute: {name: MACC, word_bits: 8, mesh_x: pe_dim}
"""

WORKLOAD = """\
name: tiny_net
shape: cnn-layer
layers:
  - {name: conv, R: 3, S: 3, P: 8, Q: 8, C: 8, K: 16, Wstride: 2, Hstride: 2}
  - {name: dense, C: 64, K: 32, count: 2}
"""


def template() -> ArchTemplate:
    """Return the template."""
    return ArchTemplate.parse(yaml.safe_load(ARCH), "conformance kit")


def hardware(*, starved: bool = False) -> HardwareBatch:
    """Return two pieces of hardware; ``starved`` ones are so small that nothing fits."""
    built = []
    for pe_dim, buffer_kb in ((4, 8), (8, 2)):
        priced = energy_chain("dosa").price(
            template().build({"pe_dim": pe_dim, "buffer_kb": buffer_kb})
        )
        if starved:
            priced = priced.with_levels(Buffer=replace(priced.level("Buffer"), size_words=1))
        built.append(priced)
    return HardwareBatch(tuple(built))


def problem() -> Problem:
    """Return the first layer's problem."""
    bounds = {"R": 3, "S": 3, "P": 8, "Q": 8, "C": 8, "K": 16, "N": 1}
    return Problem(SHAPES["cnn-layer"], bounds, {"Wstride": 2, "Hstride": 2})


def word(value: object) -> str:
    """Return a setting's value as the command line takes it."""
    return "null" if value is None else str(value)
