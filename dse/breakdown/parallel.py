"""How many PEs a mapping keeps busy: its spatial factors against the meshes, axis by axis."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from dse.domain.architecture import Architecture
from dse.domain.mapping import Mapping
from dse.domain.problem import Problem


@dataclass(frozen=True)
class FanUse:
    """The instances below one instance of a level along an axis, and how a mapping uses them.

    Attributes:
        level: whose fan-out it is.
        axis: X or Y.
        mesh: instances that there are.
        used: instances that the mapping uses.
        factors: by dimension, the spatial factors that are above 1; ``used`` is their product.
    """

    level: str
    axis: str
    mesh: int
    used: int
    factors: dict[str, int]

    def why_idle(self, problem: Problem) -> str:
        """Say which dimension leaves instances idle; empty: none is.

        Args:
            problem: that is mapped.
        """
        if self.used >= self.mesh:
            return ""
        if not self.factors:
            return f"no loop runs along {self.axis}"
        said = []
        for dimension, factor in self.factors.items():
            bound = problem.bounds[dimension]
            room = factor * self.mesh // self.used
            if factor == bound:
                said.append(f"{dimension} has no more than {bound}")
            elif _largest_divisor(bound, room) == factor:
                said.append(f"no divisor of {dimension} = {bound} lies above {factor} up to {room}")
            else:
                said.append(f"{dimension} takes {factor} of {bound}")
        return ", ".join(said)


def fans(architecture: Architecture, problem: Problem, mapping: Mapping) -> tuple[FanUse, ...]:
    """Return all fan-outs that there are, or that a mapping uses, outermost first, X before Y."""
    found = []
    for s in reversed(range(len(architecture.levels))):
        split, order = int(mapping.split[s]), mapping.spatial_permutation[s].tolist()
        axes = zip("XY", architecture.fanout(s), (order[:split], order[split:]), strict=True)
        for axis, mesh, dimensions in axes:
            factors = {
                problem.dimensions[d]: int(mapping.spatial[s, d])
                for d in dimensions
                if mapping.spatial[s, d] > 1
            }
            used = math.prod(factors.values())
            if mesh > 1 or used > 1:
                found.append(FanUse(architecture.levels[s].name, axis, mesh, used, factors))
    return tuple(found)


def busy_share(architecture: Architecture, mapping: Mapping) -> float:
    """Return the share of the MACs that a mapping ever uses."""
    used = np.prod(mapping.spatial.astype(float))
    return float(used / architecture.compute.instances)


def _largest_divisor(bound: int, most: int) -> int:
    return next(n for n in range(min(bound, most), 0, -1) if bound % n == 0)
