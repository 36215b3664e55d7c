"""The hardware side of the domain: storage levels, compute, meshes, energy and area per action.

Levels are listed from the inside: ``levels[0]`` sits right above the MACs, ``levels[-1]`` is the
outermost (usually DRAM). Energies are pJ per vector access, areas um^2 per instance, sizes words.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from dse.errors import SpecError

if TYPE_CHECKING:
    from dse.domain.constraints import Constraints
    from dse.domain.technology import Technology

UNLIMITED = math.inf


@dataclass(frozen=True)
class AccessEnergy:
    """Energy in pJ of one vector access (one block) of one cluster, by kind of access."""

    read_pj: float = 0.0
    fill_pj: float = 0.0
    update_pj: float = 0.0
    #: per cycle and utilised instance; counted by ``timeloop_version`` 4cf6d4c only
    leak_pj: float = 0.0
    #: per generated address
    address_generation_pj: float = 0.0


@dataclass(frozen=True)
class Network:
    """The inferred network below a level; all its attributes are those of the outer buffer."""

    word_bits: int | None = None
    fill_latency_cycles: int = 0
    drain_latency_cycles: int = 0
    #: pJ per hop; when None it follows from ``wire_energy_pj``
    hop_energy_pj: float | None = None
    #: pJ per bit and mm
    wire_energy_pj: float = 0.0
    router_energy_pj: float = 0.0
    ingress_energy_pj: float = 0.0
    #: um; when None it is the square root of the sub-tree's area
    tile_width_um: float | None = None
    #: whether partial sums are reduced in the buffer; None: all but DRAM can
    reduction_supported: bool | None = None


@dataclass(frozen=True)
class StorageLevel:
    """One storage level.

    Attributes:
        size_words: capacity of one instance in words; None = unlimited (DRAM only).
        instances: ``mesh_x * mesh_y``, how many of it stand in the whole accelerator.
        block_size: words per vector access.
        cluster_size: instances that share one physical access.
        multiple_buffering: usable capacity is ``size_words / multiple_buffering``.
        min_utilization: mappings that use less of the capacity are rejected.
        read_bandwidth, write_bandwidth, shared_bandwidth: words per cycle and instance.
        area_um2: per instance.
        ports, banks: read/write ports and banks of one instance; only prices depend on them.
        wires: whether the chain ``table`` charges the network below for its wires.
    """

    name: str
    kind: str = "SRAM"
    word_bits: int = 16
    size_words: int | None = None
    mesh_x: int = 1
    mesh_y: int = 1
    instances: int = 1
    block_size: int = 1
    cluster_size: int = 1
    multiple_buffering: float = 1.0
    min_utilization: float = 0.0
    read_bandwidth: float = UNLIMITED
    write_bandwidth: float = UNLIMITED
    shared_bandwidth: float = UNLIMITED
    energy: AccessEnergy = field(default_factory=AccessEnergy)
    area_um2: float = 0.0
    network: Network = field(default_factory=Network)
    ports: int = 1
    banks: int = 1
    wires: bool = False

    def __post_init__(self) -> None:
        at_least_1 = "word_bits mesh_x mesh_y instances block_size cluster_size ports banks"
        for key in at_least_1.split():
            value = getattr(self, key)
            if value < 1:
                raise SpecError(f"level '{self.name}': {key} = {value}, expected at least 1")
        for key, price in (*vars(self.energy).items(), ("area_um2", self.area_um2)):
            _check_price(f"level '{self.name}'", key, price)
        for key in ("read_bandwidth", "write_bandwidth", "shared_bandwidth", "multiple_buffering"):
            value = getattr(self, key)
            if not value > 0:
                raise SpecError(f"level '{self.name}': {key} = {value}, expected more than 0")
        if self.size_words is None and not self.is_dram:
            raise SpecError(
                f"level '{self.name}': has no size; expected entries, depth or sizeKB "
                "(only class DRAM may go without)"
            )
        if self.size_words is not None and self.size_words < 0:
            raise SpecError(f"level '{self.name}': size_words = {self.size_words}, expected >= 0")
        if self.min_utilization and self.size_words is None:
            raise SpecError(f"level '{self.name}': min_utilization needs a size")
        if self.instances % self.cluster_size:
            raise SpecError(
                f"level '{self.name}': {self.instances} instances are not divisible by "
                f"cluster_size {self.cluster_size}"
            )

    @property
    def is_dram(self) -> bool:
        """Whether the level is off-chip memory."""
        return self.kind.upper() == "DRAM"

    @property
    def can_reduce(self) -> bool:
        """Whether partial sums may be reduced in this buffer (Timeloop: all but DRAM)."""
        supported = self.network.reduction_supported
        return not self.is_dram if supported is None else supported


@dataclass(frozen=True)
class Compute:
    """The MACs: pJ per operation, um^2 per instance."""

    name: str = "MACC"
    kind: str = "intmac"
    word_bits: int = 16
    mesh_x: int = 1
    mesh_y: int = 1
    instances: int = 1
    energy_pj: float = 0.0
    area_um2: float = 0.0

    def __post_init__(self) -> None:
        for key in ("energy_pj", "area_um2"):
            _check_price(f"compute '{self.name}'", key, getattr(self, key))


def _check_price(where: str, key: str, price: float) -> None:
    """Refuse an energy or area that is negative, or too large for sums to stay finite."""
    if not 0.0 <= price <= 1e100:
        raise SpecError(f"{where}: {key} = {price}, expected 0 to 1e100")


@dataclass(frozen=True)
class Architecture:
    """A complete accelerator: storage levels from the inside out, and the compute below them.

    Attributes:
        technology: node, clock and DRAM, where known; energy chains may need it.
        constraints: what the hardware lets mappings do, by level name; None where it is not
            known. They may depend on design variables (which dimensions run in parallel), so
            they belong to the hardware.

    Raises:
        SpecError: no level, two of one name, or a mesh that its outer level does not divide.
    """

    name: str
    levels: tuple[StorageLevel, ...]
    compute: Compute
    technology: Technology | None = None
    constraints: Constraints | None = field(default=None, compare=False)

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
                        f"{axis} {below} of '{inner.name}' below it"
                    )
            inner = level

    def level(self, name: str) -> StorageLevel:
        """Return the level of that name; KeyError when there is none."""
        return self.levels[self.level_index(name)]

    def level_index(self, name: str) -> int:
        """Return the index of that level, counted from the inside; KeyError when unknown."""
        for index, level in enumerate(self.levels):
            if level.name == name:
                return index
        raise KeyError(name)

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

    def hop_energies_pj(self) -> list[float]:
        """Energy of one hop on the network below each level, from wire energy and tile width.

        The tile is the sub-tree under one instance of the inner level (Timeloop's
        ``A_{s+1} = area[s] + A_s * floor(instances[s-1] / instances[s])``).
        """
        energies = []
        sub_tree = self.compute.area_um2
        inner: StorageLevel | Compute = self.compute
        for level in self.levels:
            net = level.network
            if net.hop_energy_pj is not None:
                energies.append(net.hop_energy_pj)
            elif net.wire_energy_pj != 0:
                width_um = math.sqrt(sub_tree) if net.tile_width_um is None else net.tile_width_um
                bits = level.word_bits if net.word_bits is None else net.word_bits
                energies.append(bits * (width_um / 1000.0) * net.wire_energy_pj)
            else:
                energies.append(0.0)
            sub_tree = level.area_um2 + sub_tree * (inner.instances // level.instances)
            inner = level
        return energies

    def with_levels(self, **changes: StorageLevel) -> Architecture:
        """Return a copy with the named levels replaced."""
        return replace(self, levels=tuple(changes.get(x.name, x) for x in self.levels))


class HardwareArrays(NamedTuple):
    """H architectures of one structure as arrays; ``(L, H)`` per level, ``(H,)`` per compute."""

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


@dataclass(frozen=True, eq=False)
class HardwareBatch:
    """H architectures that share level names, in the form that the model reads.

    Raises:
        ValueError: no architectures, or their level names differ.
    """

    architectures: tuple[Architecture, ...]
    arrays: HardwareArrays = field(init=False, repr=False)
    area_um2: npt.NDArray[np.float64] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if not self.architectures:
            raise ValueError("HardwareBatch: no architectures")
        names = {tuple(x.name for x in a.levels) for a in self.architectures}
        if len(names) != 1:
            raise ValueError(f"HardwareBatch: architectures differ in their levels: {names}")
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
    def level_names(self) -> tuple[str, ...]:
        """Names of the storage levels from the inside out."""
        return tuple(level.name for level in self.architectures[0].levels)


def _arrays(architectures: Sequence[Architecture]) -> HardwareArrays:
    def ints(values: list[list[int]]) -> npt.NDArray[np.int64]:
        return np.ascontiguousarray(np.array(values, dtype=np.int64).T)

    def floats(values: list[list[float]]) -> npt.NDArray[np.float64]:
        return np.ascontiguousarray(np.array(values, dtype=np.float64).T)

    def level_ints(key: str) -> npt.NDArray[np.int64]:
        return ints([[getattr(x, key) for x in a.levels] for a in architectures])

    def level_floats(key: str) -> npt.NDArray[np.float64]:
        return floats([[getattr(x, key) for x in a.levels] for a in architectures])

    def energies(key: str) -> npt.NDArray[np.float64]:
        return floats([[getattr(x.energy, key) for x in a.levels] for a in architectures])

    fanouts = [[a.fanout(s) for s in range(len(a.levels))] for a in architectures]
    return HardwareArrays(
        size_words=ints(
            [
                [-1 if x.size_words is None else x.size_words for x in a.levels]
                for a in architectures
            ]
        ),
        mesh_x=level_ints("mesh_x"),
        mesh_y=level_ints("mesh_y"),
        instances=level_ints("instances"),
        fanout_x=ints([[x for x, _ in row] for row in fanouts]),
        fanout_y=ints([[y for _, y in row] for row in fanouts]),
        block_size=level_ints("block_size"),
        cluster_size=level_ints("cluster_size"),
        multiple_buffering=level_floats("multiple_buffering"),
        min_utilization=level_floats("min_utilization"),
        read_bandwidth=level_floats("read_bandwidth"),
        write_bandwidth=level_floats("write_bandwidth"),
        shared_bandwidth=level_floats("shared_bandwidth"),
        read_pj=energies("read_pj"),
        fill_pj=energies("fill_pj"),
        update_pj=energies("update_pj"),
        leak_pj=energies("leak_pj"),
        address_generation_pj=energies("address_generation_pj"),
        latency_cycles=ints(
            [
                [x.network.fill_latency_cycles + x.network.drain_latency_cycles for x in a.levels]
                for a in architectures
            ]
        ),
        hop_pj=floats([a.hop_energies_pj() for a in architectures]),
        router_pj=floats([[x.network.router_energy_pj for x in a.levels] for a in architectures]),
        ingress_pj=floats([[x.network.ingress_energy_pj for x in a.levels] for a in architectures]),
        can_reduce=np.ascontiguousarray(
            np.array([[x.can_reduce for x in a.levels] for a in architectures], dtype=np.bool_).T
        ),
        mac_instances=np.array([a.compute.instances for a in architectures], dtype=np.int64),
        mac_mesh_x=np.array([a.compute.mesh_x for a in architectures], dtype=np.int64),
        mac_mesh_y=np.array([a.compute.mesh_y for a in architectures], dtype=np.int64),
        mac_pj=np.array([a.compute.energy_pj for a in architectures], dtype=np.float64),
    )
