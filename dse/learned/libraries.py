"""The libraries of the extra ``learned``: imported on use, on one thread, or a line that helps."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from dse.extras import needed

#: Distributions whose versions a model folder notes.
PACKAGES = ("dse-accel", "numpy", "torch", "gpytorch", "botorch", "scikit-learn", "safetensors")


@contextmanager
def torch_for(purpose: str, seed: int) -> Iterator[Any]:
    """Yield PyTorch on one thread, seeded: sums, and so results, depend on the threads.

    Within, modules are of single precision. Number of threads, precision and global random state
    are afterwards what they were.

    Raises:
        ToolError: it is not installed.
    """
    torch = needed("torch", purpose)
    threads, precision = torch.get_num_threads(), torch.get_default_dtype()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        torch.set_num_threads(1)
        torch.set_default_dtype(torch.float32)
        try:
            yield torch
        finally:
            torch.set_num_threads(threads)
            torch.set_default_dtype(precision)


def versions() -> dict[str, str | None]:
    """Return the versions of :data:`PACKAGES`; None where one is not installed."""
    found: dict[str, str | None] = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    return found
