"""Arithmetic in timeloopfe's input: the Python that Accelergy evaluates, worked out and not run."""

from __future__ import annotations

import logging

import pytest

from dse.domain.formula import worked_out
from dse.errors import SpecError
from dse.timeloop.mapper_run import tasks

NAMES = {
    "A": 4,
    "WIDE": True,
    "TECH": "45nm",
    "SIZES": (1, 2, 4),
    "spec": {"problem": {"instance": {"R": 3, "P": 16}}, "variables": {"X": 2}},
}
INPUT = """\
variables:
- {version: 0.4, A: 4, B: A*2, WIDE: True, TECH: "45nm", BATCH: A // 4}
- {A: 7, PARTS: [8, 2]}
architecture:
  version: 0.4
  nodes:
  - !Container
    name: system
    attributes: {technology: TECH, big: 16 if B > 4 else 8}
  - !Component
    name: DRAM
    class: DRAM
    attributes: {width: 64, datawidth: big, block_size: 4 if WIDE else 1}
  - !Component
    name: GLB
    class: SRAM
    attributes:
      depth: 1024 if technology == "45nm" else 512
      width: big * 4 if WIDE and A == 4 else 16
      datawidth: big
      read_bandwidth: max(2, round(3.6)) * 1.0
  - !Container
    name: PE
    spatial:
      meshX: B if A in (4, 8) else 1
      meshY: sum(PARTS) // 5
    constraints:
      temporal: {factors: [M=1]}
      spatial: {split: len(spec.problem.instance), permutation: [M, C]}
  - !Component
    name: RF
    class: regfile
    attributes:
      depth: spec.problem.instance["M"] // 4
      width: 16
      datawidth: 16
    constraints: {temporal: {factors: [[M, "=", B], N<=4]}}
  - !Component
    name: MAC
    class: intmac
    attributes: {datawidth: 16}
problem:
  version: 0.4
  shape:
    name: mm
    dimensions: [M, N, C]
    data_spaces:
    - {name: W, projection: [[[M]], [[C]]]}
    - {name: I, projection: [[[C]], [[N]]]}
    - {name: O, projection: [[[M]], [[N]]], read_write: True}
  instance: {M: 16 * A, N: BATCH, C: 32}
mapper: {version: 0.4, optimization_metrics: [edp], search_size: 100}
"""


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("A * 2 + 1", 9),
        ("7 // 2 + 7 % 4 - 2 ** 3", -2),
        ("16 if A > 2 else 8", 16),
        ("16 if not WIDE and A > 2 else 8", 8),
        ("1 < A <= 4 and WIDE", True),
        ("0 or A", 4),
        ("TECH == '45nm'", True),
        ("A in (4, 8)", True),
        ("A not in [1, 2]", True),
        ("max(SIZES) + len(SIZES) + SIZES[1]", 9),
        ("ceil(log2(A + 1)) + int(2.7) + round(2.6)", 8),
        ("min([3, 1, 2])", 1),
        ('spec.problem.instance["R"] + spec.problem.instance["P"]', 19),
        ("len(spec.problem.instance)", 2),
        ('spec.variables.get("X", 5) + spec.variables.get("Y", 5)', 7),
        ("pow(2, 5) + e * 0", 32),
    ],
)
def test_arithmetic_is_worked_out_as_python_does(text, value):
    assert worked_out(text, NAMES) == value
    assert type(worked_out(text, NAMES)) is type(value) or isinstance(value, (int, float))


@pytest.mark.parametrize(
    "text",
    [
        "B + 1",
        "SIZES[9]",
        'spec.problem.instance["Z"]',
        "1 / 0",
        "45nm",
        "TECH + 1",
        "TECH * 10",
        "'a' * 10 ** 9",
        "[1] * 10 ** 9",
        "9 ** 9 ** 9",
        "10 ** 127 * 10 ** 127",
        "__import__('os')",
        "().__class__",
        "spec.__class__",
        "spec.problem.instance.values()",
        "lambda x: x",
        "[x for x in SIZES]",
        "open('/etc/passwd')",
        "A.real",
        "f'{A}'",
        "(A := 3)",
        "max(SIZES, key=len)",
        "-" * 2000 + "1",
    ],
)
def test_what_is_no_arithmetic_is_left_alone(text):
    with pytest.raises(SpecError):
        worked_out(text, NAMES)


def read(tmp_path, text):
    (tmp_path / "in.yaml").write_text(text)
    (task,) = tasks([tmp_path / "in.yaml"])
    return task.project


def test_nodes_variables_and_problems_are_arithmetic(tmp_path, caplog):
    project = read(tmp_path, INPUT)
    assert dict(project.problem.bounds) == {"M": 64, "N": 1, "C": 32}
    rf, space, glb, dram = project.architecture.levels
    assert (rf.size_words, rf.mesh_x, rf.mesh_y) == (16, 8, 2)
    assert (glb.size_words, glb.block_size, glb.word_bits, glb.read_bandwidth) == (4096, 4, 16, 4.0)
    assert dram.block_size == 4
    assert project.constraints["RF"].temporal.factors == {"M": 8}
    assert project.constraints["RF"].temporal.max_factors == {"N": 4}
    assert project.constraints[space.name].spatial.y == ()
    assert "PE" not in project.constraints
    assert "constraints.temporal: is ignored, as timeloopfe does" in caplog.text


def test_factors_that_are_none_are_not_passed_over(tmp_path, caplog):
    caplog.set_level(logging.ERROR)
    with pytest.raises(SpecError, match=r"factors = .*: 'M=B' is no factor, expected C=4"):
        read(tmp_path, INPUT.replace('[M, "=", B]', "M=B"))
    left_open = INPUT.replace('{factors: [[M, "=", B], N<=4]}', "{factors_only: [M=-1, C=2]}")
    assert read(tmp_path, left_open).constraints["RF"].temporal.factors == {"C": 2, "N": 1}


def test_a_word_stays_a_word_and_is_judged_where_it_is_needed(tmp_path, caplog):
    caplog.set_level(logging.ERROR)
    with pytest.raises(SpecError, match="depth = 'spec.arch': expected an integer"):
        read(tmp_path, INPUT.replace('spec.problem.instance["M"] // 4', "spec.arch"))


def test_networks_in_nodes_keep_their_names(tmp_path, caplog):
    caplog.set_level(logging.ERROR)
    bus = "  - !Component {name: bus, class: Legacy, attributes: {datawidth: 16}}\n"
    text = INPUT
    for old, new in (
        ("      read_bandwidth:", "      network_read: bus\n      read_bandwidth:"),
        ("      depth: spec", "      network_fill: bus\n      depth: spec"),
        ("  - !Container\n    name: PE\n", f"{bus}  - !Container\n    name: PE\n"),
        ("    spatial:\n      meshX: B if A in (4, 8) else 1\n", ""),
        ("      meshY: sum(PARTS) // 5\n", ""),
        ("      spatial: {split: len(spec.problem.instance), permutation: [M, C]}\n", ""),
    ):
        assert old in text
        text = text.replace(old, new)
    project = read(tmp_path, text)
    assert [network.name for network in project.architecture.networks] == ["bus"]
    assert project.architecture.level("GLB").read_network == "bus"


def test_a_gate_is_the_first_level_after_its_node(tmp_path, caplog):
    caplog.set_level(logging.ERROR)
    text = INPUT.replace(
        "      datawidth: big\n", "      datawidth: big\n      has_power_gating: true\n"
    )
    gates = {level.name: level.power_gated_at for level in read(tmp_path, text).architecture.levels}
    first = "inter_PE_spatial"
    assert gates == {"DRAM": None, "GLB": None, first: None, "RF": first}
