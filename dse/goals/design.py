"""Designs and what they are worth: values of the design variables, and a mapping per layer."""

from __future__ import annotations

from dataclasses import dataclass

from dse.domain.mapping import Mapping
from dse.goals.rates import Throughput


@dataclass(frozen=True)
class Design:
    """Hardware, and one mapping per unique layer.

    Attributes:
        values: the value of every variable of the template.
        mappings: one per layer in the workload's order; None asks the mapper to find them.
        mapping_samples: how many mappings per layer the mapper may evaluate for this hardware.
    """

    values: dict[str, int]
    mappings: tuple[Mapping, ...] | None = None
    mapping_samples: int = 1


@dataclass(frozen=True)
class LayerMetrics:
    """One unique layer, run once: ``count`` says how often the network runs it."""

    name: str
    count: int
    cycles: float
    energy_pj: float
    utilization: float

    @property
    def edp(self) -> float:
        """Energy-delay product of one run in pJ x cycle."""
        return self.energy_pj * self.cycles


@dataclass(frozen=True)
class DesignMetrics:
    """What a design is worth on the whole network; every layer is weighed with its count.

    Where ``valid`` is False the numbers are NaN and ``reason`` says why.

    Attributes:
        layers: the layers' own numbers; also there where only constraints on metrics are missed,
            or the objective has no value.
        operations: multiplications and additions of one inference.
        clock_ns: period of the clock; None where it is not known.
        networks: of a workload of several networks, what the design is worth on each; the
            numbers above are their sums, and objectives are geometric means over them.
        violation: where not valid, by how much constraints on metrics are missed, relative to
            their bounds; infinite where the design cannot even be evaluated.
        accuracy: how accurate the network is, of designs of a space of networks; None: of others.
    """

    valid: bool
    cycles: float
    energy_pj: float
    area_um2: float
    utilization: float
    layers: tuple[LayerMetrics, ...] = ()
    reason: str = ""
    operations: int = 0
    clock_ns: float | None = None
    violation: float = 0.0
    networks: tuple[DesignMetrics, ...] = ()
    accuracy: float | None = None

    @classmethod
    def infeasible(
        cls, reason: str, area_um2: float = float("nan"), violation: float = float("inf")
    ) -> DesignMetrics:
        """Return the metrics of a design that cannot be built or mapped, or misses constraints."""
        nan = float("nan")
        return cls(False, nan, nan, area_um2, nan, (), reason, violation=violation)

    @classmethod
    def of(
        cls,
        layers: tuple[LayerMetrics, ...],
        macs: float,
        mac_instances: int,
        area_um2: float,
        *,
        operations: int = 0,
        clock_ns: float | None = None,
    ) -> DesignMetrics:
        """Sum over the layers.

        Args:
            layers: of the network.
            macs: of all of it, those that are skipped left out.
            mac_instances: that there are.
            area_um2: of the hardware.
            operations: of the whole network, whatever is skipped.
            clock_ns: period of the clock; None: not known.
        """
        cycles = sum(layer.count * layer.cycles for layer in layers)
        energy_pj = sum(layer.count * layer.energy_pj for layer in layers)
        utilization = macs / (mac_instances * cycles)
        return cls(
            *(True, cycles, energy_pj, area_um2, utilization, layers),
            operations=operations,
            clock_ns=clock_ns,
        )

    @property
    def edp(self) -> float:
        """Energy-delay product: total energy x total cycles, in pJ x cycle."""
        return self.energy_pj * self.cycles

    @property
    def rates(self) -> Throughput | None:
        """Time and power; None where it is not valid, or the clock is not known."""
        if not self.valid or self.clock_ns is None:
            return None
        return Throughput.of(self.cycles, self.energy_pj, self.operations, self.clock_ns)
