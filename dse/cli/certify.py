"""``python -m dse certify RUN``: checks the certificate of an exact co-search."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dse.certify.verdict import MOST_MAPPINGS
from dse.errors import SpecError

if TYPE_CHECKING:
    from dse.certify.run import Certified

_EPILOG = """\
The best design is evaluated by the exact model, and by timeloop-model where
that is installed; it has to be of the run's space. The bound is proven again by
another, slower argument, which shares nothing with the search. An optimum that
holds is kept, so that other runs of the same space show how far above it they
are (the file: DSE_KNOWN_OPTIMA, or ~/.local/share/dse/known_optima.json).

exit codes: 0 certified, 1 refuted (or it contradicts what is known), 2 usage or
input error, 3 not decided: the argument does not reach so far, 4 timeloop-model
failed
"""


def _parser() -> argparse.ArgumentParser:
    """Return the command's argument parser."""
    result = argparse.ArgumentParser(
        prog="python -m dse certify",
        description="Check the certificate of a run with optimizer=optimal.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    result.add_argument("run", type=Path, metavar="RUN", help="run folder")
    result.add_argument("--no-bound", action="store_true", help="only the design, not the bound")
    result.add_argument(
        "--mappings",
        type=int,
        metavar="N",
        default=MOST_MAPPINGS,
        help="evaluate at most N mappings for it; beyond, nothing is decided (%(default)s)",
    )
    result.add_argument("--forget", action="store_true", help="do not keep the optimum")
    result.add_argument("--json", action="store_true", help="write JSON to stdout")
    result.add_argument("-q", "--quiet", action="store_true", help="no progress")
    return result


def main(argv: Sequence[str]) -> int:
    """Certify a run; return the exit code."""
    arguments = _parser().parse_args(argv)
    from dse.certify.known import remember  # noqa: PLC0415
    from dse.certify.run import certify  # noqa: PLC0415 - compiled code

    def report(line: str) -> None:
        sys.stderr.write(line + "\n")

    if arguments.mappings < 1:
        raise SpecError(f"--mappings {arguments.mappings}: expected at least 1")
    found, entry = certify(
        arguments.run,
        bound=not arguments.no_bound,
        report=None if arguments.quiet else report,
        most_mappings=arguments.mappings,
    )
    if arguments.json:
        sys.stdout.write(json.dumps(found.as_dict()) + "\n")
    else:
        sys.stdout.write(_text(found))
    if entry is not None and not arguments.forget:
        kept = remember(entry)
        if not arguments.json:
            sys.stdout.write(f"kept      {kept}\n")
    if not arguments.json:
        reason = f": {found.reason}" if found.reason else ""
        sys.stdout.write(f"verdict   {found.outcome}{reason}\n")
    return found.exit_code


def _text(found: Certified) -> str:
    """Return what was found, but for the verdict."""
    lines = [f"timeloop  {found.timeloop}"]
    if found.value is not None:
        lines.insert(
            0, f"design    by the exact model {found.value!r}, claimed {found.claim.value!r}"
        )
    verdict = found.verdict
    if verdict is not None:
        claimed = repr(found.claim.bound)
        if found.claim.is_infeasible:
            claimed = "no design is valid:"
        if found.claim.is_front:
            claimed = f"of {len(found.claim.part('certificate', 'points'))} points:"
        lines.append(
            f"bound     {claimed} {verdict.outcome} ({verdict.how}: "
            f"{verdict.boxes:,} boxes, {verdict.mappings:,} mappings)"
        )
    lines.append(f"mapspace  {found.mapspace}")
    return "".join(f"{line}\n" for line in lines)
