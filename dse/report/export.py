"""A run's designs for other programs: CSV, and Optuna's storages."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from dse.disk import read_file
from dse.errors import SpecError
from dse.extras import needed
from dse.report.frames import journal_rows
from dse.report.units import labelled
from dse.runner.run import space_of_run
from dse.space.variable import Variable
from dse.study.folder import ENVIRONMENT

_MOST_BYTES = 1024 * 1024


def journal_csv(folder: Path) -> str:
    """Return a line for each design, as :func:`dse.report.frames.journal_frame`.

    Raises:
        SpecError: it is no run folder, or its journal is damaged.
    """
    rows = journal_rows(folder)
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, list(rows[0]) if rows else ["design"], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue()


def to_optuna(folder: Path, storage: str, name: str | None = None) -> tuple[str, int]:
    """Write the designs of a run as a study of Optuna's, a trial each.

    Its parameters are the template's variables, its value the objective. Designs that are not
    valid are failed trials. User attributes hold metrics, samples and reasons.

    Args:
        folder: of the run.
        storage: a URL that Optuna knows, as ``sqlite:///FILE``.
        name: of the study; None: the folder's.

    Returns:
        The study's name, and how many trials it has.

    Raises:
        SpecError: it is no run folder, the study is there already, or the storage cannot be used.
        ToolError: Optuna is not installed.
    """
    optuna = needed("optuna", "dse export --optuna", "optuna")
    space = space_of_run(folder)
    rows = journal_rows(folder)
    name = name or folder.resolve().name
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        study = optuna.create_study(study_name=name, storage=storage, direction="minimize")
    except optuna.exceptions.DuplicatedStudyError as error:
        raise SpecError(f"--optuna {storage}: there is a study '{name}' already") from error
    except (ImportError, OSError, ValueError, optuna.exceptions.OptunaError) as error:
        raise SpecError(f"--optuna {storage}: cannot be used ({_line(error)})") from error
    except Exception as error:  # of the data base's own library
        raise SpecError(f"--optuna {storage}: cannot be opened ({_line(error)})") from error
    goal = space.objective
    study.set_user_attr("dse:folder", str(folder.resolve()))
    study.set_user_attr("dse:workload", space.workload.name)
    study.set_user_attr("dse:template", space.template.name)
    study.set_user_attr("dse:objective", labelled(goal.name, goal.unit))
    distributions = {v.name: _distribution(optuna, v) for v in space.template.variables}
    began, before = _began(folder), 0.0
    trials = []
    for row in rows:
        trial = optuna.trial.create_trial(
            state=optuna.trial.TrialState.COMPLETE if row["valid"] else _failed(optuna),
            value=row["objective"] if row["valid"] else None,
            params={v.name: _param(v, row[v.name]) for v in space.template.variables},
            distributions=distributions,
            user_attrs=_attributes(row, space.template.variables),
        )
        seconds = row["seconds"] or before
        trial.datetime_start = began + timedelta(seconds=before)
        trial.datetime_complete = began + timedelta(seconds=seconds)
        before = seconds
        trials.append(trial)
    study.add_trials(trials)
    return name, len(trials)


def _failed(optuna: Any) -> Any:  # noqa: ANN401
    return optuna.trial.TrialState.FAIL


def _distribution(optuna: Any, variable: Variable) -> Any:  # noqa: ANN401 - Optuna's
    """Return the range of a variable; of a list of values, or of named choices, its members."""
    kinds = optuna.distributions
    if variable.choices:
        return kinds.CategoricalDistribution(variable.choices)
    if variable.values:
        return kinds.CategoricalDistribution(variable.values)
    low, high, step = variable.minimum, variable.maximum, variable.step
    if variable.sampling == "powers_of_two" and step == 1 and low > 0:
        return kinds.IntDistribution(low, high, log=True)
    return kinds.IntDistribution(low, low + (high - low) // step * step, step=step)


def _param(variable: Variable, value: int) -> int | str:
    return variable.choices[value] if variable.choices else value


def _attributes(row: Mapping[str, Any], variables: tuple[Variable, ...]) -> dict[str, Any]:
    names = {v.name for v in variables}
    left_out = {"design", "valid", "objective", *names}
    return {key: x for key, x in row.items() if key not in left_out and x is not None}


def _began(folder: Path) -> datetime:
    """Return when a run was started, as its environment says; else a time without meaning."""
    try:
        told = json.loads(read_file(folder / ENVIRONMENT, _MOST_BYTES))
        return datetime.fromisoformat(told["started"]).replace(tzinfo=None)
    except (SpecError, ValueError, RecursionError, LookupError, TypeError):
        return datetime(2000, 1, 1)


def _line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
