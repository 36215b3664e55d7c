"""Statistics of few runs: medians and quartiles, and whether one search beats another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dse.numeric import Floats


@dataclass(frozen=True)
class Summary:
    """Median and quartiles of values; infinite values are of runs that found nothing."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Summary:
        """Return those of at least one value; all NaN where one is."""
        ordered = np.sort(np.asarray(values, float))
        return cls(*(_quantile(ordered, share) for share in (0.5, 0.25, 0.75)))


def _quantile(ordered: Floats, share: float) -> float:
    """Return a quantile of sorted values, linear between them; infinite ones stay infinite."""
    if np.isnan(ordered).any():
        return float("nan")
    place = share * (len(ordered) - 1)
    below = int(place)
    part = place - below
    if not part:
        return float(ordered[below])
    return float((1 - part) * ordered[below] + part * ordered[below + 1])


@dataclass(frozen=True)
class Contrast:
    """Runs of one search against those of another; smaller is better.

    Attributes:
        ratio: of the medians.
        p: of the two-sided Mann-Whitney U test, that both are the same; exact where there are few
            runs and no ties. None where a side has less than two runs.
        better: probability that a run of this search beats one of the other, ties by half
            (Vargha and Delaney's A): 0.5 is no effect.
    """

    ratio: float
    p: float | None
    better: float

    @classmethod
    def of(cls, values: Sequence[float], others: Sequence[float]) -> Contrast:
        """Return it for the values of both searches, at least one each."""
        ours, theirs = np.asarray(values, float), np.asarray(others, float)
        wins = (ours[:, None] < theirs).sum() + 0.5 * (ours[:, None] == theirs).sum()
        over, under = Summary.of(values).median, Summary.of(others).median
        ratio = over / under if under and np.isfinite(under) else float("nan")
        return cls(ratio, _p(ours, theirs), float(wins) / (len(ours) * len(theirs)))


def _p(ours: Floats, theirs: Floats) -> float | None:
    if min(len(ours), len(theirs)) < 2 or np.isnan([*ours, *theirs]).any():
        return None
    from scipy.stats import mannwhitneyu  # noqa: PLC0415 - slow to load

    # infinite values have ranks, but no place in the test's arithmetic
    _, ranks = np.unique(np.concatenate([ours, theirs]), return_inverse=True)
    told = mannwhitneyu(ranks[: len(ours)], ranks[len(ours) :], alternative="two-sided")
    return float(told.pvalue)
