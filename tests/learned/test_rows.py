"""Recorded rows: written and read again, DOSA's CSV, and files that are wrong."""

from __future__ import annotations

import json
from contextlib import closing

import numpy as np
import pytest
from learned_cases import DOSA, HEADER, LINE, mappings, rows

from dse.errors import SpecError
from dse.learned.data import read_data
from dse.learned.dosa_rows import mappings_of, read_dosa
from dse.learned.encoding import Encoding
from dse.learned.recorded import RowsWriter, problem_entries, read_rows
from dse.study.journal import Journal
from dse.testing import tiny


def dosa_file(tmp_path, text):
    path = tmp_path / "rows.csv"
    path.write_text(text)
    return path


def test_rows_of_dosa(tmp_path):
    found = read_data(dosa_file(tmp_path, HEADER + LINE * 2))
    assert len(found) == 2
    assert found.timeloop_version == "dosa"
    (group,) = found.groups
    assert group.problem.macs == 8 * 16 * 16
    assert group.hardware.architectures[0].level("Scratchpad").size_words == 65536
    table = found.encoded(Encoding(found.structure, timeloop_version="dosa"))
    assert np.allclose(np.exp(table.ln_cycles), 5000)
    small = read_dosa(dosa_file(tmp_path, HEADER + LINE), used_arrays=True)
    assert small.groups[0].hardware.architectures[0].compute.instances == 16


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("5000", "many", "line 2: target.gemmini_cycle = 'many'"),
        ("5000", "0", "line 2: cycles = 0"),
        ("P8,16", "P4,16", "factors of P make 4, expected 8"),
        ("L1[O]", "L1[W]", "line 2: mapping.mapping"),
        (" K4 ", " Z4 ", "line 2: mapping.mapping"),
        (",65536,", ",-1,", "line 2: arch.mem2_entries = '-1'"),
        (",65536,", ",", "expected 16 values"),
        (",1,1,8,", ",1,1,0,", "P = 0"),
    ],
)
def test_wrong_rows_of_dosa(tmp_path, old, new, message):
    with pytest.raises(SpecError, match=message.replace("[", r"\[")) as error:
        read_data(dosa_file(tmp_path, HEADER + LINE.replace(old, new)))
    assert "rows.csv" in str(error.value) or "line 2" in str(error.value)


def test_mappings_of_dosa_are_innermost_first():
    batch, order = mappings_of(["L3[WIO] K4 P2 - L2[WI] N1 - L1[O] N1 - L0[W] N1"])
    assert order[3, :2, 0].tolist() == [2, 5]
    assert batch.temporal[3, :, 0].tolist() == [1, 1, 2, 1, 1, 4, 1]


def test_written_rows_are_read_again(tmp_path):
    source = read_dosa(dosa_file(tmp_path, HEADER + LINE)).groups[0]
    row = source.hardware.architectures[0], source.problem, source.mappings[0]
    path = tmp_path / "rows.jsonl"
    with closing(RowsWriter(path, "dosa")) as writer:
        for cycles in (10.0, 20.0):
            writer.add(*row, cycles, source="test", layer="one")
        kept = writer.journal.size_bytes, writer.journal.crc
    with closing(RowsWriter(path, "dosa", size_bytes=kept[0], crc=kept[1])) as writer:
        writer.add(*row, 30.0, source="test")
    found = read_data(tmp_path)
    assert found.cycles.tolist() == [10, 20, 30]
    assert found.layers == ("one", "one", "")
    (group,) = found.groups
    assert group.problem == source.problem
    assert group.mappings[2] == source.mappings[0]
    assert group.hardware.architectures[0].levels[2].size_words == 65536
    native = [
        r.encoded(Encoding(r.structure, ("energy",), "dosa")).energy_pj[0]
        for r in (found, read_dosa(tmp_path / "rows.csv"))
    ]
    assert native[0] == pytest.approx(native[1], rel=1e-6)
    assert read_rows(path).digest == found.digest


def test_a_shape_of_its_own_is_written_in_full():
    problem = tiny.problem()
    entries = problem_entries(problem)
    assert json.loads(json.dumps(entries)) == entries


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("cycles", float("1e999"), "cycles"),
        ("cycles", "many", "cycles = 'many'"),
        ("problem", {"shape": "none", "bounds": {}, "coefficients": {}}, "problem.shape"),
        ("mapping", {"sizes": [1, 1, 1], "numbers": [1]}, "numbers"),
        ("mapping", {"sizes": [4, 7, 3], "numbers": [2**40]}, "numbers"),
        ("architecture", "architecture: {}", "bad.jsonl, line 2"),
        ("architecture", 3, "architecture = 3"),
        ("more", 1, "unknown key 'more'"),
    ],
)
def test_wrong_rows(tmp_path, key, value, message):
    source = read_dosa(dosa_file(tmp_path, HEADER + LINE)).groups[0]
    with closing(RowsWriter(tmp_path / "good.jsonl", "dosa")) as writer:
        machine = source.hardware.architectures[0]
        writer.add(machine, source.problem, source.mappings[0], 10.0, source="test")
    lines = [json.loads(x) for x in (tmp_path / "good.jsonl").read_text().splitlines()]
    for line in lines:
        del line["crc"]
    if value == float("inf"):
        value = -1.0
    path = tmp_path / "bad.jsonl"
    with Journal(path) as journal:
        journal.write(lines[0])
        journal.write({**lines[1], key: value})
    with pytest.raises(SpecError, match=message) as error:
        read_data(path)
    assert "bad.jsonl, line 2" in str(error.value)


def test_what_is_no_data(tmp_path):
    with pytest.raises(SpecError, match="no such file"):
        read_data(tmp_path / "none.csv")
    with pytest.raises(SpecError, match=r"has no rows\.jsonl"):
        read_data(tmp_path)
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    with pytest.raises(SpecError, match="expected a run folder"):
        read_data(tmp_path / "other.csv")
    with pytest.raises(SpecError, match="timeloop_version"):
        RowsWriter(tmp_path / "x.jsonl", "4.0")


def test_made_up_rows_become_a_table():
    _, _, batch = mappings()
    table = rows().encoded(Encoding(rows().structure))
    assert len(table) == len(batch)
    assert table.names[0].startswith("hardware.")
    assert (table.take(np.array([3, 1])).ln_cycles == table.ln_cycles[[3, 1]]).all()


@pytest.mark.skipif(not DOSA.is_dir(), reason="DOSA's data are not there")
def test_all_recorded_rows_are_read():
    found = read_data(DOSA / "firesim_test.csv")
    assert (len(found), len(found.groups)) == (222, 71)
    table = found.encoded(Encoding(found.structure, ("native",), "dosa"))
    assert np.corrcoef(table.ln_native, table.ln_cycles)[0, 1] > 0.99
