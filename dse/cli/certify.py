"""``python -m dse certify RUN``: checks the certificate of an exact co-search."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dse.certify.verdict import MOST_MAPPINGS, Decision
from dse.errors import SpecError

if TYPE_CHECKING:
    from dse.certify.entry import Known
    from dse.certify.run import Certified

_EPILOG = """\
The best design is evaluated by the exact model, and by timeloop-model where
that is installed; it has to be of the run's space. The bound is proven again by
another, slower argument, which shares nothing with the search. An optimum that
holds is kept, so that other runs of the same space show how far above it they
are (the file: DSE_KNOWN_OPTIMA, or ~/.local/share/dse/known_optima.json).

--pack writes what was certified into one small file, which is checked like a
run. Some come with the package: --known checks these, all of them or those of
the template, network or objective that a NAME says. One whose template, network
or prices are others today is called outdated, and not decided.

exit codes: 0 certified, 1 refuted (or it contradicts what is known), 2 usage or
input error, 3 not decided: the argument does not reach so far, or it is
outdated, 4 timeloop-model failed
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
    result.add_argument("run", type=Path, nargs="?", metavar="RUN", help="run folder, or its pack")
    result.add_argument(
        "--known", nargs="*", metavar="NAME", help="the certificates that come with the package"
    )
    result.add_argument("--no-bound", action="store_true", help="only the design, not the bound")
    result.add_argument(
        "--mappings",
        type=int,
        metavar="N",
        default=MOST_MAPPINGS,
        help="evaluate at most N mappings for it; beyond, nothing is decided (%(default)s)",
    )
    result.add_argument(
        "--pack", type=Path, metavar="FILE", help="write the certified optimum there; or a folder"
    )
    result.add_argument("--forget", action="store_true", help="do not keep the optimum")
    result.add_argument("--json", action="store_true", help="write JSON to stdout")
    result.add_argument("-q", "--quiet", action="store_true", help="no progress")
    return result


def main(argv: Sequence[str]) -> int:
    """Certify a run, or what is shipped; return the exit code."""
    arguments = _parser().parse_args(argv)
    if arguments.mappings < 1:
        raise SpecError(f"--mappings {arguments.mappings}: expected at least 1")
    if (arguments.run is None) == (arguments.known is None):
        raise SpecError("expected one RUN, or --known")
    if arguments.pack and (arguments.known is not None or not arguments.run.is_dir()):
        raise SpecError("--pack: expected the folder of a run to pack")
    return _run(arguments) if arguments.known is None else _known(arguments)


def _report(line: str) -> None:
    sys.stderr.write(line + "\n")


def _how(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return how hard to check."""
    return {
        "bound": not arguments.no_bound,
        "report": None if arguments.quiet else _report,
        "most_mappings": arguments.mappings,
    }


def _run(arguments: argparse.Namespace) -> int:
    from dse.certify.again import certify_packed  # noqa: PLC0415
    from dse.certify.known import remember  # noqa: PLC0415
    from dse.certify.packed import PackedCertificate  # noqa: PLC0415
    from dse.certify.run import certify  # noqa: PLC0415 - compiled code

    if arguments.run.is_file():
        packed = PackedCertificate.read(arguments.run)
        found, entry = certify_packed(packed, **_how(arguments))
    else:
        found, entry = certify(arguments.run, **_how(arguments))
    said = sys.stdout.write
    said(json.dumps(found.as_dict()) + "\n" if arguments.json else _text(found))
    if entry is not None and not arguments.forget:
        kept = remember(entry)
        if not arguments.json:
            said(f"kept      {kept}\n")
    if arguments.pack and found.outcome is Decision.CERTIFIED:
        file = _pack(arguments, entry)
        if not arguments.json:
            said(f"packed    {file} ({file.stat().st_size:,} bytes)\n")
    if not arguments.json:
        said(f"verdict   {found.outcome}{_why(found)}\n")
    return found.exit_code


def _pack(arguments: argparse.Namespace, entry: Known | None) -> Path:
    from dse.certify.packed import PackedCertificate  # noqa: PLC0415 - pydantic

    if entry is None:
        raise SpecError(
            f"--pack {arguments.pack}: the run is certified, but no optimum that can be known: it "
            "leaves a gap, is a front, of several networks, padded, or priced by files"
        )
    return PackedCertificate.of_run(arguments.run, entry).write(arguments.pack)


def _known(arguments: argparse.Namespace) -> int:
    """Check the shipped certificates, and tell time and verdict of each."""
    from dse.certify.again import certify_packed  # noqa: PLC0415 - compiled code
    from dse.certify.shipped import chosen, packed  # noqa: PLC0415 - pydantic

    told: list[dict[str, Any]] = []
    for name in chosen(arguments.known):
        wall, cpu = time.perf_counter(), time.process_time()
        one: dict[str, Any] = {"certificate": name}
        try:
            found, _ = certify_packed(packed(name), of_today=True, **_how(arguments))
            one |= found.as_dict()
            text, code = f"{found.outcome}{_why(found)}", found.exit_code
        except SpecError as error:
            one |= {"verdict": "broken", "reason": str(error)}
            text, code = f"broken: {error}", 2
        one |= {
            "exit_code": code,
            "seconds": time.perf_counter() - wall,
            "cpu_seconds": time.process_time() - cpu,
        }
        told.append(one)
        if not arguments.json:
            title = name.partition(".")[0]
            sys.stdout.write(
                f"{title:30} {one['seconds']:7.1f} s {one['cpu_seconds']:7.1f} CPU s  {text}\n"
            )
            sys.stdout.flush()
    codes = {one["exit_code"] for one in told}
    if arguments.json:
        sys.stdout.write(json.dumps(told) + "\n")
    else:
        held = sum(one["exit_code"] == 0 for one in told)
        sys.stdout.write(f"verdict   {held} of {len(told)} certified\n")
    return next((code for code in (1, 2, 3) if code in codes), 0)


def _why(found: Certified) -> str:
    return f": {found.reason}" if found.reason else ""


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
    if found.mapspace:
        lines.append(f"mapspace  {found.mapspace}")
    return "".join(f"{line}\n" for line in lines)
