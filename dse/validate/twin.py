"""The differentiable twin against the exact model: figure 4 of DOSA (MICRO 2023), for any template.

Random valid mappings of random hardware go through both; errors are told by kind of layer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dse.domain.architecture import Architecture
from dse.domain.mapping import MappingBatch
from dse.domain.problem import Layer, Problem
from dse.errors import SpecError
from dse.evaluators.native import NativeEvaluator
from dse.mapspace import Mapspace, sample_valid
from dse.numeric import Floats
from dse.relaxed.prices import price_list
from dse.relaxed.twin import Twin
from dse.space.search_space import SearchSpace

#: What is compared, with its unit.
_METRICS = {"cycles": "cycles", "energy_pj": "pJ", "edp": "pJ x cycle"}
#: What the paper says of its own model: the share of mappings within 1 %, and the mean error.
_PAPER_WITHIN, _PAPER_MEAN = 0.983, 0.0018
_BATCH = 32
_MOST_DRAWS = 100_000


@dataclass(frozen=True, eq=False)
class TwinSample:
    """Mappings of one layer on one hardware, by both models; arrays ``(B,)`` by metric."""

    layer: str
    kind: str
    twin: dict[str, Floats]
    exact: dict[str, Floats]


@dataclass(frozen=True)
class KindErrors:
    """Relative errors of one metric over the mappings of one kind of layer."""

    kind: str
    metric: str
    mappings: int
    mean: float
    p95: float
    largest: float
    within_1_percent: float
    equal: float


@dataclass(frozen=True)
class TwinReport:
    """How far the twin is from the exact model; the last rows are over all kinds."""

    title: str
    rows: tuple[KindErrors, ...]
    samples: tuple[TwinSample, ...]

    @property
    def agrees(self) -> bool:
        """Whether the EDP is as close as the paper's model is to Timeloop, in both figures."""
        row = next(r for r in self.rows if r.kind == "all" and r.metric == "edp")
        return row.mean <= _PAPER_MEAN and row.within_1_percent >= _PAPER_WITHIN


def _kind_of(problem: Problem) -> str:
    """Return what kind of layer a problem is: matrix product, or convolution by its filter."""
    bounds, shape = problem.bounds, problem.shape.name
    if "P" not in bounds or not {"R", "S"} <= bounds.keys():
        return shape
    if shape.startswith("depthwise"):
        return "depthwise"
    if bounds["R"] == bounds["S"] == 1:
        pixels = bounds["P"] * bounds.get("Q", 1)
        return "1x1" if pixels > 1 and bounds.get("Q", 1) > 1 else "matrix product"
    strided = max(problem.coefficients.values(), default=1) > 1
    return "filter, strided" if strided else "filter"


def compare_twin(
    space: SearchSpace, count: int, seed: int, timeloop_version: str | None = None
) -> TwinReport:
    """Put ``count`` random mappings through the twin and the exact model.

    Args:
        space: template, workload and energy chain.
        count: mappings; they come in groups of one layer on one hardware.
        seed: of the hardware, the layers and the mappings.
        timeloop_version: which exact model; None: the space's.

    Raises:
        SpecError: almost no random mapping fits the hardware.
    """
    version = timeloop_version or space.timeloop_version
    rng = np.random.default_rng(np.random.SeedSequence(seed))
    layers = list(space.workload)
    twin = Twin([x.problem for x in layers], len(space.template.level_names), version, None)
    exact = NativeEvaluator(version)
    samples: list[TwinSample] = []
    left, failed = count, 0
    while left > 0:
        number = int(rng.integers(len(layers)))
        found = _group(space, layers[number], min(left, _BATCH), rng)
        if found is None:
            failed += 1
            if failed > 1000:
                raise SpecError(
                    f"template '{space.template.name}': almost no random mapping fits the hardware"
                )
            continue
        samples.append(_sample(twin, exact, layers[number], number, *found))
        left -= len(found[1])
    title = f"{space.template.name}, {space.workload.name}, energy {space.chain.name}, {version}"
    return TwinReport(title, tuple(_rows(samples)), tuple(samples))


def _group(
    space: SearchSpace, layer: Layer, count: int, rng: np.random.Generator
) -> tuple[Architecture, MappingBatch] | None:
    """Return random hardware and up to ``count`` valid mappings; None where there are none."""
    try:
        architecture = space.architecture(space.sample_values(rng))
    except SpecError:
        # the chain cannot price every point of the space; another one is drawn
        return None
    mapspace = Mapspace(layer.problem, architecture, space.template.constraints)
    found = sample_valid(mapspace, count, int(rng.integers(2**62)), _MOST_DRAWS).mappings
    return (architecture, found) if len(found) else None


def _sample(
    twin: Twin,
    exact: NativeEvaluator,
    layer: Layer,
    number: int,
    architecture: Architecture,
    mappings: MappingBatch,
) -> TwinSample:
    told = exact.evaluate(architecture, layer.problem, mappings)
    kept = np.flatnonzero(told.valid)
    points = twin.points([mappings[int(b)] for b in kept], [number] * len(kept))
    cost = twin.cost(points, price_list([architecture]), gradient=False)
    return TwinSample(
        layer.name,
        _kind_of(layer.problem),
        {name: getattr(cost, name) for name in _METRICS},
        {name: getattr(told, name)[kept] for name in _METRICS},
    )


def _rows(samples: Sequence[TwinSample]) -> list[KindErrors]:
    kinds = sorted({sample.kind for sample in samples})
    rows = []
    for kind in [*kinds, "all"]:
        chosen = [s for s in samples if kind in (s.kind, "all")]
        for metric in _METRICS:
            twin = np.concatenate([s.twin[metric] for s in chosen])
            exact = np.concatenate([s.exact[metric] for s in chosen])
            errors = np.abs(twin / exact - 1.0)
            rows.append(
                KindErrors(
                    kind=kind,
                    metric=metric,
                    mappings=len(errors),
                    mean=float(errors.mean()),
                    p95=float(np.percentile(errors, 95)),
                    largest=float(errors.max()),
                    within_1_percent=float((errors <= 0.01).mean()),
                    equal=float((errors <= 1e-9).mean()),
                )
            )
    return rows


def report_text(report: TwinReport) -> str:
    """Return the table and the verdict."""
    head = f"{'layers':18} {'metric':10} {'mappings':>9} {'mean error':>11} {'p95':>9} {'max':>9}"
    lines = [
        f"differentiable model beside the exact one: {report.title}",
        "",
        f"{head} {'<= 1 %':>9} {'<= 1e-9':>9}",
    ]
    for row in report.rows:
        lines.append(
            f"{row.kind:18} {row.metric:10} {row.mappings:9,} {row.mean:11.2e} {row.p95:9.1e} "
            f"{row.largest:9.1e} {100 * row.within_1_percent:8.2f}% {100 * row.equal:8.2f}%"
        )
    verdict = "as close as DOSA's model or closer" if report.agrees else "FURTHER THAN DOSA'S MODEL"
    lines += [
        "",
        f"verdict: {verdict} (the paper: mean error {100 * _PAPER_MEAN:.2f} %, "
        f"{100 * _PAPER_WITHIN:.1f} % of mappings within 1 %)",
    ]
    return "\n".join(lines) + "\n"


def scatter(report: TwinReport, path: Path) -> None:
    """Draw both models' numbers against each other by kind of layer, and the errors' shares.

    Raises:
        SpecError: the file cannot be written, or is of another kind.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415 - heavy
    from matplotlib.figure import Figure  # noqa: PLC0415

    figure = Figure(figsize=(12, 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, 3)
    kinds = sorted({sample.kind for sample in report.samples})
    for axes, metric in zip(panels, ("cycles", "energy_pj"), strict=False):
        for kind in kinds:
            chosen = [s for s in report.samples if s.kind == kind]
            x = np.concatenate([s.exact[metric] for s in chosen])
            y = np.concatenate([s.twin[metric] for s in chosen])
            axes.scatter(x, y, s=6, alpha=0.5, label=kind)
        ends = axes.get_xlim()
        axes.plot(ends, ends, color="0.6", linewidth=1, zorder=0)
        axes.set(xscale="log", yscale="log", title=f"{metric} ({_METRICS[metric]})")
        axes.set(xlabel="exact", ylabel="differentiable")
    panels[0].legend(fontsize=7)
    for kind in kinds:
        chosen = [s for s in report.samples if s.kind == kind]
        errors = np.concatenate([np.abs(s.twin["edp"] / s.exact["edp"] - 1) for s in chosen])
        ordered = np.sort(np.maximum(errors, 1e-12))
        panels[2].plot(ordered, np.arange(1, len(ordered) + 1) / len(ordered), label=kind)
    panels[2].set(xscale="log", title="mappings with at most this error of EDP", xlabel="error")
    panels[2].legend(fontsize=7)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=150)
    except (OSError, ValueError) as error:
        raise SpecError(f"{path}: cannot be written: {error}") from error
