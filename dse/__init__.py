"""``dse``: find the best DNN accelerator and the mapping of every layer on it.

``dse.run`` searches, ``dse.model_files`` evaluates Timeloop input files. Heavy parts load on
first use, so that ``import dse`` and ``--help`` stay quick.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from dse._version import __version__
from dse.errors import DseError, InvalidMapping, NothingFeasible, SpecError, ToolError

if TYPE_CHECKING:
    from dse.api import model_files, run
    from dse.model.stats import Stats

_LAZY = {"run": "dse.api", "model_files": "dse.api", "Stats": "dse.model.stats"}
#: Modules that people use by ``dse.NAME``, loaded on use.
_MODULES = ("callbacks", "explain", "testing", "timeloop")

__all__ = [
    "DseError",
    "InvalidMapping",
    "NothingFeasible",
    "SpecError",
    "Stats",
    "ToolError",
    "__version__",
    "callbacks",
    "explain",
    "model_files",
    "run",
    "testing",
    "timeloop",
]


def __getattr__(name: str) -> Any:  # noqa: ANN401
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    if name in _MODULES:
        return import_module(f"dse.{name}")
    raise AttributeError(f"module 'dse' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted(__all__)
