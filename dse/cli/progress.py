"""Progress of a run on stderr: a live line on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

from dse.certify.entry import Known
from dse.goals.certificate import gap_of
from dse.goals.objective import Objective
from dse.report.units import value_of
from dse.study.study import Progress

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

    from dse.runner.run import OnProgress

_PLAIN_EVERY_S = 5.0
#: Seconds between looks at the gap of a proof.
_PROOF_EVERY_S = 1.0
#: Seconds beyond which the end of a proof is not told.
_NEVER_S = 1e7


@contextmanager
def progress(
    objective: Objective, quiet: bool, begin: Progress, known: Known | None = None
) -> Iterator[OnProgress | None]:
    """Yield what a run reports to; None when nothing is to be shown.

    Args:
        objective: that is minimised.
        quiet: whether nothing is.
        begin: where the search stands now: a resumed one has come some way.
        known: the optimum: the best value is shown as a multiple of it, too.
    """
    if quiet:
        yield None
    elif sys.stderr.isatty():
        with _live(objective, known, begin) as report:
            yield report
    else:
        yield _Plain(objective, known, begin)


def _best_text(objective: Objective, value: float, known: Known | None = None) -> str:
    """Return the best value for people: EDP in J x cycle, everything else in its unit."""
    text = value_text(objective.name, objective.unit, value)
    if known is None or not math.isfinite(value):
        return text
    return f"{text} ({known.factor(value):.3f} x optimum of this mapspace)"


def value_text(objective: str, unit: str, value: float) -> str:
    """Return the best value of an objective by name: EDP in J x cycle, else in its unit."""
    if not math.isfinite(value):
        return "best EDP -" if objective == "edp" else f"best {objective} -"
    name = "EDP" if objective == "edp" else objective
    return f"best {name} {value_of(objective, unit, value, digits=4)}"


@contextmanager
def _live(objective: Objective, known: Known | None, begin: Progress) -> Iterator[OnProgress]:
    from rich.console import Console  # noqa: PLC0415
    from rich.progress import BarColumn, TextColumn, TimeElapsedColumn  # noqa: PLC0415
    from rich.progress import Progress as Bar  # noqa: PLC0415

    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=8),
        TextColumn("{task.fields[best]}  {task.fields[rate]}"),
        TimeElapsedColumn(),
    )
    # it draws itself anew ten times a second, whatever the search is at
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        yield _Live(bar, objective, known, begin)


class _Live:
    """The bar of a terminal: moves within a batch, too."""

    def __init__(
        self, bar: Bar, objective: Objective, known: Known | None, begin: Progress
    ) -> None:
        self._bar, self._objective, self._known = bar, objective, known
        self._clock = _Clock(begin.samples)
        self._proof = _ProofCourse(self._clock)
        self._task = bar.add_task("", total=begin.budget, best="", rate="")
        self._show(begin, "ETA -")

    def __call__(self, now: Progress) -> None:
        """Show where a search stands after a batch."""
        self._show(now, self._clock.text(now))

    def tick(self, now: Progress) -> None:
        """Show about where it stands within one."""
        self._show(now, self._clock.text(now))

    def _show(self, now: Progress, rate: str) -> None:
        self._bar.update(
            self._task,
            description=f"{now.samples:,}/{now.budget:,}",
            completed=now.samples,
            best=_best_text(self._objective, now.best_value, self._known),
            rate=rate if now.bound is None else self._proof.text(now.best_value, now.bound),
        )


class _Plain:
    """Lines now and then, where there is no terminal."""

    def __init__(self, objective: Objective, known: Known | None, begin: Progress) -> None:
        self._objective, self._known = objective, known
        self._clock = _Clock(begin.samples)
        self._proof = _ProofCourse(self._clock)
        self._shown = -math.inf

    def __call__(self, now: Progress) -> None:
        """Tell where a search stands after a batch."""
        last = now.samples >= now.budget
        if now.bound is not None:
            self._tell(now, self._proof.text(now.best_value, now.bound), last=last)
            return
        rate = self._clock.rate(now.samples)
        eta = f", ETA {(now.budget - now.samples) / rate:.0f} s" if rate and not last else ""
        self._tell(now, f"{rate:,.0f} samples/s{eta}", last=last)

    def tick(self, now: Progress) -> None:
        """Tell how far a proof has come."""
        if now.bound is not None:
            self._tell(now, self._proof.text(now.best_value, now.bound), last=False)

    def _tell(self, now: Progress, more: str, *, last: bool) -> None:
        if not last and self._clock.elapsed_s - self._shown < _PLAIN_EVERY_S:
            return
        self._shown = self._clock.elapsed_s
        sys.stderr.write(
            f"{now.samples:,}/{now.budget:,} samples, {now.feasible}/{now.designs} designs valid, "
            f"{_best_text(self._objective, now.best_value, self._known)}, {more}\n"
        )
        sys.stderr.flush()


class _Clock:
    """Seconds since the start, without those of compiling, and samples per second.

    Args:
        before: samples that were spent before, by what is resumed.
    """

    def __init__(self, before: int) -> None:
        from dse.jit import working_time  # noqa: PLC0415 - loads numba

        self._clock = working_time
        self._start = working_time()
        self._before = before

    @property
    def elapsed_s(self) -> float:
        return self._clock() - self._start

    def rate(self, samples: int) -> float:
        return (samples - self._before) / max(self.elapsed_s, 1e-9)

    def text(self, now: Progress) -> str:
        """Return samples per second, and the seconds that are left."""
        rate = self.rate(now.samples)
        left = timedelta(seconds=round((now.budget - now.samples) / rate)) if rate else "-"
        return f"{rate:,.0f}/s ETA {left}"


class _ProofCourse:
    """How far a proof has come, and when its gap is closed at the pace of late."""

    def __init__(self, clock: _Clock) -> None:
        self._clock = clock
        self._gaps: list[tuple[float, float]] = []  # seconds, and the gap that was left

    def text(self, value: float, bound: float) -> str:
        """Return it for people; the pace is that of the second half of the time so far."""
        if not bound > 0.0:
            return "no bound yet"
        if not math.isfinite(value):
            return f"nothing below {bound:.4g}"
        now, gap = self._clock.elapsed_s, gap_of(bound, value)
        text = f"nothing better by more than {100 * gap:.3g} %"
        if not self._gaps or now - self._gaps[-1][0] >= _PROOF_EVERY_S:
            early = [one for one in self._gaps if one[0] <= now / 2][-1:]
            late = [one for one in self._gaps if one[0] > now / 2]
            self._gaps = [*early, *late, (now, gap)]
        since, wider = self._gaps[0]
        if not gap or since > now / 2 or now - since < _PROOF_EVERY_S:
            return text
        pace = (wider - gap) / (now - since)
        if not pace > 0.0 or gap / pace >= _NEVER_S:
            return f"{text}, ETA -"
        return f"{text}, ETA {timedelta(seconds=round(gap / pace))} at this pace"
