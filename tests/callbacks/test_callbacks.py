"""Callbacks of ``dse.run``: functions, and trackers with their real packages where installed."""

import math
import sys
import types
from pathlib import Path

import pytest

import dse
from dse.errors import NothingFeasible, SpecError, ToolError

QUICK = {
    "workload": "dosa_bert",
    "optimizer": {"name": "random", "mappings_per_hardware": 2},
    "samples": 40,
}


class Noted:
    """A callback that notes what it is told."""

    def __init__(self):
        self.told = []

    def begin(self, settings, folder):
        self.told.append(("begin", settings["samples"], folder))

    def __call__(self, now):
        self.told.append(("batch", now.samples, now.best_value))

    def end(self, result):
        self.told.append(("end", result))


def test_every_batch_is_told(tmp_path):
    noted, plain = Noted(), []
    result = dse.run(**QUICK, folder=tmp_path / "run", on_batch=[noted, plain.append])
    begin, *batches, end = noted.told
    assert begin == ("begin", 40, tmp_path / "run")
    assert end == ("end", result)
    assert [samples for _, samples, _ in batches] == [now.samples for now in plain]
    assert batches[-1][1:] == (40, result.value)
    # looking on changes nothing
    alone = dse.run(**QUICK, folder=tmp_path / "alone")
    assert (tmp_path / "alone" / "journal.jsonl").read_bytes() == (
        tmp_path / "run" / "journal.jsonl"
    ).read_bytes()
    assert alone.value == result.value


def test_a_search_that_fails_is_told(tmp_path):
    noted = Noted()
    with pytest.raises(NothingFeasible):
        dse.run(**QUICK, constraints="area_mm2 < 0.001", runs=tmp_path, on_batch=noted)
    assert noted.told[-1] == ("end", None)
    with pytest.raises(SpecError):
        dse.run(**{**QUICK, "workload": "nothing"}, on_batch=dse.callbacks.MLflow())


def test_a_missing_library_is_one_line(monkeypatch, tmp_path):
    monkeypatch.setattr("dse.extras.find_spec", lambda _: None)
    for tracker in (dse.callbacks.TensorBoard(), dse.callbacks.MLflow(), dse.callbacks.WandB()):
        with pytest.raises(ToolError, match=r"needs .*: pip install 'dse-accel\[trackers\]'"):
            dse.run(**QUICK, runs=tmp_path, on_batch=tracker)


def test_tensorboard(tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    logs = tmp_path / "logs"
    result = dse.run(**QUICK, folder=tmp_path / "run", on_batch=dse.callbacks.TensorBoard(logs))
    read = EventAccumulator(str(logs / "run"))
    read.Reload()
    name = "best"
    values = (
        [(e.step, e.value) for e in read.Scalars(name)]
        if name in read.Tags()["scalars"]
        else [(e.step, e.tensor_proto.float_val[0]) for e in read.Tensors(name)]
    )
    assert values[-1][0] == 40
    assert values[-1][1] == pytest.approx(result.value, rel=1e-6)


def test_mlflow(tmp_path, monkeypatch):
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    uri = (tmp_path / "mlruns").as_uri()
    tracker = dse.callbacks.MLflow("search", uri)
    result = dse.run(**QUICK, folder=tmp_path / "run", on_batch=tracker)
    client = mlflow.MlflowClient(uri)
    experiment = client.get_experiment_by_name("search")
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.status == "FINISHED"
    assert run.info.run_name == "run"
    assert run.data.params["optimizer.name"] == "random"
    assert run.data.metrics["objective"] == result.value
    assert client.get_metric_history(run.info.run_id, "best")[-1].step == 40
    assert [f.path for f in client.list_artifacts(run.info.run_id)] == ["result.json"]


def test_wandb_offline(tmp_path, monkeypatch):
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_SILENT", "true")
    tracker = dse.callbacks.WandB(project="search", mode="offline", dir=str(tmp_path))
    dse.run(**QUICK, folder=tmp_path / "run", on_batch=tracker)
    assert list((tmp_path / "wandb").glob("offline-run-*/*.wandb"))


def test_what_weights_and_biases_is_told(tmp_path, monkeypatch):
    told = []

    class Run:
        summary = types.SimpleNamespace(update=lambda found: told.append(("summary", found)))

        def log(self, found, step):
            told.append(("log", step, found))

        def finish(self, exit_code):
            told.append(("finish", exit_code))

    def init(**options):
        told.append(("init", options))
        return Run()

    module = types.ModuleType("wandb")
    module.init = init
    monkeypatch.setitem(sys.modules, "wandb", module)
    monkeypatch.setattr("dse.extras.find_spec", lambda _: object())
    tracker = dse.callbacks.WandB(project="search")
    result = dse.run(**QUICK, folder=tmp_path / "run", on_batch=tracker)
    (_, options), *batches, summary, finish = told
    assert (options["project"], options["name"]) == ("search", "run")
    assert options["config"]["optimizer.mappings_per_hardware"] == 2
    assert batches[-1][1] == 40
    assert batches[-1][2]["best"] == result.value
    assert summary == ("summary", dse.callbacks.summary(result))
    assert finish == ("finish", 0)


def test_nothing_valid_yet_has_no_best():
    from dse.study.study import Progress

    assert "best" not in dse.callbacks.scalars(Progress(1, 2, 1, 0, math.inf))
    assert dse.callbacks.scalars(Progress(1, 2, 1, 1, 5.0))["best"] == 5.0


def test_dir_shows_what_there_is():
    assert dir(dse) == sorted(dse.__all__)
    for name in dir(dse):
        assert getattr(dse, name) is not None
    assert Path(dse.callbacks.__file__).name == "callbacks.py"
