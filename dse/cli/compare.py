"""``python -m dse compare``: finished runs beside each other, over their seeds."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from dse.errors import SpecError
from dse.report.folders import run_folders

_EPILOG = """\
Runs that differ in their seed only are one search: the median of its best
values and their quartiles, after equal samples and after equal time. Every
search is held against a baseline: factor of the medians, two-sided Mann-Whitney
p, and how often a run of it beats one of the baseline (Vargha and Delaney's A;
50 % is no effect). Runs of different workloads or objectives stand in tables of
their own. Warns where runs do not compare: other energy chains, Timeloop
versions, models, budgets. A run that is better than the known optimum of its
space is an error.

  python -m dse compare runs/20261120-155903_sweep_gemmini_random+ga_seed
  python -m dse compare runs/* --baseline random --plot curves.svg

exit codes: 0 good, 1 a run contradicts a known optimum, 2 usage or input error
"""


def _parser() -> argparse.ArgumentParser:
    result = argparse.ArgumentParser(
        prog="python -m dse compare",
        description="Compare finished runs: medians over seeds, curves, statistics.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = result.add_argument
    add("runs", type=Path, nargs="+", metavar="RUN", help="run folder, or a folder of them (sweep)")
    add("--plot", type=Path, metavar="FILE", help="draw best-so-far curves: .png, .svg or .pdf")
    add("--baseline", metavar="NAME", help="a search, as in 'random' or 'optimizer=random'")
    add("--samples", type=_positive, metavar="N", help="compare at so many samples")
    add("--seconds", type=_positive, metavar="S", help="compare at so many seconds")
    add(
        "--per",
        action="append",
        default=[],
        metavar="SETTING",
        help="a table for each value of a setting, too, as in --per arch",
    )
    add("--runs", action="store_true", dest="every_run", help="list every run")
    add("--csv", action="store_true", help="write one line a search as CSV to stdout")
    add("--json", action="store_true", help="write one line of JSON to stdout")
    return result


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text}: expected a number above 0")
    return value


def main(argv: Sequence[str]) -> int:
    """Compare runs; return the exit code.

    Raises:
        SpecError: there is nothing to compare, or a folder has no result.
    """
    arguments = _parser().parse_args(argv)
    from dse.report.comparable import contradictions, warnings  # noqa: PLC0415 - after --help
    from dse.report.compare import ComparisonTerms, compare  # noqa: PLC0415
    from dse.report.compare_data import comparison_csv, comparison_json  # noqa: PLC0415
    from dse.report.compare_text import comparison_text  # noqa: PLC0415
    from dse.report.finished import read_result  # noqa: PLC0415

    found = [run_folders(given) for given in arguments.runs]
    ended = dict.fromkeys(folder for folders, _ in found for folder in folders)
    for folder in dict.fromkeys(folder for _, folders in found for folder in folders):
        sys.stderr.write(f"warning: {folder}: has not ended, so it is left out\n")
    if len(ended) < 2:
        raise SpecError(f"compare takes two finished runs or more, not {len(ended)}")
    runs = [read_result(folder) for folder in ended]
    terms = ComparisonTerms(
        arguments.baseline, arguments.samples, arguments.seconds, tuple(arguments.per)
    )
    tables = compare(runs, terms)
    if arguments.plot is not None:
        from dse.report.compare_plot import plot_comparison  # noqa: PLC0415

        plot_comparison(tables, arguments.plot)
    out = sys.stdout
    if arguments.json:
        out.write(comparison_json(tables) + "\n")
    elif arguments.csv:
        out.write(comparison_csv(tables))
    else:
        plain = "utf" not in (out.encoding or "").lower()
        every = arguments.every_run
        out.write(comparison_text(tables, every_run=every, color=out.isatty(), ascii_only=plain))
    for text in warnings(tables):
        sys.stderr.write(f"warning: {text}\n")
    wrong = contradictions(runs)
    for text in wrong:
        sys.stderr.write(f"error: {text}\n")
    return 1 if wrong else 0
