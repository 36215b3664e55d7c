"""libconfig texts in, as nodes: the form that Timeloop's first files have (``*.cfg``).

The grammar is libconfig's manual: settings ``name = value;`` in groups ``{}``, lists ``()`` and
arrays ``[]``, strings, numbers, booleans, three kinds of comments. ``@include`` is refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from dse.errors import SpecError
from dse.timeloop.yaml.nodes import Node
from dse.timeloop.yaml.parse import MAX_DEPTH, MAX_NODES

#: Tag of the nodes that are numbers, which libconfig tells from text.
NUMBER = "!number"
_TOKEN = re.compile(
    r"""(?P<space>\s+|\#[^\n]*|//[^\n]*|/\*.*?\*/)
    |(?P<string>"(?:[^"\\\n]|\\.)*")
    |(?P<number>[+-]?(?:0[xX][0-9a-fA-F]+|(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)L{0,2}
        (?![\w*-]))
    |(?P<name>[A-Za-z*][\w*-]*)
    |(?P<sign>[=:;,{}()\[\]])""",
    re.VERBOSE | re.DOTALL | re.ASCII,
)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "f": "\f", '"': '"', "\\": "\\"}
_ESCAPE = re.compile(r"\\(x[0-9a-fA-F]{2}|.)", re.DOTALL)
_CLOSING = {"{": "}", "(": ")", "[": "]"}


def parse_libconfig(source: str, text: str | bytes, budget: int = MAX_NODES) -> Node | None:
    """Parse a libconfig text; None where it holds nothing.

    Args:
        source: its name in errors.
        text: its content.
        budget: most nodes.

    Raises:
        SpecError: it is not UTF-8, not libconfig, or too large or deep.
    """
    try:
        decoded = text.decode() if isinstance(text, bytes) else text
    except UnicodeError as error:
        raise SpecError(f"{source}: not UTF-8 text ({error}), expected libconfig") from error
    reader = _SettingReader(source, _tokens(source, decoded), budget)
    root = reader.group("")
    return root if root.value else None


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    line: int


def _tokens(source: str, text: str) -> list[_Token]:
    found, at, line = [], 0, 1
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            what = text[at : at + 20].split("\n", maxsplit=1)[0]
            raise SpecError(f"{source}:{line}: {what!r} is not libconfig")
        kind, part = match.lastgroup or "", match[0]
        if kind != "space":
            found.append(_Token(kind, part, line))
        line += part.count("\n")
        at = match.end()
    found.append(_Token("end", "the end of the file", line))
    return found


class _SettingReader:
    """Reads tokens from the left."""

    def __init__(self, source: str, tokens: list[_Token], budget: int) -> None:
        self._source = source
        self._tokens = tokens
        self._budget = budget
        self._at = 0
        self._depth = 0

    def group(self, closing: str) -> Node:
        """Return the settings up to a bracket, or to the end of the file."""
        line = self._next.line
        table: dict[str, Node] = {}
        while not self._closed(closing):
            name = self._take("name", "the name of a setting")
            if not self._skip("=", ":"):
                raise self._unexpected("= or :")
            if name.text in table:
                raise self._fault(name, f"setting '{name.text[:80]}' is given twice")
            table[name.text] = self._value()
            self._skip(";", ",")
        return self._made(table, line, sum(node.size for node in table.values()))

    def _list(self, closing: str) -> Node:
        line = self._next.line
        items: list[Node] = []
        while not self._closed(closing):
            items.append(self._value())
            if not self._skip(",") and self._next.text != closing:
                raise self._unexpected(f"a comma or {closing}")
        return self._made(items, line, sum(node.size for node in items))

    def _value(self) -> Node:
        token = self._next
        if token.text in _CLOSING and token.kind == "sign":
            self._at += 1
            self._depth += 1
            if self._depth > MAX_DEPTH:
                raise self._fault(token, f"deeper than {MAX_DEPTH} levels")
            read = self.group if token.text == "{" else self._list
            found = read(_CLOSING[token.text])
            self._depth -= 1
            return found
        self._at += 1
        if token.kind == "string":
            text = _unescaped(token.text)
            while self._next.kind == "string":  # parts that stand side by side are one string
                text += _unescaped(self._next.text)
                self._at += 1
            return Node(text, self._source, token.line, plain=False)
        if token.kind == "number":
            found = self._made(token.text.rstrip("L"), token.line)
            found.tag = NUMBER
            return found
        if token.kind == "name" and token.text.lower() in ("true", "false"):
            return self._made(token.text.lower(), token.line)
        self._at -= 1
        raise self._unexpected("a value")

    @property
    def _next(self) -> _Token:
        return self._tokens[self._at]

    def _closed(self, closing: str) -> bool:
        """Whether a bracket, or the end of the file, comes next; takes it."""
        token = self._next
        if token.kind == "end" and closing:
            raise self._unexpected(closing)
        if token.kind == "end":
            return True
        if token.kind == "sign" and token.text == closing:
            self._at += 1
            return True
        return False

    def _skip(self, *signs: str) -> bool:
        found = self._next.kind == "sign" and self._next.text in signs
        self._at += found
        return found

    def _take(self, kind: str, what: str) -> _Token:
        token = self._next
        # Timeloop's files put names with hyphens into quotes
        if token.kind not in (kind, "string"):
            raise self._unexpected(what)
        self._at += 1
        return token if token.kind == kind else _Token(kind, _unescaped(token.text), token.line)

    def _made(self, value: str | list[Node] | dict[str, Node], line: int, below: int = 0) -> Node:
        self._budget -= 1
        if self._budget < 0:
            raise SpecError(f"{self._source}: more than {MAX_NODES} nodes")
        return Node(value, self._source, line, size=1 + below)

    def _unexpected(self, expected: str) -> SpecError:
        return self._fault(self._next, f"{self._next.text[:80]}: expected {expected}")

    def _fault(self, token: _Token, what: str) -> SpecError:
        return SpecError(f"{self._source}:{token.line}: {what}")


def _unescaped(quoted: str) -> str:
    def one(match: re.Match[str]) -> str:
        code = match[1]
        if code[0] == "x" and len(code) == 3:
            return chr(int(code[1:], 16))
        return _ESCAPES.get(code, code)

    return _ESCAPE.sub(one, quoted[1:-1])
