"""``python -m dse convert``: rewrite Timeloop files in another of Timeloop's formats."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from dse.cli.energy import EnergyChoice, add_energy, strictly
from dse.cli.model import add_template_options, values_of
from dse.disk import write_files
from dse.errors import SpecError, unknown_name
from dse.timeloop.yaml.io import load_files

_EPILOG = """\
formats:
  v0.3      a tree with ranges in names, for Timeloop 3.0 and before
  v0.4      the flat tree that Timeloop reads today
  template  !Component and !Container nodes with constraints inside (timeloopfe)
  dse       a template of our own, arch.yaml alone: with it 'run arch=arch.yaml'
            searches what it searches with the files themselves

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
    result.add_argument("--to", required=True, metavar="FORMAT", help="v0.3, v0.4, template or dse")
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
    with strictly(arguments.strict):
        texts = _texts(arguments)
    if arguments.output is None:
        for name, text in sorted(texts.items()):
            sys.stdout.write(f"# {name}\n{text}\n")
        return 0
    write_files(arguments.output, texts)
    for name in sorted(texts):
        sys.stdout.write(f"{arguments.output / name}\n")
    return 0


def _texts(arguments: argparse.Namespace) -> dict[str, str]:
    """Return the files to write, by name."""
    from dse.space.timeloop_template import template_text  # noqa: PLC0415
    from dse.timeloop.convert import FORMATS, read_entry_project, written  # noqa: PLC0415
    from dse.timeloop.read.inputs import check_version  # noqa: PLC0415

    if arguments.to not in (*FORMATS, "dse"):
        raise SpecError(unknown_name("format", arguments.to, (*FORMATS, "dse")))
    version = arguments.timeloop_version
    check_version(version)
    energy = EnergyChoice(arguments.energy)
    root = load_files(arguments.files, values_of(arguments), arguments.include_path)
    if arguments.to == "dse":
        return {"arch.yaml": template_text(root, version, energy)}
    return written(read_entry_project(root, version, tables_of=energy), arguments.to)
