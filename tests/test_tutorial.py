"""The tutorial: every command that it shows runs, in its order, and says what the text says."""

import re
import shlex
from pathlib import Path

import pytest
from doc_commands import ROOT, blocks, commands

from dse.cli import main

pytestmark = pytest.mark.slow

PAGE = ROOT / "docs/tutorial.md"


def test_its_commands_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (saved,) = [text for _, language, text in blocks(PAGE) if language == "yaml"]
    Path("mine.yaml").write_text(saved)
    shown = commands(PAGE)
    assert len(shown) >= 12
    said = {}
    for command in shown:
        assert main(list(command.words)) == 0, f"{command}\n{capsys.readouterr().err}"
        said[shlex.join(command.words)] = capsys.readouterr().out
    first = said[shlex.join(shown[0].words)]
    for row in ("hardware", "edge", "beside", "proof"):
        assert re.search(rf"^{row} ", first, re.MULTILINE), row
    assert "proven: no design of this mapspace is better" in first
    assert Path("first/report.html").is_file()
    assert "certified" in said["certify first"]
    assert "what one more would buy" in said["explain first layer4.0.conv2"]
