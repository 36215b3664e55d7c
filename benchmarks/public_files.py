"""How many of people's own sets of Timeloop files work, from end to end.

    python benchmarks/public_files.py --sets SETS.jsonl.gz [--root DIR] [--search]

A line of SETS is a JSON object: ``id``, ``repo``, ``name``, ``kind`` (``model``: a mapping is
given, ``mapper``: one is to be found), ``files`` (each a ``path``, and its ``text``; without text
it is read below ``--root``, where a clone of the repository lies), ``defs`` (variables of jinja2
templates), and ``answers`` by version of Timeloop, where they are known.

Every set is read, and then modelled, or mapped with --search and what was found modelled. Each set
counts once: as what it came to with the first of its versions that differs from what is right. A
set on which Timeloop itself stops (its own error is part of what is said) counts as ``stops``, and
is none that could work.
"""

from __future__ import annotations

import argparse
import gzip
import json
import logging
import math
import re
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from dse.errors import DseError, InvalidMapping, NothingFeasible
from dse.timeloop.evaluate import evaluate_files
from dse.timeloop.mapper_run import tasks

#: What Timeloop prints has two decimals, of energies in uJ.
_PRINTED_UJ = 0.005
_SPARSE = re.compile(r"^\s*sparse_optimizations:\s*(\n\s*)?[^\s\[{]", re.MULTILINE)
#: What a number in a message becomes, so that messages of a kind count as one.
_DETAIL = re.compile(r"'[^']*'|\"[^\"]*\"|[0-9][0-9.,e+-]*")
#: Timeloop's own words, or that it has none left.
_STOPS = re.compile(r"ERROR: |Timeloop (stops|aborts|crashes)|Timeloop, too")
_PLACE = re.compile(r"^\S*?:\d+: ?(\S+? = .*?: |\S+?: )?")


def main() -> int:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", type=Path, required=True, help="the sets, as JSON lines, gzipped")
    parser.add_argument("--root", type=Path, help="folder in which clones of repositories lie")
    parser.add_argument("--search", action="store_true", help="search the sets without a mapping")
    parser.add_argument("--mapper", default=None, help="default: the command's own")
    parser.add_argument("--samples", type=int, default=None, help="default: the command's own")
    parser.add_argument("--recorded", action="store_true", help="only sets with known answers")
    parser.add_argument("--json", type=Path, help="write what became of every set there")
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    began = time.monotonic()
    with gzip.open(arguments.sets) as lines:
        rows = [json.loads(line) for line in lines]
    if arguments.recorded:
        rows = [row for row in rows if row.get("answers")]
    found = []
    for number, row in enumerate(rows):
        found.append(_outcome(row, arguments))
        if sys.stderr.isatty():
            sys.stderr.write(f"\r{number + 1}/{len(rows)} sets")
    _table(rows, found, time.monotonic() - began)
    if arguments.json:
        told = [{"id": r["id"], "name": r["name"], **f} for r, f in zip(rows, found, strict=True)]
        arguments.json.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    wrong = sum(one["outcome"] in ("differs", "worse") for one in found)
    return 1 if wrong else 0


def _outcome(row: dict[str, Any], arguments: argparse.Namespace) -> dict[str, Any]:
    """Return what became of a set: ``outcome``, and the ``reason`` where it is not a good one."""
    with tempfile.TemporaryDirectory() as folder:
        paths, sparse = [], False
        for file in row["files"]:
            path = Path(folder) / file["path"]
            if "text" in file:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(file["text"], encoding="utf-8")
                sparse |= bool(_SPARSE.search(file["text"]))
            else:
                path = (arguments.root or Path("/nowhere")) / file["path"]
                if not path.is_file():
                    return {"outcome": "not here", "reason": "its files are not given"}
            paths.append(path)
        versions = sorted(row.get("answers") or {}) or ["4cf6d4c"]
        for version in versions:
            answer = (row.get("answers") or {}).get(version)
            try:
                one = _tried(row, paths, version, answer, arguments)
            except DseError as error:
                reason = _short(str(error), folder)
                outcome = "stops" if _STOPS.search(str(error)) else "refused"
                if sparse and "not supported" in reason:
                    outcome = "sparse"
                return {"outcome": outcome, "reason": reason, "version": version}
            if one["outcome"] not in ("equal", "answered", "found", "read", "rejected"):
                break
        return {**one, "version": version}


def _tried(
    row: dict[str, Any],
    paths: list[Path],
    version: str,
    answer: dict[str, Any] | None,
    arguments: argparse.Namespace,
) -> dict[str, Any]:
    if row["kind"] == "model":
        try:
            stats = evaluate_files(paths, version, row.get("defs")).stats
        except InvalidMapping as rejection:
            return {"outcome": "rejected", "reason": str(rejection).splitlines()[0]}
        if answer is None:
            return {"outcome": "answered", "reason": ""}
        same = stats.cycles == answer["cycles"] and math.isclose(
            stats.energy_uj, answer["energy_uj"], rel_tol=1e-9, abs_tol=_PRINTED_UJ
        )
        told = f"{stats.cycles} cycles, {stats.energy_uj:.2f} uJ; Timeloop {answer['cycles']:.0f}, "
        reason = "" if same else told + f"{answer['energy_uj']}"
        return {"outcome": "equal" if same else "differs", "reason": reason}
    settings: dict[str, Any] = {"timeloop_version": version, "n_jobs": 1}
    if arguments.mapper:
        settings["mapper"] = arguments.mapper
    if arguments.samples:
        settings["samples"] = arguments.samples
    (task,) = tasks(paths, row.get("defs"), settings)
    if not arguments.search:
        return {"outcome": "read", "reason": ""}
    try:
        found = task.run()
    except NothingFeasible as error:
        return {"outcome": "no mapping", "reason": _short(str(error), "")}
    name, value, _ = found.metrics[0]
    if answer is None or name not in ("delay", "energy", "edp"):
        return {"outcome": "found", "reason": ""}
    energy_pj = answer["energy_uj"] * 1e6
    theirs = {"delay": answer["cycles"], "energy": energy_pj, "edp": energy_pj * answer["cycles"]}
    # theirs is rounded to two decimals
    worse = value > theirs[name] * (1 + 1e-9) + (0 if name == "delay" else _PRINTED_UJ * 1e6)
    ratio = value / theirs[name] if theirs[name] else float("nan")
    return {"outcome": "worse" if worse else "found", "reason": f"{name}: {ratio:.3f} x theirs"}


def _short(message: str, folder: str) -> str:
    """Return a message without its place, on one line."""
    line = message.replace(f"{folder}/", "").partition("\n")[0]
    return line[:300]


def _kind(reason: str) -> str:
    return _DETAIL.sub("_", _PLACE.sub("", reason))[:90]


def _table(rows: list[dict[str, Any]], found: list[dict[str, Any]], seconds: float) -> None:
    for kind in ("model", "mapper"):
        mine = [f for r, f in zip(rows, found, strict=True) if r["kind"] == kind]
        counts = Counter(one["outcome"] for one in mine)
        here = len(mine) - counts["not here"]
        modelled = here - counts["sparse"]
        good = sum(counts[x] for x in ("equal", "answered", "rejected", "found", "read"))
        print(f"{kind}: {len(mine)} sets, {here} here, {modelled} of them modelled")
        for outcome, count in counts.most_common():
            print(f"  {count:5}  {outcome}")
        works = modelled - counts["stops"]
        if works:
            print(f"  {good / modelled:6.1%} of those end to end")
            print(f"  {good / works:6.1%} of those on which Timeloop itself does not stop")
    for outcome, what in (("refused", "refused"), ("stops", "refused as Timeloop does")):
        reasons = Counter(_kind(one["reason"]) for one in found if one["outcome"] == outcome)
        print(f"{what}:")
        for reason, count in reasons.most_common(25):
            print(f"  {count:5}  {reason}")
    print(f"{seconds:.0f} s")


if __name__ == "__main__":
    sys.exit(main())
