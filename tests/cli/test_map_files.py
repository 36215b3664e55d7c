"""``dse map`` on Timeloop's files."""

import json
from pathlib import Path

import pytest
import timeloop_files

from dse.cli import main

SEARCH = ["mapper=exhaustive", "samples=100000"]


def test_files_in_any_order_beside_settings(tmp_path, capsys):
    arch, prob, mapper = timeloop_files.write(tmp_path)
    out = tmp_path / "out"
    assert main(["map", mapper, "mapper=exhaustive", arch, "-o", str(out), prob]) == 0
    told = capsys.readouterr()
    assert "metrics      edp = 235600 pJ x cycle" in told.out
    assert f"folder       {out}" in told.out
    assert "<< Compute >>" in told.out
    names = {f"timeloop-mapper.{x}" for x in ("map.yaml", *timeloop_files.WRITTEN)}
    assert {p.name for p in out.iterdir()} == names
    # timeloop-model reads the files that were written
    assert main(["model", arch, prob, str(out / "timeloop-mapper.map.yaml"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["cycles"] == 48


def test_oaves_are_written_where_the_block_asks(tmp_path, capsys):
    arch, prob, mapper = timeloop_files.write(tmp_path)
    text = Path(mapper).read_text().replace("mapper: {", "mapper: {log_oaves: True, ")
    Path(mapper).write_text(text)
    out = tmp_path / "out"
    assert main(["map", arch, prob, mapper, *SEARCH, "-o", str(out)]) == 0
    told = (out / "timeloop-mapper.oaves.csv").read_text()
    assert told.count("\n") == 1
    assert "L1[" in told
    assert "log_oaves = True: one line, of the mapping found" in capsys.readouterr().err


def test_several_problems_are_a_table(tmp_path, capsys):
    files = timeloop_files.write(tmp_path)
    (tmp_path / "large.yaml").write_text(timeloop_files.PROBLEM % 100)
    out = tmp_path / "out"
    argv = ["map", *files, str(tmp_path / "large.yaml"), *SEARCH, "-o", str(out)]
    assert main(argv) == 0
    told = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in told[2:]] == ["prob", "large"]
    assert (out / "large" / "timeloop-mapper.map.yaml").is_file()
    assert main([*argv, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [one["problem"] for one in found] == ["prob", "large"]


def test_a_problem_without_mapping_is_told_beside_the_others(tmp_path, capsys):
    files = timeloop_files.write(tmp_path)
    wrong = timeloop_files.PROBLEM % 17
    (tmp_path / "large.yaml").write_text(wrong)
    (tmp_path / "c.yaml").write_text(
        "mapspace_constraints: {targets: [{target: DRAM, type: temporal, factors: P=1},"
        " {target: Buf, type: temporal, factors: P<=16}]}"
    )
    argv = ["map", *files, str(tmp_path / "large.yaml"), str(tmp_path / "c.yaml"), *SEARCH]
    assert main([*argv, "--json"]) == 3
    told = capsys.readouterr()
    found = json.loads(told.out)
    assert "stats" in found[0]
    assert "P = 17 cannot be split" in found[1]["error"]
    assert "error: large: " in told.err


def test_a_problem_padded_to_fixed_factors_is_written_with_its_mapping(tmp_path, capsys):
    arch, prob, mapper = timeloop_files.write(tmp_path, size=14)
    rules = tmp_path / "c.yaml"
    rules.write_text("mapspace_constraints: [{target: Buf, type: temporal, factors: P=4}]")
    out = tmp_path / "out"
    assert main(["map", arch, prob, mapper, str(rules), *SEARCH, "-o", str(out)]) == 0
    capsys.readouterr()
    written = [str(out / f"timeloop-mapper.{x}.yaml") for x in ("problem", "map")]
    assert main(["model", arch, *written, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["computes"] == 3 * 16


def test_notes_go_to_stderr_and_can_be_silenced(tmp_path, capsys):
    files = timeloop_files.write(tmp_path)
    (tmp_path / "mapper.yaml").write_text("mapper: {timeout: 10, optimization_metric: delay}")
    assert main(["map", *files, *SEARCH]) == 0
    assert "mapper.timeout = 10: not used" in capsys.readouterr().err
    assert main(["map", *files, *SEARCH, "-q"]) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["nothing.yaml"], "nothing.yaml: no such file"),
        (["sampels=3"], "unknown setting 'sampels'; did you mean 'samples'"),
        (["samples=x"], "samples"),
        (["mapper.node=3"], "did you mean 'mapper.nodes'"),
        (["nothing"], "'nothing': expected a file that exists, or SETTING=VALUE"),
        (["arch=gemmini"], "unknown setting 'arch'"),
    ],
)
def test_wrong_words_are_refused(tmp_path, capsys, words, told):
    assert main(["map", *timeloop_files.write(tmp_path), *words]) == 2
    assert told in capsys.readouterr().err


def test_help_tells_of_files(capsys):
    with pytest.raises(SystemExit) as end:
        main(["map", "arch.yaml", "--help"])
    assert end.value.code == 0
    assert "optimization_metrics" in capsys.readouterr().out
