"""``python -m dse list``: what there is to choose from."""

from __future__ import annotations

import json
import sys
import textwrap
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from dse.cli.columns import two_columns
from dse.errors import SpecError, unknown_name
from dse.plugins import plugins
from dse.space import catalog

_USAGE = """\
usage: python -m dse list [KIND] [--json]

Lists the choices of a kind, or all of them:
{kinds}.
'python -m dse show NAME' tells more of one. With --json, names and summaries by
kind, as one line of JSON.
"""

if TYPE_CHECKING:
    from dse.space.network_space import NetworkSpace

_Listed = list[tuple[str, str]]


def main(argv: Sequence[str]) -> int:
    """List one kind, or all."""
    if {"-h", "--help"} & set(argv):
        kinds = textwrap.fill(", ".join(KINDS), 78)
        sys.stdout.write(_USAGE.format(kinds=kinds))
        return 0
    as_json = "--json" in argv
    words = [word for word in argv if word != "--json"]
    if len(words) > 1:
        raise SpecError(f"list takes one kind, not {len(words)}: {' '.join(words)}")
    chosen = list(KINDS)
    if words:
        kind = kind_of(words[0])
        if kind is None:
            raise SpecError(unknown_name("kind", words[0], KINDS))
        chosen = [kind]
    if as_json:
        told = {
            kind: [{"name": name, "summary": text} for name, text in KINDS[kind]()]
            for kind in chosen
        }
        sys.stdout.write(json.dumps(told) + "\n")
        return 0
    if words:
        sys.stdout.write(_text(KINDS[chosen[0]]()))
        return 0
    sys.stdout.write("\n".join(f"{kind}:\n{_text(rows(), '  ')}" for kind, rows in KINDS.items()))
    return 0


def kind_of(word: str) -> str | None:
    """Return the kind that a word names; 'optimizer' is as good as 'optimizers'."""
    return next((kind for kind in (word, f"{word}s") if kind in KINDS), None)


def _text(rows: _Listed, indent: str = "") -> str:
    return "".join(f"{line}\n" for line in two_columns(rows, indent))


def _plugins(kind: str) -> Callable[[], _Listed]:
    def rows() -> _Listed:
        return [(name, item.summary) for name, item in plugins(kind).items()]

    return rows


def _archs() -> _Listed:
    return [(name, catalog.template(name).description) for name in catalog.names("arch")]


def _workloads() -> _Listed:
    from dse.space.network_space import NetworkSpace  # noqa: PLC0415 - loads numpy

    rows = []
    for name in catalog.names("workload"):
        found = catalog.networks(name)
        w = found.default if isinstance(found, NetworkSpace) else found
        total = sum(layer.count for layer in w)
        told = (
            f"{len(w):3} unique of {total:3} layers, {w.macs / 1e9:8.3f} G MACs, "
            f"{w.weight_words / 1e6:8.3f} M weights"
        )
        if isinstance(found, NetworkSpace):
            told += f"; one of {networks_text(found)}"
        rows.append((name, told))
    return rows


def networks_text(space: NetworkSpace) -> str:
    """Return how many networks a space has, and their least and most MACs."""
    from dse.space.network_counts import size_of  # noqa: PLC0415

    size = size_of(space)
    told = f"{size.networks:,}" if size.networks < 1e6 else f"{size.networks:.2g}"
    unit, name = (1e9, "G") if size.most_macs >= 1e8 else (1e6, "M")
    return (
        f"{told} networks, {size.least_macs / unit:.3f} to {size.most_macs / unit:.3f} {name} MACs"
    )


def _chains() -> _Listed:
    from dse.components.chain import CHAINS  # noqa: PLC0415

    return [(name, chain.summary) for name, chain in CHAINS.items()]


def _objectives() -> _Listed:
    from dse.goals.objective import objectives  # noqa: PLC0415

    return [(name, f"{item.summary}, in {item.unit}") for name, item in objectives().items()]


def _versions() -> _Listed:
    from dse.model import TIMELOOP_VERSIONS  # noqa: PLC0415

    told = {
        "4cf6d4c": "March 2025, what users install today",
        "3.0.3": "October 2023",
        "dosa": "before May 2023, what the authors of DOSA ran",
    }
    return [(version, told.get(version, "")) for version in TIMELOOP_VERSIONS]


#: What can be listed, by its plural.
KINDS: dict[str, Callable[[], _Listed]] = {
    "archs": _archs,
    "workloads": _workloads,
    "optimizers": _plugins("optimizer"),
    "mappers": _plugins("mapper"),
    "evaluators": _plugins("evaluator"),
    "parallel": _plugins("parallel"),
    "energy": _chains,
    "objectives": _objectives,
    "accuracy": _plugins("accuracy"),
    "timeloop_versions": _versions,
}
#: Those of them of which ``show`` has more to say.
SHOWN = tuple(kind for kind in KINDS if kind != "timeloop_versions")
