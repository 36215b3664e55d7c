"""Bayesian optimisation: it finds the optimum of small spaces, and refuses what it cannot do."""

import numpy as np
import pytest
import yaml

import dse
import dse.extras
from dse.errors import SpecError, ToolError
from dse.goals.pareto import nondominated_ranks
from dse.study.journal import read_journal
from dse.testing import tiny

pytestmark = pytest.mark.slow


def run(folder, optimizer, samples, arch=None, **more):
    arch_file, net_file = folder.with_suffix(".arch.yaml"), folder.with_suffix(".net.yaml")
    arch_file.write_text(yaml.safe_dump(arch) if arch else tiny.ARCH)
    net_file.write_text(tiny.WORKLOAD)
    return dse.run(
        arch=str(arch_file),
        workload=str(net_file),
        optimizer=optimizer,
        samples=samples,
        folder=str(folder),
        **{"seed": 0, **more},
    )


def test_24_designs_come_within_2_percent_of_240_random_ones(tmp_path):
    pytest.importorskip("botorch")
    settings = {"mappings_per_hardware": 60, "refine": 0.0}
    found = [
        run(tmp_path / f"bo{seed}", {"name": "bo", **settings}, 60 * 24, seed=seed)
        for seed in range(2)
    ]
    at_random = run(tmp_path / "random", {"name": "random", "mappings_per_hardware": 60}, 60 * 240)
    for result in found:
        assert result.metrics.edp <= 1.02 * at_random.metrics.edp


def test_the_front_of_two_objectives_is_a_front(tmp_path):
    pytest.importorskip("botorch")
    settings = {"objectives": ["delay", "area"], "mappings_per_hardware": 20, "candidates": 50}
    run(tmp_path / "run", {"name": "bo", **settings}, 20 * 16)
    records = [r for r in read_journal(tmp_path / "run" / "journal.jsonl") if r["valid"]]
    goals = np.array([[r["cycles"], r["area_um2"]] for r in records])
    assert (nondominated_ranks(goals) == 0).sum() >= 3


@pytest.mark.parametrize(
    ("optimizer", "said"),
    [
        ({"name": "bo", "kernel": "rbf"}, "optimizer.kernel"),
        ({"name": "bo", "batch": 0}, "optimizer.batch = 0"),
        ({"name": "bo", "refine": 1.0}, "optimizer.refine = 1.0"),
        ({"name": "bo", "objectives": ["edp"]}, "at least two"),
        ({"name": "bo_dosa", "grid": {"pe_dim": [2, 8]}}, "optimizer.grid.pe_dim"),
    ],
)
def test_settings_out_of_range_are_named(tmp_path, optimizer, said):
    if optimizer["name"] == "bo_dosa":
        pytest.importorskip("sklearn")  # its mapper asks for it before the settings are looked at
    with pytest.raises(SpecError, match=said):
        run(tmp_path / "run", optimizer, 10)


@pytest.mark.parametrize("arch", ["eyeriss_poster", "naas_eyeriss"])
def test_the_baseline_refuses_spaces_that_it_does_not_know(tmp_path, arch):
    pytest.importorskip("sklearn")
    with pytest.raises(SpecError, match="optimizer=bo_dosa"):
        dse.run(arch=arch, workload="dosa_bert", optimizer="bo_dosa", folder=str(tmp_path / "run"))


@pytest.mark.parametrize("name", ["bo", "spotlight", "bo_dosa"])
def test_without_the_extra_a_line_says_what_to_install(tmp_path, monkeypatch, name):
    monkeypatch.setattr(dse.extras, "find_spec", lambda _: None)
    with pytest.raises(ToolError, match=r"pip install 'dse-accel\[learned\]'"):
        run(tmp_path / "run", name, 10)
