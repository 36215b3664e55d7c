"""The native model against a real Timeloop: the same cases through both, and how far they agree."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from dse.domain.architecture import Architecture
from dse.domain.mapping import Mapping
from dse.domain.problem import Layer, Problem
from dse.errors import InvalidMapping, SpecError
from dse.mapspace import Mapspace, sample_any, sample_valid
from dse.model.stats import Stats, TensorStats
from dse.process.together import ended_together
from dse.space.search_space import SearchSpace
from dse.study.best_files import best_files

#: Relative difference up to which two numbers are the same: the noise of the last digits.
_EQUAL = 1e-9
#: What is compared, with its unit.
_METRICS = {
    "cycles": "cycles",
    "energy": "pJ",
    "accesses": "words",
    "utilization": "",
    "area": "um^2",
}
#: One in so many random mappings need not fit, so that rejections are compared too.
_ANY_EVERY = 5
_MOST_DRAWS = 100_000
_HALF_UNIT = 0.005

_T = TypeVar("_T")


@dataclass(frozen=True)
class Case:
    """One mapping to put through both."""

    name: str
    architecture: Architecture
    problem: Problem
    mapping: Mapping


@dataclass(frozen=True)
class Outcome:
    """What both said of a case: numbers by metric, or the line of a rejection.

    Attributes:
        differences: level-by-level counts that differ, as text.
        slack: by metric, how much of a difference is want of printed digits.
    """

    case: Case
    native: dict[str, float] | None
    timeloop: dict[str, float] | None
    native_line: str = ""
    timeloop_line: str = ""
    differences: tuple[str, ...] = ()
    slack: dict[str, float] | None = None

    @property
    def same_verdict(self) -> bool:
        """Whether both accept it, or both reject it with the same words."""
        return self.native_line == self.timeloop_line

    def error(self, metric: str) -> float:
        """Relative difference of a metric; 0 where it is want of digits; NaN if rejected."""
        if self.native is None or self.timeloop is None:
            return float("nan")
        a, b = self.native[metric], self.timeloop[metric]
        difference = abs(a - b)
        if difference <= (self.slack or {}).get(metric, 0.0):
            return 0.0
        return difference / max(abs(b), 1e-300)


@dataclass(frozen=True)
class MetricErrors:
    """One metric over all cases that both accept; errors are relative to Timeloop."""

    metric: str
    mean: float
    p95: float
    largest: float
    within_1e_4: float
    within_1e_2: float
    equal: float


@dataclass(frozen=True)
class ModelReport:
    """How far the two agree."""

    outcomes: tuple[Outcome, ...]
    rows: tuple[MetricErrors, ...]
    rejected: int
    verdicts_differ: int
    counts_differ: int

    @property
    def agrees(self) -> bool:
        """Whether every verdict, count and metric is the same."""
        equal = all(row.equal == 1.0 for row in self.rows)
        return equal and not self.verdicts_differ and not self.counts_differ


def design_cases(folder: Path, space: SearchSpace, version: str) -> list[Case]:
    """Return the layers of a run's best design, in the order of its workload, from its files.

    Raises:
        SpecError: a file is missing or broken.
    """
    cases = []
    for layer, spec in zip(space.workload, best_files(folder, space, version), strict=True):
        assert spec.mapping is not None  # or it had been refused
        cases.append(Case(layer.name, spec.architecture, spec.problem, spec.mapping))
    return cases


def random_cases(space: SearchSpace, count: int, seed: int) -> Iterator[Case]:
    """Yield random hardware with random mappings of random layers of the workload.

    Raises:
        SpecError: no case was found in many draws.
    """
    rng = np.random.default_rng(np.random.SeedSequence(seed))
    layers = list(space.workload)
    made = failed = 0
    while made < count:
        layer = layers[int(rng.integers(len(layers)))]
        try:
            architecture = space.architecture(space.sample_values(rng))
        except SpecError:
            # the chain cannot price every point of the space; another one is drawn
            found = None
        else:
            fits = made % _ANY_EVERY != _ANY_EVERY - 1
            draw = int(rng.integers(2**62))
            found = random_case(space, architecture, layer, draw, fits=fits)
        if found is not None:
            made += 1
            yield found
            continue
        failed += 1
        if failed > 100 * count:
            raise SpecError(
                f"template '{space.template.name}': almost no random mapping fits the hardware"
            )


def random_case(
    space: SearchSpace, architecture: Architecture, layer: Layer, seed: int, *, fits: bool
) -> Case | None:
    """Return a random mapping of a layer on given hardware; None when none was found."""
    mapspace = Mapspace(layer.problem, architecture, space.template.constraints)
    sample = sample_valid if fits else sample_any
    found = sample(mapspace, 1, seed, _MOST_DRAWS).mappings
    if not len(found):
        return None
    return Case(layer.name, architecture, layer.problem, found[0])


def compare(
    cases: Sequence[Case],
    native: Callable[[Case], Stats],
    timeloop: Callable[[Case], Stats],
    n_jobs: int,
    report: Callable[[int], None] | None = None,
) -> ModelReport:
    """Put cases through both and compare.

    Args:
        cases: what to compare.
        native: evaluates a case with the native model.
        timeloop: evaluates it with Timeloop; both raise InvalidMapping for a rejected mapping.
        n_jobs: cases at a time.
        report: called with the number of cases done.

    Raises:
        dse.errors.ToolError: Timeloop failed.
    """

    def one(case: Case) -> Outcome:
        return _outcome(case, _said(native, case), _said(timeloop, case))

    outcomes = []
    with ThreadPoolExecutor(n_jobs) as pool, ended_together() as scope:
        try:
            for outcome in pool.map(scope.within(one), cases):
                outcomes.append(outcome)
                if report is not None:
                    report(len(outcomes))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return _summarised(outcomes)


def _summarised(outcomes: Sequence[Outcome]) -> ModelReport:
    """Return the report on outcomes."""
    both = [o for o in outcomes if o.native is not None and o.timeloop is not None]
    rows: tuple[MetricErrors, ...] = ()
    if both:
        rows = tuple(_row(metric, np.array([o.error(metric) for o in both])) for metric in _METRICS)
    return ModelReport(
        outcomes=tuple(outcomes),
        rows=rows,
        rejected=sum(o.timeloop is None for o in outcomes),
        verdicts_differ=sum(not o.same_verdict for o in outcomes),
        counts_differ=sum(bool(o.differences) for o in outcomes),
    )


def _said(evaluate: Callable[[_T], Stats], case: _T) -> Stats | str:
    try:
        return evaluate(case)
    except InvalidMapping as rejection:
        return str(rejection)


def _outcome(case: Case, native: Stats | str, timeloop: Stats | str) -> Outcome:
    differences: tuple[str, ...] = ()
    slack = {}
    if isinstance(native, Stats) and isinstance(timeloop, Stats):
        differences = tuple(_differences(native, timeloop))
        slack = _slack(case.architecture, timeloop)
    return Outcome(
        case=case,
        native=None if isinstance(native, str) else _metrics(native),
        timeloop=None if isinstance(timeloop, str) else _metrics(timeloop),
        native_line=native if isinstance(native, str) else "",
        timeloop_line=timeloop if isinstance(timeloop, str) else "",
        differences=differences,
        slack=slack,
    )


def _metrics(stats: Stats) -> dict[str, float]:
    accesses = sum(
        (t.reads + t.fills + t.updates) * t.utilized_instances
        for level in stats.levels.values()
        for t in level.tensors.values()
    )
    return {
        "cycles": stats.cycles,
        "energy": stats.energy_pj,
        "accesses": accesses,
        "utilization": stats.utilization,
        "area": stats.area_um2,
    }


def _slack(architecture: Architecture, timeloop: Stats) -> dict[str, float]:
    """Areas and leakage have two digits in Timeloop's files."""
    instances = architecture.compute.instances + sum(x.instances for x in architecture.levels)
    leaking = sum(level.leak_energy_pj > 0 for level in timeloop.levels.values())
    return {"area": 1.001 * _HALF_UNIT * instances, "energy": 1.001 * _HALF_UNIT * leaking}


def _differences(native: Stats, timeloop: Stats) -> Iterator[str]:
    """Say which counts and energies of which level and tensor differ."""
    if native.levels.keys() != timeloop.levels.keys():
        yield f"levels {', '.join(native.levels)} and {', '.join(timeloop.levels)}"
        return
    for name, own in native.levels.items():
        other = timeloop.levels[name]
        if own.cycles != other.cycles:
            yield f"{name}: {own.cycles} and {other.cycles} cycles"
        for tensor, mine in own.tensors.items():
            theirs = other.tensors[tensor]
            for item in fields(TensorStats):
                a, b = getattr(mine, item.name), getattr(theirs, item.name)
                if abs(a - b) > _EQUAL * max(abs(a), abs(b)):
                    yield f"{name}.{tensor}.{item.name}: {a:g} and {b:g}"


def _row(metric: str, errors: npt.NDArray[np.float64]) -> MetricErrors:
    return MetricErrors(
        metric=metric,
        mean=float(errors.mean()),
        p95=float(np.percentile(errors, 95)),
        largest=float(errors.max()),
        within_1e_4=float((errors <= 1e-4).mean()),
        within_1e_2=float((errors <= 1e-2).mean()),
        equal=float((errors <= _EQUAL).mean()),
    )


def report_text(report: ModelReport, back_ends: tuple[str, str]) -> str:
    """Return the table and the verdict."""
    count = len(report.outcomes)
    lines = [
        f"{count:,} mappings by {back_ends[0]} and {back_ends[1]}: {report.rejected:,} rejected, "
        f"{report.verdicts_differ:,} with another verdict, "
        f"{report.counts_differ:,} with other counts at some level",
        "",
    ]
    if report.rows:
        head = f"{'metric':12} {'mean error':>11} {'p95':>9} {'max':>9}"
        lines.append(f"{head} {'<= 0.01 %':>10} {'<= 1 %':>9} {'<= 1e-9':>9}")
        for row in report.rows:
            shares = (row.within_1e_4, row.within_1e_2, row.equal)
            lines.append(
                f"{row.metric:12} {row.mean:11.2e} {row.p95:9.1e} {row.largest:9.1e} "
                + " ".join(f"{100 * x:8.2f}%" for x in shares).rjust(30)
            )
        lines.append("")
    for outcome in [o for o in report.outcomes if not o.same_verdict or o.differences][:5]:
        said = f"'{outcome.native_line or 'valid'}' and '{outcome.timeloop_line or 'valid'}'"
        what = "; ".join(outcome.differences[:3]) or said
        lines.append(f"differs: {outcome.case.name}: {what}")
    lines.append("verdict: " + ("they agree" if report.agrees else "THEY DIFFER"))
    return "\n".join(lines) + "\n"


def scatter(comparisons: Sequence[tuple[tuple[str, str], ModelReport]], path: Path) -> None:
    """Draw energy and cycles of both back ends against each other, as PNG or SVG by the name.

    Args:
        comparisons: names of the native model and the other back end, and how they agree.
        path: the file to write.

    Raises:
        SpecError: the file cannot be written, or is of another kind.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415 - heavy
    from matplotlib.figure import Figure  # noqa: PLC0415

    figure = Figure(figsize=(9, 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    for axes, metric in zip(figure.subplots(1, 2), ("cycles", "energy"), strict=True):
        ends: list[float] = []
        for (_, other), report in comparisons:
            pairs = [
                (o.timeloop[metric], o.native[metric])
                for o in report.outcomes
                if o.native is not None and o.timeloop is not None
            ]
            if pairs:
                axes.scatter(*zip(*pairs, strict=True), s=9, alpha=0.6, label=other)
                ends += [f(x for pair in pairs for x in pair) for f in (min, max)]
        if ends:
            axes.plot([min(ends), max(ends)], [min(ends), max(ends)], color="0.6", zorder=0)
            axes.legend(loc="upper left", fontsize="small")
        axes.set(xscale="log", yscale="log", title=f"{metric} ({_METRICS[metric]})")
        axes.set(xlabel="a real Timeloop", ylabel="native")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=150)
    except (OSError, ValueError) as error:
        raise SpecError(f"{path}: cannot be written: {error}") from error
