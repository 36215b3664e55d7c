"""Settings: typed dataclass fields with a default and a line of help."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class NoSettings:
    """The settings of a plug-in that has none."""


def setting(default: Any, help_text: str) -> Any:  # noqa: ANN401 - as dataclasses.field
    """Return a dataclass field with a default value and the line that ``--help`` shows."""
    if isinstance(default, (list, dict, set)):
        copied = default.copy
        return field(default_factory=copied, metadata={"help": help_text})
    return field(default=default, metadata={"help": help_text})
