"""How good predictions are: ranks, errors, and whether the deviations are honest."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dse.learned.predictor import Prediction
from dse.numeric import Floats

#: Central intervals whose coverage is reported.
INTERVALS = (0.5, 0.8, 0.95)


@dataclass(frozen=True)
class Scores:
    """Of predictions of N rows.

    Attributes:
        rows: N.
        spearman: of ranks; NaN for fewer than two rows.
        pearson: of logarithms.
        mape: mean of |predicted / recorded - 1|; of the EDP it is the same, as energies are the
            native model's.
        spearman_edp, pearson_edp: of energy x cycles.
        coverage: by interval, the share of rows within it.
        nll: mean negative log-likelihood of ln cycles; None where there are no deviations.
    """

    rows: int
    spearman: float
    pearson: float
    mape: float
    spearman_edp: float
    pearson_edp: float
    coverage: dict[str, float] | None
    nll: float | None


def scores(prediction: Prediction, ln_cycles: Floats, energy_pj: Floats) -> Scores:
    """Score predictions.

    Args:
        prediction: of N rows; deviations may be NaN where there are none.
        ln_cycles: ``(N,)`` recorded.
        energy_pj: ``(N,)`` of the native model.
    """
    from scipy.stats import norm, spearmanr  # noqa: PLC0415 - slow to load

    mean, deviation = prediction
    ln_energy = np.log(energy_pj)

    def rank(x: Floats, y: Floats) -> float:
        return float(spearmanr(x, y).statistic)

    def straight(x: Floats, y: Floats) -> float:
        return float(np.corrcoef(x, y)[0, 1])

    several = len(mean) > 1
    nan = float("nan")
    coverage, nll = None, None
    if not np.isnan(deviation).any():
        z = np.abs(ln_cycles - mean) / deviation
        coverage = {
            f"{share:.0%}": float(np.mean(z <= norm.ppf((1 + share) / 2))) for share in INTERVALS
        }
        nll = float(np.mean(0.5 * z**2 + np.log(deviation) + 0.5 * np.log(2 * np.pi)))
    edp, recorded_edp = mean + ln_energy, ln_cycles + ln_energy
    return Scores(
        rows=len(mean),
        spearman=rank(mean, ln_cycles) if several else nan,
        pearson=straight(mean, ln_cycles) if several else nan,
        mape=float(np.mean(np.abs(np.expm1(mean - ln_cycles)))),
        spearman_edp=rank(edp, recorded_edp) if several else nan,
        pearson_edp=straight(edp, recorded_edp) if several else nan,
        coverage=coverage,
        nll=nll,
    )
