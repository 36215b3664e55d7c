"""Renders the jinja2 templates of timeloopfe projects, in a sandbox with bounded work.

A template may include other YAML files by path, as in ``architecture: {{include('arch.yaml',
'architecture')}}``. What is included does not pass through text: the call leaves a mark, and the
parsed nodes, which know their own file and line, take the mark's place.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from dse.errors import SpecError, unknown_name
from dse.timeloop.yaml.nodes import Node
from dse.timeloop.yaml.parse import MAX_BYTES, MAX_NODES, parse, read_bytes

if TYPE_CHECKING:
    from jinja2.sandbox import SandboxedEnvironment

_SUFFIXES = (".jinja", ".jinja2", ".j2")
_MARK = re.compile(r"__dse_include_(\d+)__\Z")
_MOST_STEPS = 1_000_000
_MOST_FILES = 1_000
_DEEPEST = 20
_LONGEST = 2**20
#: String methods whose result may be of any size.
_GREEDY = {"format", "format_map", "center", "ljust", "rjust", "zfill", "expandtabs"}


def is_template(path: Path, text: bytes) -> bool:
    """Whether a file is rendered before it is parsed."""
    return path.suffix in _SUFFIXES or b"{{" in text or b"{%" in text


class Renderer:
    """Renders a project's templates.

    Args:
        values: the variables that the templates may use, as given by the user.
    """

    def __init__(self, values: Mapping[str, object] | None = None) -> None:
        self._values = dict(values or {})
        self._paths: list[Path] = []
        self._included: list[Node] = []
        self._stack: list[Path] = []
        self._files = 0
        self._mentioned: set[str] = set()

    def check_used(self) -> None:
        """Refuse variables that no template mentions.

        Raises:
            SpecError: naming the first, and the variable that was probably meant.
        """
        for name in self._values:
            if name not in self._mentioned:
                message = unknown_name("variable", name, self._mentioned)
                raise SpecError(f"-D {name}: no template uses it: {message}")

    def load(self, path: Path, text: bytes | None = None) -> Node:
        """Return the nodes of a file, rendered if it is a template.

        Raises:
            SpecError: the file is missing, not valid, includes itself, or is too much work.
        """
        where = path.resolve()
        if where in self._stack:
            raise SpecError(f"{path}: includes itself")
        self._files += 1
        if len(self._stack) >= _DEEPEST or self._files > _MOST_FILES:
            raise SpecError(f"{path}: too many includes, one within the other or altogether")
        data = read_bytes(path) if text is None else text
        if not is_template(path, data):
            return _parsed(path, data)
        self._stack.append(where)
        try:
            node = _parsed(path, self._render(path, data).encode())
        finally:
            self._stack.pop()
        return self._filled(node)

    def _render(self, path: Path, data: bytes) -> str:
        environment = _environment()
        from jinja2 import TemplateError  # noqa: PLC0415 - loaded by now
        from jinja2.meta import find_undeclared_variables  # noqa: PLC0415

        try:
            source = data.decode()
            functions = self._functions(path)
            mentioned = find_undeclared_variables(environment.parse(source))
            self._mentioned |= mentioned - functions.keys()
            with _bounded(path):
                rendered = environment.from_string(source, functions).render(self._values)
        except TemplateError as error:
            line = f":{error.lineno}" if hasattr(error, "lineno") else ""
            raise SpecError(f"{path}{line}: {error.message or error}") from error
        except SpecError:
            raise
        except (ArithmeticError, AttributeError, LookupError, MemoryError) as error:
            raise SpecError(f"{path}: {type(error).__name__}: {error}") from error
        except (RecursionError, TypeError, ValueError) as error:
            raise SpecError(f"{path}: {type(error).__name__}: {error}") from error
        if len(rendered) > MAX_BYTES:
            raise SpecError(f"{path}: renders to more than {MAX_BYTES >> 20} MB")
        return rendered

    def _functions(self, path: Path) -> dict[str, Callable[..., object]]:
        """Return what templates may call, as timeloopfe offers it; paths are relative to them."""
        here = path.resolve().parent

        def cwd() -> str:
            return str(here)

        def add_to_path(folder: str) -> str:
            self._paths.append(here / folder)
            return ""

        def find_path(name: str) -> str:
            return str(self._find(here, name))

        def path_exists(name: str) -> bool:
            return any((folder / name).exists() for folder in (here, *self._paths))

        def include(name: str, key: str = "") -> str:
            return self._mark(_at(self.load(self._find(here, name)), key, name))

        def include_text(name: str) -> str:
            found = self._find(here, name)
            data = read_bytes(found)
            return self._render(found, data) if is_template(found, data) else data.decode()

        def include_all(pattern: str, key: str = "") -> str:
            folders = [here, *self._paths]
            found = sorted({p for folder in folders for p in folder.glob(pattern)})
            parts = [_at(self.load(file), key, str(file)) for file in found]
            return self._mark(_joined(parts, str(path)))

        functions = (cwd, add_to_path, find_path, path_exists, include, include_text, include_all)
        return {function.__name__: function for function in functions}

    def _find(self, here: Path, name: str) -> Path:
        for folder in (here, *self._paths):
            if (folder / name).is_file():
                return folder / name
        searched = ", ".join(str(p) for p in (here, *self._paths))
        raise SpecError(f"include: no file '{name}' in {searched}")

    def _mark(self, node: Node) -> str:
        self._included.append(node)
        return f"__dse_include_{len(self._included) - 1}__"

    def _filled(self, node: Node) -> Node:
        """Put the included nodes where their marks are."""
        value = node.value
        if isinstance(value, str):
            mark = _MARK.match(value)
            if mark and int(mark[1]) < len(self._included):
                return self._included[int(mark[1])]
        elif isinstance(value, list):
            value[:] = [self._filled(item) for item in value]
        else:
            for key, item in value.items():
                value[key] = self._filled(item)
        return node


def _parsed(path: Path, data: bytes) -> Node:
    root = parse(str(path), data, MAX_NODES)
    if root is None:
        raise SpecError(f"{path}: the file is empty, expected Timeloop YAML")
    return root


def _at(node: Node, key: str, source: str) -> Node:
    """Return what lies under a dotted key."""
    for step in key.split(".") if key else []:
        if isinstance(node.value, dict) and step in node.value:
            node = node.value[step]
        elif isinstance(node.value, list) and step.isdecimal() and int(step) < len(node.value):
            node = node.value[int(step)]
        else:
            raise SpecError(f"{source}: has no key '{key}', which an include names")
    return node


def _joined(parts: list[Node], source: str) -> Node:
    """Join lists to one list, or maps to one map."""
    if parts and all(isinstance(part.value, dict) for part in parts):
        merged: dict[str, Node] = {}
        for part in parts:
            assert isinstance(part.value, dict)
            merged.update(part.value)
        return Node(merged, source, 1)
    items: list[Node] = []
    for part in parts:
        items += part.value if isinstance(part.value, list) else [part]
    return Node(items, source, 1)


def _environment() -> SandboxedEnvironment:
    try:
        from jinja2 import StrictUndefined  # noqa: PLC0415 - only such projects need it
        from jinja2.exceptions import SecurityError  # noqa: PLC0415
        from jinja2.sandbox import ImmutableSandboxedEnvironment  # noqa: PLC0415
    except ImportError as error:
        raise SpecError(
            "this Timeloop project is a jinja2 template: install jinja2 to read it"
        ) from error

    class Sandbox(ImmutableSandboxedEnvironment):
        """Refuses what could take unbounded memory in one step."""

        intercepted_binops = frozenset({"*", "**"})

        def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:  # noqa: ANN401
            numbers = all(isinstance(x, (int, float)) for x in (left, right))
            if not numbers or (operator == "**" and abs(right) > 64):
                raise SecurityError(f"'{operator}' works on small numbers only")
            return super().call_binop(context, operator, left, right)

        def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:  # noqa: ANN401
            return attr not in _GREEDY and super().is_safe_attribute(obj, attr, value)

    # what it makes is YAML, not HTML
    environment = Sandbox(undefined=StrictUndefined, autoescape=False, keep_trailing_newline=True)
    for name in ("format", "center", "indent", "xmlattr", "tojson", "pprint", "wordwrap"):
        environment.filters.pop(name, None)
    environment.globals = {k: environment.globals[k] for k in ("range", "dict", "namespace")}
    return environment


@contextmanager
def _bounded(path: Path) -> Iterator[None]:
    """Count the lines that a template's code executes, and stop it when they are too many."""
    steps = 0

    def trace(_frame: FrameType, event: str, _argument: object) -> Any:  # noqa: ANN401
        nonlocal steps
        if event == "line":
            steps += 1
            if steps > _MOST_STEPS:
                raise SpecError(f"{path}: the template does not come to an end")
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        yield
    finally:
        sys.settrace(before)
