"""Runs and maps with padding: what they say, what they write, how they go on, what they refuse."""

import json

import numpy as np
import pytest
import yaml

import dse
from dse.certify.content import key_of
from dse.cli import main
from dse.domain.padding import mapped_problem
from dse.errors import SpecError
from dse.optimizers.random import RandomSearch
from dse.report.comparable import warnings
from dse.report.compare import compare
from dse.report.finished import read_result
from dse.report.table import result_text
from dse.runner.config import resolve
from dse.runner.files import read_inputs
from dse.runner.map_layer import map_layer
from dse.runner.run import go_on, start
from dse.space import catalog
from dse.testing import tiny

pytestmark = pytest.mark.slow

AWKWARD = """\
name: awkward
shape: cnn-layer
layers:
  - {name: dense, P: 61, C: 37, K: 13}
  - {name: even, C: 64, K: 32, count: 2}
"""


@pytest.fixture
def files(tmp_path):
    """An own template and a workload of an awkward and an even layer."""
    arch, workload = tmp_path / "own.yaml", tmp_path / "awkward.yaml"
    arch.write_text(tiny.ARCH)
    workload.write_text(AWKWARD)
    return {"arch": str(arch), "workload": str(workload)}


def run(files, folder, **settings):
    optimizer = {"name": "random", "mappings_per_hardware": 200}
    given = {"optimizer": optimizer, "samples": 600, "folder": folder, "variables": {"pe_dim": 8}}
    return dse.run(**{**files, **given, **settings})


def padding_of(**given):
    return read_inputs(resolve(given)).config.run.mapspace.padding


def test_own_templates_are_padded_and_built_in_ones_are_not(files, tmp_path):
    workload = files["workload"]
    assert padding_of(**files, optimizer="random") == "auto"
    assert padding_of(**files) == "off"  # the default looks for a proof
    assert padding_of(arch="gemmini", workload=workload, optimizer="random") == "off"
    assert padding_of(arch="gemmini", workload=workload, mapspace={"padding": "5%"}) == "5%"
    assert padding_of(**files, mapspace={"padding": "off"}) == "off"
    for said, expected in (("off", "off"), ("'7%'", "7%"), ("auto", "auto")):
        own = tmp_path / "said.yaml"
        own.write_text(tiny.ARCH + f"mapspace: {{padding: {said}}}\n")
        assert padding_of(arch=str(own), workload=workload) == expected


def test_a_template_with_another_word_is_refused(files, tmp_path):
    own = tmp_path / "wrong.yaml"
    own.write_text(tiny.ARCH + "mapspace: {padding: some}\n")
    with pytest.raises(SpecError, match=r"wrong.yaml.*mapspace.padding.*some.*expected off, auto"):
        padding_of(arch=str(own), workload=files["workload"])


def test_a_run_says_what_is_padded_and_what_that_buys(files, tmp_path):
    result = run(files, tmp_path / "run")
    run(files, tmp_path / "off", mapspace={"padding": "off"})
    assert list(result.padded) == ["dense"]
    assert result.unpadded.edp > result.metrics.edp
    even = {m.name: m for m in result.unpadded.layers}["even"]
    assert even == {m.name: m for m in result.metrics.layers}["even"]
    text = result_text(result)
    assert "padded    1 of 2 layers: dense (" in text
    assert f"{result.unpadded.edp / result.metrics.edp:.3g}x this one's" in text
    told = json.loads((tmp_path / "run" / "result.json").read_text())["padding"]
    assert told["layers"] == result.padded
    assert told["unpadded"]["edp_pj_cycles"] == result.unpadded.edp
    first = json.loads((tmp_path / "run" / "journal.jsonl").read_text().splitlines()[0])
    assert "dense" in first["padded"]
    runs = [read_result(tmp_path / "run"), read_result(tmp_path / "off")]
    assert warnings(compare(runs)) == ["the runs have different paddings (auto, off)"]
    assert "padding: auto" in (tmp_path / "run" / "config.yaml").read_text()


def test_the_files_of_the_best_are_of_the_padded_problem(files, tmp_path):
    result = run(files, tmp_path / "run")
    best = tmp_path / "run" / "best"
    for layer, mapping, told in zip(
        result.workload, result.design.mappings, result.metrics.layers, strict=True
    ):
        names = ("arch", "ERT", "ART", f"{layer.name}.problem", f"{layer.name}.mapping")
        stats = dse.model_files(*(best / f"{name}.yaml" for name in names))
        assert stats.cycles == told.cycles
        assert stats.energy_pj == pytest.approx(told.energy_pj, rel=1e-12)
        padded = mapped_problem(layer.problem, mapping)
        assert stats.computes == padded.macs
        work = layer.problem.macs / padded.macs
        assert told.utilization == pytest.approx(stats.utilization * work, rel=1e-12)


def test_a_killed_run_ends_where_it_would_have(files, tmp_path):
    whole = run(files, tmp_path / "whole")
    optimizer = {"name": "random", "mappings_per_hardware": 200}
    given = {"optimizer": optimizer, "samples": 600, "variables": {"pe_dim": 8}}
    begun = start({**files, **given, "folder": str(tmp_path / "part")})
    begun.setup.close()
    again = go_on(tmp_path / "part")
    assert again.metrics == whole.metrics
    assert again.unpadded == whole.unpadded
    assert again.padded == whole.padded
    journals = [(tmp_path / name / "journal.jsonl").read_bytes() for name in ("whole", "part")]
    assert journals[0] == journals[1]


def test_threads_change_nothing(files, tmp_path):
    one, two = (run(files, tmp_path / str(n), n_jobs=n) for n in (1, 2))
    assert one.design == two.design
    assert one.unpadded == two.unpadded


def test_without_padding_the_journal_knows_nothing_of_it(files, tmp_path):
    """The digest of a run's inputs is what it was before there was such a setting."""
    result = run(files, tmp_path / "off", mapspace={"padding": "off"})
    assert result.padded == {}
    assert result.unpadded is None
    assert "padding" not in result.as_dict()
    lines = (tmp_path / "off" / "journal.jsonl").read_text().splitlines()
    assert not any("padded" in line for line in lines)
    digests = {}
    for said in ("off", None, "auto"):
        folder = tmp_path / f"digest-{said}"
        given = {"samples": 2, "variables": {}, "mapspace": {"padding": said}}
        run({**files, "arch": "gemmini"}, folder, **given)
        digests[said] = json.loads((folder / "journal.jsonl").read_text().splitlines()[0])["inputs"]
    assert digests["off"] == digests[None] != digests["auto"]


def test_optimizers_that_find_mappings_of_the_own_sizes_refuse_it(files, tmp_path, monkeypatch):
    monkeypatch.setattr(RandomSearch, "pads", False)
    given = {"arch": "gemmini", "workload": files["workload"], "optimizer": "random", "samples": 5}
    with pytest.raises(SpecError, match=r"mapspace.padding = 10%: optimizer=random finds mappings"):
        dse.run(**given, mapspace={"padding": "10%"}, folder=tmp_path / "run")
    # nothing is padded unless it is asked for
    own = tmp_path / "chip.yaml"
    own.write_text(tiny.ARCH)
    assert padding_of(**{**given, "arch": str(own)}) == "off"


@pytest.mark.parametrize("name", ["ga", "naas", "nsga2", "lockstep", "dosa"])
def test_the_other_optimizers_pad(files, tmp_path, name):
    result = run(files, tmp_path / "run", optimizer=name, samples=1200)
    assert list(result.padded) == ["dense"]
    assert result.unpadded.edp > result.metrics.edp
    for member in result.front_members:
        dense = mapped_problem(result.workload.layers[0].problem, member.design.mappings[0])
        written = result.front_folder(result.front_members.index(member)) / "dense.problem.yaml"
        assert f"K: {dense.bounds['K']}" in written.read_text()


def test_nothing_is_known_of_padded_spaces(files, tmp_path):
    begun = start({**files, "optimizer": "random", "folder": str(tmp_path / "two")})
    begun.setup.close()
    assert key_of(begun.space) is None


def test_a_proof_over_paddings_is_run_told_and_certified(files, tmp_path, capsys):
    arch = catalog.find("arch", "gemmini").read_text(encoding="utf-8")
    own = tmp_path / "small.yaml"
    ranges = (
        "pe_dim: {values: [3, 4]}, scratchpad_kb: {values: [1, 2]}, accumulator_kb: {values: [1]}"
    )
    content = yaml.safe_load(arch) | {"variables": yaml.safe_load("{" + ranges + "}")}
    own.write_text(yaml.safe_dump(content))
    small = tmp_path / "small_net.yaml"
    small.write_text("name: net\nshape: cnn-layer\nlayers: [{name: a, P: 5, C: 3, K: 7}]\n")
    given = {"arch": str(own), "workload": str(small), "optimizer": "optimal"}
    plain = dse.run(**given, folder=tmp_path / "plain")
    assert plain.padded == {}  # nothing is padded unless it is asked for
    padded = dse.run(**given, mapspace={"padding": "auto"}, folder=tmp_path / "run")
    assert padded.certificate["status"] == "optimal"
    assert padded.certificate["value"] == padded.value < plain.value
    assert any("padding=auto: all useful comb" in line for line in padded.certificate["assumed"])
    assert list(padded.padded) == ["a"]
    # what the same hardware is worth without padding is its own optimum, not what a mapper finds
    fixed = dse.run(**given, variables=padded.design.values, folder=tmp_path / "fixed")
    assert padded.unpadded.edp == fixed.value
    assert main(["certify", str(tmp_path / "run"), "--quiet", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["verdict"] == "certified"
    assert said["bound"]["argument"].endswith("every useful size")
    forged = tmp_path / "run" / "config.yaml"
    forged.write_text(forged.read_text().replace("padding: auto", "padding: 'off'"))
    assert main(["certify", str(tmp_path / "run"), "--quiet"]) == 1
    assert "its files are of another problem" in capsys.readouterr().out


def test_a_layer_that_is_mapped_tells_the_same(files, tmp_path, capsys):
    given = {"arch": files["arch"], "variables": {"pe_dim": 8, "buffer_kb": 2}, "samples": 3000}
    layer = f"{files['workload']}/dense"
    given |= {"mapper": {"name": "optimal", "threads": 1}}
    found = map_layer({**given, "folder": str(tmp_path / "map")}, layer)
    plain = map_layer(
        {**given, "folder": str(tmp_path / "plain"), "mapspace": {"padding": "off"}}, layer
    )
    assert plain.unpadded is None
    assert found.unpadded.value == plain.value > found.value
    assert found.unpadded.certificate.optimal
    stats = found.evaluation.stats
    assert found.value == pytest.approx(stats.cycles * stats.energy_pj, rel=1e-12)
    told = json.loads((tmp_path / "map" / "result.json").read_text())["padding"]
    assert told["setting"] == "auto"
    assert told["unpadded"]["value"] == plain.value
    problem = (tmp_path / "map" / "best" / "dense.problem.yaml").read_text()
    assert all(f"{d}: {n}" in problem for d, n in told["sizes"].items())
    words = ["map", f"layer={layer}", f"arch={files['arch']}", "variables.pe_dim=8", "-q"]
    words += ["variables.buffer_kb=2", "samples=500", f"folder={tmp_path / 'cli'}"]
    assert main([*words, "mapspace.padding=20%"]) == 0
    assert " x less than the best found without, " in capsys.readouterr().out


def test_an_unknown_word_is_an_input_error(files, capsys):
    words = ["map", f"layer={files['workload']}/dense", "mapspace.padding=full"]
    assert main(words) == 2
    assert "mapspace.padding = full: expected off, auto, or a share" in capsys.readouterr().err


def test_designs_that_bring_padded_mappings_are_priced_as_such(files, tmp_path):
    """Of an optimizer that asks again for what the mapper found."""
    begun = start({**files, "optimizer": "random", "folder": str(tmp_path / "run"), "samples": 300})
    with_mapper = begun.study._price
    state = begun.execute()
    seed = np.random.SeedSequence(0)
    designs = [state.design, state.design]
    (_, first), (_, second) = with_mapper(designs, seed)
    assert first == second == state.metrics
