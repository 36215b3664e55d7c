"""Polaris: few evaluations, and a surrogate that learns from them."""

import json

import numpy as np
import pytest

import dse
from dse.errors import SpecError, ToolError
from dse.learned.surrogate import Surrogate
from dse.runner.run import start

pytest.importorskip("torch", reason="needs the extra 'learned'")

SMALL = {"pretrain": 200, "warmup": 3, "batch": 2, "search": 24}
BERT = {"arch": "gemmini", "workload": "dosa_bert", "evaluator": "cycles", "n_jobs": 1}


def run(folder, samples=10, **settings):
    return dse.run(
        **BERT,
        optimizer={"name": "polaris", **SMALL, **settings},
        samples=samples,
        variables={"pe_dim": 16},
        folder=folder,
    )


def test_a_sample_is_an_evaluation_and_what_the_models_were_asked_is_told(tmp_path):
    result = run(tmp_path / "run")
    assert result.samples == result.designs == 10
    assert result.model_samples > 200 + 7 * 24
    told = json.loads((tmp_path / "run" / "result.json").read_text())
    assert told["model_samples"] == result.model_samples


def test_it_learns_from_the_evaluator(tmp_path):
    """What it chooses by its surrogate is better than what the native model finds best."""
    folder = run(tmp_path / "run", samples=20, warmup=4, batch=4, search=96, pretrain=1000).folder
    lines = [json.loads(x) for x in (folder / "journal.jsonl").read_text().splitlines()]
    values = [x["objective"] for x in lines]
    assert min(values[4:]) < 0.97 * min(values[:4])


def test_it_pads_and_learns_of_the_padded_layers(tmp_path):
    """On 16 x 16 a prime number of channels leaves most of the array idle, unless it is padded."""
    network = tmp_path / "prime.yaml"
    network.write_text("name: prime\nshape: cnn-layer\nlayers: [{name: a, P: 8, C: 37, K: 53}]\n")
    given = {**BERT, "workload": str(network), "variables": {"pe_dim": 16}, "samples": 8}
    given |= {"optimizer": {"name": "polaris", **SMALL}}
    found = dse.run(**given, mapspace={"padding": "auto"}, folder=tmp_path / "run")
    plain = dse.run(**given, folder=tmp_path / "plain")
    assert set(found.padded["a"]) >= {"C", "K"}
    assert found.value < plain.value / 2
    surrogate = Surrogate(start_space(given, tmp_path), None, "")
    surrogate.learn(found.design, [layer.cycles for layer in found.metrics.layers])
    ((row, _),) = surrogate._tables
    names = surrogate._encoding.names
    features = dict(zip(names, np.frombuffer(row), strict=True))
    for name, size in found.padded["a"].items():
        assert features[f"problem.size.{name}"] == np.log2(size)


def start_space(given, tmp_path):
    settings = {**given, "mapspace": {"padding": "auto"}, "folder": str(tmp_path / "again")}
    begun = start(settings)
    begun.setup.close()
    return begun.space


def test_an_objective_may_be_negative(tmp_path):
    result = dse.run(
        **BERT,
        optimizer={"name": "polaris", **SMALL},
        objective="cycles - 1e12",
        samples=6,
        folder=tmp_path / "run",
    )
    assert result.value < 0


def test_time_ends_it(tmp_path):
    result = run(tmp_path / "run", samples=1000, time=1e-3)
    assert 0 < result.samples < 1000


def test_a_model_that_is_none_is_refused(tmp_path):
    with pytest.raises(SpecError, match="so it is no model folder"):
        run(tmp_path / "run", model=str(tmp_path))


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("pretrain", 0),
        ("warmup", 0),
        ("batch", 0),
        ("search", 1),
        ("optimism", -1.0),
        ("time", 0.0),
    ],
)
def test_settings_out_of_range_are_refused(tmp_path, setting, value):
    with pytest.raises(SpecError, match=rf"optimizer.{setting} = "):
        run(tmp_path / "run", **{setting: value})


def test_without_the_extra_one_line_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr("dse.extras.find_spec", lambda _: None)
    with pytest.raises(ToolError, match=r"optimizer=polaris needs torch.*dse-accel\[learned\]"):
        start({**BERT, "optimizer": "polaris", "folder": str(tmp_path / "run")})
    assert not (tmp_path / "run").exists()
