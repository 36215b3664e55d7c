"""Renders the jinja2 templates of a project, in a process of its own that has limits.

This file is run by ``render``, as ``python -I -S sandbox.py FOLDER...`` with the folders that
jinja2 and markupsafe lie in; it imports nothing of ``dse``, to start quickly. It reads a line of
JSON and writes one::

    {"templates": [[path, source], ..], "values": {name: value, ..}, "roots": [folder, ..],
     "search": [folder, ..], "cpu_s": ..}
    {"texts": [text, ..], "mentioned": [name, ..], "included": [{"parts": [[path, text], ..],
     "key": .., "name": .., "source": template, "form": ..}, ..]}      or    {"error": line}

A template may include other files by path, as in ``architecture: {{include('arch.yaml',
'architecture')}}`` or ``architecture: !include arch.yaml``. What is included does not pass through
the text: the call leaves a mark with the number of an entry of ``included``, whose nodes, which
know their own file and line, are to take the mark's place. An entry holds marks of entries before
it only. ``form`` says what the nodes of its parts become: ``one`` is the only part, ``joined`` all
parts in one list or map, ``listed`` a list with an item for each.

``!include FILE`` on a line of its own is Accelergy's older form: the file's text takes the line's
place, so that its anchors hold in what follows.

Files are read where they lie below ``roots``, links followed. The work is bounded by the process's
limits, and by the numbers here.
"""

from __future__ import annotations

import json
import re
import signal
import sys
from collections.abc import Callable
from itertools import takewhile
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2.sandbox import SandboxedEnvironment

SUFFIXES = (".jinja", ".jinja2", ".j2")
#: A mark is this with a number.
MARK = "__dse_include_{}__"
#: All texts together, in bytes.
MOST_BYTES = 16 * 2**20
_MOST_FILES = 1_000
_DEEPEST = 20
_SHOWN = 300
_FILE = r"""("[^"\n]+"|'[^'\n]+'|[^\s,\]}#]+)"""
#: A value that is a file or a folder, and a line that is a file's text.
_TAG = re.compile(rf"(?<=[:\-\[,{{])([ \t]*)!include(dir)?[ \t]+{_FILE}")
_TEXT_TAG = re.compile(rf"([ \t]*)!include[ \t:]+{_FILE},?[ \t]*(?:#.*)?")
_COMMENT = re.compile(r"(?:^|\s)#")


class IncludeRefused(Exception):
    """What a template asks for is not given; the message lacks the template's file and line."""


class RenderingError(Exception):
    """A template that cannot be rendered; the message is whole."""


class _OutOfTime(Exception):  # jinja2 finds the line for an Exception only
    """The time is over."""


def is_template(path: Path, text: bytes) -> bool:
    """Whether a file is rendered before it is parsed."""
    return path.suffix in SUFFIXES or any(mark in text for mark in (b"{{", b"{%", b"!include"))


class Renderer:
    """Renders templates, and collects what they include."""

    def __init__(self, values: dict[str, Any], roots: list[Path], search: list[Path]) -> None:
        self._values = values
        self._roots = roots
        self._search = search
        self._added: list[Path] = []
        self._stack: list[Path] = []
        self._files = 0
        self._bytes = 0
        self._environment = _environment()
        self.included: list[dict[str, object]] = []
        self.mentioned: set[str] = set()

    def text(self, path: Path, data: bytes) -> str:
        """Return a file's text, rendered if it is a template.

        Raises:
            IncludeRefused: it includes itself, or files are too many or too large.
            RenderingError: it cannot be rendered.
        """
        where = path.resolve()
        if where in self._stack:
            raise IncludeRefused(f"{path} includes itself")
        self._files += 1
        if len(self._stack) >= _DEEPEST or self._files > _MOST_FILES:
            raise IncludeRefused(f"{path}: too many includes, one within the other or altogether")
        if not is_template(path, data):
            self._count(path, len(data))
            return data.decode(errors="surrogateescape")  # whether it is UTF-8 is for the parser
        self._stack.append(where)
        try:
            return self._rendered(path, data)
        finally:
            self._stack.pop()

    def _rendered(self, path: Path, data: bytes) -> str:
        from jinja2.meta import find_undeclared_variables  # noqa: PLC0415 - as the rest of it

        try:
            code = self._environment.compile(data.decode(), None, str(path))
            functions = self._functions(path)
            template = self._environment.template_class.from_code(
                self._environment, code, {**self._environment.globals, **functions}
            )
            tree = self._environment.parse(data.decode())
            self.mentioned |= find_undeclared_variables(tree) - functions.keys()
            text = self._without_tags(path, template.render(self._values))
            self._count(path, len(text.encode()))
        except RenderingError:
            raise
        except Exception as error:
            raise RenderingError(f"{path}{_line(error, str(path))}: {_reason(error)}") from error
        return text

    def _count(self, path: Path, size_bytes: int) -> None:
        self._bytes += size_bytes
        if self._bytes > MOST_BYTES:
            raise IncludeRefused(
                f"{path}: the texts of the project are more than {MOST_BYTES >> 20} MB"
            )

    def _functions(self, path: Path) -> dict[str, Callable[..., object]]:
        """Return what templates may call, as timeloopfe offers it; paths are relative to them."""
        here = path.resolve().parent

        def cwd() -> str:
            return str(here)

        def add_to_path(folder: str) -> str:
            self._added.append(here / folder)
            return ""

        def find_path(name: str) -> str:
            return str(self._find(here, name))

        def find_paths(pattern: str | list[str]) -> list[str]:
            return [str(path) for path in self._matching(here, pattern)]

        def path_exists(name: str) -> bool:
            return any(
                (folder / name).exists() and bool(self._allowed(folder / name))
                for folder in self._folders(here)
            )

        def include(name: str, key: str = "") -> str:
            return self._mark(path, [self._find(here, name)], key, name, "one")

        def include_text(pattern: str | list[str]) -> str:
            return "\n".join(self._text_of(file) for file in self._files_of(here, pattern))

        def include_all(pattern: str | list[str], key: str = "") -> str:
            return self._mark(path, self._files_of(here, pattern), key, str(pattern), "joined")

        def setenv(name: str, _value: object) -> str:
            raise IncludeRefused(f"setenv('{name}'): a template may not change the environment")

        functions = (cwd, add_to_path, find_path, find_paths, path_exists, include, include_text)
        named = {function.__name__: function for function in functions}
        return {**named, "include_all": include_all, "setenv": setenv}

    def _without_tags(self, path: Path, text: str) -> str:
        """Return a text with marks or texts in place of ``!include`` and ``!includedir``."""
        if "!include" not in text:
            return text
        here = path.resolve().parent

        def mark(match: re.Match[str]) -> str:
            space, folder, quoted = match.groups()
            name = quoted.strip("\"'")
            found = self._find(here, name)
            if not folder:
                return space + self._mark(path, [found], "", name, "one")
            if not found.is_dir():
                raise IncludeRefused(f"!includedir {name}: is no folder")
            return space + self._mark(path, self._inside(found), "", name, "listed")

        lines = []
        for line in text.splitlines():
            alone = _TEXT_TAG.fullmatch(line)
            if alone is not None:
                included = self._text_of(self._find(here, alone[2].strip("\"'")))
                lines += [alone[1] + part for part in included.splitlines()]
                continue
            comment = _COMMENT.search(line)
            end = comment.start() if comment is not None else len(line)
            lines.append(_TAG.sub(mark, line[:end]) + line[end:])
        return "\n".join(lines) + "\n"

    def _text_of(self, file: Path) -> str:
        return self.text(file, _content(file))

    def _folders(self, here: Path) -> list[Path]:
        return [here, *self._added, *self._search]

    def _allowed(self, path: Path) -> Path:
        """Return the path; IncludeRefused where it lies outside of the project."""
        where = path.resolve()
        if not any(where.is_relative_to(root) for root in self._roots):
            roots = ", ".join(map(str, self._roots))
            raise IncludeRefused(
                f"{path} lies outside of the project ({roots}); --include-path FOLDER allows "
                "another folder"
            )
        return path

    def _find(self, here: Path, name: str) -> Path:
        for folder in self._folders(here):
            if (folder / name).exists():
                return self._allowed(folder / name)
        searched = ", ".join(map(str, self._folders(here)))
        raise IncludeRefused(f"no file '{name}' in {searched}")

    def _inside(self, folder: Path) -> list[Path]:
        """Return the YAML files in a folder, sorted."""
        return sorted(self._allowed(path) for path in folder.glob("*.yaml"))

    def _files_of(self, here: Path, pattern: str | list[str]) -> list[Path]:
        """Return the files of patterns; a folder stands for the YAML files in it."""
        if isinstance(pattern, str) and not set(pattern) & set("*?["):
            pattern = str(self._find(here, pattern))
        found: list[Path] = []
        for path in self._matching(here, pattern):
            found += self._inside(path) if path.is_dir() else [path]
        if not found:
            searched = ", ".join(map(str, self._folders(here)))
            raise IncludeRefused(f"no file '{pattern}' in {searched}")
        return found

    def _matching(self, here: Path, pattern: str | list[str]) -> list[Path]:
        """Return the files and folders of a pattern, sorted; of several one after the other."""
        if not isinstance(pattern, str):
            return list(
                dict.fromkeys(path for one in pattern for path in self._matching(here, one))
            )
        parts = Path(pattern).parts
        fixed = list(takewhile(lambda part: not set(part) & set("*?["), parts))
        wild = parts[len(fixed) :]
        if ".." in wild:
            raise IncludeRefused(f"pattern '{pattern}': '..' after a wildcard")
        found: set[Path] = set()
        for folder in self._folders(here):
            start = folder.joinpath(*fixed)
            if not start.exists():
                continue
            self._allowed(start)  # what is walked is inside, too
            for path in start.glob("/".join(wild)) if wild else filter(Path.exists, [start]):
                found.add(self._allowed(path))
                if len(found) > _MOST_FILES:
                    raise IncludeRefused(f"pattern '{pattern}': more than {_MOST_FILES} files")
        return sorted(found)

    def _mark(self, template: Path, files: list[Path], key: str, name: str, form: str) -> str:
        parts = [[str(file), self._text_of(file)] for file in files]
        self.included.append(
            {"parts": parts, "key": key, "name": name, "source": str(template), "form": form}
        )
        return MARK.format(len(self.included) - 1)


def _content(path: Path) -> bytes:
    if not path.is_file():
        raise IncludeRefused(f"{path} is a directory, or no regular file, expected a YAML file")
    try:
        with path.open("rb") as file:
            return file.read(MOST_BYTES + 1)
    except OSError as error:
        raise IncludeRefused(f"{path} cannot be read: {error.strerror or error}") from error


def _environment() -> SandboxedEnvironment:
    from jinja2 import StrictUndefined  # noqa: PLC0415 - not needed to ask whether it is a template
    from jinja2.sandbox import ImmutableSandboxedEnvironment  # noqa: PLC0415

    # what it makes is YAML, not HTML
    environment = ImmutableSandboxedEnvironment(
        undefined=StrictUndefined, autoescape=False, keep_trailing_newline=True
    )
    environment.globals = {k: environment.globals[k] for k in ("range", "dict", "namespace")}
    return environment


def _line(error: Exception, file: str) -> str:
    """Return the template's line where an error came up, after a colon, if it is known."""
    line = getattr(error, "lineno", None)
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == file:
            line = trace.tb_lineno
        trace = trace.tb_next
    return f":{line}" if line else ""


def _reason(error: Exception) -> str:
    if isinstance(error, _OutOfTime):
        return "the template does not come to an end in time"
    if isinstance(error, MemoryError):
        return "the template needs too much memory"
    if isinstance(error, RecursionError):
        return "the template does not come to an end: it calls itself"
    text = " ".join(str(error).split())[:_SHOWN]
    if isinstance(error, IncludeRefused):
        return text
    missing = "; -D NAME=VALUE gives it a value" if text.endswith("is undefined") else ""
    return f"{type(error).__name__}: {text}{missing}"


def _answer(question: dict[str, Any]) -> dict[str, object]:
    def stop(_signal: int, _frame: FrameType | None) -> None:
        raise _OutOfTime

    signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, question["cpu_s"])
    path = ""
    try:
        renderer = Renderer(
            question["values"],
            [Path(folder) for folder in question["roots"]],
            [Path(folder) for folder in question["search"]],
        )
        texts = []
        for path, source in question["templates"]:
            texts.append(renderer.text(Path(path), source.encode(errors="surrogateescape")))
        mentioned = sorted(renderer.mentioned)
        return {"texts": texts, "mentioned": mentioned, "included": renderer.included}
    except RenderingError as error:
        return {"error": str(error)}
    except Exception as error:
        return {"error": f"{path}: {_reason(error)}"}


def main() -> None:
    """Answer one question."""
    sys.path += sys.argv[1:]
    answer = _answer(json.loads(sys.stdin.readline()))
    signal.setitimer(signal.ITIMER_PROF, 0)
    sys.stdout.write(json.dumps(answer) + "\n")


if __name__ == "__main__":
    main()
