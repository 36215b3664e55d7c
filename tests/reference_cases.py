"""Cases with Timeloop's own answers, and the comparison with the model's."""

from __future__ import annotations

import gzip
import json
import lzma
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from dse.errors import InvalidMapping, SpecError
from dse.model.stats import Stats
from dse.timeloop.evaluate import evaluate_text

REPOSITORY = Path(__file__).resolve().parent.parent
SUBSET = REPOSITORY / "tests" / "data" / "timeloop_cases.jsonl.gz"
#: Imperfect factors; user-declared networks, coefficients of 0 and below, and densities.
BEYOND = REPOSITORY / "tests" / "data" / "beyond_perfect_cases.jsonl.xz"
#: Networks of type M:N.
DISTRIBUTED = REPOSITORY / "tests" / "data" / "distributed_cases.jsonl.xz"

#: Sparse designs: of each version the cases that the other has not.
SPARSE = REPOSITORY / "tests" / "data" / "sparse_cases.jsonl.xz"

_VERSIONS = {"3.0.3": "3.0.3", "head": "4cf6d4c", "4cf6d4c": "4cf6d4c"}
_UTILIZATION_DIGITS = {"3.0.3": 2, "4cf6d4c": 4}
#: What Timeloop says of networks beyond what the model does.
_UNSAID = ("num_hops", "energy_per_hop", "multicast_factor")


def reference_files(*kinds: str) -> list[Path]:
    """The full reference files beside the repository, or where DSE_REFERENCE says."""
    folder = Path(os.environ.get("DSE_REFERENCE", REPOSITORY.parent / "shared" / "reference"))
    return sorted(path for kind in kinds for path in folder.glob(f"{kind}-*.jsonl.gz"))


def read_cases(path: Path) -> Iterator[dict[str, Any]]:
    opened = lzma.open if path.suffix == ".xz" else gzip.open
    with opened(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


def version_of(case: dict[str, Any]) -> str:
    return _VERSIONS[case["timeloop"]]


def is_nonsense(case: dict[str, Any]) -> bool:
    """Whether Timeloop's unsigned numbers wrap around, which the model refuses to repeat."""
    if re.search(r"\b[A-Z]=([2-9]|[1-9][0-9]+),0\b", case["input"]) or case.get("nonsense"):
        return True
    return any(
        count >= 2**62
        for level in case.get("levels", {}).values()
        for tensor in level.values()
        if isinstance(tensor, dict)
        for count in tensor.values()
    )


#: Yields where a model's figures differ from a case's.
Figures = Callable[[dict[str, Any], Stats], Iterator[str]]


def dense_figures(case: dict[str, Any], stats: Stats) -> Iterator[str]:
    yield from _totals(case, stats)
    yield from _levels(case, stats)
    yield from networks(case, stats)


def disagreements(case: dict[str, Any], figures: Figures = dense_figures) -> list[str]:
    """Evaluate one case and say where the answer differs from Timeloop's; empty if nowhere."""
    message = case.get("message", "").strip()
    try:
        stats = evaluate_text(case["input"], version_of(case), source="case.yaml").stats
    except SpecError as error:
        text = str(error)
        if case["status"] != "error" and not is_nonsense(case):
            return [f"status {case['status']}, got error: {text}"]
        if not text.startswith("case.yaml"):
            return [f"the error names no file: {text}"]
        # What Timeloop says itself is passed on; where it aborts, the text is our own.
        own_words = [x for x in message.split(" | ") if x.startswith("ERROR")]
        return [f"'{x}' is not in '{text}'" for x in own_words if x not in text]
    except InvalidMapping as rejection:
        if case["status"] != "rejected":
            return [f"status {case['status']}, got rejected: {rejection}"]
        return [] if str(rejection) == message else [f"'{message}', got '{rejection}'"]
    if case["status"] != "ok":
        return [f"status {case['status']} ({message}), got ok"]
    if case.get("nonsense"):
        return ["Timeloop's numbers make no sense, got ok"]
    return list(figures(case, stats))


def printed(case: dict[str, Any], name: str, value: float, digits: int) -> Iterator[str]:
    """Compare a figure of which so many decimals are printed."""
    # Half a unit of the last printed place, and the noise of printing.
    if abs(value - case[name]) > 0.5000001 * 10**-digits + 1e-9 * abs(value):
        yield f"{name} {case[name]}, got {value}"


def _totals(case: dict[str, Any], stats: Stats) -> Iterator[str]:
    for name in ("cycles", "computes"):
        if name in case and getattr(stats, name) != case[name]:
            yield f"{name} {case[name]}, got {getattr(stats, name)}"
    yield from rates(case, stats)
    yield from printed(case, "energy_pj_per_compute", stats.energy_pj_per_compute, 5)


def rates(case: dict[str, Any], stats: Stats) -> Iterator[str]:
    """Compare utilisation and energy."""
    digits = _UTILIZATION_DIGITS[version_of(case)]
    yield from printed(case, "utilization", stats.utilization, digits)
    yield from printed(case, "energy_uj", stats.energy_uj, 2)


def _levels(case: dict[str, Any], stats: Stats) -> Iterator[str]:
    if list(case["levels"]) != list(stats.levels):
        yield f"levels {list(case['levels'])}, got {list(stats.levels)}"
        return
    for name, expected in case["levels"].items():
        level = stats.levels[name]
        for field, value in expected.items():
            if isinstance(value, dict):
                for key, number in value.items():
                    got = getattr(level.tensors[field], key)
                    yield from compare(f"{name}.{field}.{key}", number, got)
            else:
                yield from compare(f"{name}.{field}", value, getattr(level, field))


def networks(case: dict[str, Any], stats: Stats) -> Iterator[str]:
    if "networks" not in case:
        return
    if set(case["networks"]) != set(stats.networks):
        yield f"networks {list(case['networks'])}, got {list(stats.networks)}"
        return
    fields = {
        "energy": "energy_pj",
        "link_transfer_energy": "link_transfer_energy_pj",
        "spatial_reduction_energy": "reduction_energy_pj",
    }
    for name, tensors in case["networks"].items():
        for tensor, expected in tensors.items():
            for key, number in expected.items():
                if key in _UNSAID:
                    continue
                got = getattr(stats.networks[name][tensor], fields.get(key, key))
                yield from compare(f"{name}.{tensor}.{key}", number, got)


def compare(where: str, expected: float, got: float) -> Iterator[str]:
    if float(expected).is_integer() and not where.endswith(("energy", "energy_pj", "slowdown")):
        agree = got == expected
    else:
        agree = abs(got - expected) <= 1e-9 * max(abs(expected), abs(got))
    if not agree:
        yield f"{where} {expected!r}, got {got!r}"
