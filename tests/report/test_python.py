"""What ``dse.run`` returns: tables, plots, a line for the prompt; and what is exported of it."""

import csv
import io
import json
import subprocess
import sys

import pytest

import dse
from dse.cli import main
from dse.errors import ToolError


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "run"
    return dse.run(workload="dosa_bert", optimizer="random", samples=20, folder=folder)


@pytest.fixture(scope="module")
def traded(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "traded"
    settings = {"name": "nsga2", "population": 4, "mappings_per_hardware": 2}
    return dse.run(workload="dosa_bert", optimizer=settings, samples=40, folder=folder)


def test_tables(result):
    pytest.importorskip("pandas")
    layers = result.layers
    assert list(layers.index) == [layer.name for layer in result.workload]
    assert (layers["count"] * layers.energy_pj).sum() == pytest.approx(result.metrics.energy_pj)
    assert (layers["count"] * layers.cycles).sum() == result.metrics.cycles
    levels = result.levels
    assert set(levels.kind) >= {"access", "compute", "leakage", "network"}
    of_layers = levels.groupby("layer").energy_pj.sum()
    for name, energy_pj in of_layers.items():
        assert energy_pj == pytest.approx(layers.energy_pj[name])
    dram = levels[(levels.place == "DRAM") & (levels.kind == "access")]
    assert (dram.reads + dram.fills + dram.updates > 0).all()
    journal = result.journal
    assert len(journal) == result.designs
    assert journal.best.iloc[-1] == result.value
    assert journal.samples.iloc[-1] == 20
    assert (journal.seconds.diff().dropna() >= 0).all()
    assert set(result.design.values) <= set(journal.columns)
    assert result.front.empty


def test_a_front_is_a_table(traded):
    pytest.importorskip("pandas")
    front = traded.front
    assert len(front) == len(traded.front_members) > 0
    assert list(front.columns[:2]) == [goal.name for goal in traded.front_objectives][:2]
    assert list(front.energy_pj) == [m.metrics.energy_pj for m in traded.front_members]


def test_without_pandas_a_line_says_what_to_install(result, monkeypatch):
    monkeypatch.setattr("dse.extras.find_spec", lambda _: None)
    fresh = type(result).of(result)
    with pytest.raises(ToolError, match=r"result.layers needs pandas: pip install 'dse-accel\[not"):
        _ = fresh.layers


@pytest.mark.parametrize("name", ["convergence", "energy", "roofline", "pareto"])
def test_plots_take_axes_and_return_them(result, name):
    import matplotlib as mpl

    mpl.use("agg")
    from matplotlib import pyplot

    _, axes = pyplot.subplots()
    assert getattr(result.plot, name)(axes) is axes
    assert axes.has_data()
    assert axes.get_ylabel()
    own = getattr(result.plot, name)()
    assert own is not axes
    assert own.has_data()
    pyplot.close("all")


def test_what_is_drawn_is_what_was_found(result, traded):
    from matplotlib import pyplot

    (best,) = result.plot.convergence().get_lines()
    assert best.get_ydata()[-1] == pytest.approx(result.value / 1e12)
    axes = result.plot.energy()
    tops = sum(patch.get_height() for patch in axes.patches)
    assert tops * 1e6 == pytest.approx(result.metrics.energy_pj)
    axes = traded.plot.pareto()
    assert len(axes.collections[-1].get_offsets()) == len(traded.front_members)
    assert axes.get_xlabel().startswith(traded.front_objectives[0].name)
    pyplot.close("all")


def test_a_line_for_the_prompt_and_a_table_for_notebooks(result):
    assert len(repr(result)) < 250
    assert repr(result).startswith("<dosa_bert on gemmini: edp ")
    assert "J x cycle" in repr(result)
    shown = result._repr_html_()
    assert shown.startswith("<table>")
    for text in ("pe_dim=", "random, 20 samples", str(result.folder)):
        assert text in shown


def test_csv(result, tmp_path, capsys):
    assert main(["export", str(result.folder), "--csv", "-"]) == 0
    lines = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    records = [
        json.loads(line) for line in (result.folder / "journal.jsonl").read_text().splitlines()
    ]
    assert [float(line["objective"]) for line in lines] == [r["objective"] for r in records]
    assert [int(line["pe_dim"]) for line in lines] == [r["values"]["pe_dim"] for r in records]
    assert main(["export", str(result.folder), "--csv", str(tmp_path / "x.csv")]) == 0
    assert (tmp_path / "x.csv").read_text().count("\n") == len(records) + 1
    assert main(["export", str(result.folder)]) == 2
    assert main(["export", str(tmp_path), "--csv", "-"]) == 2


def test_optuna(result, tmp_path, capsys):
    optuna = pytest.importorskip("optuna")
    url = f"sqlite:///{tmp_path / 'runs.db'}"
    assert main(["export", str(result.folder), "--optuna", url, "--study", "mine"]) == 0
    assert "study 'mine', 10 trials" in capsys.readouterr().out
    study = optuna.load_study(study_name="mine", storage=url)
    assert len(study.trials) == result.designs
    assert study.best_value == result.value
    assert study.best_params == result.design.values
    assert study.trials[0].datetime_complete >= study.trials[0].datetime_start
    assert study.trials[0].user_attrs["cycles"] > 0
    assert study.user_attrs["dse:objective"] == "edp (pJ x cycle)"
    assert main(["export", str(result.folder), "--optuna", url, "--study", "mine"]) == 2
    assert "there is a study 'mine' already" in capsys.readouterr().err
    assert main(["export", str(result.folder), "--optuna", "nonsense://x"]) == 2
    assert "nonsense://x: cannot be" in capsys.readouterr().err


def test_nothing_of_it_is_loaded_without_need():
    code = (
        "import sys, dse, dse.api, dse.report.result, dse.callbacks\n"
        "names = 'pandas optuna mlflow wandb tensorboard matplotlib'.split()\n"
        "print([n for n in names if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
