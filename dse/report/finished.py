"""What a finished run left in its folder, read and checked against its journal."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from dse.certify.entry import Known
from dse.certify.known import of_run
from dse.disk import read_file
from dse.errors import SpecError
from dse.evaluators.base import equals_timeloop
from dse.report.course import NO_COURSE, SearchCourse
from dse.report.varied import settings_of
from dse.runner.run import inputs_of_folder
from dse.state.entries import CheckedEntries
from dse.study.folder import ENVIRONMENT, RESULT
from dse.study.folder import read_result as read_content
from dse.study.journal import has_checksums, read_journal
from dse.study.study import JOURNAL
from dse.study.times import times_of

#: What the numbers of evaluators are that equal Timeloop's.
TIMELOOP = "Timeloop"
#: Of a description of the environment.
_MOST_BYTES = 1024 * 1024
_BEST = ("cycles", "energy_pj", "area_um2")


@dataclass(frozen=True)
class FinishedRun:
    """What a comparison needs of one run; the numbers are None where nothing was feasible."""

    folder: str
    arch: str
    workload: str
    optimizer: str
    energy: str
    timeloop_version: str
    objective: str
    samples: int
    seed: int
    value: float | None
    cycles: float | None
    energy_pj: float | None
    area_um2: float | None
    #: period of the clock; None where the template has none
    clock_ns: float | None = None
    #: technology node; None where the template, or a version before this one, does not say
    node_nm: float | None = None
    #: what is known of the run's space: an optimum, or a bound
    known: Known | None = None
    #: what priced the designs
    evaluator: str = "native"
    #: what said how accurate networks are, and of which files; empty where nothing did
    predictor: str = ""
    #: whether layers were allowed to be padded
    padding: str = "off"
    #: of the objective
    unit: str = ""
    #: everything that it was set to, by dotted key; plug-ins by their kind
    settings: Mapping[str, Any] = field(default_factory=dict)
    #: the best value so far over samples and time
    course: SearchCourse = NO_COURSE
    #: the optimum that the run itself claims to have proven
    proven: float | None = None
    #: where it ran
    machine: str = ""
    #: what could not be checked
    doubts: tuple[str, ...] = ()

    @property
    def model(self) -> str:
        """What its numbers are: those of an evaluator, or of all that equal Timeloop's model."""
        return TIMELOOP if equals_timeloop(self.evaluator) else f"evaluator {self.evaluator}"

    @property
    def edp_js(self) -> float | None:
        """Energy times delay in J x s: what compares between clocks."""
        if self.cycles is None or self.energy_pj is None or self.clock_ns is None:
            return None
        return self.energy_pj * 1e-12 * self.cycles * self.clock_ns * 1e-9

    @property
    def to_optimum(self) -> float | None:
        """Factor of the value over the known optimum or bound."""
        if self.known is None or self.value is None:
            return None
        return self.known.factor(self.value)


def read_result(folder: Path) -> FinishedRun:
    """Read the result of a run folder.

    Raises:
        SpecError: the folder has no result (the run did not end), it is not one of ours, or it is
            not what the folder's journal and inputs say.
    """
    path = folder / RESULT
    content = read_content(folder)
    entries = CheckedEntries(content, str(path))
    objective, value, unit = _goal(entries)
    best = entries.part("best") if value is not None else None

    def number(key: str) -> float | None:
        return None if best is None else best.number(key, finite=True)

    def maybe(key: str) -> float | None:
        return number(key) if best is not None and key in best else None

    found = FinishedRun(
        folder=str(folder),
        arch=entries.text("arch"),
        workload=entries.text("workload"),
        optimizer=entries.part("optimizer").text("name"),
        energy=entries.text("energy"),
        timeloop_version=entries.text("timeloop_version"),
        objective=objective,
        samples=entries.integer("samples", 0),
        seed=entries.integer("seed", 0),
        value=value,
        cycles=number("cycles"),
        energy_pj=number("energy_pj"),
        area_um2=number("area_um2"),
        clock_ns=maybe("clock_ns"),
        node_nm=maybe("node_nm"),
        evaluator=entries.part("evaluator").text("name"),
        predictor=_predictor(entries) if "accuracy" in content else "",
        padding=_padding(entries) if "mapspace" in content else "off",
        unit=unit,
        settings=settings_of(folder, content),
        proven=_proven(content),
        machine=_machine(folder),
    )
    doubt, course = _check(folder, found, entries.integer("designs", 0))
    known = of_run(folder) if found.model == TIMELOOP else None
    return replace(found, known=known, course=course, doubts=(doubt,) if doubt else ())


def _goal(entries: CheckedEntries) -> tuple[str, float | None, str]:
    """Return the objective's name, value and unit; where nothing was feasible, its name only."""
    if entries.text("status") != "ok":
        return entries.text("objective"), None, ""
    goal = entries.part("objective")
    return goal.text("name"), goal.number("value", finite=True), goal.text("unit")


def _padding(entries: CheckedEntries) -> str:
    """Return how far layers may be padded; whether loops are free is a setting like others."""
    with entries.part("mapspace") as told:
        if "free" in told:
            told.flag("free")
        return told.text("padding") if "padding" in told else "off"


def _predictor(entries: CheckedEntries) -> str:
    """Return what tells a predictor from others: its name, and its files rather than their place.

    Of a function of one's own, all of the name.
    """
    with entries.part("accuracy") as told:
        named, digest = told.text("predictor"), told.text("digest")
        told.text("unit"), told.flag("stands_in")
    return f"{named.partition(':')[0]} {digest}" if digest else named


def _proven(content: Mapping[str, Any]) -> float | None:
    """Return the optimum that a result claims."""
    claim = content.get("certificate")
    if not isinstance(claim, Mapping) or claim.get("status") != "optimal":
        return None
    value = claim.get("value")
    return float(value) if isinstance(value, (int, float)) else None


def _machine(folder: Path) -> str:
    """Return what is told of the machine of a run; nothing where it is not told."""
    try:
        told = json.loads(read_file(folder / ENVIRONMENT, _MOST_BYTES))
        return f"{told['platform']}, {told['cpus']} CPUs"
    except (SpecError, ValueError, RecursionError, LookupError, TypeError):
        return ""


def _check(folder: Path, found: FinishedRun, designs: int) -> tuple[str, SearchCourse]:
    """Refuse a result that is not what journal and inputs say.

    Returns:
        What cannot be checked, and the course of the search as far as the journal tells.
    """
    journal = folder / JOURNAL
    only = SearchCourse.of([(found.samples, found.value)], [])
    if not journal.exists():
        return f"{folder}: there is no journal, so its result was not checked", only
    if not has_checksums(journal):
        return f"{journal}: has no checksums, as up to version 0.1.0, so nothing was checked", only
    inputs, bests = _check_journal(journal, folder / RESULT, found, designs)
    course = SearchCourse.of([*bests, (found.samples, found.value)], times_of(folder))
    try:
        now = inputs_of_folder(folder)
    except SpecError as error:
        return f"{folder}: its inputs were not checked: {error}", course
    if now.digest != inputs:
        raise SpecError(
            f"{folder}: its inputs are not those that it was started with; resume={folder} tells "
            "what has changed"
        )
    return "", course


def _check_journal(
    journal: Path, path: Path, found: FinishedRun, designs: int
) -> tuple[object, list[tuple[int, float | None]]]:
    """Refuse a result that is not what its journal says.

    Returns:
        The digest of the inputs; samples and the best value so far wherever that changes.
    """
    count, best, inputs = 0, None, None
    bests: list[tuple[int, float | None]] = []
    for record in read_journal(journal):
        inputs = record.get("inputs", inputs)
        count += 1
        entries = CheckedEntries(record, f"{journal}, line {count}")
        if "best" in entries and (not bests or bests[-1][1] != record["best"]):
            bests.append((entries.integer("samples", 0), entries.number("best", finite=True)))
        if best is None and found.value is not None and record.get("objective") == found.value:
            best = record
    if count != designs:
        raise SpecError(f"{path}: designs = {designs}, but the journal has {count}")
    if found.value is None:
        return inputs, bests
    if best is None:
        raise SpecError(
            f"{path}: objective.value = {found.value!r}: no design of the journal has it"
        )
    for key in _BEST:
        if best.get(key) != getattr(found, key):
            told = f"best.{key} = {getattr(found, key)!r}"
            raise SpecError(f"{path}: {told}, but the journal says {best.get(key)!r}")
    return inputs, bests
