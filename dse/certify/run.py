"""Checking a run's certificate: the best design by model and Timeloop, then the bound again."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

from dse._version import __version__
from dse.certify.content import key_of, prices_of
from dse.certify.design import EQUAL, WrongError, check_limits, hardware_of, metrics_of
from dse.certify.entry import Known, Provenance
from dse.certify.front import check_front
from dse.certify.published import Claim, best_values
from dse.certify.recheck import recheck
from dse.certify.verdict import MOST_MAPPINGS, Decision, Effort, Verdict
from dse.cosearch.certificate import OPTIMAL
from dse.disk import replace_file
from dse.errors import SpecError, ToolError
from dse.goals.certificate import OPTIMAL_WITHIN
from dse.goals.design import DesignMetrics
from dse.model.evaluate import evaluate_one
from dse.runner.run import space_of_run
from dse.space.search_space import SearchSpace
from dse.study import folder as run_folder
from dse.study.best_files import best_files
from dse.tools import binaries
from dse.tools.model_run import ModelRunner
from dse.validate.model import Case, compare

CERTIFIED = "certified.json"


@dataclass(frozen=True)
class Certified:
    """What was found.

    Attributes:
        outcome: of everything together.
        reason: why it is refuted or not decided.
        value: of the best design by the exact model; None where it has none.
        claim: what the run claims.
        timeloop: what a real timeloop-model says: "agrees", "differs", or why it was not asked.
        verdict: the recheck of the bound; None where it was not wanted, or needed no more.
        mapspace: in words, of which mappings the claim is.
    """

    outcome: Decision
    reason: str
    value: float | None
    claim: Claim
    timeloop: str
    verdict: Verdict | None
    mapspace: str = ""

    @property
    def exit_code(self) -> int:
        """Of the command."""
        return {
            Decision.CERTIFIED: 0,
            Decision.REFUTED: 1,
            Decision.UNDECIDED: 3,
        }[self.outcome]

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        verdict = self.verdict
        return {
            "schema": "dse.certified/2",
            "version": __version__,
            "verdict": str(self.outcome),
            "reason": self.reason,
            "value": {"claimed": self.claim.finite(self.claim.value), "found": self.value},
            "timeloop": self.timeloop,
            "mapspace": self.mapspace,
            "bound": {"claimed": self.claim.finite(self.claim.bound)}
            if verdict is None
            else {
                "claimed": self.claim.finite(self.claim.bound),
                "verdict": str(verdict.outcome),
                "reason": verdict.reason,
                "argument": verdict.how,
                "boxes": verdict.boxes,
                "mappings": verdict.mappings,
            },
        }


def certify(
    folder: Path,
    *,
    bound: bool = True,
    report: Callable[[str], None] | None = None,
    most_mappings: int = MOST_MAPPINGS,
) -> tuple[Certified, Known | None]:
    """Check the certificate of a run.

    Args:
        folder: the run folder.
        bound: whether to recheck the bound, which takes from seconds to minutes.
        report: called with lines of progress.
        most_mappings: that the recheck evaluates; beyond, nothing is decided.

    Returns:
        What was found, and the entry for the known optima; None where it is no certain optimum.

    Raises:
        SpecError: it is no finished run with a certificate, or a file of it is broken.
        ToolError: timeloop-model is there, but failed.
    """
    claim = Claim.read(folder)
    space = _space(folder)
    effort = Effort(most_mappings=most_mappings) if bound else None
    found = replace(_certified(folder, space, claim, effort, report), mapspace=space.mapspace)
    replace_file(folder / CERTIFIED, (json.dumps(found.as_dict(), indent=2) + "\n").encode())
    return found, _entry(folder, space, found)


def _space(folder: Path) -> SearchSpace:
    try:
        return space_of_run(folder)
    except SpecError as error:
        try:
            made = json.loads((folder / "env.json").read_text(encoding="utf-8"))["dse"]
        except (OSError, ValueError, KeyError, TypeError):
            made = "unknown"
        raise SpecError(f"{error} (the run is by version {made}, this is {__version__})") from error


def _certified(
    folder: Path, space: SearchSpace, claim: Claim, effort: Effort | None,
    report: Callable[[str], None] | None,
) -> Certified:  # fmt: skip
    if not claim.claims:
        reason = f"the run claims nothing ('{claim.status}')" + (
            f": {claim.reason}" if claim.reason else ""
        )
        return Certified(Decision.UNDECIDED, reason, None, claim, "not asked", None)
    value, timeloop = None, "not asked"
    if claim.is_front:
        return _front(folder, space, claim, effort, report)
    if not claim.is_infeasible:
        try:
            architecture = hardware_of(space, best_values(folder, claim))
            files = best_files(folder, space, space.timeloop_version)
            metrics = metrics_of(space, architecture, files)
            value = space.objective(metrics)
            _check_claim(space, claim, metrics, value)
        except WrongError as error:
            return Certified(Decision.REFUTED, str(error), value, claim, timeloop, None)
        timeloop = _timeloop(folder, space)
    if timeloop == "differs":
        reason = "timeloop-model gives other numbers"
        return Certified(Decision.REFUTED, reason, value, claim, timeloop, None)
    if effort is None:
        reason = "the bound was not to be rechecked"
        return Certified(Decision.UNDECIDED, reason, value, claim, timeloop, None)
    verdict = recheck(space, claim.bound, report, effort)
    reason = f"{'not covered: ' if verdict.outcome is Decision.UNDECIDED else ''}{verdict.reason}"
    return Certified(verdict.outcome, reason, value, claim, timeloop, verdict)


def _front(
    folder: Path, space: SearchSpace, claim: Claim, effort: Effort | None,
    report: Callable[[str], None] | None,
) -> Certified:  # fmt: skip
    try:
        verdict = check_front(folder, space, claim.content, effort, report)
    except WrongError as error:
        return Certified(Decision.REFUTED, str(error), None, claim, "not asked", None)
    outcome, reason = Decision.UNDECIDED, "no bound was rechecked"
    if verdict is not None:
        outcome, reason = verdict.outcome, verdict.reason
    return Certified(outcome, reason, None, claim, "not asked", verdict)


def _check_claim(space: SearchSpace, claim: Claim, metrics: DesignMetrics, value: float) -> None:
    """Compare what the result says with what the design is worth, and with itself."""
    for keys, number in (
        (("certificate", "value"), value),
        (("objective", "value"), value),
        (("best", "cycles"), metrics.cycles),
        (("best", "energy_pj"), metrics.energy_pj),
        (("best", "area_um2"), metrics.area_um2),
    ):
        said = claim.part(*keys)
        plain = isinstance(said, (int, float)) and not isinstance(said, bool)
        if not (plain and math.isclose(said, number, rel_tol=EQUAL)):
            raise WrongError(f"{'.'.join(keys)} = {said!r}, by the exact model {number!r}")
    said_text = {
        "certificate.objective": (claim.part("certificate", "objective"), space.objective.name),
        "objective.name": (claim.part("objective", "name"), space.objective.name),
        "timeloop_version": (claim.part("timeloop_version"), space.timeloop_version),
    }
    for key, (text, own) in said_text.items():
        if text != own:
            raise WrongError(f"{key} = {text!r}, but the run is for {own!r}")
    energy = str(claim.part("energy")).partition(":")[0]
    if energy != space.chain.name.partition(":")[0]:
        raise WrongError(f"energy = {energy!r}, but the run is priced by {space.chain.name!r}")
    if claim.bound > value * (1.0 + EQUAL):
        raise WrongError(f"the bound {claim.bound!r} lies above the design's own {value!r}")
    check_limits(space, metrics)
    gap = _gap(claim.bound, value)
    if claim.status == OPTIMAL and gap > OPTIMAL_WITHIN:
        raise WrongError(f"status '{OPTIMAL}', but the bound leaves a gap of {gap:.3g}")
    if claim.gap is not None and not math.isclose(claim.gap, gap, rel_tol=1e-6, abs_tol=EQUAL):
        raise WrongError(f"gap = {claim.gap!r}, but bound and value leave {gap:.6g}")


def _gap(bound: float, value: float) -> float:
    return max(0.0, 1.0 - bound / value) if value > 0.0 else 0.0


def _timeloop(folder: Path, space: SearchSpace) -> str:
    """Compare the best design's files with a real timeloop-model, where there is one."""
    try:
        binary = binaries.find("timeloop-model")
    except ToolError:
        return "not asked: timeloop-model is not installed"
    there = binaries.version(binary)
    # a design is the same under every version; what the binary computes is compared with the
    # native model of its own version
    asked = there or space.timeloop_version
    runner = ModelRunner(binary)
    cases = []
    for layer, spec in zip(space.workload, best_files(folder, space, asked), strict=True):
        if spec.mapping is not None:
            cases.append(Case(layer.name, spec.architecture, spec.problem, spec.mapping))
    found = compare(
        cases,
        lambda c: evaluate_one(c.architecture, c.problem, c.mapping, asked),
        lambda c: runner.stats(runner.text(c.architecture, c.problem, c.mapping), c.problem),
        1,
    )
    if not found.agrees:
        return "differs"
    return (
        "agrees" if there == space.timeloop_version else f"agrees, as version {there or 'unknown'}"
    )


def _entry(folder: Path, space: SearchSpace, found: Certified) -> Known | None:
    """Return the entry for the known optima; None where nothing is proven to be the optimum."""
    key, value, verdict = key_of(space), found.value, found.verdict
    if key is None or value is None or verdict is None:
        return None
    if found.outcome is not Decision.CERTIFIED or not 0.0 < value < math.inf:
        return None
    if _gap(found.claim.bound, value) > OPTIMAL_WITHIN:
        return None
    return Known(
        key=key,
        arch=space.template.name,
        workload=space.workload.name,
        objective=space.objective.name,
        energy=space.chain.name,
        timeloop_version=space.timeloop_version,
        constraints=str(run_folder.read_settings(folder).get("constraints") or ""),
        value=value,
        values=best_values(folder, found.claim),
        source=Provenance(str(folder), date.today().isoformat(), __version__, verdict.how),
        prices=prices_of(space),
    )
