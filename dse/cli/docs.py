"""``python -m dse docs``: build the documentation's site from a checkout, and open it."""

from __future__ import annotations

import argparse
import sys
import webbrowser
from collections.abc import Sequence
from pathlib import Path

import dse
from dse.errors import SpecError, ToolError
from dse.extras import needed, require


def main(argv: Sequence[str]) -> int:
    """Build the pages that are out of date, say where they are, and open the first."""
    given = _parser().parse_args(argv)
    source = Path(dse.__file__).parents[1] / "docs"
    if not (source / "conf.py").is_file():
        raise SpecError(
            f"docs: the site is built from a checkout's docs/, and {Path(dse.__file__).parent} is "
            "an installed copy"
        )
    require("docs", "docs", "sphinx", "furo", "myst_nb")
    target = given.output or source / "_build" / "html"
    strict = ["-W", "--keep-going"] if given.strict else []
    words = ["-q", "-b", "html", *strict, str(source), str(target)]
    if code := needed("sphinx.cmd.build", "docs", "docs").build_main(words):
        raise ToolError(f"sphinx: exit code {code}; what it says stands above")
    page = target / "index.html"
    sys.stdout.write(f"{page}\n")
    if not given.no_open:
        webbrowser.open(page.resolve().as_uri())
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m dse docs",
        description="Builds the documentation from a checkout (extra 'docs') and opens it.",
    )
    parser.add_argument("--no-open", action="store_true", help="build it only")
    parser.add_argument("--strict", action="store_true", help="fail where Sphinx warns")
    parser.add_argument("-o", "--output", type=Path, metavar="DIR", help="docs/_build/html")
    return parser
