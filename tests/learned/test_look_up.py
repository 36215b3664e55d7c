"""evaluator=recorded: cycles looked up in rows, and what has none."""

from dataclasses import replace
from typing import ClassVar

import numpy as np
import pytest
from learned_cases import DOSA, HEADER, LINE, mappings

import dse
from dse.domain.architecture import HardwareBatch
from dse.domain.mapping import MappingBatch
from dse.errors import SpecError
from dse.evaluators.native import NativeEvaluator
from dse.learned.look_up import RecordedEvaluator, RecordedSettings
from dse.learned.recorded import RowsWriter
from dse.testing.evaluators import EvaluatorConformance


def written(path, factor=3.0, count=20, twice=False):
    """Rows of the first mappings whose cycles are the native ones, times a factor."""
    hardware, problem, batch = mappings()
    first = hardware.architectures[0]
    native = NativeEvaluator().evaluate(first, problem, batch)
    rows = RowsWriter(path, "4cf6d4c")
    for b in range(count):
        for f in (factor, 5 * factor, 7 * factor) if twice else (factor,):
            cycles = float(native.cycles[b] * f)
            rows.add(first, problem, batch[b], cycles, source="a test")
    rows.close()
    return path


class TestRecorded(EvaluatorConformance):
    evaluator = "recorded"
    settings: ClassVar[dict[str, str]] = {}

    @pytest.fixture(autouse=True)
    def _rows(self, tmp_path):
        rows = written(tmp_path / "rows.jsonl")
        type(self).settings = {"data": str(rows), "otherwise": "native"}


def test_what_is_recorded_is_told_and_the_rest_rejected(tmp_path):
    hardware, problem, batch = mappings()
    evaluator = RecordedEvaluator(settings=RecordedSettings(str(written(tmp_path / "rows.jsonl"))))
    native = NativeEvaluator().evaluate(hardware.architectures[0], problem, batch)
    found = evaluator.evaluate(hardware.architectures[0], problem, batch)
    assert found.valid[:20].all()
    assert np.array_equal(found.cycles[:20], 3 * native.cycles[:20])
    assert np.array_equal(found.energy_pj[:20], native.energy_pj[:20])
    assert np.allclose(found.utilization[:20], native.utilization[:20] / 3)
    # twenty different rows: no other mapping is one of them
    assert not found.valid[20:].any()
    reason = evaluator.explain(hardware.architectures[0], problem, batch, 30)
    assert "has no row of this mapping" in reason.message
    assert evaluator.explain(hardware.architectures[0], problem, batch, 3) is None
    assert not evaluator.evaluate(hardware.architectures[1], problem, batch).valid.any()


def test_the_other_evaluator_is_asked_where_there_is_no_row(tmp_path):
    hardware, problem, batch = mappings()
    rows = str(written(tmp_path / "rows.jsonl"))
    evaluator = RecordedEvaluator(settings=RecordedSettings(rows, otherwise="native"))
    both = HardwareBatch(hardware.architectures[:2])
    index = np.arange(len(batch), dtype=np.int32) % 2
    native = NativeEvaluator().evaluate(both, problem, batch, index)
    found = evaluator.evaluate(both, problem, batch, index)
    known = (np.arange(len(batch)) < 20) & (index == 0)
    expected = np.where(known, 3 * native.cycles, native.cycles)
    assert np.array_equal(found.cycles, expected, equal_nan=True)
    assert np.array_equal(found.energy_pj, native.energy_pj, equal_nan=True)


def test_loops_of_one_iteration_and_prices_do_not_matter(tmp_path):
    hardware, problem, batch = mappings()
    evaluator = RecordedEvaluator(settings=RecordedSettings(str(written(tmp_path / "rows.jsonl"))))
    one = batch[0]
    order = np.take_along_axis(one.temporal, one.permutation.astype(np.intp), axis=1)
    loops_last = np.argsort(order > 1, axis=1, kind="stable")
    moved = replace(one, permutation=np.take_along_axis(one.permutation, loops_last, axis=1))
    assert moved != one
    first = hardware.architectures[0]
    level = first.levels[-1]
    dearer = first.with_levels(
        **{level.name: replace(level, energy=replace(level.energy, read_pj=1234.5))}
    )
    assert evaluator.evaluate(first, problem, MappingBatch.of([moved])).valid[0]
    assert evaluator.evaluate(dearer, problem, MappingBatch.of([one])).valid[0]
    slower = first.with_levels(**{level.name: replace(level, read_bandwidth=1.0)})
    assert not evaluator.evaluate(slower, problem, MappingBatch.of([one])).valid[0]


def test_of_several_rows_the_median_counts(tmp_path):
    hardware, problem, batch = mappings()
    rows = str(written(tmp_path / "rows.jsonl", twice=True))
    first = hardware.architectures[0]
    found = RecordedEvaluator(settings=RecordedSettings(rows)).evaluate(first, problem, batch)
    native = NativeEvaluator().evaluate(first, problem, batch)
    assert np.allclose(found.cycles[:20], 15 * native.cycles[:20])


def test_a_run_is_played_again_from_what_it_recorded(tmp_path):
    given = {
        "arch": "gemmini",
        "workload": "dosa_bert",
        "optimizer": {"name": "random", "mappings_per_hardware": 3},
        "variables": {"pe_dim": 16},
        "samples": 6,
    }
    first = dse.run(**given, evaluator="cycles", record=True, folder=tmp_path / "run")
    recorded = {"name": "recorded", "data": str(tmp_path / "run")}
    again = dse.run(**given, evaluator=recorded, folder=tmp_path / "again")
    assert again.metrics == first.metrics
    assert again.design == first.design
    with pytest.raises(SpecError, match="another evaluator"):
        dse.run(**given, evaluator={**recorded, "otherwise": "recorded"}, folder=tmp_path / "x")


def test_data_are_needed(tmp_path):
    with pytest.raises(SpecError, match=r"evaluator\.data: expected recorded rows"):
        RecordedEvaluator()
    with pytest.raises(SpecError, match="there is no such file"):
        RecordedEvaluator(settings=RecordedSettings(str(tmp_path / "none.jsonl")))


def test_dosas_rows_answer_for_the_array_that_ran_them(tmp_path):
    path = tmp_path / "firesim.csv"
    path.write_text(HEADER + LINE.replace(",16,256,", ",128,32,"))
    named = RecordedEvaluator("dosa", settings=RecordedSettings(str(path)))
    used = RecordedEvaluator("dosa", settings=RecordedSettings(str(path), used_arrays=True))
    group = used.rows.groups[0]
    assert used.evaluate(group.hardware, group.problem, group.mappings).cycles[0] == 5000
    assert not named.evaluate(group.hardware, group.problem, group.mappings).valid[0]


@pytest.mark.reference
def test_all_of_dosas_rows_are_found():
    settings = RecordedSettings(str(DOSA / "firesim_test.csv"))
    evaluator = RecordedEvaluator("dosa", settings=settings)
    for group in evaluator.rows.groups:
        found = evaluator.evaluate(group.hardware, group.problem, group.mappings, group.index)
        assert found.valid.all()
