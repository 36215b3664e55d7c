"""The site: `python -m dse docs` builds it and opens it; Sphinx reads this file."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

import settings_page  # noqa: E402 - stands beside this file

from dse import __version__  # noqa: E402 - of the checkout

project = "dse"
author = "The authors of dse"
version = release = __version__
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]
source_suffix = {".md": "myst-nb", ".ipynb": "myst-nb"}
nb_execution_mode = "off"  # notebooks hold what they show, and a test executes them
html_theme = "furo"
html_title = f"dse {__version__}"
html_static_path = ["_static"]
html_css_files = ["wide.css"]
html_copy_source = False
myst_heading_anchors = 4
myst_enable_extensions = ["fieldlist"]
autodoc_member_order = "bysource"
autodoc_typehints = "none"
# shell lines with placeholders and options are no language that a lexer knows
highlight_language = "text"


def _links(app: object, page: str, source: list[str]) -> None:
    """Let links to what stands beside `docs/` go to the pages that hold it here."""
    del app, page
    text = source[0].replace("](../SECURITY.md", "](security.md")
    source[0] = text.replace("](../examples/", "](examples/").replace("](../docs/", "](../")


def _copy_notebooks() -> None:
    """Bring the notebooks to where Sphinx finds them; dates stay, so that it reads none in vain."""
    (HERE / "examples").mkdir(exist_ok=True)
    for notebook in sorted((HERE.parent / "examples").glob("*.ipynb")):
        shutil.copy2(notebook, HERE / "examples")


def setup(app: Any) -> None:  # noqa: ANN401 - Sphinx's
    """Write the pages that come from elsewhere."""
    settings_page.write(HERE / "settings.md")
    _copy_notebooks()
    app.connect("source-read", _links)
