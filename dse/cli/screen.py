"""What a person sees of a run."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from dse.cli.signals import Terminated
from dse.errors import SpecError

if TYPE_CHECKING:
    from dse.certify.entry import Known
    from dse.runner.run import OnProgress, Run
    from dse.study.result import RunResult


class Screen:
    """What a person sees of a run: its progress on stderr, its result on stdout.

    Args:
        as_json: the result as one line of JSON.
        quiet: no progress.
        sweep: the folder of the sweep that the run is of; None: it is by itself.
    """

    def __init__(self, as_json: bool, quiet: bool, sweep: Path | None = None) -> None:
        self.as_json = as_json
        self.quiet = quiet
        self._sweep = sweep
        self._known: Known | None = None

    @contextmanager
    def watch(self, run: Run) -> Iterator[OnProgress | None]:
        """Show the progress of a run, and how to go on with it where it is interrupted."""
        from dse.certify.known import find  # noqa: PLC0415
        from dse.cli.progress import progress  # noqa: PLC0415
        from dse.jit_tiers import interpreting_first  # noqa: PLC0415 - loads numba

        try:
            if run.setup.evaluator.equals_timeloop:
                self._known = find(run.space)
        except SpecError as error:  # a search does not depend on what is known of its end
            sys.stderr.write(f"warning: {error}; goes on without known optima\n")
        try:
            begin = run.study.progress
            with (
                interpreting_first(),
                progress(run.space.objective, self.quiet, begin, self._known) as report,
            ):
                yield report
        except (KeyboardInterrupt, Terminated):
            sys.stderr.write(f"python -m dse run resume={self._sweep or run.folder} goes on\n")
            raise  # the other runs of a sweep are off, too

    def show(self, result: RunResult) -> None:
        """Print the result.

        Raises:
            ProofError: it is better than the optimum that is known.
        """
        out = sys.stdout
        if self.as_json:
            page = _page(result)
            told = {**result.as_dict(), "folder": str(result.folder)}
            told |= {"report": str(page)} if page else {}
            out.write(json.dumps(told) + "\n")
        else:
            from dse.report.table import result_text  # noqa: PLC0415 - rich

            plain = "utf" not in (out.encoding or "").lower()
            out.write(result_text(result, color=out.isatty(), ascii_only=plain, known=self._known))
            page = _page(result)
            if page:
                out.write(f"report    {page}\n")
        # optima are the native model's
        if self._known is not None and result.settings["evaluator"]["name"] == "native":
            self._known.check(result.value, str(result.folder))


def _page(result: RunResult) -> Path | None:
    """Write the report of a run, if its settings say so; return its path."""
    if not result.settings["report"]:
        return None
    from dse.jit_tiers import interpreting_first  # noqa: PLC0415 - loads numba
    from dse.report.page import report_of  # noqa: PLC0415 - jinja2

    with interpreting_first():
        return report_of(result)
