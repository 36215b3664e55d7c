"""The tutorial: every command that it shows runs, in its order, and says what the text says."""

import re
import shlex
from pathlib import Path

import pytest

from dse.cli import main

pytestmark = pytest.mark.slow

PAGE = (Path(__file__).parents[1] / "docs/tutorial.md").read_text()


def commands():
    """Return all command lines, and the one file that the reader saves."""
    fenced = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    lines = [line for tag, text in fenced if not tag for line in text.splitlines()]
    (saved,) = [text for tag, text in fenced if tag == "yaml"]
    return lines, saved


def test_its_commands_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    lines, saved = commands()
    Path("mine.yaml").write_text(saved)
    assert len(lines) >= 12
    said = {}
    for line in lines:
        words = shlex.split(line)
        assert words[:3] == ["python", "-m", "dse"], line
        assert main(words[3:]) == 0, f"{line}\n{capsys.readouterr().err}"
        said[line] = capsys.readouterr().out
    first = said[lines[0]]
    for row in ("hardware", "edge", "beside", "proof"):
        assert re.search(rf"^{row} ", first, re.MULTILINE), row
    assert "proven: no design of the space is better" in first
    assert Path("first/report.html").is_file()
    assert "certified" in said["python -m dse certify first"]
    assert "what one more would buy" in said["python -m dse explain first layer4.0.conv2"]
