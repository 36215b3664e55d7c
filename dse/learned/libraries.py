"""The libraries that a model was made with."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

#: Distributions whose versions a model folder notes.
PACKAGES = ("dse-accel", "numpy", "torch", "gpytorch", "botorch", "scikit-learn", "safetensors")


def versions() -> dict[str, str | None]:
    """Return the versions of :data:`PACKAGES`; None where one is not installed."""
    found: dict[str, str | None] = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    return found
