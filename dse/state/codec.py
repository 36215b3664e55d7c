"""State as data: what may be kept over a kill, and how it is written.

A state is plain data (:data:`State`). It is written as one line of JSON, in which arrays and
records stand as objects whose only key begins with ``$``, and the arrays' numbers behind it, as an
NPZ archive of one array per type. Reading builds arrays and these records, checked field by field,
and nothing else: no name in the data is ever looked up but in the tables below.
"""

from __future__ import annotations

import io
import json
import math
import zipfile
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from dse.domain.mapping import Mapping as LayerMapping
from dse.domain.mapping import MappingBatch
from dse.errors import SpecError
from dse.goals.design import Design, DesignMetrics
from dse.state.entries import CheckedEntries
from dse.state.records import RECORDS

#: What a state is made of. Keys do not begin with ``$``; tuples are read back as lists; numbers
#: of NumPy are to be made Python's. See :func:`generator_state` for generators.
State: TypeAlias = (
    "bool | int | float | str | npt.NDArray[Any] | Design | DesignMetrics | LayerMapping"
    " | MappingBatch | Sequence[State] | Mapping[str, State] | None"
)

_DTYPES = (
    *("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
    *("float32", "float64"),
)
_MAX_AXES = 8
_ARRAY = "$array"
_WHERE = "state"
_TAGS = {record.kind: tag for tag, record in RECORDS.items()}
_UNREADABLE = (ValueError, KeyError, OSError, EOFError, RuntimeError, zipfile.BadZipFile)


def dumps(state: Mapping[str, State]) -> bytes:
    """Return a state as bytes, the same for equal states.

    Raises:
        TypeError: something in it is no plain data; the message names the place.
    """
    writer = _StateWriter()
    text = json.dumps(writer.plain(state, _WHERE), separators=(",", ":"))
    archive = io.BytesIO()
    flat: Any = {name: np.concatenate(parts) for name, parts in writer.flat.items()}
    np.savez(archive, **flat)
    return text.encode() + b"\n" + archive.getvalue()


def loads(data: bytes) -> dict[str, Any]:
    """Return the state that :func:`dumps` wrote; arrays are writable.

    No more memory is taken than a small multiple of the length of ``data``.

    Raises:
        SpecError: it is not one.
    """
    text, _, archive = data.partition(b"\n")
    try:
        content = json.loads(text)
        flat = _arrays(archive)
        state = _StateReader(flat).value(content)
    except RecursionError as error:
        raise SpecError("not a state: nested too deep") from error
    except _UNREADABLE as error:
        raise SpecError(f"not a state: {error}") from error
    if not isinstance(state, dict) or any(len(left) for left in flat.values()):
        raise SpecError("not a state: expected a mapping, and no more arrays than it names")
    return state


class _StateWriter:
    """Turns a state into what JSON can say; arrays are put aside, in the order of the text."""

    def __init__(self) -> None:
        self.flat: dict[str, list[npt.NDArray[Any]]] = {}

    def plain(self, value: object, place: str) -> object:
        if value is None or isinstance(value, (bool, int, str)):
            return value
        if isinstance(value, float):
            return float(value)  # NumPy's double is one, too
        if isinstance(value, np.ndarray):
            return {_ARRAY: self._array(value, place)}
        tag = _TAGS.get(type(value))
        if tag is not None:
            return {tag: self.plain(RECORDS[tag].fields(value), place)}
        if isinstance(value, (list, tuple)):
            return [self.plain(item, f"{place}[{i}]") for i, item in enumerate(value)]
        if isinstance(value, Mapping):
            for key in value:
                if not isinstance(key, str) or key.startswith("$"):
                    raise TypeError(f"{place}: key {key!r}, expected a text that begins without $")
            return {key: self.plain(item, f"{place}.{key}") for key, item in value.items()}
        raise TypeError(f"{place}: {type(value).__name__} is no plain data")

    def _array(self, value: npt.NDArray[Any], place: str) -> list[Any]:
        name = value.dtype.name
        if name not in _DTYPES or value.ndim > _MAX_AXES:
            raise TypeError(f"{place}: array of {name} with {value.ndim} axes is no plain data")
        self.flat.setdefault(name, []).append(value.astype(name, copy=False).ravel())
        return [name, *value.shape]


class _StateReader:
    """Builds a state from JSON's content and the arrays, which are used up from their start."""

    def __init__(self, flat: dict[str, npt.NDArray[Any]]) -> None:
        self._flat = flat

    def value(self, item: Any) -> Any:  # noqa: ANN401
        if isinstance(item, list):
            return [self.value(part) for part in item]
        if not isinstance(item, dict):
            return item
        tag = next((key for key in item if key.startswith("$")), None)
        if tag is None:
            return {key: self.value(part) for key, part in item.items()}
        if len(item) == 1 and tag == _ARRAY:
            return self._array(item[tag])
        if len(item) == 1 and tag in RECORDS:
            with CheckedEntries(self.value(item[tag]), tag) as entries:
                return RECORDS[tag].build(entries)
        raise SpecError(f"not a state: '{tag[:20]}' is no record")

    def _array(self, told: object) -> npt.NDArray[Any]:
        if not isinstance(told, list) or not told or told[0] not in _DTYPES:
            raise SpecError("not a state: array of an unknown type")
        name, *shape = told
        whole = all(isinstance(n, int) and not isinstance(n, bool) and n >= 0 for n in shape)
        if not whole or len(shape) > _MAX_AXES:
            raise SpecError(f"not a state: shape of an array of {name}")
        have, count = self._flat.get(name, np.empty(0, name)), math.prod(shape)
        if count > len(have):
            raise SpecError(f"not a state: fewer numbers of {name} than its arrays have")
        self._flat[name] = have[count:]
        try:
            return have[:count].reshape(shape).copy()
        except (ValueError, OverflowError) as error:  # such as none by very many
            raise SpecError(f"not a state: shape of an array of {name}") from error


def _arrays(data: bytes) -> dict[str, npt.NDArray[Any]]:
    """Read an NPZ archive of flat arrays named by their types; nothing in it is unpacked."""
    found: dict[str, npt.NDArray[Any]] = {}
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        for member in archive.infolist():
            name = member.filename.removesuffix(".npy")
            stored = member.compress_type == zipfile.ZIP_STORED and member.file_size <= len(data)
            if name not in _DTYPES or name in found or not stored:
                raise ValueError(f"archive member '{member.filename[:20]}'")
            content = archive.read(member)
            stream = io.BytesIO(content)
            if np.lib.format.read_magic(stream) != (1, 0):
                raise ValueError(f"archive member '{name}': another version of NumPy's format")
            shape, _, dtype = np.lib.format.read_array_header_1_0(stream)
            start = stream.tell()
            if dtype != np.dtype(name) or shape != ((len(content) - start) // dtype.itemsize,):
                raise ValueError(f"archive member '{name}': other type or length than it says")
            found[name] = np.frombuffer(content, dtype, shape[0], start)
            if name == "bool" and (found[name].view(np.uint8) > 1).any():
                raise ValueError("a truth value that is neither")
    return found
