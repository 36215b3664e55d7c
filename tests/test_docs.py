"""The documentation: the site builds without a warning, all pages are on it, links lead on."""

import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from dse.cli import main
from dse.plugins import GROUPS, plugins

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.glob("*.md"))
NOTEBOOKS = sorted((ROOT / "examples").glob("*.ipynb"))
HAS_SPHINX = all(find_spec(name) for name in ("sphinx", "furo", "myst_nb"))


def test_every_page_is_on_the_site():
    index = (DOCS / "index.md").read_text()
    listed = {
        line
        for block in re.findall(r"```{toctree}\n(.*?)```", index, re.DOTALL)
        for line in block.split()
        if not line.startswith(":")
    }
    pages = {page.stem for page in PAGES} | {f"examples/{book.stem}" for book in NOTEBOOKS}
    assert pages - listed == {"index"}


@pytest.mark.parametrize("page", [*PAGES, *NOTEBOOKS, ROOT / "README.md"], ids=lambda p: p.name)
def test_links_to_files_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", page.read_text()):
        found = (page.parent / target).exists()
        assert found or target in {"settings.md"}, f"{page.name}: {target}"


@pytest.mark.skipif(not HAS_SPHINX, reason="the extra 'docs' is not installed")
def test_the_site_builds_without_a_warning(tmp_path, capfd):
    target = tmp_path / "site"
    code = main(["docs", "--strict", "--no-open", "-o", str(target)])
    assert code == 0, capfd.readouterr().err
    assert (target / "index.html").is_file()
    text = (target / "settings.html").read_text()
    for kind in GROUPS:
        for name, item in plugins(kind).items():
            if item.distribution == "dse-accel":
                assert f"{kind} {name}<" in text
    assert "optimizer.optimism" in text
    assert "dse.run" in (target / "api.html").read_text()
    for book in NOTEBOOKS:
        assert "cell_output" in (target / "examples" / f"{book.stem}.html").read_text()


@pytest.mark.skipif(HAS_SPHINX, reason="the extra 'docs' is installed")
def test_without_the_extra_it_says_what_to_install(capsys):
    assert main(["docs", "--no-open"]) == 4
    assert "pip install 'dse-accel[docs]'" in capsys.readouterr().err


def test_an_installed_copy_has_no_site(tmp_path):
    (tmp_path / "dse").symlink_to(ROOT / "dse")
    code = "import dse, pathlib; dse.__file__ = str(pathlib.Path('dse/__init__.py').absolute())\n"
    code += "from dse.cli import main; raise SystemExit(main(['docs', '--no-open']))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "is an installed copy" in done.stderr
