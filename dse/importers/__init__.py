"""Workloads from models: ONNX files and ``torch.nn.Module``."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dse.importers.found import Imported, Skipped
    from dse.importers.onnx_model import from_onnx
    from dse.importers.torch_module import from_torch

_LAZY = {
    "Imported": "found",
    "Skipped": "found",
    "from_onnx": "onnx_model",
    "from_torch": "torch_module",
}

__all__ = ["Imported", "Skipped", "from_onnx", "from_torch"]


def __getattr__(name: str) -> Any:  # noqa: ANN401
    if name in _LAZY:
        return getattr(import_module(f"dse.importers.{_LAZY[name]}"), name)
    raise AttributeError(f"module 'dse.importers' has no attribute '{name}'")
