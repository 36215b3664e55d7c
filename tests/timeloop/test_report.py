"""Reports and the ``model`` command."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace

import pytest
from reference_cases import SUBSET, read_cases, version_of

import dse
from dse.cli import model as command
from dse.cli.mapped import tensor_table
from dse.timeloop.evaluate import evaluate_text
from dse.timeloop.write.report import energies_pj, map_text, stats_json, summary_text
from dse.timeloop.write.stats import stats_text

CASES = {case["id"]: case for case in read_cases(SUBSET)}
GOOD = [case for case in CASES.values() if case["status"] == "ok"]
REJECTED = next(case for case in CASES.values() if case["status"] == "rejected")
BROKEN = next(case for case in CASES.values() if case["status"] == "error")


@pytest.mark.parametrize("case", GOOD[::5], ids=lambda case: case["id"])
def test_the_parts_add_up_to_the_total_energy(case):
    evaluation = evaluate_text(case["input"], version_of(case))
    total = sum(energy_pj for _, energy_pj in energies_pj(evaluation))
    assert total == pytest.approx(evaluation.stats.energy_pj, rel=1e-9)


@pytest.mark.parametrize("case", GOOD[::20], ids=lambda case: case["id"])
def test_the_stats_file_says_what_timeloop_said(case):
    text = stats_text(evaluate_text(case["input"], version_of(case)))
    summary = text[text.index("Summary Stats") :]
    assert f"\nCycles: {case['cycles']}\n" in summary
    assert f"\nEnergy: {case['energy_uj']:.2f} uJ\n" in summary
    assert f"= {case['energy_pj_per_compute'] * 1000:.2f}\n" in summary
    for level in case["levels"]:
        assert f"=== {level} ===" in text


def test_the_map_shows_the_loop_nest():
    text = map_text(evaluate_text(NEST))
    assert text == NEST_MAP


def test_the_json_is_complete_and_plain():
    evaluation = evaluate_text(NEST)
    found = json.loads(json.dumps(stats_json(evaluation), allow_nan=False))
    assert found["schema"] == "dse.model/1"
    assert found["cycles"] == evaluation.stats.cycles
    buffer = found["levels"]["Buffer"]["tensors"]["A"]
    assert buffer["reads"] == evaluation.stats.levels["Buffer"].tensors["A"].reads
    assert set(found["networks"]) == {"Buffer <==> MAC", "DRAM <==> Buffer"}


def test_free_networks_are_left_out_of_the_summary():
    evaluation = evaluate_text(NEST)
    assert "<==>" not in summary_text(evaluation)
    assert "cycles       24" in summary_text(evaluation)


@pytest.mark.parametrize("case", GOOD[::4], ids=lambda case: case["id"])
def test_the_rows_of_both_tables_add_up_to_the_total(case):
    evaluation = evaluate_text(case["input"], version_of(case))
    total = evaluation.stats.energy_uj
    _, rule, *rows = tensor_table(evaluation).splitlines()
    *parts, last = (float(row.split()[-1].replace(",", "")) for row in rows)
    assert last == pytest.approx(total, abs=1e-3)
    assert sum(parts) == pytest.approx(total, abs=5e-4 * len(parts) + 1e-3)
    lines = summary_text(evaluation).split("\n\n")[0].splitlines()
    *parts, last = (row.rstrip("%").split() for row in lines[2:] if not row.startswith("--"))
    shown = sum(float(row[-3].replace(",", "")) for row in parts)
    assert shown == pytest.approx(total, abs=5e-5 * len(parts) + 1e-4)
    assert set(rule) == {"-"}


def test_a_perfectly_free_design_has_a_summary():
    evaluation = evaluate_text(NEST)
    free = replace(evaluation, stats=replace(evaluation.stats, energy_pj=0.0))
    assert "0.0%" in summary_text(free)


# ----------------------------------------------------------------------------------- the command


def write(tmp_path, text):
    path = tmp_path / "in.yaml"
    path.write_text(text)
    return str(path)


def test_the_command_prints_a_summary_and_writes_reports(tmp_path, capsys):
    out = tmp_path / "a" / "b"
    assert command.main([write(tmp_path, NEST), "-o", str(out)]) == 0
    assert "pJ/compute" in capsys.readouterr().out
    assert (out / "timeloop-model.map.txt").read_text() == NEST_MAP
    assert "Cycles: 24" in (out / "timeloop-model.stats.txt").read_text()
    assert json.loads((out / "stats.json").read_text())["cycles"] == 24


def test_the_command_prints_json(tmp_path, capsys):
    assert command.main([write(tmp_path, NEST), "--json", "--timeloop-version", "3.0.3"]) == 0
    assert json.loads(capsys.readouterr().out)["timeloop_version"] == "3.0.3"


def test_a_rejection_is_timeloops_line_and_code_3(tmp_path, capsys):
    path = write(tmp_path, REJECTED["input"])
    assert command.main([path, "--timeloop-version", version_of(REJECTED)]) == 3
    captured = capsys.readouterr()
    assert captured.err == REJECTED["message"].strip() + "\n"
    assert captured.out == ""
    with pytest.raises(dse.InvalidMapping):
        dse.model_files(path, timeloop_version=version_of(REJECTED))


def test_broken_input_is_one_error(tmp_path):
    with pytest.raises(dse.SpecError, match=r"in\.yaml"):
        command.main([write(tmp_path, BROKEN["input"])])
    with pytest.raises(dse.SpecError, match="did you mean '4cf6d4c'"):
        command.main([write(tmp_path, NEST), "--timeloop-version", "4cf6d4"])


def test_an_output_folder_that_is_a_file_is_one_error(tmp_path):
    path = write(tmp_path, NEST)
    with pytest.raises(dse.SpecError, match="cannot be written"):
        command.main([path, "-o", path])


def test_model_files_merges_files(tmp_path):
    text, mapping = NEST.split("mapping:")
    (tmp_path / "a.yaml").write_text(text)
    (tmp_path / "b.yaml").write_text("mapping:" + mapping)
    assert dse.model_files(tmp_path / "a.yaml", str(tmp_path / "b.yaml")).cycles == 24


def test_usage_errors_have_code_2():
    done = subprocess.run(
        [sys.executable, "-m", "dse", "model"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "usage" in done.stderr


NEST = """\
architecture:
  version: 0.4
  subtree:
  - name: system
    local:
    - {name: DRAM, class: DRAM, attributes: {instances: 1}}
    - {name: Buffer, class: SRAM, attributes: {instances: 1, entries: 64}}
    - {name: MAC, class: intmac, attributes: {instances: 4, meshX: 2, meshY: 2}}
problem:
  shape: gemm-ABZ
  instance: {M: 4, N: 6, K: 4}
mapping:
- {target: DRAM, type: temporal, factors: M=2 N=1 K=4, permutation: KMN}
- {target: Buffer, type: bypass, keep: [A, B], bypass: [Z]}
- {target: Buffer, type: temporal, factors: N=3, permutation: NKM}
- {target: Buffer, type: spatial, factors: M=2 N=2, permutation: MNK, split: 1}
"""

NEST_MAP = """\
DRAM [ A:16 (16) B:24 (24) Z:24 (24) ] 
--------------------------------------
| for M in [0:2)
|   for K in [0:4)

Buffer [ A:2 (2) B:6 (6) ] 
--------------------------
|     for N in [0:3)
|       for N in [0:2) (Spatial-Y)
|         for M in [0:2) (Spatial-X)
|           << Compute >>
"""  # noqa: W291 - Timeloop ends its headers with a blank
