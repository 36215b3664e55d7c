"""Technology: node, clock and DRAM of an accelerator, and how logic scales between nodes."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass

from dse.errors import SpecError, unknown_name

#: pJ per bit moved to or from DRAM, as Accelergy's CACTI plug-in has them.
DRAM_PJ_PER_BIT = {
    "HBM2": 3.9,
    "HMC": 4.2,
    "LPDDR4": 8.0,
    "GDDR5": 14.0,
    "LPDDR": 40.0,
    "DDR3": 70.0,
}

#: Stillmaker & Baas, "Scaling equations for the accurate prediction of CMOS device performance
#: from 180 nm to 7 nm", Integration 58 (2017): by node in nm, the area of a circuit relative to
#: 130 nm and the polynomial a V^2 + b V + c of its energy over the supply voltage.
_SCALING: dict[int, tuple[float, tuple[float, float, float]]] = {
    7: (0.0092, (0.1776, -0.09097, 0.02447)),
    10: (0.016, (0.2068, -0.09311, 0.02375)),
    14: (0.027, (0.2363, -0.09675, 0.02239)),
    16: (0.03, (0.2958, -0.1241, 0.03024)),
    20: (0.033, (0.373, -0.1582, 0.04104)),
    32: (0.072, (0.9559, -0.7823, 0.471)),
    45: (0.16, (1.103, -0.362, 0.2767)),
    65: (0.23, (3.755, -4.398, 1.975)),
    90: (0.44, (4.762, -4.781, 2.092)),
    130: (1.0, (7.171, -6.709, 2.904)),
}
_SUPPLY_V = 0.8


@dataclass(frozen=True)
class Technology:
    """What prices depend on besides a component's own parameters.

    Attributes:
        node_nm: technology node.
        clock_ns: clock period; slower logic is smaller, and leaks longer per cycle.
        dram: type of the off-chip memory.

    Raises:
        SpecError: a number is not positive, or the DRAM type is unknown.
    """

    node_nm: float
    clock_ns: float
    dram: str = "LPDDR4"

    def __post_init__(self) -> None:
        for key in ("node_nm", "clock_ns"):
            if not getattr(self, key) > 0:
                raise SpecError(f"technology: {key} = {getattr(self, key)}, expected more than 0")
        if self.dram not in DRAM_PJ_PER_BIT:
            raise SpecError("technology: " + unknown_name("DRAM", self.dram, DRAM_PJ_PER_BIT))


def logic_energy_scale(node_nm: float, from_nm: float = 40.0) -> float:
    """Return the energy of logic at ``node_nm`` relative to ``from_nm``, at equal supply.

    Raises:
        SpecError: a node below 7 or above 130 nm.
    """
    return _at(node_nm, _energy) / _at(from_nm, _energy)


def logic_area_scale(node_nm: float, from_nm: float = 40.0) -> float:
    """Return the area of logic at ``node_nm`` relative to ``from_nm``.

    Raises:
        SpecError: a node below 7 or above 130 nm.
    """
    return _at(node_nm, _area) / _at(from_nm, _area)


def _area(node: int) -> float:
    return _SCALING[node][0]


def _energy(node: int) -> float:
    a, b, c = _SCALING[node][1]
    return a * _SUPPLY_V**2 + b * _SUPPLY_V + c


def _at(node_nm: float, quantity: Callable[[int], float]) -> float:
    """Interpolate a quantity of the table, log-log in the node."""
    nodes = sorted(_SCALING)
    if not nodes[0] <= node_nm <= nodes[-1]:
        raise SpecError(f"logic at {node_nm:g} nm: the table has {nodes[0]} to {nodes[-1]} nm")
    upper = max(bisect_left(nodes, node_nm), 1)
    low, high = nodes[upper - 1], nodes[upper]
    share = math.log(node_nm / low) / math.log(high / low)
    value: float = quantity(low) ** (1 - share) * quantity(high) ** share
    return value
