"""What the package does in one call."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dse.callbacks import OnBatch
    from dse.goals.design import DesignMetrics
    from dse.model.stats import Stats
    from dse.report.result import SearchResult


def model_files(
    *paths: str | Path,
    timeloop_version: str = "4cf6d4c",
    include_path: Sequence[str | Path] = (),
) -> Stats:
    """Evaluate the mapping in Timeloop input files, as ``timeloop-model`` would.

    Args:
        paths: YAML files with architecture, problem and mapping, and ERT and ART where there
            are; merged on their top-level keys.
        timeloop_version: ``4cf6d4c``, ``3.0.3`` or ``dosa`` (before commit 59fdc83).
        include_path: folders from which files that are jinja2 templates may include others; else
            only from the folder that all files lie in.

    Raises:
        SpecError: the input is malformed or out of scope; names file, key, value and what was
            expected.
        InvalidMapping: the mapping does not fit; the message is Timeloop's own line.
    """
    from dse.timeloop.evaluate import evaluate_files  # noqa: PLC0415 - loads numba

    return evaluate_files(paths, timeloop_version, include_path=include_path).stats


def run(
    arch: str | Path = "gemmini",
    workload: str | Path = "resnet50",
    optimizer: str | Mapping[str, Any] = "auto",
    *,
    samples: int | None = None,
    seed: int = 0,
    variables: Mapping[str, Any] | None = None,
    objective: str | Callable[[DesignMetrics], float] = "edp",
    on_batch: OnBatch | Sequence[OnBatch] = (),
    **settings: Any,  # noqa: ANN401
) -> SearchResult:
    """Search the best design, as ``python -m dse run`` does.

    Args:
        arch: name of a built-in architecture template, or path of a YAML file.
        workload: name of a built-in network, or path of a YAML file.
        optimizer: its name, or ``{"name": ..., "setting": value, ...}``.
        samples: mappings to evaluate for every unique layer; None: the optimizer's own budget.
        seed: of all randomness: equal settings give equal results.
        variables: values of template variables to hold fixed; of Timeloop's files, attributes by
            component: a number sets one, a list or ``{"min": .., "max": ..}`` frees it.
        objective: what is minimised: a name, arithmetic over metrics, ``module:function``, or a
            function at the top of a module, see `dse.goals.python_objective.python_objective`.
        on_batch: called after every batch of designs with `dse.study.study.Progress`: a function,
            one of `dse.callbacks`, or several.
        settings: further settings as listed by ``python -m dse run --help``, such as
            ``constraints="area_mm2 < 4"``, ``folder="my_run"`` or ``mapper={"name": "random"}``.

    Returns:
        The best design (``.design``), its metrics (``.metrics``) and its run folder, in which
        ``report.html`` shows it unless ``report=False``; tables as pandas DataFrames (``.layers``,
        ``.levels``, ``.journal``, ``.front``) and plots (``.plot.convergence()`` ...).

    Raises:
        SpecError: a setting or a file is wrong.
        NothingFeasible: no valid design was found.
    """
    from dse.callbacks import Callbacks  # noqa: PLC0415 - loads numba
    from dse.goals.python_objective import place_of  # noqa: PLC0415
    from dse.report.page import report_of  # noqa: PLC0415
    from dse.report.result import SearchResult  # noqa: PLC0415
    from dse.runner.run import search  # noqa: PLC0415

    paths = {k: str(settings.pop(k)) for k in ("folder", "runs") if settings.get(k) is not None}
    given = {
        "arch": str(arch),
        "workload": str(workload),
        "optimizer": optimizer,
        "samples": samples,
        "seed": seed,
        "variables": dict(variables or {}),
        "objective": objective if isinstance(objective, str) else place_of(objective),
        **paths,
        **settings,
    }
    callbacks = Callbacks(tuple(on_batch) if isinstance(on_batch, Sequence) else (on_batch,))
    result = None
    try:
        result = SearchResult.of(search(given, callbacks.watch))
        report_of(result)
    finally:
        callbacks.end(result)
    return result
