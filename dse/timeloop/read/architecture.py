"""Reads Timeloop's ``architecture``: trees of version 0.2 to 0.4, and the flat first format."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from dse.domain.architecture import AccessEnergy, Architecture, Compute, Network, StorageLevel
from dse.errors import SpecError
from dse.timeloop import pat
from dse.timeloop.read import attributes as known
from dse.timeloop.read.component_tree import Component, find_components, mesh, strip_range
from dse.timeloop.read.networks import connect, read_networks
from dse.timeloop.read.tables import EnergyTable
from dse.timeloop.yaml.nodes import Entry

_LOG = logging.getLogger(__name__)
_DEFAULT_WORD_BITS = 16
#: Attributes that ranges in names and each other stand for, too.
_INFERRED = ("instances", "mesh_x", "mesh_y")
#: The accesses that Timeloop prices where no table does.
_ACCESSES = ("read_pj", "fill_pj", "update_pj")
_T = TypeVar("_T")


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
    *,
    for_model: bool,
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
        for_model: whether a mapping is evaluated on it. A search takes two things with a warning
            that Timeloop stops on, as they leave no doubt: MACs without a mesh, and networks that
            no level names.

    Raises:
        SpecError: naming file, key path and value.
    """
    storage, compute, networks = find_components(entry)
    energies = energies or EnergyTable()
    areas = areas or {}
    levels: list[StorageLevel] = []
    fault = None
    for written in storage:
        component = _as_read(written, known.LEVEL, timeloop_version)
        known.check_spelling(component.attributes, known.LEVEL)
        level, cluster_size = _read_level(component, energies, areas, timeloop_version)
        if level.cluster_size != cluster_size and fault is None:
            error = component.attributes.refuse(
                f"cluster_size {cluster_size} does not divide {level.instances} instances"
            )
            fault = Fault(len(levels), error)
        levels.append(level)
    compute = _as_read(compute, known.COMPUTE, timeloop_version)
    known.check_spelling(compute.attributes, known.COMPUTE)
    unit = _read_compute(compute, energies, areas, timeloop_version)
    if not for_model:
        unit = _with_mesh(compute, unit, levels[0])
    name = entry.get("name")
    declared = read_networks(networks, energies, timeloop_version)
    stops_on_idle = for_model and timeloop_version == "4cf6d4c"
    for s, ends in enumerate(connect(storage, compute, declared, stops_on_idle)):
        levels[s] = replace(levels[s], read_network=ends[0], update_network=ends[1])
    architecture = _located(
        entry,
        lambda: Architecture(
            name.text() if name is not None else "system",
            tuple(levels),
            unit,
            networks=tuple(declared.values()),
        ),
    )
    return architecture, fault


def _with_mesh(component: Component, unit: Compute, innermost: StorageLevel) -> Compute:
    """Return MACs that have no mesh of their own with that of a level of as many instances."""
    own = any(component.attributes.get(key) is not None for key in ("meshX", "meshY"))
    fits = unit.mesh_x % innermost.mesh_x == 0 and unit.mesh_y % innermost.mesh_y == 0
    if own or fits or unit.instances != innermost.instances:
        return unit
    _LOG.warning(
        "%s: has no meshX: taken to be the %d x %d of '%s' (Timeloop stops: it takes it to be %d)",
        component.entry.where,
        *(innermost.mesh_x, innermost.mesh_y, innermost.name, unit.mesh_x),
    )
    return replace(unit, mesh_x=innermost.mesh_x, mesh_y=innermost.mesh_y)


def _as_read(component: Component, keys: frozenset[str], timeloop_version: str) -> Component:
    return replace(component, read=known.as_read(component.attributes, keys, timeloop_version))


def _located(entry: Entry, build: Callable[[], _T]) -> _T:
    """Run a constructor; its complaint gets this entry's place."""
    try:
        return build()
    except SpecError as error:
        if str(error).startswith(f"{entry.node.source}:"):
            raise
        raise SpecError(f"{entry.where}: {error}") from error


def _number(
    attributes: Entry, name: str, default: float, low: float = 0.0, *, above: bool = False
) -> float:
    entry = attributes.get(name)
    return entry.number(low, above=above) if entry is not None else default


def _read_level(
    component: Component,
    energies: EnergyTable,
    areas: dict[str, float],
    timeloop_version: str,
) -> tuple[StorageLevel, int]:
    """Return the level, and the cluster size that the file asks for."""
    attributes = component.attributes
    name = component.name
    singly = _modelled_singly(attributes, name)
    instances, mesh_x, mesh_y = mesh(attributes, component.count)
    found = known.given(attributes, StorageLevel, _INFERRED)
    word_bits = found.setdefault("word_bits", _DEFAULT_WORD_BITS)
    block_size, cluster_size = _block_and_cluster(attributes, found, word_bits)
    size_words = _size_words(attributes, found, word_bits, block_size)
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
    # reads and writes have half of "bandwidth" each; their own keys override it
    half = _number(attributes, "bandwidth", math.inf, above=True) / 2
    cluster_area = _number(attributes, "cluster_area", 0.0)
    prices = energies.prices(name, AccessEnergy, timeloop_version)
    found |= {
        "size_words": size_words,
        "block_size": block_size,
        "cluster_size": 1 if instances % cluster_size else cluster_size,
    }
    level = _located(
        component.entry,
        lambda: StorageLevel(
            name=name,
            kind="DRAM" if is_dram else component.kind or "SRAM",
            mesh_x=mesh_x,
            mesh_y=mesh_y,
            instances=instances,
            energy=_access_energy(attributes, prices, built_in_pj),
            area_um2=areas.get(name, cluster_area / cluster_size),
            network=_read_network(attributes, energies.wire_pj),
            **singly,
            **{"read_bandwidth": half, "write_bandwidth": half, **found},
        ),
    )
    return level, cluster_size


def _modelled_singly(attributes: Entry, name: str) -> dict[str, Any]:
    """Return what a level declares that is modelled one mapping at a time, as keywords."""
    network_type = attributes.get("network_type")
    if network_type is not None and network_type.text() not in ("1:1", "1:N", "M:N"):
        raise network_type.fail("expected 1:1, 1:N or M:N")
    overbooking = attributes.get("allow_overbooking")
    if overbooking is not None and overbooking.boolean():
        _LOG.warning(
            "%s: has no effect on dense problems: tiles that do not fit are rejected all the same",
            overbooking.where,
        )
    partition = attributes.get("tile_partition_supported")
    if partition is not None and partition.boolean():
        raise partition.fail("ERROR: runtime tile partitioning is not supported yet")
    gate = attributes.get("power_gated_at")
    scales = attributes.get("per_dataspace_bandwidth_consumption_scale")
    weights = [(key, entry.number(0.0)) for key, entry in scales.pairs()] if scales else []
    return {
        "power_gated_at": gate.text() if gate is not None and gate.text() != name else None,
        "bandwidth_scales": tuple(pair for pair in weights if pair[1] != 1.0),
        "distributes": network_type is not None and network_type.text() == "M:N",
    }


def _block_and_cluster(attributes: Entry, found: dict[str, Any], word_bits: int) -> tuple[int, int]:
    """Return block size and cluster size; ``width`` stands for the product with the word."""
    width_entry = attributes.get(*known.WIDTH)
    block = found.get("block_size", 1)
    cluster = found.get("cluster_size", 1)
    if width_entry is None:
        return block, cluster
    width = width_entry.integer(1)
    if width % (word_bits * block):
        raise width_entry.fail(
            f"expected a multiple of word_bits x block_size = {word_bits * block}; ERROR: data "
            f"storage width: {width}  block_size: {block}  word_bits: {word_bits}"
        )
    if "block_size" in found and "cluster_size" in found:
        if block * word_bits * cluster != width:
            raise width_entry.fail(
                f"expected {block * word_bits * cluster}: "
                "block_size * word_bits * cluster_size != storage width"
            )
    elif "block_size" in found:
        cluster = width // (word_bits * block)
    else:
        block = width // cluster // word_bits
        if block < 1:
            raise width_entry.fail(
                f"expected at least {cluster * word_bits}, one word per block (Timeloop crashes)"
            )
    return block, cluster


def _size_words(
    attributes: Entry, found: dict[str, Any], word_bits: int, block_size: int
) -> int | None:
    entries: int | None = found.get("size_words")
    depth = attributes.get(*known.DEPTH)
    size_kb = attributes.get("sizeKB")
    if size_kb is not None and (entries is not None or depth is not None):
        raise size_kb.fail("expected one of entries, depth and sizeKB, not two")
    if entries is not None:
        return entries
    if depth is not None:
        return depth.integer() * block_size
    if size_kb is not None:
        return size_kb.integer() * 1024 * 8 // word_bits
    return None


def _access_energy(
    attributes: Entry, prices: dict[str, float | None], built_in_pj: float
) -> AccessEnergy:
    """Return energies: the component's own, else those of the table, else built-in ones."""
    generation = attributes.get("addr_gen_energy")
    # A negative value is Timeloop's own mark for "not given".
    generation_pj = max(generation.number(), 0.0) if generation is not None else 0.0
    override = attributes.get("vector_access_energy")
    if override is not None:
        found = dict.fromkeys(_ACCESSES, override.number(0.0))
    else:
        found = dict.fromkeys(_ACCESSES, built_in_pj)
        found |= {key: pj for key, pj in prices.items() if pj is not None}
    found |= known.given(attributes, AccessEnergy, ("address_generation_pj",))
    return AccessEnergy(address_generation_pj=generation_pj, **found)


def _read_network(attributes: Entry, table_wire_pj: float) -> Network:
    found = known.given(attributes, Network)
    if table_wire_pj:
        found["wire_energy_pj"] = table_wire_pj
    return Network(**found)


def _read_compute(
    component: Component,
    energies: EnergyTable,
    areas: dict[str, float],
    timeloop_version: str,
) -> Compute:
    attributes = component.attributes
    name_entry = component.entry.get("name")
    name = strip_range(name_entry.text()) if name_entry is not None else "__ARITH__"
    instances, mesh_x, mesh_y = mesh(attributes, component.count)
    found = known.given(attributes, Compute, _INFERRED)
    word_bits = found.setdefault("word_bits", _DEFAULT_WORD_BITS)
    prices = energies.prices(name, Compute, timeloop_version)
    found |= {key: pj for key, pj in prices.items() if pj is not None}
    if "energy_pj" not in found:
        found["energy_pj"] = _number(attributes, "energy", pat.multiplier_energy_pj(word_bits))
    return Compute(
        name=name,
        kind=component.kind or "compute",
        mesh_x=mesh_x,
        mesh_y=mesh_y,
        instances=instances,
        area_um2=areas.get(name, _number(attributes, "area", 0.0)),
        **found,
    )
