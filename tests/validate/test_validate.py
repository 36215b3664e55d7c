"""validate and doctor, and the Timeloop mapper."""

from __future__ import annotations

import json
import os
import shutil

import pytest
from record_timeloop_runs import RICH
from timeloop_stub import stub

from dse.cli import main
from dse.model import evaluate_one
from dse.timeloop.read.inputs import read_text
from dse.validate.model import Case, compare, report_text

LIVE = os.environ.get("DSE_TIMELOOP_MODEL") or shutil.which("timeloop-model")
MAPPER = os.environ.get("DSE_TIMELOOP_MAPPER") or shutil.which("timeloop-mapper")
live = pytest.mark.skipif(not LIVE, reason="no timeloop-model here")


def native(version):
    return lambda c: evaluate_one(c.architecture, c.problem, c.mapping, version)


def case():
    spec = read_text(RICH)
    return Case("rich", spec.architecture, spec.problem, spec.mapping)


def test_equal_models_agree():
    report = compare([case()] * 3, native("4cf6d4c"), native("4cf6d4c"), 2)
    assert report.agrees
    assert {row.equal for row in report.rows} == {1.0}
    assert "verdict: they agree" in report_text(report, ("a", "b"))


def test_other_models_do_not():
    report = compare([case()], native("dosa"), native("4cf6d4c"), 1)
    assert not report.agrees
    assert report.counts_differ == 1
    text = report_text(report, ("dosa", "today's"))
    assert "verdict: THEY DIFFER" in text
    assert "differs: rich: " in text


def test_verdicts_are_compared_word_by_word():
    good = case()
    spec = read_text(RICH.replace("entries: 8,", "entries: 2,"))
    bad = Case("bad", spec.architecture, spec.problem, spec.mapping)
    evaluate = native("4cf6d4c")
    same = compare([bad], evaluate, evaluate, 1)
    assert (same.rejected, same.agrees) == (1, True)
    other = compare([bad], evaluate, lambda _: evaluate(good), 1)
    assert (other.verdicts_differ, other.agrees) == (1, False)
    assert "exceeds buffer capacity 2' and 'valid'" in report_text(other, ("a", "b"))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["png", "svg"])
def test_validate_files(tmp_path, capsys, kind):
    (tmp_path / "in.yaml").write_text(RICH)
    plot = tmp_path / "plots" / f"v.{kind}"
    binary = str(stub(tmp_path / "bin"))
    only = ["--only", "timeloop-model", "--binary", binary]
    arguments = ["validate", str(tmp_path / "in.yaml"), *only]
    assert main([*arguments, "--plot", str(plot)]) == 0
    assert "verdict: they agree" in capsys.readouterr().out
    assert plot.stat().st_size > 1000
    assert main([*arguments, "--json", "--timeloop-version", "dosa"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["agrees"] is False
    (one,) = told["comparisons"]
    assert [row["metric"] for row in one["metrics"]][:2] == ["cycles", "energy"]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ([], 2, "validate takes a run folder"),
        (["--random", "0", "arch=gemmini"], 2, "N of at least 1"),
        (["--random", "1", "arch=gemini"], 2, "did you mean 'gemmini'"),
        (["none.yaml"], 2, "none.yaml: no such file"),
        (["--binary", "/none", "--random", "1"], 4, "no executable file"),
    ],
)
def test_what_validate_refuses(tmp_path, capsys, arguments, code, said):
    binary = [] if "--binary" in arguments else ["--binary", str(stub(tmp_path / "bin"))]
    assert main(["validate", *arguments, *binary]) == code
    assert said in capsys.readouterr().err


@pytest.mark.slow
def test_validate_uses_every_timeloop_that_is_found(tmp_path, capsys, monkeypatch):
    import pytimeloop_stub

    (tmp_path / "in.yaml").write_text(RICH)
    monkeypatch.setenv("DSE_TIMELOOP_MODEL", str(stub(tmp_path / "bin", version="3.0.3")))
    monkeypatch.setenv("DSE_PYTIMELOOP_PYTHON", pytimeloop_stub.stub(tmp_path / "bin"))
    plot = tmp_path / "both.svg"
    assert main(["validate", str(tmp_path / "in.yaml"), "--plot", str(plot)]) == 0
    out = capsys.readouterr().out
    assert "by native 3.0.3 and timeloop-model (3.0.3)" in out
    assert "by native 4cf6d4c and pytimeloop (4cf6d4c)" in out
    assert plot.stat().st_size > 1000
    # one that the user names and that does not work is an error, not left out
    monkeypatch.setenv("DSE_PYTIMELOOP_PYTHON", pytimeloop_stub.stub(tmp_path / "bin", "early"))
    assert main(["validate", str(tmp_path / "in.yaml")]) == 4
    assert "ended with exit status 3" in capsys.readouterr().err


@live
@pytest.mark.parametrize("arch", ["gemmini", "eyeriss", "simba"])
def test_live_validation_agrees(tmp_path, capsys, arch):
    assert main(["validate", "--random", "20", f"arch={arch}", "workload=alexnet", "-q"]) == 0
    assert "20 mappings by native" in capsys.readouterr().out


@live
def test_live_validation_of_a_run(tmp_path, capsys):
    folder = tmp_path / "run"
    fixed = [f"variables.{k}" for k in ("pe_dim=8", "scratchpad_kb=64", "accumulator_kb=64")]
    settings = ["workload=alexnet", "samples=2", f"folder={folder}", *fixed]
    assert main(["run", *settings, "--quiet"]) == 0
    assert main(["validate", str(folder), "--designs", "1", "-q"]) == 0


@pytest.mark.skipif(not MAPPER, reason="no timeloop-mapper here")
def test_live_mapper_obeys_the_constraints():
    from dse.components.chain import energy_chain
    from dse.domain.architecture import HardwareBatch
    from dse.evaluators.native import NativeEvaluator
    from dse.goals.objective import objective
    from dse.mappers.timeloop import TimeloopMapper, TimeloopMapperSettings
    from dse.space import catalog

    template = catalog.template("gemmini")
    built = template.build({"pe_dim": 8, "scratchpad_kb": 64, "accumulator_kb": 64})
    hardware = HardwareBatch.of(energy_chain("pat").price(built))
    problem = next(iter(catalog.workload("alexnet"))).problem
    search = TimeloopMapper(
        NativeEvaluator(), template.constraints, objective("edp"), TimeloopMapperSettings()
    )
    import numpy as np

    found = [search.map(hardware, problem, np.array([20]), seed) for seed in (0, 1)]
    assert found[0].metrics.valid.all()
    assert found[0].mappings[0] == found[1].mappings[0]
    keep = found[0].mappings[0].keep
    assert keep.tolist()[:3] == [[1, 0, 0], [0, 0, 1], [1, 1, 0]]


def test_doctor(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    for name in ("DSE_TIMELOOP_MODEL", "DSE_TIMELOOP_MAPPER", "DSE_ACCELERGY"):
        monkeypatch.delenv(name, raising=False)
    assert main(["doctor"]) == 0
    out = capsys.readouterr().out
    assert "missing  timeloop-model" in out
    assert "https://" in out
    monkeypatch.setenv("DSE_TIMELOOP_MODEL", str(stub(tmp_path / "bin")))
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    assert main(["doctor", "--json"]) == 0
    found = {row["name"]: row["found"] for row in json.loads(capsys.readouterr().out)}
    assert found["timeloop-model"].endswith("(computes as 4cf6d4c)")
    assert found["timeloop-mapper"] is None
