"""Timeloop from Python, in timeloopfe's words."""

import numpy as np
import pytest
import timeloop_files

import dse.timeloop as tl
from dse.errors import SpecError
from dse.timeloop.evaluate import evaluate_files

MAP = """
mapping:
- {target: DRAM, type: temporal, factors: R=1 P=2, permutation: RP}
- {target: Buf, type: temporal, factors: R=3 P=8, permutation: PR}
"""
SEARCH = {"mapper": "exhaustive", "samples": 100_000}


@pytest.fixture
def files(tmp_path):
    (tmp_path / "map.yaml").write_text(MAP)
    return [*timeloop_files.write(tmp_path), str(tmp_path / "map.yaml")]


def test_the_model_is_the_command_lines(files, tmp_path):
    found = tl.call_model(tl.Specification.from_yaml_files(*files), tmp_path / "out")
    same = evaluate_files(files)
    assert found.evaluation.stats == same.stats
    assert found.cycles == 48
    assert found.percent_utilization == 100.0
    assert found.energy == pytest.approx(same.stats.energy_pj / 1e12)
    assert sum(found.per_component_energy.values()) == pytest.approx(found.energy)
    assert found.per_compute("per_component_energy")["DRAM"] == pytest.approx(1e-10)
    assert found.accesses["DRAM"] == {"reads": 21.0, "fills": 0.0, "updates": 16.0}
    assert found.latency == pytest.approx(48e-9)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "parsed-processed-input.yaml",
        "stats.json",
        *(f"timeloop-model.{x}" for x in timeloop_files.WRITTEN),
    }


def test_what_is_set_counts(files):
    spec = tl.Specification.from_yaml_files(*files)
    spec.problem.instance.P = np.int64(32)
    spec.mapping[0].factors = "R=1 P=4"
    spec.architecture.find("Buf").attributes["depth"] = 1024
    found = tl.call_model(spec)
    assert found.cycles == 96
    assert found.evaluation.input.architecture.levels[0].size_words == 1024
    # a copy is its own
    other = spec.copy()
    other.problem.instance.P = 16
    assert spec.problem.instance.P == 32


def test_the_written_input_says_the_same(files, tmp_path):
    spec = tl.Specification.from_yaml_files(*files)
    spec.problem.instance.R = 1
    spec.mapping[1].factors = "R=1 P=8"
    found = tl.call_model(spec, tmp_path / "out")
    again = evaluate_files([tmp_path / "out" / "parsed-processed-input.yaml"])
    assert again.stats == found.evaluation.stats


def test_the_mapper_searches_and_writes_what_the_model_reads(files, tmp_path):
    spec = tl.Specification.from_yaml_files(*files[:-1])
    spec.mapper.out_prefix = "mine"
    found = tl.call_mapper(spec, tmp_path / "out", **SEARCH)
    again = evaluate_files([*files[:2], tmp_path / "out" / "mine.map.yaml"])
    assert again.stats == found.evaluation.stats
    assert found.energy <= tl.call_model(tl.Specification.from_yaml_files(*files)).energy


def test_wildcards_tags_and_variables(tmp_path):
    (tmp_path / "arch.yaml").write_text(
        """
architecture:
  version: 0.4
  nodes:
  - !Component
    name: DRAM
    class: DRAM
    attributes: {width: 64, datawidth: 8}
  - !Container
    name: PE
    spatial: {meshX: 2}
  - !Component
    name: buffer
    class: SRAM
    attributes: {width: 8, depth: WORDS, datawidth: 8}
  - !Component
    name: mac
    class: intmac
    attributes: {datawidth: 8}
variables: {version: 0.4, WORDS: 64, GLOBAL_CYCLE_SECONDS: 2.0e-9}
"""
    )
    (tmp_path / "prob.yaml").write_text(timeloop_files.PROBLEM % 16)
    spec = tl.Specification.from_yaml_files(tmp_path / "*.yaml")
    spec.variables.WORDS = 128
    found = tl.call_mapper(spec, tmp_path / "out", mapper="hillclimb", samples=300)
    buffer = found.evaluation.input.architecture.levels[0]
    assert buffer.name == "buffer"
    assert buffer.size_words == 128
    assert buffer.instances == 2
    assert found.cycle_seconds == 2e-9
    assert found.variables["WORDS"] == 128
    text = (tmp_path / "out" / "parsed-processed-input.yaml").read_text()
    assert "!Component" in text
    again = tl.Specification.from_yaml_files(tmp_path / "out" / "parsed-processed-input.yaml")
    assert again == spec


def test_mistakes_are_named(files, tmp_path):
    spec = tl.Specification.from_yaml_files(*files)
    with pytest.raises(AttributeError, match="did you mean 'problem'"):
        _ = spec.problm
    with pytest.raises(SpecError, match="unknown name 'Bufs'; did you mean 'Buf'"):
        spec.architecture.find("Bufs")
    with pytest.raises(SpecError, match="no such files"):
        tl.Specification.from_yaml_files(tmp_path / "nothing*.yaml")
    spec.problem.instance.P = object()
    with pytest.raises(SpecError, match="problem.instance.P"):
        tl.call_model(spec)
    with pytest.raises(SpecError, match="unknown setting 'sampels'"):
        tl.call_mapper(spec, sampels=1)
    with pytest.raises(AttributeError, match="no attribute 'Spec'"):
        _ = tl.Spec


def test_a_tensor_that_is_nowhere_as_a_whole_is_warned_of(files, caplog):
    spec = tl.Specification.from_yaml_files(*files)
    tl.call_model(spec)
    assert not caplog.records
    spec.mapping.append({"target": "DRAM", "type": "bypass", "keep": ["W", "O"], "bypass": ["I"]})
    tl.call_model(spec)
    assert "'I' bypasses DRAM, and Buf holds tiles of 10 words, not all of it" in caplog.text
    caplog.clear()
    spec.mapping[0].factors = "R=1 P=1"
    spec.mapping[1].factors = "R=3 P=16"
    tl.call_model(spec)
    assert not caplog.records
