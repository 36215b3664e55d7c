"""Comparison of finished runs: what each search finds over its seeds, against the others."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from dse.errors import SpecError
from dse.report.finished import TIMELOOP, FinishedRun
from dse.report.statistics import Contrast, Summary
from dse.report.varied import identity, shown, varied

#: Tables of their own: values do not compare between these.
_APART = ("workload", "objective")


@dataclass(frozen=True, eq=False)
class SeededSearch:
    """Runs that differ in their seed only.

    Attributes:
        labels: the settings that tell it from the others, as people know them.
        runs: best first.
    """

    labels: dict[str, str]
    runs: tuple[FinishedRun, ...]

    @property
    def name(self) -> str:
        """Return the labels as settings."""
        return " ".join(f"{key}={text}" for key, text in self.labels.items())

    def at_samples(self, samples: float) -> list[float]:
        """Return the best value of each run after so many samples."""
        return [run.course.at_samples(samples) for run in self.runs]

    def at_seconds(self, seconds: float) -> list[float]:
        """Return the best value of each run after so many seconds."""
        return [run.course.at_seconds(seconds) for run in self.runs]

    @property
    def ends(self) -> list[float]:
        """The value of each run; infinite where nothing was feasible."""
        return [math.inf if run.value is None else run.value for run in self.runs]

    @property
    def feasible(self) -> int:
        """Runs that found something."""
        return sum(run.value is not None for run in self.runs)

    @property
    def takes_s(self) -> float:
        """Median seconds of a run; NaN where no times were kept."""
        return Summary.of([run.course.end_seconds for run in self.runs]).median


@dataclass(frozen=True, eq=False)
class Standing:
    """A search in a table.

    Attributes:
        at_samples, at_seconds, end: its values at equal samples, at equal time, at the end.
        contrast: against the baseline at equal samples; None for the baseline itself.
        optimum: of its space, where that is known.
    """

    search: SeededSearch
    at_samples: Summary
    at_seconds: Summary | None
    end: Summary
    contrast: Contrast | None
    optimum: float | None

    @property
    def to_optimum(self) -> float | None:
        """Factor of the median over the optimum."""
        return self.at_samples.median / self.optimum if self.optimum else None


@dataclass(frozen=True, eq=False)
class Comparison:
    """Searches whose values compare, best first.

    Attributes:
        of: what they share: workload and objective.
        varied: settings that tell them apart.
        samples: at which they are compared: the smallest budget that one of them spent.
        seconds: the same of time; None where no times were kept.
        baseline: what the others are held against.
    """

    of: dict[str, str]
    unit: str
    varied: tuple[str, ...]
    samples: float
    seconds: float | None
    baseline: SeededSearch
    rows: tuple[Standing, ...]

    @property
    def searches(self) -> list[SeededSearch]:
        """The searches, best first."""
        return [row.search for row in self.rows]

    @property
    def runs(self) -> list[FinishedRun]:
        """The runs of all searches."""
        return [run for search in self.searches for run in search.runs]

    @property
    def budgets_differ(self) -> bool:
        """Whether the values at the end are others than those at equal samples."""
        return any(row.end != row.at_samples for row in self.rows)


@dataclass(frozen=True)
class ComparisonTerms:
    """How to compare.

    Attributes:
        baseline: the name of a search, or a part of it; None: random search where there is one,
            else the search of the first run.
        samples, seconds: at which to compare; None: what all have spent.
        per: further settings with tables of their own.
    """

    baseline: str | None = None
    samples: float | None = None
    seconds: float | None = None
    per: tuple[str, ...] = ()


def compare(runs: Sequence[FinishedRun], terms: ComparisonTerms | None = None) -> list[Comparison]:
    """Return the tables of a comparison, in the order of their first runs.

    Raises:
        SpecError: no search, or several of a table, are called as the baseline is; or accuracies
            are of different predictors, which do not compare at all.
    """
    predictors = sorted({run.predictor for run in runs if run.predictor})
    if len(predictors) > 1:
        raise SpecError(
            f"the runs have accuracies of different predictors ({'; '.join(predictors)}): they "
            "cannot be compared"
        )
    terms = terms or ComparisonTerms()
    apart = (*_APART, *terms.per)
    parts: dict[Hashable, list[FinishedRun]] = {}
    for run in runs:
        parts.setdefault(tuple(_of(run, apart).items()), []).append(run)
    keys = [key for key in varied([run.settings for run in runs]) if key not in apart]
    tables = [_table(part, keys, apart, terms) for part in parts.values()]
    if terms.baseline is not None and not any(
        _is_called(search, terms.baseline) for table in tables for search in table.searches
    ):
        known = sorted({search.name for table in tables for search in table.searches})
        raise SpecError(
            f"--baseline {terms.baseline}: no search is called so; expected one of "
            f"{', '.join(known)}"
        )
    return tables


def _of(run: FinishedRun, keys: Sequence[str]) -> dict[str, str]:
    """Return what the runs of a table share: these settings, and parameters of the workload."""
    told = {"workload": run.workload, "objective": run.objective}
    parameters = [key for key in sorted(run.settings) if key.startswith("parameters.")]
    return {
        key: shown(key, told.get(key, run.settings.get(key)))
        for key in dict.fromkeys((*keys, *parameters))
    }


def _table(
    runs: Sequence[FinishedRun], keys: Sequence[str], apart: Sequence[str], terms: ComparisonTerms
) -> Comparison:
    groups: dict[Hashable, list[FinishedRun]] = {}
    for run in runs:
        groups.setdefault(identity(run.settings), []).append(run)
    here = [key for key in keys if len({repr(run.settings.get(key)) for run in runs}) > 1]
    searches = []
    for members in groups.values():
        settings = members[0].settings
        labels = {key: shown(key, settings.get(key)) for key in here}
        ordered = sorted(members, key=lambda run: (run.value is None, run.value or 0.0))
        searches.append(SeededSearch(labels, tuple(ordered)))
    samples = terms.samples or _spent(runs, [run.course.end_samples for run in runs])
    seconds = terms.seconds
    if not all(run.course.timed for run in runs):
        seconds = None
    elif seconds is None:
        seconds = _spent(runs, [run.course.end_seconds for run in runs])
    baseline = _baseline(searches, terms.baseline)
    rows = [_row(search, baseline, samples, seconds, runs) for search in searches]
    rows.sort(key=lambda row: (row.at_samples.median, row.search.name))
    unit = next((run.unit for run in runs if run.value is not None), "")
    return Comparison(
        _of(runs[0], apart), unit, tuple(here), samples, seconds, baseline, tuple(rows)
    )


def _spent(runs: Sequence[FinishedRun], spent: Sequence[float]) -> float:
    """Return what every run has spent, but for those that ended before their budget did."""
    whole = [
        used
        for run, used in zip(runs, spent, strict=True)
        if run.samples >= run.settings.get("samples", run.samples) and run.proven is None
    ]
    return min(whole) if whole else max(spent)


def _baseline(searches: Sequence[SeededSearch], wanted: str | None) -> SeededSearch:
    """Return the search that the others are held against.

    Raises:
        SpecError: several are called as it is wanted.
    """
    if wanted is not None:
        called = [search for search in searches if _is_called(search, wanted)]
        if len(called) > 1:
            names = ", ".join(search.name for search in called)
            raise SpecError(f"--baseline {wanted}: {names} are called so, expected one")
        if called:
            return called[0]
    chance = [search for search in searches if search.runs[0].optimizer == "random"]
    return chance[0] if len(chance) == 1 else searches[0]


def _is_called(search: SeededSearch, wanted: str) -> bool:
    return wanted in search.labels.values() or set(wanted.split()) <= set(search.name.split())


def _row(
    search: SeededSearch,
    baseline: SeededSearch,
    samples: float,
    seconds: float | None,
    runs: Sequence[FinishedRun],
) -> Standing:
    values = search.at_samples(samples)
    against = None if search is baseline else Contrast.of(values, baseline.at_samples(samples))
    return Standing(
        search,
        Summary.of(values),
        None if seconds is None else Summary.of(search.at_seconds(seconds)),
        Summary.of(search.ends),
        against,
        _optimum(search.runs[0], runs),
    )


def _optimum(run: FinishedRun, runs: Sequence[FinishedRun]) -> float | None:
    """Return the optimum of a run's space: a known one, or what one of the runs has proven."""
    if run.known is not None:
        return run.known.value
    if run.model != TIMELOOP:
        return None
    return min((o.proven for o in runs if o.proven and _space(o) == _space(run)), default=None)


def _space(run: FinishedRun) -> Hashable:
    """Return the settings but for how it is searched."""
    how = ("optimizer", "mapper", "evaluator", "samples")
    return identity({k: v for k, v in run.settings.items() if k.partition(".")[0] not in how})


@dataclass(frozen=True)
class Overall:
    """A search over several tables: the geometric mean of its ratios to the baseline."""

    labels: dict[str, str]
    ratio: float


def overall(tables: Sequence[Comparison]) -> list[Overall]:
    """Return the searches that stand in every table beside the baseline, best first."""
    ratios: dict[tuple[tuple[str, str], ...], list[float]] = {}
    for table in tables:
        for row in table.rows:
            if row.contrast is not None:
                ratios.setdefault(tuple(row.search.labels.items()), []).append(row.contrast.ratio)
    found = [
        Overall(dict(labels), float(np.exp(np.mean(np.log(told)))))
        for labels, told in ratios.items()
        if len(told) == len(tables) > 1 and all(math.isfinite(ratio) for ratio in told)
    ]
    return sorted(found, key=lambda one: one.ratio)
