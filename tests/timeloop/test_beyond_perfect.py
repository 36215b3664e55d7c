"""Imperfect factors in all of Timeloop's forms, backward projections, densities, and networks."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np
import pytest
from timeloop_files import ARCH as ARCH_1D
from timeloop_files import PROBLEM as PROBLEM_1D

from dse.domain.mapping import least_remainders
from dse.errors import SpecError
from dse.timeloop.convert import read_project, written
from dse.timeloop.evaluate import evaluate_files, evaluate_text
from dse.timeloop.read.inputs import read_text
from dse.timeloop.write.inputs import architecture_yaml, mapping_yaml
from dse.timeloop.write.report import map_text, stats_json, summary_text
from dse.timeloop.write.stats import stats_text

ARCHITECTURE = """\
architecture:
  version: 0.4
  subtree:
  - name: system
    local:
    - {name: DRAM, class: DRAM, attributes: {word_bits: 16}}
    - {name: Buffer, class: SRAM, attributes: {entries: 4096, word_bits: 16, NETS}}
    - {name: MACC, class: intmac, attributes: {instances: 4, meshX: 4, word_bits: 16, ENDS}}
"""
PROBLEM = """\
problem:
  shape:
    name: gemm
    dimensions: [M, N, K]
    coefficients: [{name: s, default: 1}]
    data_spaces:
    - {name: A, projection: [[[M, s]], [[K]]]}
    - {name: B, projection: [[[K]], [[N]]]}
    - {name: Z, projection: [[[M]], [[N]]], read_write: true}
  instance: {M: 13, N: 5, K: 6}
"""
MAPPING = """\
mapping:
- {target: DRAM, type: temporal, factors: M=2 N=5 K=2, permutation: KNM}
- {target: Buffer, type: spatial, factors: 'M=4,1', permutation: MNK, split: 3}
- {target: Buffer, type: temporal, factors: 'M=2 K=3', permutation: KNM}
"""
PLAIN = ARCHITECTURE.replace(", NETS", "").replace(", ENDS", "")


def test_remainders_are_read_and_written():
    spec = read_text(PLAIN + PROBLEM + MAPPING)
    mapping = spec.mapping
    assert mapping.remainders[1][0].tolist() == [1, 1, 1]
    assert mapping.spatial[0].tolist() == [4, 1, 1]
    assert not mapping.is_perfect
    text = mapping_yaml(mapping, spec.architecture, spec.problem)
    assert "M=4,1" in text
    assert read_text(PLAIN + PROBLEM + text).mapping == mapping


@pytest.mark.slow
@pytest.mark.parametrize("form", ["v0.3", "v0.4", "template"])
def test_converted_files_say_the_same(tmp_path, form):
    (tmp_path / "in.yaml").write_text(PLAIN + PROBLEM + MAPPING)
    project = read_project([tmp_path / "in.yaml"])
    paths = []
    for name, text in written(project, form).items():
        paths.append(tmp_path / name)
        paths[-1].write_text(text)
    again = evaluate_files(paths)
    first = evaluate_files([tmp_path / "in.yaml"])
    assert not again.mapping.is_perfect
    if form != "template":  # which has a level more, for the spatial loops
        assert again.mapping == first.mapping
    assert again.stats.cycles == first.stats.cycles
    assert again.stats.computes == first.stats.computes
    assert again.stats.levels["Buffer"].tensors == first.stats.levels["Buffer"].tensors


def test_a_remainder_outside_of_quotes_is_refused():
    nodes = """\
architecture:
  version: 0.4
  nodes:
  - !Container {name: system}
  - !Component {name: DRAM, class: DRAM, attributes: {width: 16, datawidth: 16}}
  - !Component {name: MACC, class: intmac, attributes: {datawidth: 16}}
"""
    mapping = "mapping:\n- {target: DRAM, type: temporal, factors: [M=13,1, N=5, K=6]}\n"
    with pytest.raises(SpecError, match="a remainder in quotes"):
        read_text(nodes + PROBLEM + mapping)


@pytest.mark.parametrize(
    ("factors", "said"),
    [
        ("M=4,3", "product of all factors of dimension M is 15, which is not equal to"),
        ("M=4,0", "product of all factors of dimension M is 12, which is not equal to"),
        ("M=2,5", "expected a remainder of at most the factor"),
    ],
)
def test_remainders_that_cannot_be(factors, said):
    bound = "M: 13" if "5" not in factors else "M: 19"
    mapping = MAPPING.replace("M=4,1", factors).replace("M=2 N", "M=4 N", factors.count("5"))
    with pytest.raises(SpecError, match=said):
        read_text(PLAIN + PROBLEM.replace("M: 13", bound) + mapping)


@pytest.mark.slow
def test_reports_show_remainders_and_what_timeloop_counts():
    evaluation = evaluate_text(PLAIN + PROBLEM + MAPPING)
    assert "for M in [0:4,1) (Spatial-X)" in map_text(evaluation)
    assert f"Computes = {evaluation.stats.computes}" in stats_text(evaluation)
    assert stats_json(evaluation)["computes"] == evaluation.stats.computes
    assert "Buffer" in summary_text(evaluation)


@pytest.mark.slow
@pytest.mark.parametrize("version", ["4cf6d4c", "3.0.3"])
def test_a_projection_that_runs_backwards_costs_the_same(version):
    """Only the direction changes: rows of one dimension overlap nowhere."""
    mapping = MAPPING.replace("'M=4,1'", "M=4").replace("'M=2 K=3'", "K=3")
    problem = PROBLEM.replace("M: 13", "M: 8")
    forward = evaluate_text(PLAIN + problem + mapping, version).stats
    back = evaluate_text(PLAIN + problem.replace("N: 5", "N: 5, s: -1") + mapping, version).stats
    assert back == forward
    still = evaluate_text(PLAIN + problem.replace("N: 5", "N: 5, s: 0") + mapping, version).stats
    assert still.levels["Buffer"].tensors["A"].utilized_capacity == 3
    assert still.levels["DRAM"].tensors["A"].reads < forward.levels["DRAM"].tensors["A"].reads


@pytest.mark.parametrize(
    ("given", "warned"),
    [
        ("commonDensity: 0.5", True),
        ("densities: {A: 0.25, Z: 1.0}", True),
        ("densities: {A: {distribution: hypergeometric, density: 0.5}}", True),
        ("densities: {A: 1.0}", False),
        ("commonDensity: 1.0, densities: {A: 0.5}", False),
    ],
)
def test_densities_change_nothing_and_are_warned_of(given, warned, caplog):
    problem = PROBLEM.replace("M: 13,", f"M: 13, {given},")
    with caplog.at_level(logging.WARNING):
        spec = read_text(PLAIN + problem + MAPPING)
    assert spec == read_text(PLAIN + PROBLEM + MAPPING)
    assert ("no effect without sparse_optimizations" in caplog.text) == warned


def test_3_0_3_knows_structured_densities_with_a_hyphen_only():
    for name, known in (("fixed-structured", True), ("fixed_structured", False)):
        density = f"densities: {{A: {{distribution: {name}, density: 0.5}}}}"
        text = PLAIN + PROBLEM.replace("M: 13,", f"M: 13, {density},") + MAPPING
        read_text(text)
        if known:
            read_text(text, "3.0.3")
        else:
            with pytest.raises(SpecError, match="unrecognized density distribution type"):
                read_text(text, "3.0.3")


NETWORKS = """\
    - {name: Down, class: Legacy, attributes: {energy_per_hop: 0.5, fill_latency: 7}}
    - {name: Up, class: ReductionTree, attributes: {adder_energy: 0.25, fill_latency: 2}}
"""


def with_networks(nets: str, ends: str, declared: str = NETWORKS) -> str:
    text = ARCHITECTURE.replace("NETS", nets).replace("ENDS", ends)
    return text.replace("    - {name: Buffer", f"{declared}    - {{name: Buffer") + PROBLEM


@pytest.mark.slow
def test_declared_networks_cost_energy_and_latency_and_nothing_else():
    plain = evaluate_text(PLAIN + PROBLEM + MAPPING).stats
    text = with_networks(
        "network_read: Down, network_update: Up", "network_operand: Down, network_result: Up"
    )
    evaluation = evaluate_text(text + MAPPING)
    stats = evaluation.stats
    assert stats.cycles == plain.cycles + 9
    assert stats.levels == plain.levels
    assert set(stats.networks) == {"DRAM <==> Buffer", "Down", "Up"}
    assert stats.networks["Down"]["A"].energy_pj > 0
    assert stats.networks["Down"]["Z"].spatial_reductions == 0
    assert stats.networks["Up"]["A"].total_pj == 0
    added = sum(n.total_pj for net in stats.networks.values() for n in net.values())
    assert stats.energy_pj == pytest.approx(plain.energy_pj + added, rel=1e-12)
    assert "Down" in stats_text(evaluation)
    assert "Down" in summary_text(evaluation)


@pytest.mark.parametrize(
    ("nets", "ends", "said"),
    [
        ("network_read: Dawn", "network_operand: Dawn", "ERROR: network Dawn not found"),
        ("network_read: Down", "word_width: 16", "is not the same"),
        ("ports: 1", "network_operand: Down", "has no network_read"),
        ("network_read: Up", "network_operand: Up", "carries updates only"),
        ("network_read: Down", "network_operand: Down", "'Up' is declared, but no level names"),
    ],
)
def test_networks_that_timeloop_does_not_take(nets, ends, said):
    with pytest.raises(SpecError, match=said):
        evaluate_text(with_networks(nets, ends) + MAPPING)


def test_networks_are_refused_where_they_would_be_left_out():
    spec = read_text(
        with_networks(
            "network_read: Down, network_update: Up", "network_operand: Down, network_result: Up"
        )
        + MAPPING
    )
    with pytest.raises(SpecError, match="'Down': user-declared networks are not written"):
        architecture_yaml(spec.architecture)


def test_factors_of_a_padded_problem_are_the_problem_with_remainders():
    spec = read_text(PLAIN + PROBLEM + MAPPING)
    temporal, spatial = least_remainders(
        spec.mapping.temporal, spec.mapping.spatial, spec.problem.sizes
    )
    found = replace(spec.mapping, temporal_remainder=temporal, spatial_remainder=spatial)
    text = mapping_yaml(found, spec.architecture, spec.problem)
    assert np.array_equal(read_text(PLAIN + PROBLEM + text).mapping.remainders[0], temporal)


SMALL_MAP = """\
mapping:
- {target: DRAM, type: temporal, factors: 'R=1 P=4', permutation: RP}
- {target: Buf, type: temporal, factors: 'R=3 P=4', permutation: RP}
"""
BACKWARDS = (
    (PROBLEM_1D % 16)
    .replace("[[R], [P]]", "[[R], [P, s]]")
    .replace("dimensions: [R, P]", "dimensions: [R, P]\n    coefficients: [{name: s, default: 1}]")
)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("problem", "fj_per_compute"),
    [
        (BACKWARDS.replace("P: 16", "P: 16, s: -1"), 102256.97),
        (BACKWARDS.replace("P: 16", "P: 16, s: 0"), 68770.82),
        ((PROBLEM_1D % 16).replace("P: 16", "P: 16, densities: {W: 0.5}"), 102256.97),
    ],
)
def test_what_4cf6d4c_said_of_a_window(problem, fj_per_compute):
    stats = evaluate_text(ARCH_1D + problem + SMALL_MAP).stats
    assert stats.cycles == 48
    assert stats.energy_pj_per_compute * 1000 == pytest.approx(fj_per_compute, abs=0.006)


def test_factors_with_remainders_that_do_not_multiply_are_refused_in_timeloops_words():
    wrong = SMALL_MAP.replace("P=4'", "P=4,1'", 1).replace("R=3 P=4'", "R=3 P=5,1'")
    with pytest.raises(SpecError, match="product of all factors of dimension P is 1, which is not"):
        read_text(ARCH_1D + PROBLEM_1D % 16 + wrong)
