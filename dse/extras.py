"""Libraries that come with an extra of the distribution: what needs one says what to install."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from dse.errors import ToolError


def is_installed(module: str) -> bool:
    """Whether a module can be found; none is loaded but the packages that hold it."""
    package = module.rpartition(".")[0]
    return (not package or is_installed(package)) and find_spec(module) is not None


def require(wanted: str, extra: str, *libraries: str) -> None:
    """Refuse what needs libraries that are not installed; loads none of them.

    Raises:
        ToolError: one is missing; the message says who wants it and what installs it.
    """
    missing = [name for name in libraries if not is_installed(name)]
    if missing:
        raise ToolError(f"{wanted} needs {', '.join(missing)}: pip install 'dse-accel[{extra}]'")


def needed(module: str, wanted: str, extra: str = "learned") -> Any:  # noqa: ANN401 - a module
    """Load and return a module of an extra.

    Raises:
        ToolError: as :func:`require`, or it cannot be loaded.
    """
    require(wanted, extra, module.partition(".")[0])
    try:
        return import_module(module)
    except ImportError as error:
        raise ToolError(f"{wanted}: {module} cannot be loaded ({error})") from error


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
