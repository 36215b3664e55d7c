"""``python -m dse show attributes``: what describes storage levels, their networks and MACs."""

from __future__ import annotations

import math
from typing import NamedTuple

from dse.cli.columns import two_columns
from dse.domain.architecture import AccessEnergy, Compute, Network, StorageLevel
from dse.domain.attribute import Attribute, declared
from dse.domain.sparse import MetadataStorage, SparseLevel

#: The parts of the hardware that declare attributes.
PARTS: dict[str, type] = {
    "storage level": StorageLevel,
    "energies of a level": AccessEnergy,
    "network below a level": Network,
    "metadata of a level": MetadataStorage,
    "compressed tensors at a level": SparseLevel,
    "MACs": Compute,
}
_KINDS = {int: "integer", float: "number", bool: "true or false"}


class Facts(NamedTuple):
    """What is declared of an attribute, in words; an empty text where there is nothing."""

    name: str
    meaning: str
    unit: str
    values: str
    default: str
    template: str
    timeloop: str


def facts(item: Attribute) -> Facts:
    """Return what is declared of an attribute."""
    return Facts(
        item.name,
        item.meaning,
        item.unit,
        ", ".join(filter(None, (_KINDS[item.kind], item.expected))),
        _default(item),
        _template(item),
        _timeloop(item),
    )


def attributes_text() -> str:
    """Return all attributes by the parts of the hardware that have them."""
    lines: list[str] = []
    for title, part in PARTS.items():
        lines += [f"{title}:", *two_columns([_row(item) for item in declared(part)], "  "), ""]
    return "\n".join(lines[:-1]) + "\n"


def _row(item: Attribute) -> tuple[str, str]:
    said = facts(item)
    parts = [
        said.unit,
        said.values,
        f"default {said.default}",
        said.template and f"templates: {said.template}",
        said.timeloop and f"Timeloop: {said.timeloop}",
    ]
    return item.name, f"{item.meaning}\n" + "; ".join(filter(None, parts))


def _default(item: Attribute) -> str:
    if item.default is None:
        return "none"
    if item.kind is bool:
        return str(item.default).lower()
    if item.kind is float:
        return "unlimited" if math.isinf(item.default) else f"{item.default:g}"
    return str(item.default)


def _template(item: Attribute) -> str:
    if item.template is None:
        return ""
    plain = item.kind is not bool and not item.arithmetic
    return f"{item.template} (no arithmetic)" if plain else item.template


def _timeloop(item: Attribute) -> str:
    if item.keys:
        return ", ".join(item.keys.read)
    if not item.actions:
        return ""
    head, v3_0_3 = ", ".join(item.actions.head), ", ".join(item.actions.v3_0_3)
    return f"ERT: {head}" if head == v3_0_3 else f"ERT: {head} (3.0.3: {v3_0_3})"
