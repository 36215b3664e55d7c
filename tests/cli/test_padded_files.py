"""``dse map`` on Timeloop's files with padding."""

import json

import pytest
import timeloop_files

from dse.cli import main

#: Four MACs with a small buffer each: 13 outputs take 13 rounds, 16 take 4.
ARRAY = timeloop_files.ARCH.replace(
    "    subtree:\n    - name: PE",
    "    - {name: Glb, class: SRAM, attributes: {depth: 512, width: 8, word_bits: 8}}\n"
    "    subtree:\n    - name: PE",
)
for _name in ("Buf", "MAC"):
    ARRAY = ARRAY.replace(f"name: {_name},", f'name: "{_name}[0..3]",')
OUTER = """
mapspace_constraints:
  targets:
  - {target: DRAM, type: temporal, factors: R=1 P=1}
  - {target: Glb, type: spatial, factors: R=1}
  - {target: Glb, type: bypass, keep: [W, I, O]}
  - {target: Buf, type: bypass, keep: [W, I, O]}
"""


@pytest.fixture
def files(tmp_path):
    arch, prob, mapper = timeloop_files.write(tmp_path, size=13)
    (tmp_path / "arch.yaml").write_text(ARRAY)
    (tmp_path / "rules.yaml").write_text(OUTER)
    return [arch, prob, mapper, str(tmp_path / "rules.yaml"), "samples=2000"]


def mapped(capsys, words):
    assert main(["map", *words, "--json", "-q"]) == 0
    return json.loads(capsys.readouterr().out)


def test_files_are_mapped_as_they_are_unless_told_otherwise(files, capsys):
    found = mapped(capsys, files)
    assert found["search"]["padding"] == "off"
    assert "padding" not in found
    assert found["stats"]["computes"] == 3 * 13
    assert mapped(capsys, [*files, "mapspace.padding=off"])["stats"] == found["stats"]


def test_the_padded_problem_is_written_beside_its_mapping(files, tmp_path, capsys):
    plain = mapped(capsys, files)
    out = tmp_path / "out"
    found = mapped(capsys, [*files, "mapspace.padding=auto", "-o", str(out)])
    value, without = found["metrics"][0]["value"], plain["metrics"][0]["value"]
    assert value < without
    assert found["padding"]["unpadded"]["value"] == without
    assert found["padding"]["unpadded"]["certificate"] == plain["certificate"]
    assert found["padding"]["sizes"].startswith("P 13 -> ")
    assert found["certificate"]["optimal"]
    assert "padding=auto: " in found["certificate"]["assumed"]
    written = [str(out / f"timeloop-mapper.{x}.yaml") for x in ("problem", "map")]
    assert main(["model", files[0], *written, "--json"]) == 0
    stats = json.loads(capsys.readouterr().out)
    assert stats == found["stats"]
    assert stats["computes"] > 3 * 13


def test_what_it_buys_is_a_line(files, capsys):
    assert main(["map", *files, "mapspace.padding=auto", "-q"]) == 0
    (line,) = [x for x in capsys.readouterr().out.splitlines() if x.startswith("padded ")]
    assert " x less than the proven optimum of this mapspace without, " in line
    assert main(["map", *files, "mapspace.padding=1%", "-q"]) == 0
    told = capsys.readouterr().out
    assert "\npadded " not in told
    assert ", padding 1%" in told


def test_accesses_can_be_what_is_minimised(files, capsys):
    words = [*files, "objective=last_level_accesses,delay", "mapspace.padding=auto"]
    found = mapped(capsys, words)
    plain = mapped(capsys, [*files, "objective=last_level_accesses,delay"])
    assert found["metrics"][0]["value"] <= plain["metrics"][0]["value"]


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("mapspace.padding=some", "mapspace.padding = some: expected off, auto, or a share"),
        ("mapspace.pading=auto", "did you mean 'mapspace.padding'"),
    ],
)
def test_wrong_words_are_refused(files, capsys, word, told):
    assert main(["map", *files, word]) == 2
    assert told in capsys.readouterr().err
