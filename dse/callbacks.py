"""What looks on while ``dse.run`` searches: trackers of experiments, and functions of one's own.

::

    dse.run(..., on_batch=print)
    dse.run(..., on_batch=[dse.callbacks.TensorBoard("logs"), dse.callbacks.MLflow()])

A callback is called after every batch of designs with `dse.study.study.Progress`. One that has
methods for it is told the beginning, ``begin(settings, folder)``, and the end, ``end(result)``,
with None where the search failed. It cannot change the course. Trackers' libraries load on use.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from dse.extras import needed
from dse.runner.run import OnProgress, Run
from dse.study.result import RunResult
from dse.study.study import Progress


class OnBatch(Protocol):
    """A callback; functions do, too."""

    def __call__(self, now: Progress, /) -> object:
        """Take where the search stands."""


class Callbacks:
    """Several callbacks as what looks on at a run."""

    def __init__(self, given: tuple[OnBatch, ...]) -> None:
        self._given = given

    @contextmanager
    def watch(self, run: Run) -> Iterator[OnProgress]:
        """Tell them of a run; see `dse.runner.run.Watch`."""
        self._all("begin", run.setup.config.as_dict(), run.folder)

        def report(now: Progress) -> None:
            for one in self._given:
                one(now)

        yield report

    def end(self, result: RunResult | None) -> None:
        """Tell them that it is over."""
        self._all("end", result)

    def _all(self, name: str, *words: object) -> None:
        for one in self._given:
            told = getattr(one, name, None)
            if told is not None:
                told(*words)


class TensorBoard:
    """Scalars for TensorBoard, over samples.

    Args:
        folder: of the logs; each run has a folder in it.
    """

    def __init__(self, folder: str | Path = "logs") -> None:
        self._folder = Path(folder)
        self._writer: Any = None

    def begin(self, settings: Mapping[str, Any], folder: Path) -> None:
        """Open the log of a run."""
        module = needed("tensorboard.summary", "dse.callbacks.TensorBoard", "trackers")
        self._writer = module.Writer(str(self._folder / folder.name))
        del settings

    def __call__(self, now: Progress) -> None:
        """Write the scalars of a batch."""
        for name, value in scalars(now).items():
            self._writer.add_scalar(name, value, now.samples)

    def end(self, result: RunResult | None) -> None:
        """Close the log."""
        del result
        if self._writer is not None:
            self._writer.close()


class MLflow:
    """A run of MLflow: settings as parameters, metrics over samples, ``result.json``.

    Args:
        experiment: its name; None: the active one.
        tracking_uri: where MLflow keeps it; None: as MLflow is set.
    """

    def __init__(self, experiment: str | None = None, tracking_uri: str | None = None) -> None:
        self._experiment, self._uri = experiment, tracking_uri
        self._mlflow: Any = None

    def begin(self, settings: Mapping[str, Any], folder: Path) -> None:
        """Start a run."""
        self._mlflow = needed("mlflow", "dse.callbacks.MLflow", "trackers")
        if self._uri is not None:
            self._mlflow.set_tracking_uri(self._uri)
        if self._experiment is not None:
            self._mlflow.set_experiment(self._experiment)
        self._mlflow.start_run(run_name=folder.name)
        self._mlflow.log_params(flat(settings))

    def __call__(self, now: Progress) -> None:
        """Log the metrics of a batch."""
        self._mlflow.log_metrics(scalars(now), step=now.samples)

    def end(self, result: RunResult | None) -> None:
        """End the run, with its result."""
        if self._mlflow is None:
            return
        if result is not None:
            self._mlflow.log_metrics(summary(result))
            self._mlflow.log_artifact(str(result.folder / "result.json"))
        self._mlflow.end_run("FINISHED" if result is not None else "FAILED")


class WandB:
    """A run of Weights & Biases.

    Args:
        options: for ``wandb.init``: ``project``, ``mode="offline"`` and so on.
    """

    def __init__(self, **options: Any) -> None:  # noqa: ANN401
        self._options = options
        self._run: Any = None

    def begin(self, settings: Mapping[str, Any], folder: Path) -> None:
        """Start a run."""
        wandb = needed("wandb", "dse.callbacks.WandB", "trackers")
        self._run = wandb.init(**{"name": folder.name, "config": flat(settings), **self._options})

    def __call__(self, now: Progress) -> None:
        """Log the metrics of a batch."""
        self._run.log(scalars(now), step=now.samples)

    def end(self, result: RunResult | None) -> None:
        """Finish the run, with its result."""
        if self._run is None:
            return
        if result is not None:
            self._run.summary.update(summary(result))
        self._run.finish(exit_code=0 if result is not None else 1)


def scalars(now: Progress) -> dict[str, float]:
    """Return where a search stands as numbers; without a best value while there is none."""
    told = {"samples": now.samples, "designs": now.designs, "feasible": now.feasible}
    best = {"best": now.best_value} if math.isfinite(now.best_value) else {}
    return {**told, **best}


def summary(result: RunResult) -> dict[str, float]:
    """Return the best design as numbers."""
    m = result.metrics
    return {
        "objective": result.value,
        "cycles": m.cycles,
        "energy_pj": m.energy_pj,
        "edp_pj_cycles": m.edp,
        "area_um2": m.area_um2,
        "utilization": m.utilization,
        **result.design.values,
    }


def flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return settings by dotted key; those that are None are left out."""
    found: dict[str, Any] = {}
    for key, value in settings.items():
        if isinstance(value, Mapping):
            found |= flat(value, f"{prefix}{key}.")
        elif value is not None:
            found[f"{prefix}{key}"] = value
    return found
