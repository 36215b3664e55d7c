"""The native Timeloop model: exact, batched, compiled.

The compiled part loads on first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dse.model.arrays import TIMELOOP_VERSIONS
    from dse.model.evaluate import evaluate_one

_LAZY = {"evaluate_one": "dse.model.evaluate", "TIMELOOP_VERSIONS": "dse.model.arrays"}

__all__ = ["TIMELOOP_VERSIONS", "evaluate_one"]


def __getattr__(name: str) -> Any:  # noqa: ANN401
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'dse.model' has no attribute '{name}'")
