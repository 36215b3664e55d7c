"""How many of people's own sets of Timeloop files work, from end to end.

    python benchmarks/public_files.py --sets SETS.jsonl.gz [--root DIR] [--search]

A line of SETS is a JSON object: ``id``, ``repo``, ``name``, ``kind`` (``model``: a mapping is
given, ``mapper``: one is to be found), ``files`` (each a ``path``, and its ``text``; without text
it is read below ``--root``, where a clone of the repository lies), ``defs`` (variables of jinja2
templates), and ``answers`` by version of Timeloop, where they are known.

Every set is read, and then modelled, or mapped with --search and what was found modelled. Where
timeloop-mapper's answer is known, its mapping must be modelled as Timeloop does, and what is found
must not be worse than it in the first metric. Each set counts once: as what it came to with the
first of its versions that differs from what is right. A set on which Timeloop itself stops (its own
error is part of what is said) counts as ``stops``, and is none that could work.

With --search this takes an hour or more: --outcomes keeps what became of each set as it ends, and
sets that the file has are not tried again.
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

from dse.errors import DseError, InvalidMapping, NothingFeasible, SpecError
from dse.model.stats import Stats
from dse.timeloop.evaluate import Evaluation, evaluate_files
from dse.timeloop.mapper_run import tasks
from dse.timeloop.search import metric_value

#: What Timeloop prints has two decimals, of energies in uJ.
_PRINTED_UJ = 0.005
#: By less than this share, what is found may be worse: searches for two metrics take it for equal.
_EQUAL = 1e-7
#: What stands in the way of a sparse set.
_SPARSE = "sparse_optimizations: not supported"
_GOOD = ("equal", "answered", "rejected", "found", "read")
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
    parser.add_argument("--outcomes", type=Path, help="JSON lines of what became of each set")
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    began = time.monotonic()
    with gzip.open(arguments.sets) as lines:
        rows = [json.loads(line) for line in lines]
    if arguments.recorded:
        rows = [row for row in rows if row.get("answers")]
    known = _known(arguments.outcomes)
    found = []
    for number, row in enumerate(rows):
        if row["id"] not in known:
            known[row["id"]] = {"id": row["id"], "name": row["name"], **_outcome(row, arguments)}
            if arguments.outcomes:
                with arguments.outcomes.open("a", encoding="utf-8") as lines:
                    lines.write(json.dumps(known[row["id"]]) + "\n")
        found.append(known[row["id"]])
        if sys.stderr.isatty():
            sys.stderr.write(f"\r{number + 1}/{len(rows)} sets")
    _table(rows, found, time.monotonic() - began)
    wrong = sum(one["outcome"] in ("differs", "worse") for one in found)
    return 1 if wrong else 0


def _known(path: Path | None) -> dict[int, dict[str, Any]]:
    """Return what is known of sets from an earlier run, by their ids."""
    if path is None or not path.exists():
        return {}
    with path.open(encoding="utf-8") as lines:
        return {one["id"]: one for one in map(json.loads, lines)}


def _outcome(row: dict[str, Any], arguments: argparse.Namespace) -> dict[str, Any]:
    """Return what became of a set: ``outcome``, and the ``reason`` where it is not a good one."""
    came_to = []
    with tempfile.TemporaryDirectory() as folder:
        paths = _laid_out(row, Path(folder), arguments.root)
        if paths is None:
            return {"outcome": "not here", "reason": "its files are not given"}
        for version, answer in sorted((row.get("answers") or {"4cf6d4c": None}).items()):
            tried = _mapped if row["kind"] == "mapper" else _modelled
            try:
                one = tried(row, paths, version, answer, arguments)
            except DseError as error:
                one = _refusal(str(error), folder)
            came_to.append({**one, "version": version})
            if one["outcome"] not in _GOOD:
                return came_to[-1]
    return max(came_to, key=lambda one: one.get("ratio", 0.0))


def _laid_out(row: dict[str, Any], folder: Path, root: Path | None) -> list[Path] | None:
    """Return where a set's files lie; None where they are not here."""
    paths = []
    for file in row["files"]:
        path = folder / file["path"]
        if "text" in file:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(file["text"], encoding="utf-8")
        else:
            path = (root or Path("/nowhere")) / file["path"]
            if not path.is_file():
                return None
        paths.append(path)
    return paths


def _refusal(message: str, folder: str) -> dict[str, Any]:
    outcome = "stops" if _STOPS.search(message) else "refused"
    if _SPARSE in message.partition("\n")[0]:
        outcome = "sparse"
    return {"outcome": outcome, "reason": _short(message, folder)}


def _modelled(
    row: dict[str, Any],
    paths: list[Path],
    version: str,
    answer: dict[str, Any] | None,
    _arguments: argparse.Namespace,
) -> dict[str, Any]:
    try:
        stats = evaluate_files(paths, version, row.get("defs")).stats
    except InvalidMapping as rejection:
        return {"outcome": "rejected", "reason": str(rejection).splitlines()[0]}
    if answer is None:
        return {"outcome": "answered", "reason": ""}
    difference = _difference(stats, answer)
    return {"outcome": "differs" if difference else "equal", "reason": difference}


def _difference(stats: Stats, answer: dict[str, Any]) -> str:
    """Return in what the model differs from Timeloop; empty: in nothing."""
    same = stats.cycles == answer["cycles"] and math.isclose(
        stats.energy_uj, answer["energy_uj"], rel_tol=1e-9, abs_tol=_PRINTED_UJ
    )
    theirs = f"Timeloop {answer['cycles']:.0f}, {answer['energy_uj']}"
    return "" if same else f"{stats.cycles} cycles, {stats.energy_uj:.2f} uJ; {theirs}"


def _mapped(
    row: dict[str, Any],
    paths: list[Path],
    version: str,
    answer: dict[str, Any] | None,
    arguments: argparse.Namespace,
) -> dict[str, Any]:
    settings: dict[str, Any] = {"timeloop_version": version, "n_jobs": 1}
    if arguments.mapper:
        settings["mapper"] = arguments.mapper
    if arguments.samples:
        settings["samples"] = arguments.samples
    (task,) = tasks(paths, row.get("defs"), settings)
    if not arguments.search:
        return {"outcome": "read", "reason": ""}
    theirs = None if answer is None else _as_mapped(row, paths, version, answer["mapping"])
    if answer is not None and theirs is not None:
        difference = _difference(theirs.stats, answer)
        if difference:
            return {"outcome": "differs", "reason": f"timeloop-mapper's mapping: {difference}"}
    try:
        found = task.run()
    except NothingFeasible as error:
        return {"outcome": "no mapping", "reason": _short(str(error), "")}
    if answer is None:
        return {"outcome": "found", "reason": ""}
    name, value, _ = found.metrics[0]
    ratio = value / (_printed(name, answer) if theirs is None else metric_value(theirs, name))
    outcome = "worse" if ratio > 1 + _EQUAL else "found"
    return {"outcome": outcome, "reason": f"{name}: {ratio:.4f} x theirs", "ratio": ratio}


def _as_mapped(
    row: dict[str, Any], paths: list[Path], version: str, mapping: str
) -> Evaluation | None:
    """Return the model's answer to a set with timeloop-mapper's mapping.

    None where what it writes does not say it: nothing for libconfig's files, and no remainders.
    """
    if not mapping:
        return None
    with tempfile.TemporaryDirectory() as folder:
        theirs = Path(folder) / "theirs.yaml"
        theirs.write_text(mapping, encoding="utf-8")
        try:
            return evaluate_files([*paths, theirs], version, row.get("defs"))
        except SpecError as error:
            if "factors do not multiply" not in str(error):
                raise
            return None


def _printed(name: str, answer: dict[str, Any]) -> float:
    """Return what a metric is at most by what Timeloop prints."""
    energy_pj = (answer["energy_uj"] + _PRINTED_UJ) * 1e6
    cycles = float(answer["cycles"])
    return {"delay": cycles, "energy": energy_pj, "edp": energy_pj * cycles}[name]


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
        good = sum(counts[x] for x in _GOOD)
        print(f"{kind}: {len(mine)} sets, {here} here, {modelled} of them modelled")
        for outcome, count in counts.most_common():
            print(f"  {count:5}  {outcome}")
        works = modelled - counts["stops"]
        if works:
            print(f"  {good / modelled:6.1%} of those end to end")
            print(f"  {good / works:6.1%} of those on which Timeloop itself does not stop")
    ratios = sorted(one["ratio"] for one in found if "ratio" in one)
    if ratios:
        median, worst = ratios[len(ratios) // 2], ratios[-1]
        worse = sum(one["outcome"] == "worse" for one in found)
        print(f"{len(ratios)} sets beside timeloop-mapper, in its own first metric: {worse} worse")
        print(f"  median {median:.4f} x its value, most {worst:.4f} x")
    for one in found:
        if one["outcome"] in ("differs", "worse", "no mapping"):
            print(f"{one['outcome']}: {one['id']} {one['name']}: {one['reason']}")
    for outcome, what in (("refused", "refused"), ("stops", "refused as Timeloop does")):
        reasons = Counter(_kind(one["reason"]) for one in found if one["outcome"] == outcome)
        print(f"{what}:")
        for reason, count in reasons.most_common(25):
            print(f"  {count:5}  {reason}")
    print(f"{seconds:.0f} s")


if __name__ == "__main__":
    sys.exit(main())
