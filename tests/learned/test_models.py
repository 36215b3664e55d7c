"""Predictors, model folders, the evaluator and the command."""

from __future__ import annotations

import json
import shutil
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from learned_cases import mappings, no_report, table, trained

from dse.cli import main
from dse.errors import SpecError
from dse.learned.evaluator import LearnedEvaluator, LearnedSettings
from dse.learned.folder import CARD, WEIGHTS, open_model, save_model
from dse.learned.folds import folds, held_out, honest_factor
from dse.learned.kinds import KINDS, kind
from dse.learned.network_settings import NetworkSettings
from dse.learned.predictor import Prediction
from dse.learned.scores import scores
from dse.learned.trees import Booster, TreesSettings
from dse.testing.evaluators import EvaluatorConformance

torch = pytest.importorskip("torch", reason="the extra 'learned' is not installed")
ensemble = pytest.importorskip("sklearn.ensemble")
safetensors = pytest.importorskip("safetensors.numpy")

SETTINGS = {
    "trees": TreesSettings(iterations=20, members=2, leaves=4),
    "residual": NetworkSettings(epochs=60, members=2, width=8),
    "dnn": NetworkSettings(epochs=10, members=2, width=8),
}


@cache
def model(name: str):
    return trained(name, SETTINGS[name])


@pytest.fixture(scope="module", params=["trees", "residual"])
def folder(request, tmp_path_factory):
    path = tmp_path_factory.mktemp(request.param)
    save_model(path, model(request.param))
    return path


@pytest.mark.parametrize("name", sorted(SETTINGS))
def test_predictions_are_repeated_split_and_loaded(name, tmp_path):
    first = model(name)
    hardware, problem, batch = mappings()
    index = np.zeros(len(batch), np.int32)
    whole, _ = first.model.predict(hardware, problem, batch, index)
    assert np.isfinite(whole.mean).all()
    assert (whole.deviation > 0).all()
    again, _ = trained(name, SETTINGS[name]).model.predict(hardware, problem, batch, index)
    assert all(np.array_equal(a, b) for a, b in zip(whole, again, strict=True))
    for at in range(0, 20, 7):
        part, _ = first.model.predict(
            hardware, problem, batch.window(at, at + 7), index[at : at + 7]
        )
        assert np.array_equal(part.mean, whole.mean[at : at + 7])
        assert np.array_equal(part.deviation, whole.deviation[at : at + 7])
    save_model(tmp_path, first)
    opened = open_model(tmp_path)
    loaded, _ = opened.model.predict(hardware, problem, batch, index)
    assert all(np.array_equal(a, b) for a, b in zip(whole, loaded, strict=True))
    assert opened.card["data"]["sha256"] == first.digest
    assert opened.card["scores"]["model"]["rows"] == 12


@pytest.mark.parametrize("name", ["trees", "residual"])
def test_they_learn_what_the_native_model_misses(name):
    found = model(name)
    assert found.scores is not None
    assert found.native is not None
    assert found.scores.mape < 0.5 * found.native.mape


def test_the_published_network_is_built_and_adds_to_the_native_model():
    few = NetworkSettings(network="dosa", iterations=2, batch=16)
    data = table()
    raw = trained("residual", few)
    widths = [w.shape[2] for w in raw.model.predictor.network.weights]
    assert widths == [256, 512, 2048, 2048, 512, 256, 64, 1]
    hardware, problem, batch = mappings()
    found, native = raw.model.predict(hardware, problem, batch, np.zeros(len(batch), np.int32))
    assert (found.cycles >= native.cycles * (1 - 1e-12)).all()
    assert len(data) == len(batch)


def test_networks_are_torchs():
    network = model("residual").model.predictor.network
    features = table().features
    x = torch.tensor((features[:, network.columns] - network.shift) / network.scale)
    x = x.clamp(-3, 3).float()
    for i, (w, b) in enumerate(zip(network.weights, network.biases, strict=True)):
        x = x @ torch.tensor(w[0]) + torch.tensor(b[0])
        x = torch.relu(x) if i < len(network.weights) - 1 else x
    assert np.allclose(network.outputs(features)[0], x.numpy(), atol=1e-4)


def test_trees_are_scikit_learns():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(300, 5)), rng.normal(size=300)
    fitted = ensemble.HistGradientBoostingRegressor(max_iter=30).fit(x, y)
    assert np.allclose(Booster.of(fitted).predict(x), fitted.predict(x), atol=1e-12)


def test_folds_are_even_and_whole():
    rng = np.random.default_rng(0)
    data = table()
    assert np.bincount(folds(data, 7, "rows", rng)).tolist() == [9, 9, 9, 9, 8, 8, 8]
    with pytest.raises(SpecError, match="1 layers"):
        folds(data, 2, "layers", rng)
    assert held_out(data, 0.1, "rows", rng).sum() == 6
    assert honest_factor(rng.normal(0, 3, 100_000)) == pytest.approx(3, rel=0.02)


def test_scores_know_honest_deviations():
    rng = np.random.default_rng(1)
    truth = rng.normal(10, 2, 20_000)
    noise = rng.normal(0, 0.1, 20_000)
    found = scores(Prediction(truth + noise, np.full(20_000, 0.1)), truth, np.ones(20_000) * 5)
    assert found.coverage == pytest.approx({"50%": 0.5, "80%": 0.8, "95%": 0.95}, abs=0.01)
    assert found.nll == pytest.approx(np.log(0.1) + 0.5 * np.log(2 * np.pi) + 0.5, abs=0.02)
    assert found.mape == pytest.approx(0.08, abs=0.005)
    assert found.spearman > 0.99
    unknown = scores(Prediction(truth, np.full(20_000, np.nan)), truth, np.ones(20_000))
    assert unknown.coverage is None
    assert unknown.nll is None


def test_unknown_kinds_and_settings():
    with pytest.raises(SpecError, match="did you mean 'trees'"):
        kind("tree")
    assert set(KINDS) >= {"residual", "dnn", "trees"}
    for wrong in ({"network": "big"}, {"folds": "columns"}, {"members": 1}):
        with pytest.raises(SpecError):
            NetworkSettings(**wrong)
    with pytest.raises(SpecError, match="rows"):
        KINDS["trees"].fit(table().take(np.arange(3)), TreesSettings(members=5), 0, no_report)


# ------------------------------------------------------------------------------------ the folder


def changed(folder, tmp_path):
    copy = tmp_path / "copy"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(folder, copy)
    return copy


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.data())
def test_a_changed_byte_is_noticed(folder, tmp_path, data):
    copy = changed(folder, tmp_path)
    path = copy / data.draw(st.sampled_from([CARD, WEIGHTS]))
    content = bytearray(path.read_bytes())
    at = data.draw(st.integers(0, len(content) - 1))
    content[at] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content)
    try:
        opened = open_model(copy)
    except SpecError as error:
        assert str(copy) in str(error)
    else:  # white space of the card says nothing
        assert path.name == CARD
        assert opened.card == open_model(folder).card


def forged(folder, tmp_path, change_arrays=None, change_card=None):
    """Return a folder with other content, and the checksums of that."""
    import hashlib

    from dse.learned.folder import _digest

    copy = changed(folder, tmp_path)
    card = json.loads((copy / CARD).read_text())
    del card["sha256"]
    arrays = safetensors.load((copy / WEIGHTS).read_bytes())
    if change_arrays:
        change_arrays(arrays)
    data = safetensors.save(arrays)
    (copy / WEIGHTS).write_bytes(data)
    card["weights_sha256"] = hashlib.sha256(data).hexdigest()
    if change_card:
        change_card(card)
    (copy / CARD).write_text(json.dumps({**card, "sha256": _digest(card)}))
    return copy


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.data())
def test_forged_numbers_are_refused_or_harmless(folder, tmp_path, data):
    """Whatever stands in an array, opening it and predicting end, without reading elsewhere."""

    def change(arrays):
        name = data.draw(st.sampled_from(sorted(arrays)))
        array = arrays[name]
        how = data.draw(st.sampled_from(["value", "shape", "type", "gone"]))
        if how == "gone":
            del arrays[name]
        elif how == "shape":
            arrays[name] = array[: len(array) // 2].copy()
        elif how == "type":
            arrays[name] = array.astype(np.int64 if array.dtype != np.int64 else np.int32)
        else:
            flat = array.reshape(-1).copy()
            value = data.draw(st.sampled_from([-(2**30), -1, 0, 7, 2**30]))
            flat[data.draw(st.integers(0, len(flat) - 1))] = value
            arrays[name] = flat.reshape(array.shape)

    copy = forged(folder, tmp_path, change)
    try:
        opened = open_model(copy)
    except SpecError as error:
        assert "weights" in str(error)
        return
    hardware, problem, batch = mappings()
    found, _ = opened.model.predict(hardware, problem, batch, np.zeros(len(batch), np.int32))
    assert len(found.mean) == len(batch)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.update(format="dse-model-9"), "format"),
        (lambda c: c.update(kind="pickle"), "kind of predictor"),
        (lambda c: c.update(more=1), "unknown key 'more'"),
        (lambda c: c["facts"].update(members=10**9), "members"),
        (lambda c: c["encoding"].update(blocks=["raw"]), "encoding.features"),
        (lambda c: c["encoding"]["structure"].update(levels=["a", "a"]), "levels"),
        (lambda c: c.pop("encoding"), "encoding"),
    ],
)
def test_forged_cards_are_refused(folder, tmp_path, change, message):
    with pytest.raises(SpecError, match=message):
        open_model(forged(folder, tmp_path, change_card=change))


def test_what_is_no_model_folder(tmp_path):
    with pytest.raises(SpecError, match=r"no model\.json"):
        open_model(tmp_path)
    (tmp_path / CARD).write_text("[" * 100_000)
    with pytest.raises(SpecError, match="not JSON"):
        open_model(tmp_path)


# --------------------------------------------------------------------------------- the evaluator


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("model")
    save_model(path, model("trees"))
    return path


class TestLearned(EvaluatorConformance):
    evaluator = "learned"
    settings: ClassVar[dict[str, str]] = {}

    @pytest.fixture(autouse=True)
    def _model(self, model_folder):
        type(self).settings = {"model": str(model_folder)}


def test_a_model_in_memory_gives_cycles_and_deviations():
    hardware, problem, batch = mappings()
    index = np.zeros(len(batch), np.int32)
    evaluator = LearnedEvaluator(model=model("trees").model)
    metrics = evaluator.evaluate(hardware, problem, batch, index)
    prediction = evaluator.predict(hardware, problem, batch, index)
    assert not evaluator.equals_timeloop
    above = metrics.cycles > prediction.cycles * (1 + 1e-12)
    assert (metrics.utilization[above] == pytest.approx(1.0)).all() if above.any() else True
    assert np.allclose(metrics.cycles[~above], prediction.cycles[~above])
    other = LearnedEvaluator("3.0.3", model=model("trees").model)
    assert np.isfinite(other.evaluate(hardware, problem, batch, index).cycles).all()


def test_a_model_is_needed(tmp_path):
    with pytest.raises(SpecError, match=r"evaluator\.model"):
        LearnedEvaluator()
    with pytest.raises(SpecError, match="no model folder"):
        LearnedEvaluator(settings=LearnedSettings(str(tmp_path)))


# ----------------------------------------------------------------------------------- the command


def data_file(tmp_path) -> Path:
    """Write the made-up rows as whole architectures."""
    from learned_cases import rows

    from dse.learned.recorded import RowsWriter

    path = tmp_path / "rows.jsonl"
    with closing(RowsWriter(path, "4cf6d4c")) as writer:
        (group,) = rows().groups
        for b in range(40):
            writer.add(
                *(group.hardware.architectures[0], group.problem, group.mappings[b]),
                *(float(rows().cycles[b]),),
                source="made up",
            )
    return path


def test_train_writes_a_model_and_says_how_good_it_is(tmp_path, capsys):
    arguments = [
        *("train", "trees", f"data={data_file(tmp_path)}", "-o", str(tmp_path / "model")),
        *("iterations=5", "members=2", "held_out=0.2"),
    ]
    assert main(arguments) == 0
    said = capsys.readouterr()
    assert "calibration" in said.out
    assert "3/3" in said.err
    assert main([*arguments, "--json", "-q"]) == 0
    said = capsys.readouterr()
    assert said.err == ""
    found = json.loads(said.out)
    assert found["scores"]["model"]["rows"] == 8
    assert open_model(tmp_path / "model").card["settings"]["iterations"] == 5
    assert main(["train", "trees", "--help"]) == 0
    assert "learning_rate=0.06" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["trees", "-o", "x"], "data=PATH is missing"),
        (["trees", "data=none.csv"], "-o FOLDER is missing"),
        (["trees", "data=none.csv", "-o", "x"], "no such file"),
        (["trees", "data=x", "-o", "x", "leafs=3"], "did you mean 'leaves'"),
        (["trees", "data=x", "-o", "x", "leaves=many"], "leaves"),
        (["trees", "data=x", "-o", "x", "held_out=2"], "held_out"),
        (["data=x", "-o", "x"], "one KIND"),
        (["forest", "data=x", "-o", "x"], "unknown kind"),
        (["trees", "data=x", "-o", "x", "--fast"], "unknown option"),
    ],
)
def test_wrong_words(words, message, capsys):
    assert main(["train", *words]) == 2
    assert message in capsys.readouterr().err
