"""Reading of the project's own YAML files: safe, bounded, and with errors that say where.

Nothing in a file is executed. Anchors, aliases and tags are refused, since no file of ours needs
them and they are what makes small files explode.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import yaml

from dse.errors import SpecError, unknown_name

if TYPE_CHECKING:
    from pydantic import BaseModel

_M = TypeVar("_M", bound="BaseModel")

if TYPE_CHECKING:
    _SafeLoader = yaml.SafeLoader
else:  # libyaml's where it is there: five times as fast
    _SafeLoader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_MAX_BYTES = 4 * 1024 * 1024
_MAX_DEPTH = 32
_MAX_ITEMS = 200_000


class Source(Protocol):
    """What a file's content is read from: a path, a resource of a package, or text put together.

    Its ``str`` is what errors call it.
    """

    def read_bytes(self) -> bytes:
        """Return the content; OSError where it cannot be read."""


@dataclass(frozen=True)
class TextSource:
    """Text put together, in the place of a file; see `Source`."""

    name: str
    text: str

    def read_bytes(self) -> bytes:
        """Return the text in UTF-8."""
        return self.text.encode()

    def __str__(self) -> str:
        return self.name


def read_yaml(path: Source) -> Any:  # noqa: ANN401
    """Return the content of a YAML file with one document.

    Raises:
        SpecError: the file is missing, too large, too deep, not YAML, or uses anchors or tags.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise SpecError(f"{path}: cannot be read ({error.strerror or error})") from error
    if len(data) > _MAX_BYTES:
        raise SpecError(f"{path}: has {len(data)} bytes, expected at most {_MAX_BYTES}")
    return parse_yaml(data, str(path))


def parse_yaml(data: bytes | str, where: str) -> Any:  # noqa: ANN401
    """Return the content of YAML text; ``where`` names it in errors."""
    try:
        _check_events(data, where)
        return yaml.load(data, Loader=_StrictLoader)  # noqa: S506 - a safe one
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        problem = error.problem or error.context or "not readable"
        raise SpecError(f"{where}{place}: not valid YAML: {problem}") from error
    except (yaml.YAMLError, UnicodeDecodeError, ValueError) as error:
        line = str(error).splitlines()[0]
        raise SpecError(f"{where}: not valid YAML: {line}") from error


def _check_events(data: bytes | str, where: str) -> None:
    """Walk the flat stream of parse events, before anything is built from it."""
    depth = 0
    events: Iterator[Any] = yaml.parse(data, Loader=_SafeLoader)
    for items, event in enumerate(events):
        line = event.start_mark.line + 1
        if items >= _MAX_ITEMS:
            raise SpecError(f"{where}, line {line}: more than {_MAX_ITEMS} items")
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise SpecError(f"{where}, line {line}: anchors and aliases are not accepted")
        if getattr(event, "tag", None) not in (None, "!"):
            raise SpecError(f"{where}, line {line}: tag '{event.tag}' is not accepted")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > _MAX_DEPTH:
                raise SpecError(f"{where}, line {line}: nested deeper than {_MAX_DEPTH} levels")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


class _StrictLoader(_SafeLoader):
    """A safe loader that refuses a key that stands twice in one mapping."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Hashable, Any]:  # noqa: ANN401
        seen: set[str] = set()
        for key, _ in node.value:
            problem = None
            if not isinstance(key, yaml.ScalarNode):
                problem = "a key must be a text"
            elif key.value in seen:
                problem = f"key '{key.value}' stands twice"
            if problem:
                raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def validated(model: type[_M], content: Any, where: str) -> _M:  # noqa: ANN401
    """Validate a file's content with a pydantic model.

    Raises:
        SpecError: one line for the first problem: file, key path, value and what was expected.
    """
    from pydantic import ValidationError  # noqa: PLC0415

    if not isinstance(content, dict):
        raise SpecError(f"{where}: holds {_shown(content)}, expected a mapping of keys")
    try:
        return model.model_validate(content)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        path = _key_path(first["loc"])
        # a value error of ours carries its own full sentence; the rest is pydantic's to word
        message = first["ctx"]["error"] if first["type"] == "value_error" else first["msg"]
        own = first["type"] in ("value_error", "missing")
        value = "" if own else f" = {_shown(first['input'])}"
        more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
        raise SpecError(f"{where}: {path}{value}: {message}{more}") from error


def refuse_unknown_keys(known: set[str], given: Any) -> None:  # noqa: ANN401
    """Raise ValueError for the first key of ``given`` that is not known, with the nearest one."""
    if isinstance(given, dict):
        for key in given:
            if key not in known:
                raise ValueError(unknown_name("key", str(key), known))


def _key_path(location: tuple[int | str, ...]) -> str:
    path = ""
    for part in location:
        path += f"[{part}]" if isinstance(part, int) else f"{'.' if path else ''}{part}"
    return path or "(top level)"


def _shown(value: object) -> str:
    if isinstance(value, float) and math.isnan(value):
        return "nan"
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
