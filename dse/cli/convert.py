"""``python -m dse convert``: rewrite Timeloop files in another of Timeloop's formats."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from dse.cli.energy import EnergyChoice, add_energy, strictly
from dse.cli.model import add_template_options, values_of
from dse.disk import write_files

_EPILOG = """\
formats:
  v0.3      a tree with ranges in names, for Timeloop 3.0 and before
  v0.4      the flat tree that Timeloop reads today
  template  !Component and !Container nodes with constraints inside (timeloopfe)

The files may be of any version, nodes of timeloopfe, or its jinja2 templates.
Written are arch.yaml, ERT.yaml, ART.yaml, problem.yaml, and mapping.yaml and
constraints.yaml where there are; energies and areas are those of the files' ERT
and ART, or what --energy says.
"""


def _parser() -> argparse.ArgumentParser:
    """Return the command's argument parser."""
    result = argparse.ArgumentParser(
        prog="python -m dse convert",
        description="Rewrite Timeloop files in another of Timeloop's formats.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    result.add_argument("files", nargs="+", metavar="IN", help="Timeloop input file (YAML)")
    result.add_argument("--to", required=True, metavar="FORMAT", help="v0.3, v0.4 or template")
    result.add_argument(
        "-o", "--output", type=Path, metavar="DIR", help="folder to write to (default: stdout)"
    )
    result.add_argument("--timeloop-version", default="4cf6d4c", metavar="V")
    add_energy(result)
    add_template_options(result)
    return result


def main(argv: Sequence[str]) -> int:
    """Run the command and return its exit code.

    Raises:
        SpecError: the input is malformed, or DIR cannot be written.
    """
    arguments = _parser().parse_intermixed_args(argv)
    from dse.timeloop.convert import read_project, written  # noqa: PLC0415

    energy = EnergyChoice(arguments.energy)
    with strictly(arguments.strict):
        project = read_project(
            arguments.files,
            arguments.timeloop_version,
            values_of(arguments),
            arguments.include_path,
            energy,
        )
    texts = written(project, arguments.to)
    if arguments.output is None:
        for name, text in sorted(texts.items()):
            sys.stdout.write(f"# {name}\n{text}\n")
        return 0
    write_files(arguments.output, texts)
    for name in sorted(texts):
        sys.stdout.write(f"{arguments.output / name}\n")
    return 0
