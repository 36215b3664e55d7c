"""The files that timeloop-model and timeloop-mapper write, against what real binaries wrote."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest
import yaml
from timeloop_stub import records

from dse.timeloop.evaluate import evaluate_text
from dse.timeloop.search import BestMapping
from dse.timeloop.write.map_stats_xml import map_stats_xml
from dse.timeloop.write.mapper_files import mapper_files, model_files
from dse.timeloop.write.oaves import compact, oaves_csv
from dse.timeloop.write.stats import stats_text

STATS, XML = "timeloop-model.stats.txt", "timeloop-model.map+stats.xml"
VERSIONS = ("3.0.3", "4cf6d4c")
RUNS = [(version, name) for version in VERSIONS for name in ("probe", "rich", "hidden")]


def run(version="4cf6d4c", name="rich"):
    """Return the recorded files of a run, and the evaluation of its input."""
    record = records()[f"{version} {name}"]
    return record["files"], evaluate_text(record["input"], version)


@pytest.mark.parametrize(("version", "name"), RUNS)
def test_the_stats_file_is_timeloops_byte_for_byte(version, name):
    files, evaluation = run(version, name)
    assert stats_text(evaluation, everything=name != "hidden") == files[STATS]


@pytest.mark.parametrize(("version", "name"), RUNS)
def test_the_xml_file_is_timeloops_byte_for_byte(version, name):
    files, evaluation = run(version, name)
    theirs = files[XML]
    if version == "4cf6d4c":  # which leaves its root open
        theirs = theirs.rstrip("\n") + "\n</boost_serialization>\n\n"
    assert map_stats_xml(evaluation) == theirs


@pytest.mark.parametrize("version", VERSIONS)
def test_a_script_finds_its_way_through_the_xml(version):
    """The paths are those of the scripts that people share: levels by pointer, rows by tensor."""
    _, evaluation = run(version)
    spec, stats = evaluation.input, evaluation.stats
    root = ET.fromstring(map_stats_xml(evaluation))
    bounds = root.findall("a/workload_/factorized_bounds_/item/second")
    assert [int(x.text) for x in bounds] == list(spec.problem.bounds.values())
    levels = root.findall("engine/topology_/levels_/item/px")
    assert int(root.findtext("engine/topology_/levels_/count")) == len(levels)
    assert levels[0].get("class_name") == "model::ArithmeticUnits"
    assert int(levels[0].findtext("algorithmic_computes_")) == stats.computes
    assert float(levels[0].findtext("energy_")) == pytest.approx(stats.compute_energy_pj)
    buffers = {px.findtext("specs_/LevelSpecs/level_name"): px for px in levels[1:]}
    assert list(buffers) == list(stats.levels)
    for name, level in stats.levels.items():
        rows = {
            tag: [float(x.text) for x in buffers[name].findall(f"stats_/{tag}/PerDataSpace/item")]
            for tag in ("reads", "updates", "fills", "energy", "utilized_instances")
        }
        for t, tensor in enumerate(level.tensors.values()):
            assert [rows[tag][t] for tag in ("reads", "updates", "fills")] == [
                *(tensor.reads, tensor.updates, tensor.fills)
            ]
            assert rows["energy"][t] == pytest.approx(tensor.energy_pj)
            assert rows["utilized_instances"][t] == tensor.utilized_instances
    networks = root.findall("engine/topology_/networks_/item")
    assert {x.findtext("first") for x in networks} == set(stats.networks)


@pytest.mark.parametrize("version", VERSIONS)
def test_timeloopfes_way_of_reading_finds_everything(version):
    """It takes what follows ``Computes`` as fJ, and areas from the ART by the ranges in names."""
    _, evaluation = run(version)
    texts, stats = model_files(evaluation), evaluation.stats
    lines = texts[STATS].splitlines()
    (computes,) = (int(x.split()[-1]) for x in lines if "Computes =" in x)
    (cycles,) = (int(x.split()[-1]) for x in lines if x.startswith("Cycles: "))
    assert (computes, cycles) == (stats.computes, stats.cycles)
    after = lines[lines.index(f"Computes = {computes}") + 1 :]
    parts = {x.rsplit("=", 1)[0].strip(): float(x.rsplit("=", 1)[1]) for x in after if "=" in x}
    total = parts.pop("Total")
    assert sum(parts.values()) == pytest.approx(total, abs=0.01 * len(parts))
    assert total * computes / 1000 == pytest.approx(stats.energy_pj, rel=1e-4)
    area = 0.0
    for table in yaml.safe_load(texts["timeloop-model.ART.yaml"])["ART"]["tables"]:
        count = re.fullmatch(r"system\.\w+\[1\.\.(\d+)\]", table["name"])[1]
        area += int(count) * table["area"]
    assert area == pytest.approx(stats.area_um2)


def test_an_access_that_never_happens_has_no_energy():
    _, evaluation = run()
    level = evaluation.stats.levels["Buffer"]
    outputs = level.tensors["Outputs"]
    assert outputs.reads + outputs.fills + outputs.updates == 0
    text = map_stats_xml(evaluation)
    assert "<item>-nan</item>" in text[text.index("Buffer") :]


def test_the_loop_nest_in_a_line():
    _, evaluation = run()
    assert compact(evaluation) == "L2[WIO] K2 P4 - L1[WI] C2 C2Y K4X - L0[WO] P2 R3 "
    mapping = evaluation.mapping
    # a level whose loops all have one iteration has one all the same
    still = replace(evaluation, mapping=replace(mapping, temporal=mapping.temporal * 0 + 1))
    assert compact(still) == "L2[WIO] N1 - L1[WI] N1 C2Y K4X - L0[WO] N1 "


def test_the_oaves_line():
    _, evaluation = run()
    # 8 instances of 3 + 2 bytes; 768 + 704 operations for 240 bytes; 96, 80 and 64 accesses
    numbers = "40,6.13333,240,24,0,16,96,80,64"
    assert oaves_csv(evaluation) == f"{numbers},{compact(evaluation)},None\n"


def test_oaves_are_written_where_they_are_asked_for():
    _, evaluation = run()
    found = BestMapping(evaluation, (("edp", 1.0, "pJ x cycle"),), None)
    assert "mine.oaves.csv" not in mapper_files(found, "mine")
    texts = mapper_files(found, "mine", oaves=True)
    assert texts["mine.oaves.csv"] == oaves_csv(evaluation)
    assert texts["mine.map+stats.xml"] == map_stats_xml(evaluation)


def test_declared_networks_have_no_xml_and_it_is_said(caplog):
    _, evaluation = run()
    text = DECLARED.format(records()["4cf6d4c rich"]["input"].partition("ERT:")[2])
    evaluation = evaluate_text(text)
    texts = model_files(evaluation)
    assert XML not in texts
    assert "not written of declared networks" in caplog.text
    assert "Network 0\n---------\nBuffer <==> Registers" in texts[STATS]


def test_gates_of_power_and_scales_of_bandwidth_are_written():
    text = records()["4cf6d4c rich"]["input"]
    own = "{entries: 8, word-bits: 8, "
    assert own in text
    gated = (
        own + "power_gated_at: Buffer, per_dataspace_bandwidth_consumption_scale: {Weights: 2}, "
    )
    evaluation = evaluate_text(text.replace(own, gated))
    texts = model_files(evaluation)
    registers = texts[STATS].partition("=== Registers ===")[2].partition("=== Buffer ===")[0]
    assert "Instances sharing power gating  : 8.00\n" in registers
    assert "Non-power-gated utilization     : 100.00%\n" in registers
    assert "Bandwidth Consumption Scale              : 2.00\n" in registers
    assert "Shared Bandwidth (per-instance)          : 3.00 words/cycle\n" in registers
    root = ET.fromstring(texts[XML])
    specs = root.findall("engine/topology_/levels_/item/px/specs_")[1]
    assert specs.findtext("power_gated_at_name/t_") == "Buffer"
    scales = specs.findall("bandwidth_consumption_scale/PerDataSpace/item")
    assert [float(x.text) for x in scales] == [2, 1, 1, 0, 0]


DECLARED = """\
architecture:
  version: 0.4
  subtree:
  - name: system
    local:
    - name: Wires
      class: XY_NoC
      attributes: {{wire_energy: 0.25, word_bits: 8}}
    - name: DRAM
      class: DRAM
      attributes: {{word_bits: 8, network_read: Wires}}
    - name: Buffer
      class: SRAM
      attributes: {{entries: 256, word_bits: 8, wire_energy: 0.5, network_fill: Wires}}
    - name: Registers
      class: SRAM
      attributes: {{entries: 8, word_bits: 8, instances: 8, meshX: 4, meshY: 2}}
    - name: MACC
      class: intmac
      attributes: {{word_bits: 8, instances: 8, meshX: 4, meshY: 2}}
ERT:{}
"""
