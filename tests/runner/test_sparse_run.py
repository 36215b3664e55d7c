"""Runs and maps over sparse templates: what they find, what they write, what they refuse."""

from __future__ import annotations

import json

import pytest
import sparse_designs

import dse
from dse.cli import main
from dse.errors import SpecError
from dse.runner.map_layer import map_layer
from dse.runner.run import space_of_run
from dse.sparse.evaluate import evaluate_sparse
from dse.study.best_files import best_files


@pytest.fixture
def files(tmp_path):
    return sparse_designs.files(tmp_path)


def run(files, folder, optimizer="random", **settings):
    return dse.run(**{**files, "optimizer": optimizer, "samples": 60, "folder": folder, **settings})


@pytest.mark.parametrize("optimizer", ["random", "ga", "lockstep", "naas", "nsga2", "auto"])
def test_what_is_found_is_worth_what_the_model_says(files, tmp_path, optimizer):
    folder = tmp_path / "run"
    found = run(files, folder, optimizer)
    cycles = energy_pj = 0.0
    for layer, spec in zip(found.workload, best_files(folder, found.space, "4cf6d4c"), strict=True):
        design = found.architecture.sparse.of(spec.problem)
        assert spec.architecture.sparse.of(spec.problem) == design
        stats = evaluate_sparse(found.architecture, spec.problem, spec.mapping, design)
        cycles += layer.count * stats.cycles
        energy_pj += layer.count * stats.energy_pj
    assert found.metrics.cycles == cycles
    assert 0 < found.metrics.utilization <= 1
    assert found.metrics.energy_pj == pytest.approx(energy_pj, rel=1e-9)
    assert found.certificate is None


@pytest.mark.parametrize("optimizer", ["random", "lockstep"])
def test_a_journal_is_the_same_for_any_number_of_threads(files, tmp_path, optimizer):
    for n in (1, 2, 3):
        run(files, tmp_path / str(n), optimizer, n_jobs=n)
    journals = {(tmp_path / str(n) / "journal.jsonl").read_bytes() for n in (1, 2, 3)}
    assert len(journals) == 1


def test_zeros_pay(files, tmp_path):
    """The same search on the same hardware; without densities all words are there."""
    found = run(files, tmp_path / "sparse", samples=400)
    text = sparse_designs.WORKLOAD.replace("{distribution: hypergeometric, density: 0.2}", "1")
    (tmp_path / "net.yaml").write_text(text.replace(", densities: {Inputs: 0.5}", ""))
    dense = run(files, tmp_path / "dense", samples=400)
    assert found.metrics.energy_pj < dense.metrics.energy_pj
    assert found.metrics.cycles < dense.metrics.cycles


@pytest.mark.parametrize("optimizer", ["optimal", "dosa", "polaris"])
def test_optimizers_of_dense_tensors_are_refused(files, tmp_path, optimizer):
    with pytest.raises(SpecError, match=f"optimizer={optimizer} knows dense tensors only") as error:
        run(files, tmp_path / "run", optimizer)
    assert "ga, lockstep, naas" in str(error.value)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"mapper": "timeloop"}, "mapper=timeloop knows dense tensors only"),
        ({"mapper": "bo_dosa"}, "mapper=bo_dosa knows dense tensors only"),
        ({"evaluator": "cycles"}, "evaluator=cycles knows dense tensors only"),
        ({"timeloop_version": "dosa"}, "timeloop_version = dosa: template 'tiny_sparse' has"),
        ({"energy": "accelergy"}, "energy chain 'accelergy' prices no metadata"),
    ],
)
def test_what_knows_dense_tensors_only_is_refused(files, tmp_path, settings, said):
    with pytest.raises((SpecError, dse.NothingFeasible), match=said):
        run(files, tmp_path / "run", **settings)


def test_hillclimbing_searches_in_place_of_proofs(files, tmp_path, caplog):
    found = map_layer(
        {"arch": files["arch"], "mapper": "optimal", "samples": 300, "folder": str(tmp_path / "m")},
        f"{files['workload']}/conv",
    )
    assert found.certificate is None
    assert found.settings["mapper"]["name"] == "hillclimb"
    assert "mapper=hillclimb searches in place of optimal" in caplog.text
    stats = found.evaluation.stats
    assert found.value == pytest.approx(stats.energy_pj * stats.cycles, rel=1e-9)
    assert stats.sparse_computes.skipped > 0
    assert not (tmp_path / "m" / "timeloop-model.stats.txt").exists()


def test_what_is_said_of_a_run(files, tmp_path, capsys):
    folder = tmp_path / "run"
    run(files, folder, samples=120)
    assert space_of_run(folder).workload.is_sparse
    assert main(["explain", str(folder), "conv"]) == 0
    text = capsys.readouterr().out
    assert "skipped" in text
    assert main(["explain", str(folder), "--json"]) == 0
    layers = {x["name"]: x for x in json.loads(capsys.readouterr().out)["layers"]}
    assert layers["conv"]["sparse"]["computes"]["skipped"] > 0
    assert layers["scores"]["sparse"]["computes"]["skipped"] == 0
    assert main(["report", str(folder)]) == 0
    page = (folder / "report.html").read_text()
    assert "Zeros" in page
