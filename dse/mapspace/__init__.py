"""Mapspaces: which mappings an architecture and its constraints allow; drawing, moving, listing.

Import ``Mapspace`` and what stands here, or ``space``, ``sampling``, ``moves``, ``breeding``,
``enumeration``, ``smallest``; compiled parts load on first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dse.mapspace.cache import MapspaceCache
    from dse.mapspace.sampling import Sample, sample_any, sample_valid
    from dse.mapspace.space import Mapspace

_LAZY = {
    "Mapspace": "space",
    "MapspaceCache": "cache",
    "Sample": "sampling",
    "sample_any": "sampling",
    "sample_valid": "sampling",
}

__all__ = ["Mapspace", "MapspaceCache", "Sample", "sample_any", "sample_valid"]


def __getattr__(name: str) -> Any:  # noqa: ANN401
    if name in _LAZY:
        return getattr(import_module(f"dse.mapspace.{_LAZY[name]}"), name)
    raise AttributeError(f"module 'dse.mapspace' has no attribute '{name}'")
