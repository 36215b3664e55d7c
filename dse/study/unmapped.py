"""Why no mapping of a layer was found."""

from __future__ import annotations

from typing import Any

from dse.domain.architecture import Architecture
from dse.domain.mapping import MappingBatch
from dse.domain.problem import Layer
from dse.mappers.base import Mapper
from dse.mapspace.smallest import smallest


def why_unmapped(mapper: Mapper[Any], layer: Layer, architecture: Architecture) -> str:
    """Say which resource or constraint keeps a layer from the hardware, and by how much."""
    space = mapper.space_of(layer.problem, architecture)
    mapping = smallest(space)
    if mapping is None:
        return f"layer '{layer.name}': no mapping: {space.infeasible}"
    batch = MappingBatch.of([mapping])
    violation = mapper.evaluator.explain(architecture, layer.problem, batch, 0)
    if violation is not None:
        told = violation.message.removeprefix("ERROR: ")
        return f"layer '{layer.name}': even with the smallest tiles, {told}"
    least = int(space.arrays.least_parallel)
    if least > 1:
        return (
            f"layer '{layer.name}': no valid mapping found that uses {least} of "
            f"{architecture.compute.instances} MACs, as the constraints ask"
        )
    return (
        f"layer '{layer.name}': no valid mapping found, though there are some: let the "
        "mapper draw more"
    )
