"""Plain data from files, read with types: every entry is taken once, and what is left is refused.

::

    with CheckedEntries(state, "optimizer") as entries:
        self._stalled = entries.integer("stalled", least=0)
        self._step = entries.number("step")
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from types import TracebackType
from typing import Any, NoReturn, TypeVar

import numpy as np
import numpy.typing as npt

from dse.errors import SpecError

T = TypeVar("T")

#: Integers beyond this are no doubles.
_LARGEST = 1 << 1023


class CheckedEntries:
    """The entries of a mapping.

    Args:
        content: what should be a mapping with texts as keys.
        where: what errors call it: a file, a record.
        path: keys that lead to it from there.

    Raises:
        SpecError: here and in all methods: an entry is missing, of another type, or out of range;
            at the end of ``with``, one was not asked for. The message names the entry.
    """

    def __init__(self, content: object, where: str, path: str = "") -> None:
        self._where, self._path = where, path
        if not isinstance(content, Mapping):
            place = f"{where}: {path}" if path else where
            raise SpecError(f"{place}: holds {_shown(content)}, expected a mapping of keys")
        self._left: dict[str, object] = {str(key): value for key, value in content.items()}

    def __enter__(self) -> CheckedEntries:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is None:
            self.close()

    def close(self) -> None:
        """Refuse what was not asked for."""
        if self._left:
            raise SpecError(f"{self._where}: unknown key '{self._at(min(self._left))}'")

    def __contains__(self, key: str) -> bool:
        return key in self._left

    def take(self, key: str) -> object:
        """Return an entry of any type."""
        if key not in self._left:
            raise SpecError(f"{self._where}: key '{self._at(key)}' is missing")
        return self._left.pop(key)

    def maybe(self, key: str, read: Callable[[str], T]) -> T | None:
        """Return what a method of these entries reads, or None where the entry is None."""
        if key in self._left and self._left[key] is None:
            del self._left[key]
            return None
        return read(key)

    def flag(self, key: str) -> bool:
        """Return a truth value."""
        return self.record(key, bool)

    def text(self, key: str) -> str:
        """Return a text."""
        return self.record(key, str)

    def integer(self, key: str, least: int | None = None, most: int | None = None) -> int:
        """Return an integer of a range, its ends included."""
        value = self.take(key)
        if isinstance(value, bool) or not isinstance(value, int):
            self.refuse(key, value, "an integer")
        if (least is not None and value < least) or (most is not None and value > most):
            ends = f"from {least} to {most}" if most is not None else f"of at least {least}"
            self.refuse(key, value, f"an integer {ends}")
        return value

    def number(self, key: str, *, finite: bool = False) -> float:
        """Return a number; infinities and NaN are numbers, too, unless it has to be finite."""
        value = self.take(key)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            self.refuse(key, value, "a number")
        if isinstance(value, int) and abs(value) > _LARGEST:
            self.refuse(key, value, "a number of double precision")
        if finite and not math.isfinite(value):
            self.refuse(key, value, "a finite number")
        return float(value)

    def record(self, key: str, kind: type[T]) -> T:
        """Return a record of that type."""
        value = self.take(key)
        if not isinstance(value, kind):
            name = {"bool": "true or false", "str": "a text"}.get(kind.__name__, kind.__name__)
            self.refuse(key, value, name)
        return value

    def array(
        self, key: str, dtype: npt.DTypeLike, shape: tuple[int | None, ...]
    ) -> npt.NDArray[Any]:
        """Return an array of that type and shape; None stands for any length."""
        value = self.take(key)
        fits = (
            isinstance(value, np.ndarray)
            and value.dtype == np.dtype(dtype)
            and value.ndim == len(shape)
            and all(n in (None, m) for n, m in zip(shape, value.shape, strict=True))
        )
        if not isinstance(value, np.ndarray) or not fits:
            lengths = ", ".join("any" if n is None else str(n) for n in shape)
            self.refuse(key, value, f"an array of {np.dtype(dtype)} and shape ({lengths})")
        return value

    def items(self, key: str, kind: type[T], count: int | None = None) -> list[T]:
        """Return a list of values of that type."""
        value = self.take(key)
        if not isinstance(value, (list, tuple)) or not all(_is(x, kind) for x in value):
            self.refuse(key, value, f"a list of {kind.__name__}")
        if count is not None and len(value) != count:
            self.refuse(key, value, f"a list of {count}")
        return list(value)

    def numbers(self, key: str, count: int | None = None) -> tuple[float, ...]:
        """Return a tuple of numbers of double precision."""
        return tuple(self.items(key, float, count))

    def integers(self, key: str) -> dict[str, int]:
        """Return a mapping of integers."""
        with self.part(key) as part:
            return {name: part.integer(name) for name in list(part)}

    def __iter__(self) -> Iterator[str]:
        return iter(self._left)

    def part(self, key: str) -> CheckedEntries:
        """Return the entries of a mapping within this one."""
        return CheckedEntries(self.take(key), self._where, self._at(key))

    def each(self, key: str) -> Iterator[CheckedEntries]:
        """Yield the entries of each mapping of a list."""
        for number, content in enumerate(self.items(key, object)):
            yield CheckedEntries(content, self._where, f"{self._at(key)}[{number}]")

    def refuse(self, key: str, value: object, expected: str) -> NoReturn:
        """Raise the error for a value that is not what was expected."""
        raise SpecError(f"{self._where}: {self._at(key)} = {_shown(value)}, expected {expected}")

    def _at(self, key: str) -> str:
        return f"{self._path}.{key}" if self._path else key


def _is(value: object, kind: type[Any]) -> bool:
    """Whether a value is of a type; truth values are no numbers."""
    return isinstance(value, kind) and (kind in (bool, object) or not isinstance(value, bool))


def _shown(value: object) -> str:
    if isinstance(value, np.ndarray):
        return f"an array of {value.dtype} and shape {value.shape}"
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
