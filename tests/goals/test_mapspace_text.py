"""Of which mappings an optimum is one is said wherever one is told."""

import json

import pytest
import timeloop_files

from dse.cli import main
from dse.goals.mapspace_text import OPTIMUM, evenness_text, mapspace_text

EVEN = evenness_text()


def test_every_limit_is_named():
    own = mapspace_text(free=False)
    assert own.startswith("perfect factors, the template's constraints")
    assert own.endswith(EVEN)
    free = mapspace_text(free=True, padding="10%", source="file")
    assert free.startswith("perfect factors of padded sizes (10%), the file's keeps and bypasses")
    assert "any loops" in free
    assert free.endswith(EVEN)
    assert "of this mapspace" in OPTIMUM


@pytest.mark.slow
def test_a_mapped_layer_says_so(tmp_path, capsys):
    net = tmp_path / "net.yaml"
    net.write_text("name: net\nshape: cnn-layer\nlayers: [{name: a, R: 3, P: 8, K: 2}]\n")
    words = ["map", f"layer={net}/a", "mapper=optimal", "samples=100", "-q"]
    words += [f"runs={tmp_path}", "mapspace.padding=off"]
    values = {}
    for free, said in (("false", mapspace_text(free=False)), ("true", mapspace_text(free=True))):
        assert main([*words, f"mapspace.free={free}"]) == 0
        told = capsys.readouterr().out
        assert f"mapspace     {said}\n" in told
        assert "proof        optimal, of this mapspace: perfect factors" in told
        assert main([*words, f"mapspace.free={free}", "--json"]) == 0
        result = json.loads(capsys.readouterr().out)
        assert result["mapspace"] == said
        assert EVEN in result["certificate"]["assumed"]
        values[free] = result["objective"]["value"]
    assert values["true"] < values["false"]


@pytest.mark.slow
def test_constraints_of_files_are_lifted(tmp_path, capsys):
    files = [str(path) for path in timeloop_files.write(tmp_path)]
    rules = tmp_path / "rules.yaml"
    rules.write_text(
        "architecture_constraints:\n  targets:\n"
        "  - {target: Buf, type: temporal, factors: P=1}\n"
        "  - {target: Buf, type: bypass, bypass: [W]}\n",
        encoding="utf-8",
    )
    found = {}
    for free in (False, True):
        assert main(["map", *files, str(rules), f"mapspace.free={free}", "--json", "-q"]) == 0
        found[free] = json.loads(capsys.readouterr().out)
        text = mapspace_text(free=free, source="file")
        assert found[free]["search"]["mapspace"] == text
    least = [found[free]["metrics"][0]["value"] for free in (True, False)]
    assert least[0] <= least[1]
