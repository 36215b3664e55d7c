"""``python -m dse model``: evaluate Timeloop's input files, as ``timeloop-model`` does."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from dse.cli.energy import EnergyChoice, add_energy, strictly
from dse.disk import write_files
from dse.errors import InvalidMapping, SpecError

_EPILOG = """\
The files hold architecture, problem and mapping, and ERT and ART where there
are; they are merged on their top-level keys. Without an ERT, energies are those
built into Timeloop, or with --energy table those of each component, compound
ones too, by class, attributes, technology and clock.

exit codes: 0 good, 2 usage or input error, 3 the mapping is rejected (with
Timeloop's line on stderr)
"""


def _parser() -> argparse.ArgumentParser:
    """Return the command's argument parser."""
    result = argparse.ArgumentParser(
        prog="python -m dse model",
        description="Evaluate the mapping in Timeloop's YAML files, as timeloop-model does.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    result.add_argument("files", nargs="+", metavar="FILE", help="Timeloop input file (YAML)")
    result.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="DIR",
        help="also write timeloop-model.stats.txt, .map.txt, .map+stats.xml, .ERT.yaml and "
        ".ART.yaml, and stats.json there (with --energy table also who estimated what)",
    )
    result.add_argument(
        "--json", action="store_true", help="write JSON to stdout instead of the summary"
    )
    result.add_argument(
        "--timeloop-version",
        default="4cf6d4c",
        metavar="V",
        help="4cf6d4c (default), 3.0.3, or dosa (before commit 59fdc83)",
    )
    add_energy(result)
    add_template_options(result)
    return result


def add_template_options(parser: argparse.ArgumentParser) -> None:
    """Add what input files that are jinja2 templates need: variables, and where to include from."""
    parser.add_argument(
        "-D",
        "--define",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a variable of input files that are jinja2 templates, as in -D architecture=eyeriss",
    )
    parser.add_argument(
        "--include-path",
        action="append",
        default=[],
        metavar="DIR",
        help="let templates include files from there; else only from the folder of all FILEs",
    )


def values_of(arguments: argparse.Namespace) -> dict[str, object]:
    """Return the variables that ``-D`` sets.

    Raises:
        SpecError: one has no ``=``.
    """
    values: dict[str, object] = {}
    for text in arguments.define:
        name, equals, value = text.partition("=")
        if not equals or not name.isidentifier():
            raise SpecError(f"-D {text}: expected NAME=VALUE")
        values[name] = value
    return values


def main(argv: Sequence[str]) -> int:
    """Run the command and return its exit code.

    Raises:
        SpecError: the input is malformed or out of scope, or DIR cannot be written.
    """
    arguments = _parser().parse_intermixed_args(argv)
    from dse.timeloop.evaluate import evaluate_files  # noqa: PLC0415 - loads the compiled model
    from dse.timeloop.write.mapper_files import model_files  # noqa: PLC0415
    from dse.timeloop.write.report import stats_json, summary_text  # noqa: PLC0415

    energy = EnergyChoice(arguments.energy)
    try:
        with strictly(arguments.strict):
            evaluation = evaluate_files(
                arguments.files,
                arguments.timeloop_version,
                values_of(arguments),
                arguments.include_path,
                energy,
            )
    except InvalidMapping as rejection:
        sys.stderr.write(f"{rejection}\n")
        return rejection.exit_code
    if arguments.output is not None:
        texts = model_files(evaluation)
        if energy.tables is not None:
            made = energy.tables.files().items()
            texts = {**texts, **{f"timeloop-model.{name}": text for name, text in made}}
        write_files(arguments.output, texts)
    if arguments.json:
        sys.stdout.write(json.dumps(stats_json(evaluation), indent=2, allow_nan=False) + "\n")
    else:
        sys.stdout.write(summary_text(evaluation))
    return 0
