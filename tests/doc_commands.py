"""The commands that README.md and the pages in docs/ show."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
#: Pages on plug-ins, which stand on them whole.
GUIDES = ("own-optimizer", "own-mapper", "own-evaluator", "own-objective")
#: Languages of blocks that hold no commands.
_OTHERS = ("python", "yaml", "toml", "json", "text", "{toctree}", "{eval-rst}")
_COMMAND = "python -m dse"


@dataclass(frozen=True)
class Command:
    """A command as a reader would type it.

    Attributes:
        line: where it stands on the page.
        words: what follows ``python -m dse``.
        language: of its block; None: it stands in a sentence.
    """

    page: Path
    line: int
    words: tuple[str, ...]
    language: str | None = None

    def __str__(self) -> str:
        return f"{self.page.name}, line {self.line}: {_COMMAND} {shlex.join(self.words)}"


def blocks(page: Path) -> list[tuple[int, str, str]]:
    """Return the fenced blocks of a page: first line, language, content."""
    text = page.read_text(encoding="utf-8")
    found = re.finditer(r"^```([^\n]*)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    return [(text.count("\n", 0, m.start(2)) + 1, m[1], m[2]) for m in found]


def commands(page: Path) -> list[Command]:
    """Return the page's commands in their order; comments are left out."""
    found = []
    for first, language, content in blocks(page):
        if language in _OTHERS:
            continue
        whole = content.replace("\\\n", "  ")
        for number, line in enumerate(whole.splitlines(), first):
            words = shlex.split(line.removeprefix("$ "), comments=True) if _COMMAND in line else []
            if words[:3] == _COMMAND.split():
                found.append(Command(page, number, tuple(words[3:]), language))
    text = page.read_text(encoding="utf-8")
    prose = re.sub(r"^```.*?^```$", lambda m: "\n" * m[0].count("\n"), text, flags=re.S | re.M)
    for match in re.finditer(rf"`{_COMMAND} ([^`\n]+)`", prose):
        line = prose.count("\n", 0, match.start()) + 1
        found.append(Command(page, line, tuple(shlex.split(match[1]))))
    return sorted(found, key=lambda command: command.line)
