"""Whether a mapping of a sparse design fits, in Timeloop's words."""

from __future__ import annotations

import math
from collections.abc import Sequence

from dse.domain.architecture import Compute, StorageLevel
from dse.domain.sparse import MetadataStorage
from dse.errors import InvalidMapping
from dse.model import rules


def reject(name: str, reason: str) -> None:
    """Raise InvalidMapping for a level or the compute where there is a reason."""
    if reason:
        raise InvalidMapping(f"ERROR: couldn't map level {name}: {reason}")


def check_compute(compute: Compute, x: int, y: int) -> str:
    """Return why a mapping uses too many of the MACs; empty where it does not."""
    for what, demand, bound in (
        ("instances", x * y, compute.instances),
        ("X expansion", x, compute.mesh_x),
        ("Y expansion", y, compute.mesh_y),
    ):
        if demand > bound:
            return f"mapped max Arithmetic {what} {demand} exceeds hardware instances {bound}"
    return ""


def check_capacity(level: StorageLevel, metadata: MetadataStorage, words: int, bits: int) -> str:
    """Return why tiles do not fit a level; empty where they do.

    Args:
        level: the level; without a size nothing is looked at.
        metadata: where it keeps metadata.
        words: of all tensors' tiles, at most.
        bits: of their metadata, at most.
    """
    if level.size_words is None:
        return ""
    usable = rules.usable_words(level.size_words, level.multiple_buffering)
    if words > usable:
        return f"mapped tile size {words} exceeds buffer capacity {usable}"
    room = math.floor(metadata.bits / level.multiple_buffering)
    if bits > room:
        return f"mapped metadata tile size {bits} exceeds metadata buffer capacity {room}"
    least = rules.least_words(usable, level.min_utilization)
    if words < least:
        return f"mapped tile size {words} is less than constrained minimum utilization {least:g}"
    return ""


def check_instances(level: StorageLevel, averages: Sequence[float], x: int, y: int) -> str:
    """Return why instances are too many; empty where they are not.

    Args:
        level: the level.
        averages: of each tensor.
        x: expansion, the largest of any tensor.
        y: the same.
    """
    used = max(averages)
    if used > level.instances:
        return f"mapped instances {used:g} exceeds available hardware instances {level.instances}"
    for axis, demand, bound in (("X", x, level.mesh_x), ("Y", y, level.mesh_y)):
        if demand > bound:
            return f"mapped {axis} expansion {demand} exceeds available hardware instances {bound}"
    return ""
