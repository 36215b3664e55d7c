"""The XML that boost serialisation writes, as far as Timeloop's dumps of its data use it."""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

_HEAD = (
    '<?xml version="1.0" encoding="UTF-8" standalone="yes" ?>\n'
    "<!DOCTYPE boost_serialization>\n"
    '<boost_serialization signature="serialization::archive" version="18">'
)


class Archive:
    """An archive in the making.

    The first object of a type carries the type's number; those of types that are reached by
    pointers are numbered themselves.
    """

    def __init__(self) -> None:
        self._lines = [_HEAD]
        self._depth = 0
        self._types: dict[str, int] = {}
        self._objects = 0

    def text(self) -> str:
        """Return all of it, closed."""
        return "\n".join([*self._lines, "</boost_serialization>", ""]) + "\n"

    @contextmanager
    def inside(self, tag: str, kind: str = "", version: int = 0) -> Iterator[None]:
        """Write what is written within as an object; without a ``kind``, as a bare element."""
        self._line(f"<{tag}{self._number(kind, version)}>")
        with self._deeper():
            yield
        self._line(f"</{tag}>")

    @contextmanager
    def pointed(self, tag: str, kind: str, name: str = "") -> Iterator[None]:
        """Write an object that is reached by a pointer; ``name``: of a class that has a base."""
        known = self._types.get(kind)
        place = f'object_id="_{self._objects}"'
        self._objects += 1
        if known is None:
            self._types[kind] = known = len(self._types)
            called = f' class_name="{name}"' if name else ""
            self._line(f'<{tag} class_id="{known}"{called} tracking_level="1" version="0" {place}>')
        else:
            self._line(f'<{tag} class_id_reference="{known}" {place}>')
        with self._deeper():
            yield
        self._line(f"</{tag}>")

    def empty(self, tag: str, kind: str) -> None:
        """Write an object without content."""
        self._line(f"<{tag}{self._number(kind, 0)}></{tag}>")

    def value(self, tag: str, value: object) -> None:
        """Write a number or a text."""
        self._line(f"<{tag}>{_written(value)}</{tag}>")

    def attribute(self, tag: str, kind: str, value: object | None) -> None:
        """Write an attribute of ``kind``; None: it was not given."""
        if value is None:
            self.empty(tag, kind)
            return
        with self.inside(tag, kind):
            self.value("t_", value)

    def count(self, count: int, version: int = 0) -> None:
        """Write what stands before the items of a container."""
        self.value("count", count)
        self.value("item_version", version)

    def items(self, tag: str, kind: str, inner: str, values: Iterable[object]) -> None:
        """Write an array within an object."""
        with self.inside(tag, kind), self.inside(inner):
            for value in values:
                self.value("item", value)

    def _number(self, kind: str, version: int) -> str:
        if not kind or kind in self._types:
            return ""
        self._types[kind] = len(self._types)
        return f' class_id="{self._types[kind]}" tracking_level="0" version="{version}"'

    @contextmanager
    def _deeper(self) -> Iterator[None]:
        self._depth += 1
        yield
        self._depth -= 1

    def _line(self, text: str) -> None:
        self._lines.append("\t" * self._depth + text)


def _written(value: object) -> str:
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, float):
        return "-nan" if math.isnan(value) else f"{value:.17e}"
    return html.escape(str(value), quote=True)
