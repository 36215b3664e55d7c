"""Checking a run's certificate: the incumbent by the exact model and Timeloop, the bound again."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dse.certify.known import Known, key_of
from dse.certify.recheck import Verdict, recheck
from dse.cosearch.certificate import INFEASIBLE, OPTIMAL, STOPPED
from dse.cosearch.goal import CoSearchGoal
from dse.disk import replace_file
from dse.errors import InvalidMapping, SpecError, ToolError
from dse.goals.design import Design, DesignMetrics, LayerMetrics
from dse.runner.run import Run, resume
from dse.study import folder as run_folder

CERTIFIED = "certified.json"


@dataclass(frozen=True)
class Certified:
    """What was found.

    Attributes:
        incumbent: whether the exact model gives the best design the value that the run claims.
        value: what it gives.
        claim: the bound that was rechecked.
        timeloop: what a real timeloop-model says: "agrees", "differs", or why it was not asked.
        verdict: the recheck of the bound; None where it was not wanted.
    """

    incumbent: bool
    value: float
    claim: float
    timeloop: str
    verdict: Verdict | None

    @property
    def holds(self) -> bool:
        """Whether nothing speaks against the certificate."""
        bound = self.verdict is None or self.verdict.holds
        return self.incumbent and self.timeloop != "differs" and bound

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        verdict = self.verdict
        return {
            "schema": "dse.certified/1",
            "holds": self.holds,
            "incumbent": {"agrees": self.incumbent, "value": self.value},
            "timeloop": self.timeloop,
            "bound": None
            if verdict is None
            else {
                "holds": verdict.holds,
                "claimed": self.claim,
                "proven": verdict.bound,
                "argument": verdict.how,
                "boxes": verdict.boxes,
                "mappings": verdict.mappings,
                "reason": verdict.reason,
            },
        }


def certify(
    folder: Path, *, bound: bool = True, report: Callable[[str], None] | None = None
) -> tuple[Certified, Known | None]:
    """Check the certificate of a run.

    Args:
        folder: the run folder.
        bound: whether to recheck the bound, which takes from seconds to minutes.
        report: called with lines of progress.

    Returns:
        What was found, and the entry for the known optima; None where nothing is certain.

    Raises:
        SpecError: it is no finished run with a certificate.
        ToolError: timeloop-model is there, but failed.
    """
    certificate = _certificate(folder)
    run = resume(folder)
    best = run.study.state.best
    if best is None or best.mappings is None:
        raise SpecError(f"{folder}: holds no design to certify")
    value = run.space.objective(_by_exact_model(run, best))
    claimed = float(certificate["value"])
    limits = run.space.limits
    goal = CoSearchGoal.of(run.space.objective, limits, run.space.template.max_area_um2)
    claim = float(certificate["bound"])
    verdict = recheck(run.space, goal, claim, report) if bound else None
    found = Certified(
        incumbent=math.isclose(value, claimed, rel_tol=1e-12),
        value=value,
        claim=claim,
        timeloop=_timeloop(folder, run.space.timeloop_version),
        verdict=verdict,
    )
    replace_file(folder / CERTIFIED, (json.dumps(found.as_dict(), indent=2) + "\n").encode())
    entry = _entry(run, best, found) if found.holds and verdict is not None else None
    return found, entry


def _certificate(folder: Path) -> dict[str, Any]:
    path = folder / run_folder.RESULT
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SpecError(f"{path}: cannot be read ({error.strerror}); has the run ended?") from error
    except ValueError as error:
        raise SpecError(f"{path}: not JSON: {error}") from error
    certificate = content.get("certificate") if isinstance(content, dict) else None
    if not isinstance(certificate, dict):
        raise SpecError(f"{path}: has no certificate; expected a run with optimizer=optimal")
    if certificate.get("status") not in (OPTIMAL, STOPPED):
        status = certificate.get("status")
        more = f": {certificate['reason']}" if certificate.get("reason") else ""
        raise SpecError(
            f"{path}: the certificate is '{status}'{more}; expected one that claims something"
            if status != INFEASIBLE
            else f"{path}: the run has no feasible design"
        )
    return certificate


def _by_exact_model(run: Run, best: Design) -> DesignMetrics:
    """Evaluate a design layer by layer with the exact kernel, in full detail."""
    from dse.model import evaluate_one  # noqa: PLC0415 - compiled code

    architecture = run.space.architecture(best.values)
    layers = []
    for layer, mapping in zip(run.space.workload, best.mappings or (), strict=True):
        try:
            s = evaluate_one(architecture, layer.problem, mapping, run.space.timeloop_version)
        except InvalidMapping as error:
            raise SpecError(f"layer '{layer.name}': {error}") from error
        layers.append(LayerMetrics(layer.name, layer.count, s.cycles, s.energy_pj, s.utilization))
    return DesignMetrics.of(
        tuple(layers), run.space.workload.macs, architecture.compute.instances,
        architecture.area_um2,
    )  # fmt: skip


def _timeloop(folder: Path, version: str) -> str:
    """Compare the best design's files with a real timeloop-model, where there is one."""
    from dse.model import evaluate_one  # noqa: PLC0415 - compiled code
    from dse.tools import binaries  # noqa: PLC0415
    from dse.tools.model_run import ModelRunner  # noqa: PLC0415
    from dse.validate.model import compare  # noqa: PLC0415

    try:
        binary = binaries.find("timeloop-model")
    except ToolError:
        return "not asked: timeloop-model is not installed"
    there = binaries.version(binary)
    # a design is the same under every version; what the binary computes is compared with the
    # native model of its own version
    asked = there or version
    cases = run_cases(folder, asked)
    runner = ModelRunner(binary)
    found = compare(
        cases,
        lambda c: evaluate_one(c.architecture, c.problem, c.mapping, asked),
        lambda c: runner.stats(runner.text(c.architecture, c.problem, c.mapping), c.problem),
        1,
    )
    if not found.agrees:
        return "differs"
    return "agrees" if there == version else f"agrees, as version {there or 'unknown'}"


def run_cases(folder: Path, version: str) -> list[Any]:
    """Return the best design's layers as cases for a comparison."""
    from dse.timeloop.read.inputs import read_files  # noqa: PLC0415
    from dse.validate.model import Case  # noqa: PLC0415

    best = folder / run_folder.BEST
    shared = [best / name for name in ("arch.yaml", "ERT.yaml", "ART.yaml")]
    cases = []
    for problem in sorted(best.glob("*.problem.yaml")):
        mapping = problem.with_name(problem.name.replace(".problem.", ".mapping."))
        spec = read_files([*shared, problem, mapping], version, {})
        if spec.mapping is None:
            raise SpecError(f"{mapping}: holds no mapping")
        cases.append(Case(problem.name, spec.architecture, spec.problem, spec.mapping))
    if not cases:
        raise SpecError(f"{best}: holds no design; did the run end?")
    return cases


def _entry(run: Run, best: Design, found: Certified) -> Known | None:
    key = key_of(run.space)
    if key is None:
        return None
    settings = run.setup.config.run
    return Known(
        key=key,
        arch=run.space.template.name,
        workload=run.space.workload.name,
        objective=run.space.objective.name,
        energy=run.space.chain.name,
        timeloop_version=run.space.timeloop_version,
        constraints=settings.constraints or "",
        value=found.value,
        bound=found.claim,
        values=best.values,
    )
