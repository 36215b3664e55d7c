"""Settings: typed dataclass fields with a default and a line of help."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class NoSettings:
    """The settings of a plug-in that has none."""


def setting(
    default: Any,  # noqa: ANN401
    help_text: str,
    *,
    program: bool = False,
    contents: bool = False,
) -> Any:  # noqa: ANN401
    """Return a dataclass field.

    Args:
        default: its default value.
        help_text: the line that ``--help`` shows.
        program: whether it names a program that is run; a run folder from elsewhere may not.
        contents: whether it names a file or folder that results depend on; a run whose contents
            have changed meanwhile does not go on.
    """
    metadata = {"help": help_text, "program": program, "contents": contents}
    if isinstance(default, (list, dict, set)):
        copied = default.copy
        return field(default_factory=copied, metadata=metadata)
    return field(default=default, metadata=metadata)
