"""``python -m dse validate``: the native model against every real Timeloop, or against its twin."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dse.cli.model import add_template_options
from dse.cli.validate_cases import cases_of
from dse.cli.validate_latency import validate_latency
from dse.cli.validate_twin import validate_twin
from dse.errors import SpecError, ToolError
from dse.tools import binaries

if TYPE_CHECKING:
    from dse.domain.architecture import Architecture
    from dse.domain.mapping import Mapping
    from dse.domain.problem import Problem
    from dse.model.stats import Stats
    from dse.validate.model import ModelReport

_EPILOG = """\
what to compare:
  RUN folder           the best design of a run, and random mappings on hardware
                       from its journal
  FILE ...             the mapping in Timeloop's input files
  --random N arch=NAME workload=NAME [variables.NAME=VALUE] [energy=CHAIN]
                       N random mappings on random hardware
  evaluator=cycles|rtl RUN [evaluator.NAME=VALUE]
                       cycles of a run's best design on a template like gemmini:
                       Timeloop's, of the cycle model and, with rtl, of our RTL
  model=differentiable arch=NAME workload=NAME ... [--random N]
                       the differentiable model against the native one, on N
                       (2000) random mappings

exit codes: 0 they agree, 1 they differ, 2 usage or input error,
4 no Timeloop, or it failed
"""


def _parser() -> argparse.ArgumentParser:
    """Return the command's argument parser."""
    result = argparse.ArgumentParser(
        prog="python -m dse validate",
        description="Evaluate mappings with the native model, and with timeloop-model and\n"
        "pytimeloop where they are found, or with the differentiable one, and compare.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    result.add_argument("inputs", nargs="*", metavar="RUN | FILE | SETTING=VALUE")
    result.add_argument("--random", type=int, metavar="N", help="compare N random mappings")
    result.add_argument(
        "--designs", type=int, default=10, metavar="N", help="designs of a run (default 10)"
    )
    result.add_argument("--seed", type=int, default=0, help="of the random mappings (default 0)")
    result.add_argument("--plot", type=Path, metavar="FILE", help="scatter plot, .png or .svg")
    result.add_argument("--json", action="store_true", help="write JSON to stdout")
    result.add_argument("-q", "--quiet", action="store_true", help="no progress")
    result.add_argument("--n-jobs", type=int, default=0, metavar="N", help="0 = all cores")
    result.add_argument(
        "--timeloop-version", metavar="V", help="the native model's; default: the other's"
    )
    result.add_argument("--binary", metavar="PATH", help="timeloop-model; default: from PATH")
    result.add_argument(
        "--only", choices=("timeloop-model", "pytimeloop"), help="default: all that are found"
    )
    add_template_options(result)
    return result


def main(argv: Sequence[str]) -> int:
    """Run the command and return its exit code."""
    arguments = _parser().parse_intermixed_args(argv)
    models = [text for text in arguments.inputs if text.startswith("model=")]
    if models:
        arguments.inputs = [text for text in arguments.inputs if text not in models]
        return validate_twin(arguments, models[-1].removeprefix("model="))
    evaluators = [text for text in arguments.inputs if text.startswith("evaluator=")]
    if evaluators:
        arguments.inputs = [text for text in arguments.inputs if text not in evaluators]
        return validate_latency(arguments, evaluators[-1].removeprefix("evaluator="))
    from dse.validate.model import report_text, scatter  # noqa: PLC0415

    if arguments.n_jobs < 0:
        raise SpecError(f"--n-jobs {arguments.n_jobs}: expected 0 (all cores) or more")
    comparisons = [
        _compared(back_end, arguments) for back_end in _back_ends(arguments.only, arguments.binary)
    ]
    if arguments.plot is not None:
        scatter(comparisons, arguments.plot)
    agree = all(report.agrees for _, report in comparisons)
    if arguments.json:
        told = {"agrees": agree, "comparisons": [_as_dict(r, n) for n, r in comparisons]}
        sys.stdout.write(json.dumps(told, indent=2) + "\n")
    else:
        sys.stdout.write("\n".join(report_text(report, names) for names, report in comparisons))
    return 0 if agree else 1


def _compared(
    back_end: _BackEnd, arguments: argparse.Namespace
) -> tuple[tuple[str, str], ModelReport]:
    """Return the names of the native model and a back end, and how far they agree."""
    from dse.model import evaluate_one  # noqa: PLC0415 - loads the compiled model
    from dse.validate.model import compare  # noqa: PLC0415

    version = arguments.timeloop_version or back_end.version or "4cf6d4c"
    cases = cases_of(arguments, version)
    report = compare(
        cases,
        lambda c: evaluate_one(c.architecture, c.problem, c.mapping, version),
        lambda c: back_end.stats(c.architecture, c.problem, c.mapping),
        arguments.n_jobs or os.cpu_count() or 1,
        None if arguments.quiet or not sys.stderr.isatty() else _progress(len(cases)),
    )
    other = f"{back_end.name} ({back_end.version or 'unknown version'})"
    return (f"native {version}", other), report


@dataclasses.dataclass(frozen=True)
class _BackEnd:
    """A real Timeloop to compare with; its version is None when it is like none that dse knows."""

    name: str
    version: str | None
    stats: Callable[[Architecture, Problem, Mapping], Stats]


def _back_ends(only: str | None, binary: str | None) -> list[_BackEnd]:
    """Return the real back ends that are found, or the one that is asked for.

    Raises:
        ToolError: none is found, or one that the user named is of no use.
    """
    from dse.tools import pytimeloop  # noqa: PLC0415

    looks = {"timeloop-model": lambda: _binary(binary), "pytimeloop": _pytimeloop}
    if only is not None:
        return [looks[only]()]
    named = {
        "timeloop-model": binary or os.environ.get(binaries.VARIABLES["timeloop-model"]),
        "pytimeloop": os.environ.get(pytimeloop.VARIABLE),
    }
    found, missing = [], []
    for name, look in looks.items():
        try:
            found.append(look())
        except ToolError as error:
            if named[name]:
                raise
            missing.append(str(error))
    if not found:
        raise ToolError("there is nothing to compare with:\n" + "\n".join(missing))
    return found


def _binary(given: str | None) -> _BackEnd:
    from dse.tools.model_run import ModelRunner  # noqa: PLC0415

    binary = binaries.find("timeloop-model", given)
    runner = ModelRunner(binary)
    return _BackEnd(
        "timeloop-model",
        binaries.version(binary),
        lambda *case: runner.stats(runner.text(*case), case[1], perfect=case[2].is_perfect),
    )


def _pytimeloop() -> _BackEnd:
    from dse.tools import pytimeloop  # noqa: PLC0415

    model = pytimeloop.PyTimeloop(pytimeloop.find())
    return _BackEnd("pytimeloop", pytimeloop.version(model), model.stats)


def _progress(total: int) -> Callable[[int], None]:
    def report(done: int) -> None:
        sys.stderr.write(f"\r{done:,}/{total:,} mappings" + ("\n" if done == total else ""))
        sys.stderr.flush()

    return report


def _as_dict(report: ModelReport, names: tuple[str, str]) -> dict[str, object]:
    return {
        "back_ends": list(names),
        "agrees": report.agrees,
        "mappings": len(report.outcomes),
        "rejected": report.rejected,
        "verdicts_differ": report.verdicts_differ,
        "counts_differ": report.counts_differ,
        "metrics": [dataclasses.asdict(row) for row in report.rows],
    }
