"""Timeloop from Python, in timeloopfe's words."""

import io
import pickle

import numpy as np
import pytest
import timeloop_files
import yaml

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


# ----------------------------------------------------- what the exercises of timeloopfe do

NODES = """
architecture:
  version: 0.4
  nodes:
  - !Container {name: chip}
  - !Component
    name: main
    class: DRAM
    attributes: {width: 64, datawidth: WORD}
  - !Component
    name: store
    class: SRAM
    attributes: {depth: 256, width: 8, datawidth: WORD}
  - !Container {name: lane, spatial: {meshX: 2}}
  - !Component {name: mul, class: intmac, attributes: {datawidth: WORD, width: WORD}}
variables: {version: 0.4, WORD: 8, GLOBAL_CYCLE_SECONDS: 2.0e-9}
"""
QUICK = {"mapper": "random", "samples": 30, "n_jobs": 1}


@pytest.fixture
def nodes(tmp_path):
    """A specification of nodes, without mapper or mapping."""
    (tmp_path / "nodes.yaml").write_text(NODES)
    (tmp_path / "prob.yaml").write_text(timeloop_files.PROBLEM % 16)
    return tl.Specification.from_yaml_files(tmp_path / "nodes.yaml", tmp_path / "prob.yaml")


def test_blocks_and_parts_that_the_files_lack_begin_empty(nodes):
    nodes.mapper.search_size = 20
    assert nodes["mapper"] == {"search_size": 20}
    assert nodes.architecture.find("store").spatial.meshX == 1
    nodes.architecture.find("store").constraints.temporal.factors = ["P=4"]
    nodes.architecture.find("chip").attributes["technology"] = "45nm"
    nodes.variables["WORD"] = 4
    found = tl.call_mapper(nodes, **{**QUICK, "samples": None})
    architecture = found.evaluation.input.architecture
    assert architecture.level("store").word_bits == 4
    place = [level.name for level in architecture.levels].index("store")
    dimensions = found.evaluation.input.problem.dimensions
    assert found.evaluation.mapping.temporal[place, dimensions.index("P")] == 4
    with pytest.raises(AttributeError, match="unknown key 'depht'; did you mean 'depth'"):
        _ = nodes.architecture.find("store").attributes.depht


def test_a_sweep_over_sizes(nodes):
    nodes.problem.instance["P"] *= 2
    nodes.architecture.find("lane").spatial.meshX *= 2
    sizes = []
    for scale in (1, 2):
        spec = nodes.copy()
        spec.architecture.find("store").attributes["depth"] *= scale
        found = tl.call_mapper(spec, **QUICK)
        sizes.append(found.evaluation.input.architecture.level("store").size_words)
        assert found.evaluation.input.architecture.compute.instances == 4
        assert found.cycle_seconds == 2e-9
    assert sizes == [256, 512]


def test_a_disabled_node_is_none(nodes):
    nodes.architecture.find("store").enabled = False
    names = [x.name for x in tl.call_mapper(nodes, **QUICK).evaluation.input.architecture.levels]
    assert "store" not in names


def test_timeloopfes_arguments(nodes, tmp_path):
    (tmp_path / "mapper.yaml").write_text("mapper: {search_size: 7}\n")
    log = io.StringIO()
    given = {"dump_intermediate_to": str(tmp_path), "extra_args": [], "return_proc": False}
    files = [tmp_path / "mapper.yaml"]
    tl.call_mapper(nodes, log_to=log, extra_input_files=files, **given, **QUICK)
    assert "<< Compute >>" in log.getvalue()
    tl.call_mapper(nodes, tmp_path / "out", log_to=str(tmp_path / "run.log"), **QUICK)
    assert "<< Compute >>" in (tmp_path / "run.log").read_text()
    with pytest.raises(SpecError, match="return_proc = True: no program is called"):
        tl.call_mapper(nodes, return_proc=True)
    with pytest.raises(SpecError, match="unknown argument 'log_too'; did you mean 'log_to'"):
        tl.call_model(nodes, log_too=log)
    nodes.mapper.search_size = 3
    with pytest.raises(SpecError, match="key 'mapper' is in the specification, too"):
        tl.call_mapper(nodes, extra_input_files=files)


def test_prices_are_written(nodes, tmp_path):
    tl.call_accelergy_verbose(nodes, tmp_path / "out", log_to=None)
    ert = yaml.safe_load((tmp_path / "out" / "ERT.yaml").read_text())["ERT"]["tables"]
    assert [table["name"] for table in ert][-1] == "system.mul[1..2]"
    assert ert[-1]["actions"][0]["energy"] == 0.25
    assert (tmp_path / "out" / "ART.yaml").is_file()


def test_results_go_from_process_to_process(nodes):
    found = tl.call_mapper(nodes, **QUICK)
    again = pickle.loads(pickle.dumps(found))
    assert again.per_component_energy == found.per_component_energy
    assert again.evaluation.stats == found.evaluation.stats
    spec = pickle.loads(pickle.dumps(nodes))
    assert spec.architecture.find("store").attributes == nodes.architecture.find("store").attributes
    assert tl.call_mapper(spec, **QUICK).energy == found.energy


def test_results_of_layers_add_up(nodes):
    results = tl.OutputStatsList()
    for size in (8, 16):
        nodes.problem.instance.P = size
        nodes.variables["layer"] = f"p{size}"
        results.append(tl.call_mapper(nodes, **QUICK))
    whole = results.aggregate()
    assert whole.computes == 3 * (8 + 16)
    assert whole.cycles == sum(one.cycles for one in results)
    assert whole.energy == pytest.approx(sum(one.energy for one in results))
    assert [group[0].access("layer") for group in results.split_by("layer")] == ["p8", "p16"]
    assert len(results.aggregate_by("cycle_seconds")) == 1
    total = whole.per_component_energy["main"] + whole.per_component_energy["store"]
    whole.combine_per_component_energy(["main", "store"], "memory")
    assert whole.per_component_energy["memory"] == pytest.approx(total)
    whole.clear_zero_energies()
    assert all(whole.per_component_energy.values())
    with pytest.raises(KeyError, match="unknown component 'memry'; did you mean 'memory'"):
        whole.combine_per_component_energy(["memry"], "x")
    with pytest.raises(AttributeError, match="unknown attribute or variable 'nothing'"):
        whole.access("nothing")
