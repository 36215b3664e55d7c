"""A network's latency of relaxed mappings: the encoding's at whole factors, and its gradient."""

from __future__ import annotations

import json
import shutil
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from learned_cases import no_report

import dse
from dse.components.chain import energy_chain
from dse.domain.architecture import HardwareBatch
from dse.domain.mapping import MappingBatch
from dse.errors import SpecError
from dse.learned.encoding import Encoding
from dse.learned.features import FeatureNames
from dse.learned.folder import save_model
from dse.learned.kinds import kind
from dse.learned.model import LearnedModel
from dse.learned.network_settings import NetworkSettings
from dse.learned.relaxed_latency import NetworkLatency
from dse.learned.rows import RowTable
from dse.learned.samples import native_samples
from dse.learned.train import Trained
from dse.mapspace import Mapspace, sample_valid
from dse.relaxed.points import Points
from dse.runner.run import resume, start
from dse.space import catalog
from dse.space.search_space import SearchSpace

pytest.importorskip("torch", reason="the extra 'learned' is not installed")

SETTINGS = {
    "residual, dosa": NetworkSettings(network="dosa", iterations=20, batch=32),
    "residual, small": NetworkSettings(features="raw", epochs=20, members=2, width=8),
    "dnn, small": NetworkSettings(features="raw", epochs=20, members=2, width=8),
}


@cache
def space() -> SearchSpace:
    return SearchSpace(
        catalog.template("gemmini"), catalog.workload("alexnet"), energy_chain("dosa")
    )


@cache
def model(name: str) -> LearnedModel:
    """Fit on native samples, whose cycles are taken to be half as many again, and 1,000."""
    problems = [layer.problem for layer in space().workload]
    encoding = Encoding(FeatureNames.of(space().template.level_names, problems), ("raw",))
    found = native_samples(space(), encoding, 200, np.random.default_rng(0))
    recorded = np.log(1.5 * np.exp(found.ln_native) + 1000.0)
    table = RowTable(**{**found.__dict__, "ln_cycles": recorded})
    of = kind(name.partition(",")[0])
    fitted = of.fit(table, SETTINGS[name], 0, no_report)
    return LearnedModel(name.partition(",")[0], fitted, encoding)


@cache
def points() -> tuple[HardwareBatch, list[MappingBatch], Points]:
    """Return two mappings of every layer on one piece of hardware, whole, and as points."""
    hardware = space().architecture({"pe_dim": 16, "scratchpad_kb": 256, "accumulator_kb": 64})
    batches, mappings, which = [], [], []
    for number, layer in enumerate(space().workload):
        mapspace = Mapspace(layer.problem, hardware, space().template.constraints)
        batches.append(sample_valid(mapspace, 2, number, 100_000).mappings)
        mappings += [batches[-1][0], batches[-1][1]]
        which += [number, number]
    problems = [layer.problem for layer in space().workload]
    return HardwareBatch.of(hardware), batches, Points.of(mappings, which, problems)


def latency(name: str) -> NetworkLatency:
    problems = [layer.problem for layer in space().workload]
    return NetworkLatency(model(name), space().template.level_names, problems, "model")


@pytest.mark.parametrize("name", sorted(SETTINGS))
def test_at_whole_factors_it_is_the_model(name: str) -> None:
    hardware, batches, x = points()
    wanted, native = [], []
    for layer, batch in zip(space().workload, batches, strict=True):
        index = np.zeros(len(batch), np.int32)
        prediction, metrics = model(name).predict(hardware, layer.problem, batch, index)
        wanted.append(prediction.mean)
        native.append(metrics.cycles)
    index = np.zeros(len(x.problem), np.int64)
    told = latency(name)(
        *(x, np.concatenate(native), hardware.architectures, index), gradient=False
    )
    np.testing.assert_allclose(np.log(told.cycles), np.concatenate(wanted), atol=1e-6)


@pytest.mark.parametrize("name", sorted(SETTINGS))
def test_its_gradient_is_the_difference(name: str) -> None:
    hardware, _, whole = points()
    rng = np.random.default_rng(3)
    x = whole._replace(
        **{
            part: np.where(value > 1, value * rng.uniform(0.8, 1.3, value.shape), value)
            for part, value in (("temporal", whole.temporal), ("spatial", whole.spatial))
        }
    )
    index, native = np.zeros(len(x.problem), np.int64), np.full(len(x.problem), 1e6)
    of = latency(name)
    told = of(x, native, hardware.architectures, index, gradient=True)
    more = of(x, native * 1.001, hardware.architectures, index, gradient=False)
    np.testing.assert_allclose(told.by_native, (more.cycles - told.cycles) / 1e3, atol=1e-3)
    largest = max(np.abs(told.temporal).max(), np.abs(told.spatial).max())
    assert largest > 0
    for part in ("temporal", "spatial"):
        places = np.argwhere(getattr(x, part) > 1)
        for place in places[rng.permutation(len(places))[:30]]:
            at = tuple(place)
            ends = []
            for step in (0.001, -0.001):
                value = getattr(x, part).copy()
                value[at] *= np.exp(step)
                moved = x._replace(**{part: value})
                ends.append(of(moved, native, hardware.architectures, index, gradient=False).cycles)
            difference = (ends[0] - ends[1])[at[0]] / 0.002
            assert getattr(told, part)[at] == pytest.approx(
                difference, rel=0.05, abs=0.01 * largest
            )


def test_dosa_follows_it(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    trained = Trained(model("residual, dosa"), None, None, 200, "0" * 64, "made up", 0, {})
    save_model(folder, trained)
    given = {
        "arch": "gemmini",
        "workload": "alexnet",
        "samples": 150,
        "evaluator": {"name": "learned", "model": str(folder)},
    }
    optimizer = {"name": "dosa", "round_every": 50, "steps": 50, "learning_rate": 0.03}
    told = []
    for name, more in (("a", {}), ("b", {"model": str(folder)}), ("c", {"model": str(folder)})):
        dse.run(**given, optimizer={**optimizer, **more}, folder=str(tmp_path / name))
        lines = (tmp_path / name / "journal.jsonl").read_text().splitlines()
        told.append([json.loads(line).get("objective") for line in lines])
    plain, found, again = told
    assert found == again
    assert len(plain) > 1
    assert found != plain, (found, plain)


class Killed(Exception):
    pass


def killed(progress: object) -> None:
    raise Killed


@pytest.mark.parametrize("setting", ["evaluator", "optimizer"])
def test_a_run_does_not_go_on_with_another_model(setting: str, tmp_path: Path) -> None:
    folder = tmp_path / "model"

    def save(name: str) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        save_model(folder, Trained(model(name), None, None, 200, "0" * 64, "made up", 0, {}))

    save("residual, small")
    given = {
        "arch": "gemmini",
        "workload": "alexnet",
        "samples": 40,
        "optimizer": {"name": "dosa", "round_every": 5, "steps": 10},
        "folder": str(tmp_path / "run"),
    }
    if setting == "evaluator":
        given["evaluator"] = {"name": "learned", "model": str(folder)}
    else:
        given["optimizer"]["model"] = str(folder)
    with pytest.raises(Killed):
        start(given).execute(killed)
    save("dnn, small")
    with pytest.raises(SpecError, match=f"other inputs: tables: {folder}/model.json: "):
        resume(tmp_path / "run")
    save("residual, small")
    assert resume(tmp_path / "run").execute().samples <= 40


def test_a_model_of_other_features_is_refused(tmp_path: Path) -> None:
    problems = [layer.problem for layer in space().workload]
    encoding = Encoding(FeatureNames.of(space().template.level_names, problems))
    other = LearnedModel("residual", model("residual, small").predictor, encoding)
    with pytest.raises(SpecError, match="optimizer.model: is of kind residual on features"):
        NetworkLatency(other, space().template.level_names, problems, "optimizer.model")
    with pytest.raises(SpecError, match="levels"):
        NetworkLatency(model("residual, small"), ("A", "B"), problems, "optimizer.model")
