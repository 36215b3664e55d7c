"""Studies over spaces of networks: layers that networks share, results that depend on nothing."""

import json
import math

import pytest

import dse
from dse.cli import main
from dse.errors import SpecError
from dse.evolution.networks import Member, front_area
from dse.runner.run import inputs_of_folder, resume, space_of_run, start
from dse.study.journal import read_journal

SMALL = """
name: small
description: for tests
source: ours
variables:
  image: {min: 4, max: 8, step: 2, default: 8}
  width: {values: [0.5, 1.0], default: 1.0}
  depth: {min: 1, max: 2, default: 2}
  expand_1: {values: [1, 2], default: 1}
  expand_2: {values: [1, 2, 3], default: 1}
derived:
  wide: 8 * width
layers:
  - {name: stem, P: image, Q: image, C: 3, K: wide}
  - {name: a, P: image, Q: image, C: wide, K: wide * expand_1}
  - {name: b, when: depth >= 2, P: image, Q: image, C: wide, K: wide * expand_2}
  - {name: head, C: wide, K: 10}
"""
RANDOM = {"name": "random", "mappings_per_hardware": 20}
GA = {"name": "ga", "population": 4, "parents": 2, "mappings_per_hardware": 20}
NSGA2 = {
    "name": "nsga2", "population": 4, "mappings_per_hardware": 20, "objectives": ["error", "edp"],
}  # fmt: skip
NAAS = {
    "name": "naas", "population": 4, "networks": 6, "network_population": 3,
    "mappings_per_hardware": 20,
}  # fmt: skip
SEARCHES = {"random": RANDOM, "ga": GA, "nsga2": NSGA2, "naas": NAAS}


@pytest.fixture
def settings(tmp_path):
    (tmp_path / "small.yaml").write_text(SMALL)

    def made(optimizer, samples=1000, **more):
        return {
            "arch": "eyeriss",
            "workload": str(tmp_path / "small.yaml"),
            "optimizer": SEARCHES[optimizer],
            "samples": samples,
            "report": False,
            "runs": str(tmp_path / "runs"),
            **more,
        }

    return made


def outcome(folder):
    journal = (folder / "journal.jsonl").read_text()
    result = json.loads((folder / "result.json").read_text())
    return journal, result


@pytest.mark.parametrize("optimizer", SEARCHES)
def test_results_depend_on_neither_threads_nor_a_kill(settings, tmp_path, optimizer):
    given = settings(optimizer, constraints="accuracy >= 0.3")
    dse.run(**given, n_jobs=1, folder=tmp_path / "whole")
    dse.run(**given, n_jobs=3, folder=tmp_path / "threads")
    run = start({**given, "n_jobs": 1, "folder": str(tmp_path / "killed")})
    batches = 0

    def stop(_):
        nonlocal batches
        batches += 1
        if batches == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run.execute(stop)
    resume(tmp_path / "killed", {"n_jobs": 2}).execute()
    found = [outcome(tmp_path / name) for name in ("whole", "threads", "killed")]
    assert batches == 3
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize("optimizer", SEARCHES)
def test_every_design_is_accurate_enough_and_says_how_accurate(settings, tmp_path, optimizer):
    result = dse.run(**settings(optimizer), constraints="accuracy >= 0.3", folder=tmp_path / "r")
    space = result.space
    valid = [x for x in read_journal(tmp_path / "r" / "journal.jsonl") if x["valid"]]
    assert valid
    assert all(x["accuracy"] >= 0.3 for x in valid)
    told = json.loads((tmp_path / "r" / "result.json").read_text())
    assert told["accuracy"] == {
        "predictor": "macs", "unit": "stand-in by MACs", "stands_in": True, "digest": "",
    }  # fmt: skip
    assert told["best"]["accuracy"] == result.metrics.accuracy
    # the best design's own network is what its files and layers are of
    assert [x.name for x in result.workload] == [x["name"] for x in told["best"]["layers"]]
    assert space.workload == result.workload == space_of_run(tmp_path / "r").workload


def test_layers_that_networks_share_are_mapped_once(settings, tmp_path, monkeypatch):
    from dse.mappers.cma import CmaMapper

    asked = []
    original = CmaMapper.map

    def counted(self, hardware, problem, samples, seed):
        asked.append((hardware.architectures, problem, seed))
        return original(self, hardware, problem, samples, seed)

    monkeypatch.setattr(CmaMapper, "map", counted)
    # one generation: four pieces of hardware, six networks on each, in two rounds
    result = dse.run(
        **settings("naas", 4 * 6 * 20), variables={"glb_kb": 128}, n_jobs=1, folder=tmp_path / "r"
    )
    searched = [x for x in asked if len(x[0]) == 4]
    assert result.designs == 24
    assert len({(a, p) for a, p, _ in searched}) == len(searched)
    problems = [p for _, p, _ in searched]
    assert len(problems) < 24
    seeds = {problem: seed for _, problem, seed in searched}
    assert len(set(seeds.values())) == len(seeds)


def test_all_hardware_of_a_generation_begins_with_the_same_networks(settings, tmp_path):
    dse.run(**settings("naas", 4 * 6 * 20), folder=tmp_path / "r")
    rows = list(read_journal(tmp_path / "r" / "journal.jsonl"))
    networks = [tuple(v for k, v in x["values"].items() if k.startswith("network.")) for x in rows]
    first = [networks[3 * h : 3 * h + 3] for h in range(4)]
    assert all(some == first[0] for some in first)
    assert len(set(first[0])) == 3


def test_the_front_of_accuracy_and_edp_is_kept_without_a_constraint(settings, tmp_path):
    result = dse.run(**settings("naas", 2000), folder=tmp_path / "r")
    assert [goal.name for goal in result.front_objectives] == ["error", "edp"]
    members = [m.value for m in result.front_members]
    assert len(members) > 2
    assert all(a[0] < b[0] and a[1] > b[1] for a, b in zip(members, members[1:], strict=False))
    for member in result.front_members:
        assert member.value[0] == 1 - member.metrics.accuracy


def test_what_it_is_compared_with_has_the_defaults(settings, tmp_path):
    result = dse.run(**settings("naas", 2000), folder=tmp_path / "r")
    design, metrics = result.own_design
    other, there = result.default_network
    defaults = {"image": 8, "width": 1, "depth": 2, "expand_1": 1, "expand_2": 1}
    expected = {f"network.{name}": value for name, value in defaults.items()}
    for one in (design, other):
        assert {k: v for k, v in one.values.items() if k.startswith("network.")} == expected
    assert design.values["glb_kb"] == 128
    assert other.values["glb_kb"] == result.design.values["glb_kb"]
    assert metrics.accuracy == there.accuracy


def test_fixed_variables_stay_and_all_of_them_are_one_network(settings, tmp_path):
    fixed = {"network": {"image": 6, "expand": 1}}
    dse.run(**settings("ga"), **fixed, folder=tmp_path / "r")
    for row in read_journal(tmp_path / "r" / "journal.jsonl"):
        assert row["values"]["network.image"] == 6
        assert row["values"]["network.expand_2"] == 1
    whole = {"network": {"image": 6, "expand": 1, "width": 0.5, "depth": 1}}
    given = {**settings("random"), **whole}
    # one network is left, which any optimizer takes
    result = dse.run(**{**given, "optimizer": "lockstep", "samples": 200}, folder=tmp_path / "one")
    assert result.accuracy is None
    assert result.workload.layer("a").problem.bounds["K"] == 4


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"optimizer": "bo"}, "optimizer=bo searches no networks, .*expected optimizer=ga naas"),
        ({"workload": "alexnet", "accuracy": "macs"}, "'alexnet' is one network; expected null"),
        ({"workload": "alexnet", "network": {"image": 8}}, "'alexnet' is no space of networks"),
        (
            {"workload": "alexnet", "optimizer": "random", "constraints": "accuracy > 0.5"},
            "constraint accuracy > 0.5: workload 'alexnet' is one network",
        ),
        ({"workload": "alexnet", "objective": "error"}, "objective error: workload 'alexnet'"),
        ({"workload": "alexnet", "optimizer": NAAS}, "optimizer.networks = 6: workload 'alexnet'"),
        ({"constraints": "accuracy >= 1.5", "optimizer": NAAS}, "no network of 'small' has acc"),
        ({"objective": "accuracy * edp"}, "unknown metric 'accuracy'"),
        ({"network": {"image": 5}}, "network.image = 5: expected one of 4, 6, 8"),
    ],
)
def test_what_does_not_fit_is_refused(settings, change, message):
    with pytest.raises(SpecError, match=message):
        start({**settings("random"), **change})


def test_a_tight_constraint_is_met_from_the_start(settings, tmp_path):
    dse.run(**settings("naas"), constraints="accuracy >= 0.97", folder=tmp_path / "r")
    rows = list(read_journal(tmp_path / "r" / "journal.jsonl"))
    assert not [x for x in rows if "accuracy" in x.get("reason", "")]


def test_networks_of_no_known_accuracy_are_not_mapped(settings, tmp_path):
    table = tmp_path / "t.csv"
    table.write_text("depth,expand_1,accuracy\n2,2,0.9\n2,1,0.8\n1,1,0.7\n")
    dse.run(**settings("random"), accuracy=f"table:{table}", folder=tmp_path / "r")
    rows = list(read_journal(tmp_path / "r" / "journal.jsonl"))
    unknown = [x for x in rows if not x["valid"] and "no accuracy" in x["reason"]]
    assert unknown
    assert all(x["values"]["network.depth"] == 1 for x in unknown)
    # the table is an input: another one is another run
    table.write_text("depth,expand_1,accuracy\n2,2,0.5\n2,1,0.8\n1,1,0.7\n")
    with pytest.raises(SpecError, match="tables: .*t.csv"):
        resume(tmp_path / "r")


def test_a_run_of_one_network_has_the_inputs_that_it_had(tmp_path):
    # a journal from before there were spaces of networks begins with this digest
    given = {"workload": "alexnet", "arch": "eyeriss", "optimizer": "naas"}
    run = start({**given, "folder": str(tmp_path / "r")})
    given = inputs_of_folder(run.folder).sources["config.yaml"]
    assert not [key for key in given if "network" in key or "accuracy" in key]


def test_front_area_is_the_sum_of_rectangles():
    def at(value, error):
        return Member({}, math.exp(value), error)

    corner = math.exp(3.0), 0.5
    assert front_area([at(1, 0.4)], *corner) == pytest.approx(0.1 * 2)
    assert front_area([at(1, 0.4), at(2, 0.1)], *corner) == pytest.approx(0.1 * 2 + 0.3 * 1)
    # what is beyond the corner, or dominated, adds nothing
    others = [at(4, 0.0), at(0, 0.6), at(2.5, 0.4), Member({}, math.inf, math.inf)]
    assert front_area([at(1, 0.4), *others], *corner) == pytest.approx(0.1 * 2)


def test_a_broken_state_is_refused(settings, tmp_path):
    run = start({**settings("naas"), "folder": str(tmp_path / "r")})
    optimizer = run.study.state.optimizer
    optimizer.ask()
    state = optimizer.state_dict()
    for key, value in (("hardware", []), ("elite", state["networks"]["elite"][:, :2])):
        with pytest.raises(SpecError, match=f"networks.{key} = "):
            optimizer.load_state_dict({**state, "networks": {**state["networks"], key: value}})


def test_the_command_line_fixes_variables_of_networks(settings, tmp_path, capsys):
    given = settings("random")
    words = ["run", f"workload={given['workload']}", "arch=eyeriss", "optimizer=random"]
    words += ["samples=40", "report=false", "network.width=0.5", "network.expand=1"]
    assert main([*words, f"folder={tmp_path / 'r'}", "constraints=accuracy >= 0"]) == 0
    assert "network.width=0.5" in capsys.readouterr().out
    told = json.loads((tmp_path / "r" / "result.json").read_text())
    assert told["network"] == {"width": 0.5, "expand": 1}
    assert told["best"]["labels"]["network.width"] == "0.5"
