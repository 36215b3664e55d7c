"""record=true: what the evaluator answered stands in the run folder, and can be learned from."""

import json

import numpy as np
import pytest

import dse
from dse.errors import SpecError
from dse.evaluators.native import NativeEvaluator
from dse.learned.data import read_data
from dse.runner.run import resume, start

GIVEN = {
    "arch": "gemmini",
    "workload": "dosa_bert",
    "optimizer": {"name": "random", "mappings_per_hardware": 3},
    "samples": 6,
    "n_jobs": 1,
    "record": True,
}


def test_every_answer_has_its_row(tmp_path):
    dse.run(**GIVEN, variables={"pe_dim": 16}, folder=tmp_path / "run")
    rows = read_data(tmp_path / "run")
    assert len(rows) >= 6 * 5
    for group in rows.groups:
        again = NativeEvaluator().evaluate(
            group.hardware, group.problem, group.mappings, group.index
        )
        assert np.array_equal(again.cycles, rows.cycles[group.at])


def test_a_run_that_goes_on_appends(tmp_path):
    class StoppedError(Exception):
        pass

    def stop(_):
        raise StoppedError

    started = start({**GIVEN, "samples": 60, "folder": str(tmp_path / "run")})
    with pytest.raises(StoppedError):
        started.execute(stop)
    before = (tmp_path / "run" / "rows.jsonl").read_bytes()
    with (tmp_path / "run" / "rows.jsonl").open("ab") as file:
        file.write(b'{"torn')
    resume(tmp_path / "run").execute()
    after = (tmp_path / "run" / "rows.jsonl").read_bytes()
    assert after.startswith(before)
    assert len(after) > len(before)
    read_data(tmp_path / "run")


def test_rows_that_were_changed_are_refused(tmp_path):
    dse.run(**GIVEN, folder=tmp_path / "run")
    path = tmp_path / "run" / "rows.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    record = json.loads(lines[3])
    assert record["source"] == "native"
    path.write_bytes(b"".join([*lines[:3], lines[3].replace(b"native", b"rtl"), *lines[4:]]))
    with pytest.raises(SpecError, match="line 4: damaged"):
        read_data(tmp_path / "run")


def test_without_it_there_are_none(tmp_path):
    dse.run(**{**GIVEN, "record": False}, folder=tmp_path / "run")
    assert not (tmp_path / "run" / "rows.jsonl").exists()
    with pytest.raises(SpecError, match=r"has no rows\.jsonl"):
        read_data(tmp_path / "run")
