"""Certificates from run to known optimum: the command, the files, and who reads them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

import dse
from dse.certify import known
from dse.certify.content import key_of
from dse.certify.recheck import recheck
from dse.certify.verdict import Decision
from dse.cli import main
from dse.components.chain import energy_chain
from dse.errors import NothingFeasible, SpecError
from dse.goals.objective import objective
from dse.report.compare import compare
from dse.report.compare_text import comparison_text
from dse.report.finished import read_result
from dse.runner.run import resume, start
from dse.space import catalog
from dse.space.search_space import SearchSpace
from dse.space.template import ArchTemplate

pytestmark = pytest.mark.slow

NETWORK = {
    "name": "net", "shape": "cnn-layer",
    "layers": [{"name": "a", "R": 3, "P": 8, "C": 6, "K": 32}, {"name": "b", "C": 24, "K": 8}],
}  # fmt: skip
RANGES = {
    "pe_dim": {"min": 2, "max": 8}, "scratchpad_kb": {"min": 1, "max": 8},
    "accumulator_kb": {"min": 1, "max": 8},
}  # fmt: skip


def small_gemmini() -> dict[str, object]:
    content = yaml.safe_load(catalog.find("arch", "gemmini").read_text(encoding="utf-8"))
    # optima are known of unpadded layers only
    return {**content, "variables": RANGES, "mapspace": {"padding": "off"}}


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    monkeypatch.setenv(known.VARIABLE, str(tmp_path / "known.json"))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("DSE_TIMELOOP_MODEL", raising=False)
    (tmp_path / "arch.yaml").write_text(yaml.safe_dump(small_gemmini()), encoding="utf-8")
    (tmp_path / "net.yaml").write_text(yaml.safe_dump(NETWORK), encoding="utf-8")
    return {"arch": str(tmp_path / "arch.yaml"), "workload": str(tmp_path / "net.yaml")}


def test_a_run_is_certified_kept_and_shown(files, tmp_path, capsys) -> None:
    folder = tmp_path / "best"
    result = start({**files, "optimizer": "optimal", "folder": str(folder)}).execute()
    assert result.certificate is not None
    assert result.certificate["status"] == "optimal"
    assert result.certificate["gap"] == 0
    assert result.certificate["value"] == result.value
    assert main(["certify", str(folder), "--quiet", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["verdict"] == "certified"
    assert said["bound"]["verdict"] == "certified"
    assert said["timeloop"].startswith("not asked")
    assert json.loads((folder / "certified.json").read_text()) == said

    other = tmp_path / "other"
    random = start({**files, "optimizer": "random", "samples": 5, "folder": str(other)}).execute()
    run = read_result(other)
    assert run.known is not None
    assert run.known.value == result.value
    assert run.known.source.run == str(folder)
    assert run.known.source.version == dse.__version__
    assert run.known.source.certified.startswith("all tiles and orders")
    assert run.to_optimum == random.value / result.value > 1
    text = comparison_text(compare([run, read_result(folder)]))
    assert "to optimum" in text
    assert "known: proven optimum of this mapspace, EDP" in text
    assert main(["run", f"resume={other}"]) == 0
    assert f"this is {run.to_optimum:.4f} x that" in capsys.readouterr().out


def test_a_forged_certificate_does_not_hold(files, tmp_path, capsys) -> None:
    folder = tmp_path / "best"
    start({**files, "optimizer": "optimal", "folder": str(folder)}).execute()
    path = folder / "result.json"
    content = json.loads(path.read_text())
    for key, factor in (("value", 1.01), ("bound", 1.01)):
        forged = {**content["certificate"], key: content["certificate"][key] * factor}
        path.write_text(json.dumps({**content, "certificate": forged}))
        assert main(["certify", str(folder), "--quiet"]) == 1
        assert capsys.readouterr().out.splitlines()[-1].startswith("verdict   refuted: ")
    assert not known.user_file().exists()
    path.write_text(json.dumps({k: v for k, v in content.items() if k != "certificate"}))
    assert main(["certify", str(folder)]) == 2
    assert "has no certificate" in capsys.readouterr().err


def test_beyond_the_effort_allowed_nothing_is_decided(files, tmp_path, capsys) -> None:
    folder = tmp_path / "best"
    start({**files, "optimizer": "optimal", "folder": str(folder)}).execute()
    assert main(["certify", str(folder), "--quiet", "--mappings", "1"]) == 3
    assert "more than 1 mappings to evaluate" in capsys.readouterr().out
    assert not known.user_file().exists()
    assert main(["certify", str(folder), "--mappings", "0"]) == 2
    assert "--mappings 0: expected at least 1" in capsys.readouterr().err


def test_a_stopped_search_certifies_its_bound_and_is_not_kept(files, tmp_path, capsys) -> None:
    folder = tmp_path / "stopped"
    given = {"name": "optimal", "nodes": 3}
    result = start({**files, "optimizer": given, "folder": str(folder)}).execute()
    proof = result.certificate
    assert proof is not None
    assert proof["status"] == "stopped"
    assert 0 < proof["bound"] < proof["value"]
    assert proof["gap"] == pytest.approx(1 - proof["bound"] / proof["value"])
    assert main(["certify", str(folder), "--quiet"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "verdict   certified"
    assert read_result(folder).known is None
    assert not known.user_file().exists()


def test_a_search_that_is_stopped_at_the_proof_is_optimal(files, tmp_path) -> None:
    """Of a delay, the bound may meet the incumbent before all nodes are seen."""
    given = {**files, "optimizer": "optimal", "objective": "delay"}
    result = start({**given, "folder": str(tmp_path / "delay")}).execute()
    proof = result.certificate
    assert proof is not None
    assert (proof["gap"], proof["status"]) == (0.0, "optimal")


def test_a_space_beyond_the_method_claims_nothing(files, tmp_path, capsys) -> None:
    given = {"name": "optimal", "mappings": 10, "boxes": False}
    folder = tmp_path / "eyeriss"
    settings = {**files, "arch": "eyeriss", "optimizer": given, "samples": 20}
    result = start({**settings, "folder": str(folder)}).execute()
    proof = result.certificate
    assert proof is not None
    assert proof["status"] == "unsolved"
    assert proof["bound"] == 0
    assert proof["gap"] == 1
    assert proof["value"] == result.value
    assert main(["certify", str(folder)]) == 3
    assert "not decided: the run claims nothing ('unsolved')" in capsys.readouterr().out


def test_an_infeasible_space_has_a_reason_and_exit_code(files, tmp_path) -> None:
    run = start(
        {**files, "optimizer": "optimal", "constraints": "area_mm2 < 0.0001",
         "folder": str(tmp_path / "none")}
    )  # fmt: skip
    with pytest.raises(
        NothingFeasible,
        match="no design of this mapspace is valid; the last reason: constraint area_mm2",
    ):
        run.execute()
    assert resume(tmp_path / "none").study.state.finished


@pytest.mark.parametrize("goal", ["energy_pj + 40*cycles", "cycles + 0.01*area_um2", "area"])
def test_weighted_sums_are_certified_and_nothing_better(goal, files, tmp_path, capsys) -> None:
    folder = tmp_path / "sum"
    run = start({**files, "optimizer": "optimal", "objective": goal, "folder": str(folder)})
    result = run.execute()
    assert result.certificate is not None
    assert result.certificate["status"] == "optimal"
    assert main(["certify", str(folder)]) == 0
    assert "certified" in capsys.readouterr().out
    verdict = recheck(run.space, result.value * (1 + 1e-9))
    assert verdict.outcome is Decision.REFUTED


def test_content_counts_and_names_do_not(files, tmp_path) -> None:
    def key(arch: dict[str, object], **changes: object) -> str | None:
        template = ArchTemplate.parse(arch, "here")
        network = catalog.workload(str(files["workload"]))
        made = SearchSpace(template, network, energy_chain("dosa"), {}, objective("edp"))
        for name, value in changes.items():
            setattr(made, name, value)
        return key_of(made)

    base = key(small_gemmini())
    renamed = {**small_gemmini(), "name": "other", "description": "anything"}
    assert key(renamed) == base
    larger = {**RANGES, "pe_dim": {"min": 2, "max": 9}}
    network = catalog.workload(str(files["workload"]))
    layers = tuple(replace(layer, name="x" + layer.name) for layer in network)
    different = [
        key({**small_gemmini(), "variables": larger}),
        key(small_gemmini(), chain=energy_chain("pat")),
        key(small_gemmini(), timeloop_version="3.0.3"),
        key(small_gemmini(), fixed={"pe_dim": 4}),
        key({**small_gemmini(), "budget": {"pes": 16}}),
        key(small_gemmini(), objective=objective("energy")),
        key(small_gemmini(), workload=replace(network, layers=layers[:1])),
    ]
    assert base not in different
    assert len(set(different)) == len(different)
    assert key(small_gemmini(), workload=replace(network, layers=layers)) == base


@pytest.mark.parametrize(
    "network",
    ["resnet50", "dosa_bert", "dosa_unet", "dosa_retinanet", "vgg16", "alexnet"]
    + ["dosa_resnext50", "deepbench"],
)
def test_optima_on_gemmini_are_shipped(network: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(known.VARIABLE, "/nowhere/known.json")
    template = catalog.template("gemmini")
    space = SearchSpace(template, catalog.workload(network), energy_chain(template.energy))
    entry = known.find(space)
    assert entry is not None
    assert space.architecture(entry.values).compute.instances == 128 * 128


def test_the_mean_over_several_networks_is_not_known(tmp_path) -> None:
    both = "dosa_bert+vgg16_conv1_1"
    with pytest.raises(
        SpecError, match=r"workload = dosa_bert\+vgg16_conv1_1.* expected one network"
    ):
        dse.run(workload=both, optimizer="dosa", folder=tmp_path / "run")
    template = catalog.template("gemmini")
    space = SearchSpace(template, catalog.workload(both), energy_chain(template.energy))
    assert known.find(space) is None
