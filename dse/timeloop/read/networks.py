"""Reads networks that the architecture declares, and which levels name them."""

from __future__ import annotations

import logging
from collections.abc import Iterator

from dse.domain.networks import DeclaredNetwork, NetworkKind, Transfer
from dse.timeloop.read import attributes as known
from dse.timeloop.read.component_tree import NETWORK_CLASSES, Component
from dse.timeloop.read.tables import EnergyTable
from dse.timeloop.yaml.nodes import Entry

_LOG = logging.getLogger(__name__)
_KINDS: dict[str, NetworkKind] = {
    "XY_NoC": "Legacy",
    "Legacy": "Legacy",
    "SimpleMulticast": "SimpleMulticast",
    "ReductionTree": "ReductionTree",
}


def read_networks(
    components: list[Component], energies: EnergyTable, timeloop_version: str
) -> dict[str, DeclaredNetwork]:
    """Read the declared networks, by name.

    Raises:
        SpecError: naming file, key path and value.
    """
    found: dict[str, DeclaredNetwork] = {}
    for component in components:
        if component.kind not in _KINDS:
            raise component.entry.refuse(
                f"class '{component.kind[:80]}': expected one of {', '.join(NETWORK_CLASSES)}\n"
                f"ERROR: unrecognized network class: {component.kind[:500]}"
            )
        # unlike those of levels, names of networks keep their ranges
        name = component.entry.need("name", "the network's name").text()
        found[name] = _read(component, name, energies, timeloop_version)
    return found


def _read(
    component: Component, name: str, energies: EnergyTable, timeloop_version: str
) -> DeclaredNetwork:
    known.check_spelling(component.attributes, known.NETWORK)
    attributes = known.as_read(component.attributes, known.NETWORK, timeloop_version)
    kind = _KINDS[component.kind]
    word_bits = attributes.get("network_word_bits") or attributes.get(
        "word_bits", "word_width", "datawidth"
    )
    network_type = attributes.get("network_type")
    if kind == "Legacy" and network_type is not None and network_type.text() not in ("1:1", "1:N"):
        raise network_type.fail("expected 1:1 or 1:N (distributed multicast is not supported)")

    def number(key: str) -> float:
        entry = attributes.get(key)
        return entry.number() if entry is not None else 0.0

    hop, width = attributes.get("energy_per_hop"), attributes.get("tile_width")
    latency = attributes.get("fill_latency")
    is_mesh = kind == "Legacy"
    return DeclaredNetwork(
        name=name,
        kind=kind,
        word_bits=word_bits.integer(1) if word_bits is not None else 16,
        fill_latency_cycles=latency.integer() if latency is not None else 0,
        hop_energy_pj=hop.number() if hop is not None and is_mesh else None,
        wire_energy_pj=number("wire_energy"),
        router_energy_pj=number("router_energy") if is_mesh else 0.0,
        ingress_energy_pj=number("energy_per_ingress") if is_mesh else 0.0,
        tile_width_um=width.number(0.0) if width is not None and is_mesh else None,
        adder_energy_pj=number("adder_energy") if kind == "ReductionTree" else 0.0,
        transfers=tuple(_transfers(attributes, name, energies))
        if kind == "SimpleMulticast"
        else (),
    )


def _transfers(attributes: Entry, name: str, energies: EnergyTable) -> Iterator[Transfer]:
    """Yield what the energy table says of a SimpleMulticast network's action."""
    action = attributes.need("action_name", "the action that prices a transfer").text()
    argument = attributes.get("multicast_factor_argument")
    per_tensor = attributes.get("per_datatype_ERT") is not None
    if name not in energies.variants:
        _LOG.warning("%s: no energy table has '%s', it costs nothing", attributes.where, name)
    for said, variants in energies.variants.get(name, {}).items():
        tensor = said.removeprefix(f"{action}_") if per_tensor else None
        if said != (f"{action}_{tensor}" if per_tensor else action):
            continue
        if len(variants) == 1:
            yield Transfer(tensor, None, variants[0][1])
            continue
        if argument is None:
            raise attributes.refuse(
                f"action '{said[:80]}' has {len(variants)} energies, expected "
                "multicast_factor_argument to choose by"
            )
        for arguments, energy_pj in variants:
            factor = arguments.get(argument.text(), "")
            if factor.isdecimal():
                yield Transfer(tensor, int(factor), energy_pj)


def connect(
    storage: list[Component],
    compute: Component,
    networks: dict[str, DeclaredNetwork],
    stops_on_idle: bool,
) -> Iterator[tuple[str | None, str | None]]:
    """Yield the networks of reads and of updates below each level, None for inferred ones.

    Raises:
        SpecError: a name is unknown, or one end names another network than the other; a network
            cannot do what it is to; with ``stops_on_idle``, nothing names a network.
    """
    connected: set[str] = set()
    for s, outer in enumerate(storage):
        inner = storage[s - 1] if s else compute
        keys = ("network_fill", "network_drain") if s else ("network_operand", "network_result")
        read = _ends(outer, "network_read", inner, keys[0], networks)
        update = _ends(outer, "network_update", inner, keys[1], networks)
        if read is not None:
            kind = networks[read.text()].kind
            if kind == "ReductionTree":
                raise read.fail("a ReductionTree carries updates only (Timeloop aborts)")
            if update is None and kind != "Legacy":
                raise read.fail(
                    f"a {kind} carries no updates; expected network_update, or one of class Legacy"
                )
        connected |= {entry.text() for entry in (read, update) if entry is not None}
        yield read.text() if read else None, update.text() if update else None
    idle = sorted(networks.keys() - connected)
    if idle and stops_on_idle:
        raise compute.entry.refuse(
            f"network '{idle[0][:80]}' is declared, but no level names it (Timeloop crashes)"
        )
    if idle:
        _LOG.warning("network '%s' is declared, but no level names it", idle[0])


def _ends(
    outer: Component,
    key: str,
    inner: Component,
    inner_key: str,
    networks: dict[str, DeclaredNetwork],
) -> Entry | None:
    """Return the outer end of a connection, whose inner end must name the same network."""
    there, here = outer.attributes.get(key), inner.attributes.get(inner_key)
    if there is None:
        if here is not None:
            raise here.fail(f"'{outer.name}' has no {key} (Timeloop aborts)")
        return None
    if there.text() not in networks:
        raise there.fail(
            f"expected a declared network\nERROR: network {there.text()[:500]} not found."
        )
    if here is None or here.text() != there.text():
        raise there.fail(f"{inner_key} of '{inner.name}' is not the same (Timeloop aborts)")
    return there
