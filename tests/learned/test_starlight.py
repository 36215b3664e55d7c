"""Starlight: what pre-training learns, honest deviations, equal answers, files."""

from __future__ import annotations

import numpy as np
import pytest

from dse.components.chain import energy_chain
from dse.domain.problem import SHAPES, Layer, Problem, Workload
from dse.errors import SpecError
from dse.learned.encoding import Encoding
from dse.learned.features import FeatureNames
from dse.learned.gaussian_process import GaussianProcess
from dse.learned.inference import RELU, product
from dse.learned.rows import RowTable
from dse.learned.samples import native_samples
from dse.learned.starlight import Starlight, StarlightSettings
from dse.space import catalog
from dse.space.search_space import SearchSpace
from dse.state.entries import CheckedEntries

pytest.importorskip("torch", reason="the extra 'learned' is not installed")

QUICK = StarlightSettings(latent=4, width=32, epochs=20, steps=25, rows=100)


def quiet(step: int, steps: int, line: str) -> None:
    assert 1 <= step <= steps
    assert line


@pytest.fixture(scope="module")
def samples() -> RowTable:
    """1,200 native samples of two layers; "recorded" cycles are 30 % more than native, and 500."""
    bounds = [
        {"R": 3, "S": 3, "P": 14, "Q": 14, "C": 16, "K": 32, "N": 1},
        {"R": 1, "S": 1, "P": 28, "Q": 28, "C": 32, "K": 16, "N": 1},
    ]
    unit = {"Wstride": 1, "Hstride": 1, "Wdilation": 1, "Hdilation": 1}
    problems = [Problem(SHAPES["cnn-layer"], b, unit) for b in bounds]
    template = catalog.template("gemmini")
    encoding = Encoding(FeatureNames.of(template.level_names, problems))
    rng = np.random.default_rng(0)
    layers = tuple(Layer(f"layer{i}", problem) for i, problem in enumerate(problems))
    space = SearchSpace(template, Workload("two", layers), energy_chain("dosa"))
    found = native_samples(space, encoding, 1200, rng)
    noise = 0.03 * rng.standard_normal(len(found))
    recorded = np.log(1.3 * np.exp(found.ln_native) + 500.0) + noise
    return RowTable(
        *(found.names, found.features, recorded),
        *(found.ln_native, found.energy_pj, found.layer),
    )


@pytest.fixture(scope="module")
def fitted(samples: RowTable) -> Starlight:
    encoder = Starlight.pretrain(samples, QUICK, 0, quiet)
    return Starlight.fit(samples.take(np.arange(200)), QUICK, 0, quiet, encoder)


def test_orders_rows_that_it_has_not_seen(samples: RowTable, fitted: Starlight) -> None:
    unseen = samples.take(np.arange(600, 1200))
    mean, deviation = fitted.predict(unseen.features, unseen.ln_native)
    assert np.corrcoef(mean, unseen.ln_cycles)[0, 1] > 0.98
    assert np.mean(np.abs(mean - unseen.ln_cycles) <= 1.96 * deviation) > 0.8


def test_the_latent_of_a_pretrained_encoder_tells_edp(samples: RowTable) -> None:
    encoder = Starlight.pretrain(samples, QUICK, 0, quiet)
    again = Starlight.pretrain(samples, QUICK, 0, quiet)
    inputs = Starlight.fit(samples.take(np.arange(50)), QUICK, 0, quiet)._design.expand(
        samples.features
    )[0]
    latent = encoder.latent(encoder.standardised(inputs)).astype(np.float64)
    edp = samples.ln_native + np.log(samples.energy_pj)
    design = np.column_stack([latent, np.ones(len(latent))])
    told = design @ np.linalg.lstsq(design, edp, rcond=None)[0]
    assert np.corrcoef(told, edp)[0, 1] > 0.9
    for name, array in encoder.arrays().items():
        np.testing.assert_array_equal(again.arrays()[name], array)


def test_same_seed_same_result_however_the_batch_is_split(
    samples: RowTable, fitted: Starlight
) -> None:
    again = Starlight.fit(
        samples.take(np.arange(200)), QUICK, 0, quiet, Starlight.pretrain(samples, QUICK, 0, quiet)
    )
    whole = fitted.predict(samples.features, samples.ln_native)
    np.testing.assert_array_equal(again.predict(samples.features, samples.ln_native), whole)
    for start, stop in ((0, 1), (7, 300), (300, 813)):
        part = fitted.predict(samples.features[start:stop], samples.ln_native[start:stop])
        np.testing.assert_array_equal(part.mean, whole.mean[start:stop])
        np.testing.assert_array_equal(part.deviation, whole.deviation[start:stop])


def test_loaded_equals_saved_to_the_bit(samples: RowTable, fitted: Starlight) -> None:
    features = samples.features.shape[1]
    with CheckedEntries(fitted.facts, "facts") as facts:
        loaded = Starlight.load(fitted.arrays(), facts, features)
    np.testing.assert_array_equal(
        loaded.predict(samples.features, samples.ln_native),
        fitted.predict(samples.features, samples.ln_native),
    )
    bad = {**fitted.arrays(), "design.across": np.array([features])}
    with CheckedEntries(fitted.facts, "facts") as facts, pytest.raises(SpecError, match="across"):
        Starlight.load(bad, facts, features)
    offsets = fitted.arrays()["design.quantities.offsets"].copy()
    offsets[1] = len(fitted.arrays()["design.quantities.places"]) + 1
    for name, array in (
        ("design.inputs.places", fitted.arrays()["design.inputs.places"] - 1),
        ("design.quantities.offsets", offsets),
        ("gp.basis", fitted.arrays()["gp.basis"][:, :-1]),
    ):
        bad = {**fitted.arrays(), name: np.ascontiguousarray(array)}
        with CheckedEntries(fitted.facts, "facts") as facts, pytest.raises(SpecError):
            Starlight.load(bad, facts, features)


def test_refit_learns_from_new_rows(samples: RowTable, fitted: Starlight) -> None:
    known, unseen = samples.take(np.arange(200)), samples.take(np.arange(600, 1200))
    slower = RowTable(**{**known.__dict__, "ln_cycles": known.ln_cycles + 1.0})
    shift = (
        fitted.refit(slower).predict(unseen.features, unseen.ln_native).mean
        - fitted.predict(unseen.features, unseen.ln_native).mean
    )
    assert 0.7 < np.median(shift) < 1.1


def test_rows_without_features_stay_unknown(samples: RowTable, fitted: Starlight) -> None:
    features, native = samples.features[:3].copy(), samples.ln_native[:3].copy()
    features[1], native[1] = np.nan, np.nan
    found = fitted.predict(features, native)
    assert np.isnan(found.mean).tolist() == [False, True, False]
    assert np.isnan(found.deviation).tolist() == [False, True, False]


def test_too_few_rows_are_refused(samples: RowTable) -> None:
    with pytest.raises(SpecError, match="4 rows"):
        Starlight.fit(samples.take(np.arange(4)), QUICK, 0, quiet)


def test_process_is_calibrated_on_a_smooth_function() -> None:
    rng = np.random.default_rng(0)
    at = rng.uniform(-2, 2, (600, 2)).astype(np.float32)
    truth = np.sin(2 * at[:, 0]) + at[:, 1]
    noisy = truth + 0.1 * rng.standard_normal(600)
    process = GaussianProcess.conditioned(at[:300], noisy[:300], 1.0, 0.01)
    mean, deviation = process.predict(at[300:])
    z = np.abs(noisy[300:] - mean) / deviation
    for factor, share in ((0.674, 0.5), (1.282, 0.8), (1.96, 0.95)):
        assert abs(np.mean(z <= factor) - share) < 0.08


def test_process_of_points_in_a_plane_knows_how_far_others_are_from_it() -> None:
    """Against the textbook's formulae (Rasmussen and Williams 2006, eq. 2.25 and 2.26)."""
    rng = np.random.default_rng(1)
    plane = rng.standard_normal((2, 7))
    points = (rng.uniform(-1, 1, (80, 2)) @ plane).astype(np.float32)
    targets = np.sin(points[:, 0].astype(np.float64))
    process = GaussianProcess.conditioned(points, targets, 2.0, 0.01)
    assert process.basis.shape == (7, 2)
    at = np.vstack([points[:5] + 0.01, rng.standard_normal((20, 7))]).astype(np.float32)
    mean, deviation = process.predict(at)

    def kernel(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        root = np.sqrt(5.0) * np.linalg.norm(a[:, None].astype(float) - b[None], axis=2)
        return 2.0 * (1.0 + root + root**2 / 3.0) * np.exp(-root)

    inverse = np.linalg.inv(kernel(points, points) + 0.01 * np.eye(80))
    across = kernel(at, points)
    np.testing.assert_allclose(mean, across @ inverse @ targets, atol=2e-4)
    variance = 2.0 - np.einsum("bn,nm,bm->b", across, inverse, across) + 0.01
    np.testing.assert_allclose(deviation / process.factor, np.sqrt(variance), rtol=2e-3)


def test_anothers_answer_is_a_term_of_the_cycles_and_no_input(samples: RowTable) -> None:
    """Recorded cycles that follow it are told where the native model says nothing of them."""
    rng = np.random.default_rng(2)
    answer = samples.ln_native + rng.uniform(0.0, 2.0, len(samples))
    table = RowTable(
        *(
            (*samples.names, "cycles.total"),
            np.column_stack([samples.features, answer / np.log(2)]),
        ),
        *(answer + 0.1, samples.ln_native, samples.energy_pj, samples.layer),
    )
    encoder = Starlight.pretrain(samples, QUICK, 0, quiet)
    fitted = Starlight.fit(table.take(np.arange(200)), QUICK, 0, quiet, encoder)
    unseen = table.take(np.arange(600, 1200))
    mean, _ = fitted.predict(unseen.features, unseen.ln_native)
    assert np.median(np.abs(mean - unseen.ln_cycles)) < 0.1
    without = Starlight.fit(
        RowTable(**{**samples.__dict__, "ln_cycles": answer + 0.1}).take(np.arange(200)),
        *(QUICK, 0, quiet, encoder),
    )
    mean, _ = without.predict(unseen.features[:, :-1], unseen.ln_native)
    assert np.median(np.abs(mean - unseen.ln_cycles)) > 0.3


@pytest.mark.parametrize(("rows", "inputs", "outputs"), [(1, 1, 1), (7, 9, 5), (33, 16, 40)])
def test_layers_are_products_whatever_their_sizes(rows: int, inputs: int, outputs: int) -> None:
    rng = np.random.default_rng(0)
    x, weights, bias = (
        rng.standard_normal(shape).astype(np.float32)
        for shape in ((rows, inputs), (inputs, outputs), (outputs,))
    )
    found = product(x, weights, bias, RELU)
    np.testing.assert_allclose(found, np.maximum(x @ weights + bias, 0.0), atol=1e-4)
    np.testing.assert_array_equal(found[-1:], product(x[-1:], weights, bias, RELU))


def test_anothers_precision_changes_nothing(samples: RowTable) -> None:
    import torch

    before = torch.get_default_dtype()
    one = Starlight.pretrain(samples, QUICK, 0, quiet)
    torch.set_default_dtype(torch.float64)
    try:
        other = Starlight.pretrain(samples, QUICK, 0, quiet)
        assert torch.get_default_dtype() == torch.float64
    finally:
        torch.set_default_dtype(before)
    for name, array in one.arrays().items():
        np.testing.assert_array_equal(other.arrays()[name], array)
