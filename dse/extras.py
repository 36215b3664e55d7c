"""Libraries that come with an extra of the distribution: what needs one says what to install."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import Any

from dse.errors import ToolError


def require(wanted: str, extra: str, *libraries: str) -> None:
    """Refuse what needs libraries that are not installed; loads none of them.

    Raises:
        ToolError: one is missing; the message says who wants it and what installs it.
    """
    missing = [name for name in libraries if find_spec(name) is None]
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
