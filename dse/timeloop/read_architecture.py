"""Reads Timeloop's ``architecture``: trees of version 0.2 to 0.4, and the flat first format."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from dse.architecture import AccessEnergy, Architecture, Compute, Network, StorageLevel
from dse.components import pat
from dse.errors import SpecError
from dse.timeloop import attributes as known
from dse.timeloop.tables import EnergyTable, storage_actions
from dse.timeloop.yaml_io import Entry

#: A component whose class contains one of these is storage ...
BUFFER_CLASSES = ("DRAM", "SRAM", "regfile", "smartbuffer", "storage")
#: ... and one of these, compute.
COMPUTE_CLASSES = ("mac", "intmac", "fpmac", "compute")
_NETWORK_CLASSES = ("XY_NoC", "Legacy", "ReductionTree", "SimpleMulticast")
_DEFAULT_WORD_BITS = 16
_RANGE = re.compile(r"\[([0-9]+)\.\.([0-9]+)\]")
_UINT64 = 2**63 - 1
_T = TypeVar("_T")


@dataclass(frozen=True)
class _Component:
    """A component of the tree and how many of it its ranges declare (None: not declared)."""

    entry: Entry
    count: int | None

    @property
    def attributes(self) -> Entry:
        return self.entry.get("attributes") or self.entry

    @property
    def name(self) -> str:
        return _strip_range(self.entry.need("name", "the component's name").text())

    @property
    def kind(self) -> str:
        entry = self.entry.get("class")
        return entry.text() if entry is not None else ""


@dataclass(frozen=True)
class Fault:
    """A level that Timeloop aborts on, though only once the model gets there."""

    level: int
    error: SpecError


def read_architecture(
    entry: Entry,
    energies: EnergyTable | None,
    areas: dict[str, float] | None,
    timeloop_version: str,
) -> tuple[Architecture, Fault | None]:
    """Read an architecture, priced by the tables where they name its components.

    Instances that the cluster size does not divide are a fault of their own: Timeloop may reject
    the mapping at a level further inside before it aborts. Such a level is read with cluster
    size 1 (rejections do not depend on it), and the fault is to be raised by the caller.

    Args:
        entry: the ``architecture``.
        energies: the ERT; None = the built-in energies.
        areas: the ART, um^2 by component name.
        timeloop_version: decides which ERT action prices which access.

    Raises:
        SpecError: naming file, key path and value.
    """
    storage, compute = _components(entry)
    energies = energies or EnergyTable()
    areas = areas or {}
    levels: list[StorageLevel] = []
    fault = None
    for component in storage:
        known.check_spelling(component.attributes, known.LEVEL)
        level, cluster_size = _read_level(component, energies, areas, timeloop_version)
        if level.cluster_size != cluster_size and fault is None:
            error = component.attributes.refuse(
                f"cluster_size {cluster_size} does not divide {level.instances} instances"
            )
            fault = Fault(len(levels), error)
        levels.append(level)
    known.check_spelling(compute.attributes, known.COMPUTE)
    unit = _read_compute(compute, energies, areas)
    name = entry.get("name")
    architecture = _located(
        entry,
        lambda: Architecture(name.text() if name is not None else "system", tuple(levels), unit),
    )
    return architecture, fault


def _components(entry: Entry) -> tuple[list[_Component], _Component]:
    """Return the storage components from the inside out, and the compute component."""
    if not entry.is_map:
        raise entry.fail("expected a map with version and subtree")
    if entry.get("nodes") is not None:
        raise entry.refuse(
            "'nodes' is timeloopfe's input form; expected the flat form that timeloopfe writes"
        )
    if entry.get("constraints") is not None:
        raise entry.refuse("'constraints' inside the architecture are not supported")
    version = entry.get("version")
    if entry.get("storage") is not None and entry.get("subtree") is None:
        return _flat_components(entry)
    if version is None:
        raise entry.refuse("key 'version' is missing, expected 0.2, 0.3 or 0.4")
    if version.text() not in ("0.2", "0.3", "0.4"):
        raise version.fail("expected version 0.2, 0.3 or 0.4")
    return _tree_components(entry)


def _flat_components(entry: Entry) -> tuple[list[_Component], _Component]:
    storage = entry.need("storage", "a list of storage levels, innermost first").items()
    arithmetic = entry.need("arithmetic", "the compute level")
    if not storage:
        raise entry.refuse("'storage' is empty, expected at least one level")
    return [_Component(s, None) for s in storage], _Component(arithmetic, None)


def _tree_components(entry: Entry) -> tuple[list[_Component], _Component]:
    storage: list[_Component] = []
    compute: list[_Component] = []
    count = 1
    node = entry
    while (subtree := node.get("subtree")) is not None:
        branches = subtree.items("expected a list of one sub-tree")
        if len(branches) != 1:
            raise subtree.fail("expected exactly one sub-tree (Timeloop models one chain)")
        node = branches[0]
        name = node.get("name")
        count *= _range_size(name)
        local = node.get("local")
        for item in local.items("expected a list of components") if local is not None else []:
            item_name = item.get("name")
            component = _Component(item, count * _range_size(item_name))
            kind = component.kind
            if any(c in kind for c in BUFFER_CLASSES):
                storage.append(component)
            elif any(c in kind for c in COMPUTE_CLASSES):
                compute.append(component)
            elif any(c in kind for c in _NETWORK_CLASSES):
                raise item.refuse(f"networks of class '{kind[:80]}' are not supported")
    if not storage:
        raise entry.refuse(
            "no storage level found; expected components whose class contains one of "
            + ", ".join(BUFFER_CLASSES)
        )
    if not compute:
        raise entry.refuse(
            "no compute found; expected a component whose class contains one of "
            + ", ".join(COMPUTE_CLASSES)
        )
    if len(compute) > 1:
        raise compute[1].entry.refuse("a second compute component, expected one")
    return storage[::-1], compute[0]


def _range_size(name: Entry | None) -> int:
    """Return how many instances a name's range ``[a..b]`` declares."""
    if name is None:
        return 1
    text = name.text()
    begin, end, dots = text.find("["), text.find("]"), text.find("..")
    if -1 in (begin, end, dots):
        return 1
    match = _RANGE.search(text)
    if match is None or len(match[1]) > 18 or len(match[2]) > 18:
        raise name.fail("expected a range as in PE[0..15]")
    size = int(match[2]) - int(match[1]) + 1
    if size < 1:
        raise name.fail("expected a range that does not run backwards")
    return size


def _strip_range(name: str) -> str:
    return name.partition("[")[0]


def _located(entry: Entry, build: Callable[[], _T]) -> _T:
    """Run a constructor; its complaint gets this entry's place."""
    try:
        return build()
    except SpecError as error:
        if str(error).startswith(f"{entry.node.source}:"):
            raise
        raise SpecError(f"{entry.where}: {error}") from error


def _mesh(attributes: Entry, count: int | None) -> tuple[int, int, int]:
    """Return instances, mesh X and mesh Y, the missing ones inferred."""
    declared = attributes.get("instances")
    instances = declared.integer(1, _UINT64) if declared is not None else count
    x_entry, y_entry = attributes.get("meshX"), attributes.get("meshY")
    x = x_entry.integer(1, _UINT64) if x_entry is not None else None
    y = y_entry.integer(1, _UINT64) if y_entry is not None else None
    if instances is None:
        raise attributes.refuse("key 'instances' is missing, expected how many there are")
    shown = f"{instances} instances"
    if x is None and y is None:
        return instances, instances, 1
    if x is not None and y is not None:
        if x * y != instances:
            raise attributes.refuse(f"meshX {x} x meshY {y} is {x * y}, expected {shown}")
        return instances, x, y
    given = x if x is not None else y
    assert given is not None
    if instances % given:
        axis = "meshX" if x is not None else "meshY"
        raise attributes.refuse(f"{axis} {given} does not divide {shown}")
    other = instances // given
    return (instances, given, other) if x is not None else (instances, other, given)


def _integer(attributes: Entry, names: tuple[str, ...], default: int, low: int = 1) -> int:
    entry = attributes.get(*names)
    return entry.integer(low) if entry is not None else default


def _number(
    attributes: Entry, name: str, default: float, low: float = 0.0, *, above: bool = False
) -> float:
    entry = attributes.get(name)
    return entry.number(low, above=above) if entry is not None else default


def _read_level(
    component: _Component,
    energies: EnergyTable,
    areas: dict[str, float],
    timeloop_version: str,
) -> tuple[StorageLevel, int]:
    """Return the level, and the cluster size that the file asks for."""
    attributes = component.attributes
    _refuse_unsupported(attributes)
    name = component.name
    instances, mesh_x, mesh_y = _mesh(attributes, component.count)
    word_bits = _integer(attributes, known.WORD_BITS, _DEFAULT_WORD_BITS)
    block_size, cluster_size = _block_and_cluster(attributes, word_bits)
    size_words = _size_words(attributes, word_bits, block_size)
    technology = attributes.get("technology")
    is_dram = "DRAM" in component.kind or (
        technology is not None and technology.is_scalar and technology.text() == "DRAM"
    )
    if is_dram and cluster_size != 1:
        raise attributes.refuse(f"cluster_size {cluster_size}, expected 1 for class DRAM")
    if size_words is None and not is_dram:
        raise component.entry.refuse(
            f"level '{name}' has no size; expected entries, depth or sizeKB "
            "(only class DRAM may go without)"
        )
    if is_dram:
        built_in_pj = pat.dram_energy_pj(word_bits, block_size)
    elif size_words:
        built_in_pj = pat.sram_energy_pj(size_words, word_bits, block_size, cluster_size)
    else:
        built_in_pj = 0.0
    read_bandwidth, write_bandwidth = _bandwidths(attributes)
    cluster_area = _number(attributes, "cluster_area", 0.0)
    level = _located(
        component.entry,
        lambda: StorageLevel(
            name=name,
            kind="DRAM" if is_dram else component.kind or "SRAM",
            word_bits=word_bits,
            size_words=size_words,
            mesh_x=mesh_x,
            mesh_y=mesh_y,
            instances=instances,
            block_size=block_size,
            cluster_size=1 if instances % cluster_size else cluster_size,
            multiple_buffering=_number(attributes, "multiple_buffering", 1.0, above=True),
            min_utilization=_number(attributes, "min_utilization", 0.0),
            read_bandwidth=read_bandwidth,
            write_bandwidth=write_bandwidth,
            shared_bandwidth=_number(attributes, "shared_bandwidth", math.inf, above=True),
            energy=_access_energy(
                attributes,
                energies,
                name,
                built_in_pj,
                timeloop_version,
            ),
            area_um2=areas.get(name, cluster_area / cluster_size),
            network=_read_network(attributes, energies.wire_pj),
        ),
    )
    return level, cluster_size


def _refuse_unsupported(attributes: Entry) -> None:
    for key in ("network_read", "network_fill", "network_drain", "network_update"):
        entry = attributes.get(key)
        if entry is not None:
            raise entry.fail("user-declared networks are not supported")
    network_type = attributes.get("network_type")
    if network_type is not None and network_type.text() not in ("1:1", "1:N"):
        raise network_type.fail("expected 1:1 or 1:N (distributed multicast is not supported)")
    gated = attributes.get("power_gated_at")
    if gated is not None:
        raise gated.fail("power gating is not supported, expected null")
    overbooking = attributes.get("allow_overbooking")
    if overbooking is not None and overbooking.boolean():
        raise overbooking.fail("overbooking is not supported, expected false")
    partition = attributes.get("tile_partition_supported")
    if partition is not None and partition.boolean():
        raise partition.fail("ERROR: runtime tile partitioning is not supported yet")
    scales = attributes.get("per_dataspace_bandwidth_consumption_scale")
    if scales is not None:
        for _, scale in scales.pairs():
            if scale.number() != 1.0:
                raise scale.fail("bandwidth consumption scales are not supported, expected 1")


def _block_and_cluster(attributes: Entry, word_bits: int) -> tuple[int, int]:
    """Return block size and cluster size; ``width`` stands for the product with the word."""
    block_entry = attributes.get(*known.BLOCK_SIZE)
    cluster_entry = attributes.get("cluster_size")
    width_entry = attributes.get(*known.WIDTH)
    block = block_entry.integer(1) if block_entry is not None else 1
    cluster = cluster_entry.integer(1) if cluster_entry is not None else 1
    if width_entry is None:
        return block, cluster
    width = width_entry.integer(1)
    if width % (word_bits * block):
        raise width_entry.fail(
            f"expected a multiple of word_bits x block_size = {word_bits * block}; ERROR: data "
            f"storage width: {width}  block_size: {block}  word_bits: {word_bits}"
        )
    if block_entry is not None and cluster_entry is not None:
        if block * word_bits * cluster != width:
            raise width_entry.fail(
                f"expected {block * word_bits * cluster}: "
                "block_size * word_bits * cluster_size != storage width"
            )
    elif block_entry is not None:
        cluster = width // (word_bits * block)
    else:
        block = width // cluster // word_bits
        if block < 1:
            raise width_entry.fail(f"expected at least {cluster * word_bits}, one word per block")
    return block, cluster


def _size_words(attributes: Entry, word_bits: int, block_size: int) -> int | None:
    entries = attributes.get("entries")
    depth = attributes.get(*known.DEPTH)
    size_kb = attributes.get("sizeKB")
    given = [e for e in (entries, depth, size_kb) if e is not None]
    if size_kb is not None and len(given) > 1:
        raise size_kb.fail("expected one of entries, depth and sizeKB, not two")
    if entries is not None:
        return entries.integer()
    if depth is not None:
        return depth.integer() * block_size
    if size_kb is not None:
        return size_kb.integer() * 1024 * 8 // word_bits
    return None


def _bandwidths(attributes: Entry) -> tuple[float, float]:
    """Return read and write bandwidth; ``bandwidth`` is half and half, the others override it."""
    both = _number(attributes, "bandwidth", math.inf, above=True) / 2
    return (
        _number(attributes, "read_bandwidth", both, above=True),
        _number(attributes, "write_bandwidth", both, above=True),
    )


def _access_energy(
    attributes: Entry,
    energies: EnergyTable,
    name: str,
    built_in_pj: float,
    timeloop_version: str,
) -> AccessEnergy:
    generation = attributes.get("addr_gen_energy")
    # A negative value is Timeloop's own mark for "not given".
    generation_pj = max(generation.number(), 0.0) if generation is not None else 0.0
    override = attributes.get("vector_access_energy")
    if override is not None:
        pj = override.number(0.0)
        return AccessEnergy(pj, pj, pj, 0.0, generation_pj)
    actions = storage_actions(timeloop_version)
    found = {access: energies.find(name, names) for access, names in actions.items()}

    def price(access: str) -> float:
        pj = found[access]
        return built_in_pj if pj is None else pj

    return AccessEnergy(
        price("read"), price("fill"), price("update"), found["leak"] or 0.0, generation_pj
    )


def _read_network(attributes: Entry, table_wire_pj: float) -> Network:
    bits = attributes.get("network_word_bits")
    hop = attributes.get("energy_per_hop")
    tile = attributes.get("tile_width")
    reduction = attributes.get("reduction_supported")
    wire_pj = _number(attributes, "wire_energy", 0.0)
    return Network(
        word_bits=bits.integer(1) if bits is not None else None,
        fill_latency_cycles=_integer(attributes, ("network_fill_latency",), 0, 0),
        drain_latency_cycles=_integer(attributes, ("network_drain_latency",), 0, 0),
        hop_energy_pj=hop.number(0.0) if hop is not None else None,
        wire_energy_pj=table_wire_pj or wire_pj,
        router_energy_pj=_number(attributes, "router_energy", 0.0),
        ingress_energy_pj=_number(attributes, "energy_per_ingress", 0.0),
        tile_width_um=tile.number(0.0) if tile is not None else None,
        reduction_supported=reduction.boolean() if reduction is not None else None,
    )


def _read_compute(component: _Component, energies: EnergyTable, areas: dict[str, float]) -> Compute:
    attributes = component.attributes
    for key in ("network_operand", "network_result"):
        entry = attributes.get(key)
        if entry is not None:
            raise entry.fail("user-declared networks are not supported")
    name_entry = component.entry.get("name")
    name = _strip_range(name_entry.text()) if name_entry is not None else "__ARITH__"
    instances, mesh_x, mesh_y = _mesh(attributes, component.count)
    word_bits = _integer(attributes, ("word_bits", "datawidth"), _DEFAULT_WORD_BITS)
    energy_pj = energies.compute(name)
    if energy_pj is None:
        energy_pj = _number(attributes, "energy", pat.multiplier_energy_pj(word_bits))
    return Compute(
        name=name,
        kind=component.kind or "compute",
        word_bits=word_bits,
        mesh_x=mesh_x,
        mesh_y=mesh_y,
        instances=instances,
        energy_pj=energy_pj,
        area_um2=areas.get(name, _number(attributes, "area", 0.0)),
    )
