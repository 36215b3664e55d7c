"""The hardware side of the domain: storage levels, compute, meshes, energy and area per action.

Levels are listed from the inside: ``levels[0]`` sits right above the MACs, ``levels[-1]`` is the
outermost (usually DRAM). Energies are pJ per vector access, areas um^2 per instance, sizes words.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from dse.domain.attribute import actions, attribute, check, declared, keys, price
from dse.domain.networks import DeclaredNetwork
from dse.errors import SpecError

if TYPE_CHECKING:
    from dse.domain.constraints import Constraints
    from dse.domain.problem import Problem
    from dse.domain.sparse import SparseDesign
    from dse.domain.technology import Technology

UNLIMITED = math.inf
#: Usable words of a level are counted in 64 bits.
_MOST_WORDS = 2.0**62


# fmt: off
# What one attribute is stands in one declaration; docs/attributes.md says how to add another.


@dataclass(frozen=True)
class AccessEnergy:
    """Energy of one vector access (one block) of one cluster, by kind of access."""

    read_pj: float = price(
        0.0, "one read", "pJ", timeloop=actions("random_read", "read"), array="read_pj"
    )
    fill_pj: float = price(
        0.0, "one fill", "pJ", array="fill_pj",
        timeloop=actions(
            "random_fill", "random_write", "fill", "write", v3_0_3=("random_fill", "write")
        ),
    )
    update_pj: float = price(
        0.0, "one update", "pJ", array="update_pj",
        timeloop=actions(
            "random_update", "random_write", "update", "write",
            v3_0_3=("random_update", "random_fill", "write"),
        ),
    )
    leak_pj: float = price(
        0.0, "leakage of a utilized instance; not counted under 3.0.3", "pJ/cycle",
        timeloop=actions("leak"), array="leak_pj",
    )
    address_generation_pj: float = price(
        0.0, "one generated address", "pJ", array="address_generation_pj",
        timeloop=keys("addr_gen_energy", flat="addr-gen-energy"),
    )


@dataclass(frozen=True)
class Network:
    """The inferred network below a level; all its attributes are those of the outer buffer."""

    word_bits: int | None = attribute(
        None, "width of a word on the network; none: as in the level", "bits", at_least=1,
        template="network_word_bits", arithmetic=False,
        # 4cf6d4c converts the "word-bits" inside this key and then does not know it, hence twice
        timeloop=keys("network_word_bits", flat=("network-word-bits", "network_word_bits")),
    )
    fill_latency_cycles: int = attribute(
        0, "added to the cycles of a layer", "cycles", at_least=0,
        timeloop=keys("network_fill_latency"),
    )
    drain_latency_cycles: int = attribute(
        0, "added to the cycles of a layer", "cycles", at_least=0,
        timeloop=keys("network_drain_latency"),
    )
    hop_energy_pj: float | None = price(
        None, "one hop of a word; none: from wires and tile width", "pJ",
        timeloop=keys("energy_per_hop", flat="energy-per-hop"),
    )
    wire_energy_pj: float = price(
        0.0, "wires", "pJ/bit/mm", timeloop=keys("wire_energy", flat="wire-energy")
    )
    router_energy_pj: float = price(
        0.0, "one router that a word passes", "pJ", array="router_pj",
        timeloop=keys("router_energy", flat="router-energy"),
    )
    ingress_energy_pj: float = price(
        0.0, "one word that enters the network", "pJ", array="ingress_pj",
        timeloop=keys(
            "energy_per_ingress", flat="energy-per-ingress", nodes="energy-per-ingress"
        ),
    )
    tile_width_um: float | None = attribute(
        None, "length of a hop; none: square root of the sub-tree's area", "um", at_least=0,
        timeloop=keys("tile_width", flat="tile-width"),
    )
    reduction_supported: bool | None = attribute(
        None, "whether the buffer reduces partial sums; none: all but DRAM do",
        timeloop=keys("reduction_supported", nodes=None),
    )


@dataclass(frozen=True)
class StorageLevel:
    """One storage level; ``instances`` is ``mesh_x * mesh_y``."""

    name: str
    kind: str = "SRAM"
    size_words: int | None = attribute(
        None, "capacity of one instance; none: unlimited, DRAM only", "words", at_least=0,
        timeloop=keys("entries", flat=(), nodes=None), array="size_words",
    )
    mesh_x: int = attribute(
        1, "instances along X in the whole accelerator", at_least=1,
        timeloop=keys("meshX", nodes=None, always=True), array="mesh_x",
    )
    mesh_y: int = attribute(
        1, "instances along Y in the whole accelerator", at_least=1,
        timeloop=keys("meshY", nodes=None, always=True), array="mesh_y",
    )
    instances: int = attribute(
        1, "how many there are in the whole accelerator", at_least=1, template=None,
        timeloop=keys("instances", flat=(), nodes=None), array="instances",
    )
    word_bits: int = attribute(
        16, "width of a word", "bits", at_least=1,
        timeloop=keys(
            "word_bits", "word_width", "datawidth", flat="word-bits", nodes=None, always=True
        ),
    )
    block_size: int = attribute(
        1, "what one vector access moves", "words", at_least=1, array="block_size",
        timeloop=keys("block_size", "n_words", flat="block-size", always=True),
    )
    cluster_size: int = attribute(
        1, "instances that share one physical access", at_least=1, array="cluster_size",
        timeloop=keys("cluster_size", flat="cluster-size"),
    )
    multiple_buffering: float = attribute(
        1.0, "the usable capacity is the size divided by it", above=0, array="multiple_buffering",
        timeloop=keys("multiple_buffering", flat="multiple-buffering"),
    )
    min_utilization: float = attribute(
        0.0, "mappings that use a smaller share of the capacity are rejected", at_least=0,
        timeloop=keys("min_utilization", flat="min-utilization"), array="min_utilization",
    )
    read_bandwidth: float = attribute(
        UNLIMITED, "reads of one instance", "words/cycle", above=0,
        timeloop=keys("read_bandwidth"), array="read_bandwidth",
    )
    write_bandwidth: float = attribute(
        UNLIMITED, "fills and updates of one instance", "words/cycle", above=0,
        timeloop=keys("write_bandwidth"), array="write_bandwidth",
    )
    shared_bandwidth: float = attribute(
        UNLIMITED, "all accesses of one instance", "words/cycle", above=0,
        timeloop=keys("shared_bandwidth"), array="shared_bandwidth",
    )
    ports: int = attribute(1, "read/write ports; only prices depend on them", at_least=1)
    banks: int = attribute(1, "banks; only prices depend on them", at_least=1)
    wires: bool = attribute(False, "whether the chain `table` charges the network for its wires")
    energy: AccessEnergy = field(default_factory=AccessEnergy)
    area_um2: float = price(0.0, "area of one instance", "um^2")
    network: Network = field(default_factory=Network)
    #: names of declared networks that stand in for the inferred one
    read_network: str | None = None
    update_network: str | None = None
    #: name of the level whose used instances keep this one's powered; None: each its own
    power_gated_at: str | None = None
    #: what a word of a tensor weighs against the bandwidths, where not 1
    bandwidth_scales: tuple[tuple[str, float], ...] = ()
    #: whether the network below distributes multicasts (``network_type: M:N``)
    distributes: bool = False
    #: name of the level inside whose buffer this one is a part of; None: a buffer of its own
    part_of: str | None = None

    def __post_init__(self) -> None:
        where = f"level '{self.name}'"
        check(self, where)
        check(self.energy, where)
        check(self.network, f"network below {where}")
        if self.size_words is None and not self.is_dram:
            raise SpecError(
                f"{where}: has no size; expected entries, depth or sizeKB "
                "(only class DRAM may go without)"
            )
        if self.min_utilization and self.size_words is None:
            raise SpecError(f"{where}: min_utilization needs a size")
        if self.size_words and self.size_words / self.multiple_buffering >= _MOST_WORDS:
            raise SpecError(
                f"{where}: multiple_buffering = {self.multiple_buffering:g} makes for 2^62 words "
                "or more"
            )
        if self.instances % self.cluster_size:
            raise SpecError(
                f"{where}: {self.instances} instances are not divisible by "
                f"cluster_size {self.cluster_size}"
            )

    @property
    def parts(self) -> tuple[StorageLevel, AccessEnergy, Network]:
        """What declares the level's attributes: itself, its energies and the network below."""
        return self, self.energy, self.network

    @property
    def is_dram(self) -> bool:
        """Whether the level is off-chip memory."""
        return self.kind.upper() == "DRAM"

    @property
    def latency_cycles(self) -> int:
        """What the level adds to the cycles of a layer, whatever the mapping."""
        return self.network.fill_latency_cycles + self.network.drain_latency_cycles

    @property
    def can_reduce(self) -> bool:
        """Whether partial sums may be reduced in this buffer (Timeloop: all but DRAM)."""
        supported = self.network.reduction_supported
        return not self.is_dram if supported is None else supported


@dataclass(frozen=True)
class Compute:
    """The MACs; ``instances`` is ``mesh_x * mesh_y``."""

    name: str = "MACC"
    kind: str = "intmac"
    mesh_x: int = attribute(
        1, "MACs along X", at_least=1,
        timeloop=keys("meshX", nodes=None, always=True), array="mac_mesh_x",
    )
    mesh_y: int = attribute(
        1, "MACs along Y", at_least=1,
        timeloop=keys("meshY", nodes=None, always=True), array="mac_mesh_y",
    )
    instances: int = attribute(
        1, "how many there are", at_least=1, template=None,
        timeloop=keys("instances", flat=(), nodes=None), array="mac_instances",
    )
    word_bits: int = attribute(
        16, "width of an operand", "bits", at_least=1,
        timeloop=keys("word_bits", "datawidth", flat="word-bits", nodes=None, always=True),
    )
    energy_pj: float = price(
        0.0, "one operation", "pJ", array="mac_pj",
        timeloop=actions("mac_random", "mult_random", "mac", "mult", "compute", written="compute"),
    )
    area_um2: float = price(0.0, "area of one instance", "um^2")

    def __post_init__(self) -> None:
        check(self, f"compute '{self.name}'")


# fmt: on


@dataclass(frozen=True)
class Architecture:
    """A complete accelerator: storage levels from the inside out, and the compute below them.

    Attributes:
        technology: node, clock and DRAM, where known; energy chains may need it.
        constraints: what the hardware lets mappings do, by level name; None where it is not
            known. They may depend on design variables (which dimensions run in parallel), so
            they belong to the hardware.
        networks: those that levels name in place of the inferred ones.
        sparse: formats of tensors, and accesses and computes that are saved; its densities are
            those of problems. None: everything is dense.

    Raises:
        SpecError: no level, two of one name, a mesh that its outer level does not divide, or a
            network that is not declared.
    """

    name: str
    levels: tuple[StorageLevel, ...]
    compute: Compute
    technology: Technology | None = None
    constraints: Constraints | None = field(default=None, compare=False)
    networks: tuple[DeclaredNetwork, ...] = ()
    sparse: SparseDesign | None = None

    def __post_init__(self) -> None:
        if not self.levels:
            raise SpecError(f"architecture '{self.name}': has no storage level")
        names = [level.name for level in self.levels]
        twice = {n for n in names if names.count(n) > 1}
        if twice:
            raise SpecError(f"architecture '{self.name}': level '{min(twice)}' is declared twice")
        inner: StorageLevel | Compute = self.compute
        for level in self.levels:
            for axis in ("mesh_x", "mesh_y"):
                below, here = getattr(inner, axis), getattr(level, axis)
                if below % here:
                    raise SpecError(
                        f"level '{level.name}': {axis} {here} does not divide "
                        f"{axis} {below} of '{inner.name}' below it (Timeloop aborts)"
                    )
            inner = level
        declared = {network.name for network in self.networks}
        for level in self.levels:
            for name in (level.read_network, level.update_network):
                if name is not None and name not in declared:
                    raise SpecError(f"level '{level.name}': ERROR: network {name} not found.")
            if level.power_gated_at not in (None, *names):
                raise SpecError(
                    f"level '{level.name}': ERROR: power_gated_at buffer {level.power_gated_at} "
                    "not found."
                )
        _check_parts(self)

    def level(self, name: str) -> StorageLevel:
        """Return the level of that name; KeyError when there is none."""
        return self.levels[self.level_index(name)]

    def level_index(self, name: str) -> int:
        """Return the index of that level, counted from the inside; KeyError when unknown."""
        for index, level in enumerate(self.levels):
            if level.name == name:
                return index
        raise KeyError(name)

    @property
    def banks(self) -> tuple[int, ...]:
        """Index of the level whose buffer each level is a part of: its own, mostly.

        All levels of one buffer stand next to each other, and the first of them is counted.
        """
        found: list[int] = []
        for s, level in enumerate(self.levels):
            found.append(s if level.part_of is None else found[-1])
        return tuple(found)

    @property
    def divided(self) -> tuple[str, ...]:
        """Names of the levels of whose buffers other levels are parts."""
        names = {level.part_of for level in self.levels}
        return tuple(level.name for level in self.levels if level.name in names)

    @property
    def undivided(self) -> Architecture:
        """The architecture as Timeloop takes its levels: each a buffer of its own."""
        return replace(self, levels=tuple(replace(x, part_of=None) for x in self.levels))

    @property
    def singly(self) -> str | None:
        """What of it is modelled one mapping at a time; None: nothing, batches are."""
        if self.networks:
            return f"network '{self.networks[0].name}': user-declared networks"
        for level in self.levels:
            gate = self.level(level.power_gated_at) if level.power_gated_at else level
            if level.energy.leak_pj and level.instances > gate.instances:
                return f"level '{level.name}': gates of power at other levels"
            if level.bandwidth_scales:
                return f"level '{level.name}': bandwidth consumption scales"
            if level.distributes:
                return f"level '{level.name}': networks of type M:N"
        return None

    def fanout(self, index: int) -> tuple[int, int]:
        """Physical (X, Y) fan-out below level ``index``."""
        inner: StorageLevel | Compute = self.levels[index - 1] if index else self.compute
        level = self.levels[index]
        return inner.mesh_x // level.mesh_x, inner.mesh_y // level.mesh_y

    @property
    def area_um2(self) -> float:
        """Area of everything: instances times area per instance, summed."""
        parts: list[StorageLevel | Compute] = [*self.levels, self.compute]
        return sum(x.area_um2 * x.instances for x in parts)

    def tile_widths_um(self) -> list[float]:
        """Length of one hop on the network below each level.

        The tile is the sub-tree under one instance of the inner level (Timeloop's
        ``A_{s+1} = area[s] + A_s * floor(instances[s-1] / instances[s])``).
        """
        widths = []
        sub_tree = self.compute.area_um2
        inner: StorageLevel | Compute = self.compute
        for level in self.levels:
            widths.append(math.sqrt(sub_tree))
            sub_tree = level.area_um2 + sub_tree * (inner.instances // level.instances)
            inner = level
        return widths

    def hop_energies_pj(self) -> list[float]:
        """Energy of one hop on the network below each level, from wire energy and tile width."""
        energies = []
        for level, tile_width in zip(self.levels, self.tile_widths_um(), strict=True):
            net = level.network
            if net.hop_energy_pj is not None:
                energies.append(net.hop_energy_pj)
            elif net.wire_energy_pj != 0:
                width_um = tile_width if net.tile_width_um is None else net.tile_width_um
                bits = level.word_bits if net.word_bits is None else net.word_bits
                energies.append(bits * (width_um / 1000.0) * net.wire_energy_pj)
            else:
                energies.append(0.0)
        return energies

    def with_room(self, problem: Problem) -> Architecture:
        """Return what mappings are drawn for: of a sparse design, one with room for dense tiles.

        A level may hold tiles that are as much larger as what it compresses is sparse; the model
        says what fits.
        """
        if self.sparse is None:
            return self
        levels = []
        shares = self.sparse.least_shares(problem, [level.size_words for level in self.levels])
        for level, least in zip(self.levels, shares, strict=True):
            words = level.size_words
            if words is not None:
                words = math.ceil(words / least)
            levels.append(replace(level, size_words=words, min_utilization=0.0))
        return replace(self, levels=tuple(levels))

    def with_levels(self, **changes: StorageLevel) -> Architecture:
        """Return a copy with the named levels replaced."""
        return replace(self, levels=tuple(changes.get(x.name, x) for x in self.levels))


def _check_parts(architecture: Architecture) -> None:
    """Refuse parts of a buffer that are not one buffer, or whose rules are not known."""
    bank: StorageLevel | None = None
    for level in architecture.levels:
        where = f"level '{level.name}': part_of = {level.part_of}"
        if level.part_of is None:
            bank = level
        elif bank is None or bank.name != level.part_of:
            raise SpecError(f"{where}, expected the buffer that stands right inside of it")
        elif (level.mesh_x, level.mesh_y) != (bank.mesh_x, bank.mesh_y):
            raise SpecError(f"{where}, expected as many instances along X and Y as there")
        elif any(getattr(level, key) != getattr(bank, key) for key in _OF_BUFFER):
            raise SpecError(f"{where}, expected its {', '.join(_OF_BUFFER)}")
        elif level.min_utilization or architecture.sparse or architecture.networks:
            raise SpecError(
                f"{where}: not together with min_utilization, sparse_optimizations or networks"
            )


#: What the parts of one buffer have in common.
_OF_BUFFER = (
    "size_words",
    "multiple_buffering",
    "min_utilization",
    "read_bandwidth",
    "write_bandwidth",
    "shared_bandwidth",
)


class HardwareArrays(NamedTuple):
    """H architectures of one structure as arrays; ``(L, H)`` per level, ``(H,)`` per compute.

    ``bank (L,)`` is the level whose capacity and bandwidths a level shares: its own, but where it
    is a part of a buffer.
    """

    size_words: npt.NDArray[np.int64]  # -1: unlimited
    mesh_x: npt.NDArray[np.int64]
    mesh_y: npt.NDArray[np.int64]
    instances: npt.NDArray[np.int64]
    fanout_x: npt.NDArray[np.int64]
    fanout_y: npt.NDArray[np.int64]
    block_size: npt.NDArray[np.int64]
    cluster_size: npt.NDArray[np.int64]
    multiple_buffering: npt.NDArray[np.float64]
    min_utilization: npt.NDArray[np.float64]
    read_bandwidth: npt.NDArray[np.float64]
    write_bandwidth: npt.NDArray[np.float64]
    shared_bandwidth: npt.NDArray[np.float64]
    read_pj: npt.NDArray[np.float64]
    fill_pj: npt.NDArray[np.float64]
    update_pj: npt.NDArray[np.float64]
    leak_pj: npt.NDArray[np.float64]
    address_generation_pj: npt.NDArray[np.float64]
    latency_cycles: npt.NDArray[np.int64]
    hop_pj: npt.NDArray[np.float64]
    router_pj: npt.NDArray[np.float64]
    ingress_pj: npt.NDArray[np.float64]
    can_reduce: npt.NDArray[np.bool_]
    mac_instances: npt.NDArray[np.int64]
    mac_mesh_x: npt.NDArray[np.int64]
    mac_mesh_y: npt.NDArray[np.int64]
    mac_pj: npt.NDArray[np.float64]
    bank: npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class HardwareBatch:
    """H architectures that share level names, in the form that the model reads.

    Raises:
        ValueError: no architectures, their level names differ, or some are sparse and some dense.
        SpecError: an architecture has what the model takes one mapping at a time.
    """

    architectures: tuple[Architecture, ...]
    arrays: HardwareArrays = field(init=False, repr=False)
    area_um2: npt.NDArray[np.float64] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if not self.architectures:
            raise ValueError("HardwareBatch: no architectures")
        for architecture in self.architectures:
            if architecture.singly is not None:
                raise SpecError(f"{architecture.singly} are modelled for single mappings only")
        names = {tuple(x.name for x in a.levels) for a in self.architectures}
        if len(names) != 1:
            raise ValueError(f"HardwareBatch: architectures differ in their levels: {names}")
        if len({a.banks for a in self.architectures}) != 1:
            raise ValueError("HardwareBatch: architectures differ in the parts of their buffers")
        if len({a.sparse is None for a in self.architectures}) != 1:
            raise ValueError("HardwareBatch: some architectures are sparse and some dense")
        object.__setattr__(self, "arrays", _arrays(self.architectures))
        object.__setattr__(self, "area_um2", np.array([a.area_um2 for a in self.architectures]))

    @classmethod
    def of(cls, hardware: Architecture | Sequence[Architecture] | HardwareBatch) -> HardwareBatch:
        """Wrap one architecture, or several of one structure."""
        if isinstance(hardware, HardwareBatch):
            return hardware
        return cls((hardware,) if isinstance(hardware, Architecture) else tuple(hardware))

    def __len__(self) -> int:
        return len(self.architectures)

    @property
    def is_sparse(self) -> bool:
        """Whether they are sparse designs: all of them, as they have one structure."""
        return self.architectures[0].sparse is not None

    @property
    def level_names(self) -> tuple[str, ...]:
        """Names of the storage levels from the inside out."""
        return tuple(level.name for level in self.architectures[0].levels)


_DTYPES: dict[type, type] = {int: np.int64, float: np.float64, bool: np.bool_}


def _arrays(architectures: Sequence[Architecture]) -> HardwareArrays:
    """Fill the arrays: those that attributes are declared with, and those of several attributes."""
    levels = [a.levels for a in architectures]

    def per_level(rows: Sequence[Sequence[Any]], kind: type) -> npt.NDArray[Any]:
        return np.ascontiguousarray(np.array(rows, dtype=_DTYPES[kind]).T)

    parts = (
        (StorageLevel, levels),
        (AccessEnergy, [[x.energy for x in row] for row in levels]),
        (Network, [[x.network for x in row] for row in levels]),
    )
    found: dict[str, npt.NDArray[Any]] = {}
    for part, rows in parts:
        for item in declared(part):
            if item.array is not None:
                found[item.array] = per_level([item.numbers(row) for row in rows], item.kind)
    for item in declared(Compute):
        if item.array is not None:
            values = item.numbers(a.compute for a in architectures)
            found[item.array] = np.array(values, dtype=_DTYPES[item.kind])
    fanouts = [[a.fanout(s) for s in range(len(a.levels))] for a in architectures]
    return HardwareArrays(
        fanout_x=per_level([[x for x, _ in row] for row in fanouts], int),
        fanout_y=per_level([[y for _, y in row] for row in fanouts], int),
        latency_cycles=per_level([[x.latency_cycles for x in row] for row in levels], int),
        hop_pj=per_level([a.hop_energies_pj() for a in architectures], float),
        can_reduce=per_level([[x.can_reduce for x in row] for row in levels], bool),
        bank=np.array(architectures[0].banks, np.int64),
        **found,
    )
