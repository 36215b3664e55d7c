"""The default optimizer: the proof where it can be had, else lockstep, and why."""

import inspect
import json

import pytest
import yaml

import dse
import dse.api
from dse.cli import main
from dse.runner.config import DEFAULT_PLUGINS, RunConfig
from dse.runner.run import resume, start
from dse.space import catalog


@pytest.fixture
def files(tmp_path):
    """A small space of Gemmini's, which can be proven."""
    content = yaml.safe_load(catalog.find("arch", "gemmini").read_bytes())
    content["variables"] = {
        "pe_dim": {"min": 2, "max": 4},
        "scratchpad_kb": {"min": 1, "max": 4},
        "accumulator_kb": {"min": 1, "max": 4},
    }  # fmt: skip
    network = {"name": "net", "shape": "cnn-layer", "layers": [{"name": "a", "P": 4, "C": 8}]}
    (tmp_path / "arch.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    (tmp_path / "net.yaml").write_text(yaml.safe_dump(network), encoding="utf-8")
    return {"arch": str(tmp_path / "arch.yaml"), "workload": str(tmp_path / "net.yaml")}


def test_defaults_of_python_and_the_command_line_are_the_same():
    given = {
        name: parameter.default
        for name, parameter in inspect.signature(dse.api.run).parameters.items()
    }
    assert DEFAULT_PLUGINS["optimizer"] == given["optimizer"] == "auto"
    for name in ("arch", "workload", "samples", "seed", "objective"):
        assert given[name] == getattr(RunConfig(), name)


def test_the_optimum_is_proven_where_it_can_be(files, tmp_path, capsys):
    words = [f"{key}={value}" for key, value in files.items()]
    assert main(["run", *words, "-q", "folder=" + str(tmp_path / "run")]) == 0
    out = capsys.readouterr().out
    assert "optimizer optimal, as this space can be searched to the end" in out
    told = json.loads((tmp_path / "run" / "result.json").read_text())
    assert told["certificate"]["status"] == "optimal"
    assert told["note"].startswith("optimal, as")
    assert told["optimizer"]["name"] == "auto"
    assert main(["certify", str(tmp_path / "run"), "--quiet", "--forget"]) == 0
    proof = dse.run(**files, optimizer="optimal", folder=tmp_path / "proof")
    assert proof.value == told["objective"]["value"]
    # not padded unless asked, or nothing could be proven
    assert "padding: 'off'" in (tmp_path / "run" / "config.yaml").read_text()


@pytest.mark.parametrize(
    ("more", "name", "why"),
    [
        ({"optimizer": {"name": "auto", "nodes": 1}}, "lockstep", "not done after 1 nodes"),
        (
            {"objective": "cycles**2"},
            "lockstep",
            "no proof here (optimizer=optimal: objective = cycles**2",
        ),
        ({"mapspace": {"padding": "auto"}}, "lockstep", "sizes may be padded"),
        ({"mapper": "hillclimb"}, "random", "a mapper is named"),
        ({"evaluator": "cycles", "variables": {"pe_dim": 4}}, "lockstep", "Timeloop's model"),
    ],
)
def test_else_it_says_what_and_why(files, tmp_path, more, name, why):
    result = dse.run(**files, samples=40, folder=tmp_path / "run", **more)
    assert result.note.startswith(f"{name}, as ")
    assert why in result.note
    if "nodes" in str(more):
        assert result.certificate["status"] == "stopped"
        assert result.certificate["value"] == result.value
        assert 0 <= result.certificate["bound"] <= result.value


@pytest.mark.parametrize("nodes", [1, 5_000])
def test_a_killed_run_ends_where_it_would_have(files, tmp_path, nodes):
    given = {**files, "optimizer": {"name": "auto", "nodes": nodes}, "samples": 60}
    dse.run(**given, folder=tmp_path / "whole")
    run = start({**given, "folder": str(tmp_path / "broken")})
    count = [0]

    def stop(_):
        count[0] += 1
        if count[0] == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run.execute(stop)
    resume(tmp_path / "broken").execute()
    for name in ("journal.jsonl", "result.json"):
        assert (tmp_path / "broken" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_a_run_without_arguments_ends_with_a_proof(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["run", "-q"]) == 0
    out = capsys.readouterr().out
    assert "proven: no design of this mapspace is better" in out
    assert "resnet50" in out
