"""Text in columns that fits the terminal; what goes to a file or a pipe keeps its long lines."""

from __future__ import annotations

import os
import shutil
import sys
import textwrap
from collections.abc import Sequence

from dse.text import aligned

#: A second column narrower than this goes below the first instead.
_LEAST = 30


def _width() -> int | None:
    """Return the columns to fit into: $COLUMNS, else the terminal's; None where there is none."""
    if os.environ.get("COLUMNS", "").isdecimal() or sys.stdout.isatty():
        return shutil.get_terminal_size().columns
    return None


def wrapped(text: str, indent: str = "") -> list[str]:
    """Return the lines of a text behind an indent, broken between words where they are too long."""
    room = _width()
    lines = text.splitlines() or [""]
    if room is None:
        return [f"{indent}{line}".rstrip() for line in lines]
    fitted = []
    for line in lines:
        fitted += textwrap.wrap(
            line,
            max(room, len(indent) + _LEAST),
            initial_indent=indent,
            subsequent_indent=indent,
            # a path or an address stays whole
            break_long_words=False,
            break_on_hyphens=False,
        ) or [""]
    return fitted


def two_columns(rows: Sequence[tuple[str, str]], indent: str = "") -> list[str]:
    """Return names with what is said of them; long texts go on below their own beginning."""
    left = max((len(name) for name, _ in rows), default=0)
    room = _width()
    beside = room is None or room - len(indent) - left - 2 >= _LEAST
    lines = []
    for name, text in rows:
        if beside:
            first, *rest = wrapped(text, indent + " " * (left + 2))
            lines.append(f"{indent}{name:{left}}  {first.strip()}".rstrip())
            lines += rest
        else:
            lines += [f"{indent}{name}", *wrapped(text, f"{indent}    ")]
    return lines


def table(rows: Sequence[Sequence[str]], names: int = 1) -> str:
    """Return rows under their heads, the first; ``names`` columns to the left, numbers right."""
    head, *lines = aligned(rows, names)
    rule = "-" * max(len(line) for line in (head, *lines))
    return "\n".join([head, rule, *lines]) + "\n"
