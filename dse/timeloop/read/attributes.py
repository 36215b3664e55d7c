"""The attributes that Timeloop reads from components, and a guard against misspelt keys.

Timeloop ignores keys that it does not know. Many files rely on that (``technology``,
``n_rdwr_ports``, attributes of Accelergy's plug-ins), so unknown keys are accepted here too,
unless they look like a misspelt key that would have changed the result.
"""

from __future__ import annotations

import difflib
import logging
import math
from collections.abc import Collection
from typing import Any

from dse.domain.architecture import AccessEnergy, Compute, Network, StorageLevel
from dse.domain.attribute import Attribute, declared
from dse.timeloop.yaml.nodes import Entry, Node

_LOG = logging.getLogger(__name__)
WIDTH = ("width", "memory_width", "data_storage_width")
DEPTH = ("depth", "memory_depth", "data_storage_depth")


def _keys(*parts: type) -> set[str]:
    """Return the keys that parts of the hardware declare."""
    return {key for part in parts for x in declared(part) if x.keys for key in x.keys.read}


LEVEL = frozenset(
    {
        *_keys(StorageLevel, AccessEnergy, Network),
        # what attributes follow from together with others, and what is refused
        *WIDTH,
        *DEPTH,
        "sizeKB",
        "bandwidth",
        "network_type",
        "vector_access_energy",
        "cluster_area",
        "power_gated_at",
        "per_dataspace_bandwidth_consumption_scale",
        "allow_overbooking",
        "network_read",
        "network_fill",
        "network_drain",
        "network_update",
    }
)
COMPUTE = frozenset({*_keys(Compute), "energy", "area", "network_operand", "network_result"})
NETWORK = frozenset(
    {
        *_keys(Network),
        "network_type",
        "word_bits",
        "word_width",
        "datawidth",
        "fill_latency",
        "drain_latency",
        "adder_energy",
        "action_name",
        "multicast_factor_argument",
        "per_datatype_ERT",
    }
)

#: Keys in use that Timeloop does not read for dense models, though they look like ones it does.
_IGNORED = frozenset(
    {
        "technology",
        "has_power_gating",
        "type",
        "n_banks",
        "num_banks",
        "n_ports",
        "num_ports",
        "fill_latency",
        "drain_latency",
        "energy_per_bit",
        "read_energy",
        "write_energy",
        "update_energy",
        "metadata_width",
        "metadata_depth",
        "metadata_datawidth",
        "metadata_word_bits",
        "metadata_block_size",
        "metadata_storage_width",
        "metadata_storage_depth",
        "multiplier_width",
        "adder_width",
    }
)


#: Keys that 4cf6d4c reads with hyphens: those that it turns into underscores before it parses, but
#: for ``network-word-bits``, of which it turns a part, and one that it only knows so.
_HYPHENS_4CF6D4C = {
    *("tile-width", "router-energy", "energy-per-hop", "multiple-buffering", "cluster-area"),
    *("wire-energy", "word-bits", "min-utilization", "network-type", "block-size", "cluster-size"),
    *("vector-access-energy", "addr-gen-energy", "energy-per-ingress", "adder-energy"),
}
#: Keys that 3.0.3 reads with hyphens; most of them with hyphens only.
_HYPHENS_3_0_3 = {*_HYPHENS_4CF6D4C, "network-word-bits"}
_UNDERSCORES_3_0_3 = {"block_size"}
#: Keys that came after 3.0.3.
_NEWER = {"power_gated_at", "per_dataspace_bandwidth_consumption_scale"}


def as_read(attributes: Entry, known: frozenset[str], timeloop_version: str) -> Entry:
    """Return the attributes without those whose spelling a version of Timeloop does not read.

    Each of them is named in a warning, as Timeloop itself says nothing; but for one whose value
    stands beside it in the other spelling, too, which is how a file serves several versions.
    """
    written = dict(attributes.pairs())
    table: dict[str, Node] = {}
    for key, entry in written.items():
        name = key.replace("-", "_")
        if name in known and not _reads(key, timeloop_version):
            other = key.replace("_", "-") if "_" in key else name
            beside = written.get(other)
            if (
                beside is not None
                and _reads(other, timeloop_version)
                and beside.node.value == entry.node.value
            ):
                continue
            hint = f"; it reads '{other}'" if _reads(other, timeloop_version) else ""
            _LOG.warning(
                "%s: is ignored, as Timeloop %s does not read it%s",
                entry.where, timeloop_version, hint,
            )  # fmt: skip
            continue
        table[key] = entry.node
    node = Node(table, attributes.node.source, attributes.node.line)
    return Entry(node, attributes.path, attributes.variables)


def _reads(key: str, timeloop_version: str) -> bool:
    """Whether a version reads a key that it knows under one spelling or another."""
    if timeloop_version == "4cf6d4c":
        return key in _HYPHENS_4CF6D4C if "-" in key else key != "energy_per_ingress"
    if "-" in key:
        return key in _HYPHENS_3_0_3
    hyphened = key.replace("_", "-")
    return key not in _NEWER and (hyphened not in _HYPHENS_3_0_3 or key in _UNDERSCORES_3_0_3)


def given(attributes: Entry, part: type, inferred: Collection[str] = ()) -> dict[str, Any]:
    """Return what a component gives of the attributes that a part of the hardware declares.

    Args:
        attributes: of the component.
        part: the dataclass that declares.
        inferred: names of attributes that are left out, as they follow from more than one key.

    Raises:
        SpecError: a value is of another kind than declared, or out of bounds.
    """
    found = {}
    for item in declared(part):
        entry = attributes.get(*item.keys.read) if item.keys and item.name not in inferred else None
        if entry is not None:
            found[item.name] = _value(entry, item)
    return found


def _value(entry: Entry, item: Attribute) -> int | float | bool:
    if item.kind is bool:
        return entry.boolean()
    if item.kind is int:
        return entry.integer(int(item.at_least or 0))
    if item.above is not None:
        return entry.number(item.above, above=True)
    return entry.number(-math.inf if item.at_least is None else item.at_least)


def check_spelling(attributes: Entry, known: frozenset[str]) -> None:
    """Refuse keys that are not known but look like one that is.

    Raises:
        SpecError: naming the key and the one that was probably meant.
    """
    plain = {_bare(name): name for name in known}
    for key, entry in attributes.pairs():
        name = key.replace("-", "_")
        if name in known or name in _IGNORED:
            continue
        meant = plain.get(_bare(name))
        if meant is None:
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.85)
            meant = near[0] if near else None
        if meant is not None:
            raise entry.refuse(f"unknown key '{key[:80]}'; did you mean '{meant}'?")


def _bare(name: str) -> str:
    return name.replace("_", "").lower()
