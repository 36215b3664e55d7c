"""Mapspaces: constraints, factorisations, sampling."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dse.mapspace.constraints import (
        Constraints,
        LevelConstraint,
        LoopConstraint,
        SpatialConstraint,
    )
    from dse.mapspace.sampling import Sample, sample_any, sample_valid
    from dse.mapspace.space import Mapspace, MapspaceCache

_LAZY = {
    "Constraints": "constraints",
    "LevelConstraint": "constraints",
    "LoopConstraint": "constraints",
    "Mapspace": "space",
    "MapspaceCache": "space",
    "Sample": "sampling",
    "SpatialConstraint": "constraints",
    "sample_any": "sampling",
    "sample_valid": "sampling",
}

__all__ = [
    "Constraints",
    "LevelConstraint",
    "LoopConstraint",
    "Mapspace",
    "MapspaceCache",
    "Sample",
    "SpatialConstraint",
    "sample_any",
    "sample_valid",
]


def __getattr__(name: str) -> Any:  # noqa: ANN401
    if name in _LAZY:
        return getattr(import_module(f"dse.mapspace.{_LAZY[name]}"), name)
    raise AttributeError(f"module 'dse.mapspace' has no attribute '{name}'")
