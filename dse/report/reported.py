"""What a report tells of one run, gathered from its folder or from the result at hand."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dse.certify.entry import Known
from dse.certify.known import find
from dse.disk import read_file
from dse.errors import SpecError
from dse.evaluators.base import equals_timeloop
from dse.explain.changes import ChangeOutcome
from dse.explain.neighbours import Neighbour
from dse.explain.run import ExplainedRun, explained_design, explained_run
from dse.space.network_spec import PREFIX
from dse.study.folder import ENVIRONMENT, read_result, read_settings
from dse.study.journal import has_checksums, read_journal
from dse.study.result import RunResult
from dse.study.study import JOURNAL

_MOST_BYTES = 1024 * 1024
#: How far sums of layers may lie from the totals that a run wrote, relatively.
_SAME = 1e-9


@dataclass(frozen=True)
class Reported:
    """One run.

    Attributes:
        folder: of the run.
        content: of its ``result.json``.
        settings: of its ``config.yaml``.
        environment: of its ``env.json``; empty where it is missing.
        explained: the best design, by Timeloop's model.
        designs: the journal's records, without reasons.
        changes, neighbours: what one more of each resource, and a step of each variable, does.
        samples: with which layers were mapped again for them; 0: they were not.
        known: what is known of the space's optimum.
    """

    folder: Path
    content: dict[str, Any]
    settings: dict[str, Any]
    environment: dict[str, Any]
    explained: ExplainedRun
    designs: tuple[dict[str, Any], ...]
    changes: tuple[ChangeOutcome, ...]
    neighbours: tuple[Neighbour, ...]
    samples: int
    known: Known | None

    @property
    def best(self) -> Mapping[str, Any]:
        """The best design, as the result has it."""
        found: Mapping[str, Any] = self.content["best"]
        return found

    @property
    def value(self) -> float:
        """What was minimised."""
        return float(self.content["objective"]["value"])

    @property
    def agrees(self) -> bool:
        """Whether the layers, evaluated again for the report, add up to the result."""
        layers = self.explained.layers
        cycles = sum(layer.count * layer.stats.cycles for layer in layers)
        energy_pj = sum(layer.count * layer.stats.energy_pj for layer in layers)
        pairs = ((cycles, self.best["cycles"]), (energy_pj, self.best["energy_pj"]))
        return all(abs(a - b) <= _SAME * abs(b) for a, b in pairs)

    @property
    def command(self) -> str:
        """The words that started the run; empty where they are not known."""
        words = self.environment.get("command")
        if not isinstance(words, list) or not words:
            return ""
        program, *rest = (str(word) for word in words)
        if Path(program).name in ("__main__.py", "dse"):
            program = "-m dse"
        return shlex.join(["python", *program.split(), *rest])


def reported(folder: Path, samples: int = 0) -> Reported:
    """Gather a run's report from its folder.

    Args:
        folder: of a finished run.
        samples: with which layers are mapped again on changed hardware; 0: they are not.

    Raises:
        SpecError: it is no run folder, the run has not ended or found nothing, the journal is
            missing, or a file is broken.
    """
    content = read_result(folder)
    explained = explained_run(folder)
    found = _gathered(folder, content, explained, samples)
    if explained.evaluator == "native" and not found.agrees:
        raise SpecError(
            f"{folder}: the layers in best/ do not add up to the cycles and the energy of its "
            "result.json: one of them was changed"
        )
    return found


def reported_result(result: RunResult) -> Reported:
    """Gather the report of a run that has just ended.

    Raises:
        SpecError: a file of its folder is broken.
    """
    content = json.loads(json.dumps(result.as_dict()))
    explained = explained_design(
        result.space,
        {k: v for k, v in result.design.values.items() if not k.startswith(PREFIX)},
        result.architecture,
        result.design.mappings or (),
        result.settings["evaluator"]["name"],
    )
    return _gathered(result.folder, content, explained, 0)


def _gathered(
    folder: Path, content: dict[str, Any], explained: ExplainedRun, samples: int
) -> Reported:
    path = folder / JOURNAL
    if not path.exists():
        raise SpecError(f"{folder}: there is no {JOURNAL}, so there is no search to report")
    if not has_checksums(path):
        raise SpecError(f"{path}: has no checksums, as up to version 0.1.0; run it again")
    told = (
        "samples",
        "values",
        "valid",
        "objective",
        "cycles",
        "energy_pj",
        "area_um2",
        "best",
        "accuracy",
    )
    designs = tuple({k: x[k] for k in told if k in x} for x in read_journal(path))
    known = None
    if equals_timeloop(explained.evaluator):
        known = find(explained.space)
    if known is not None and explained.evaluator == "native":
        known.check(float(content["objective"]["value"]), str(folder))
    return Reported(
        folder,
        content,
        read_settings(folder),
        _environment(folder),
        explained,
        designs,
        tuple(explained.what_if(explained.layers, samples)),
        tuple(explained.neighbours(samples)),
        samples,
        known,
    )


def _environment(folder: Path) -> dict[str, Any]:
    path = folder / ENVIRONMENT
    if not path.exists():
        return {}
    try:
        found = json.loads(read_file(path, _MOST_BYTES))
    except (ValueError, RecursionError) as error:
        raise SpecError(f"{path}: not JSON: {error}") from error
    return found if isinstance(found, dict) else {}
