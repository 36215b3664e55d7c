"""``python -m dse certify RUN``: checks the certificate of an exact co-search."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

_EPILOG = """\
The best design is evaluated by the exact model, and by timeloop-model where
that is installed. The bound is proven again by another, slower argument, which
shares no pruning with the search. What holds is kept, so that other runs of the
same space show how far above the optimum they are (the file: DSE_KNOWN_OPTIMA,
or ~/.local/share/dse/known_optima.json).

exit codes: 0 it holds, 1 it does not, 2 usage or input error,
4 timeloop-model failed
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

    found, entry = certify(
        arguments.run, bound=not arguments.no_bound, report=None if arguments.quiet else report
    )
    kept = remember(entry) if entry is not None and not arguments.forget else None
    if arguments.json:
        sys.stdout.write(json.dumps(found.as_dict()) + "\n")
    else:
        agrees = "the exact model gives the same" if found.incumbent else "THE MODEL DIFFERS"
        lines = [f"design    {agrees}: {found.value!r}", f"timeloop  {found.timeloop}"]
        verdict = found.verdict
        if verdict is not None:
            said = "holds" if verdict.holds else f"DOES NOT HOLD: {verdict.reason}"
            lines.append(
                f"bound     {said} ({verdict.how}: {verdict.boxes:,} boxes, "
                f"{verdict.mappings:,} mappings)"
            )
        if kept is not None:
            lines.append(f"kept      {kept}")
        lines.append("verdict   " + ("certified" if found.holds else "NOT CERTIFIED"))
        sys.stdout.write("\n".join(lines) + "\n")
    return 0 if found.holds else 1
