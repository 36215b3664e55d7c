"""Searches on Timeloop's files, against all mappings there are."""

import numpy as np
import pytest
import timeloop_files

from dse.errors import NothingFeasible, SpecError
from dse.mapspace.enumeration import enumerate_valid
from dse.mapspace.space import Mapspace
from dse.model import evaluate_one
from dse.timeloop.evaluate import Evaluation
from dse.timeloop.mapper_run import tasks
from dse.timeloop.read.inputs import TimeloopInput, read_files
from dse.timeloop.search import metric_value
from dse.timeloop.write.mapper import map_yaml

EVERY = {"mapper": {"name": "exhaustive"}, "samples": 100_000}


def all_values(task, metrics):
    """Return the values of the metrics, in order, of every valid mapping."""
    project = task.project
    space = Mapspace(project.problem, project.architecture, project.constraints)
    rows = []
    for batch in enumerate_valid(space, 1000):
        for b in range(len(batch)):
            mapping = batch[b]
            stats = evaluate_one(project.architecture, project.problem, mapping)
            spec = TimeloopInput(project.architecture, project.problem, mapping, "4cf6d4c")
            evaluation = Evaluation(spec, mapping, stats)
            rows.append(tuple(metric_value(evaluation, m) for m in metrics))
    return rows


@pytest.mark.slow
@pytest.mark.parametrize("mapper", ["exhaustive", "optimal"])
@pytest.mark.parametrize(
    "metrics",
    [
        ("edp",),
        ("energy", "delay"),
        ("delay", "energy"),
        ("accesses-1", "delay"),
        ("accesses-0",),
    ],
)
def test_the_best_of_all_mappings_is_found(tmp_path, mapper, metrics):
    files = timeloop_files.write(tmp_path, size=6, constraints=timeloop_files.KEEP)
    settings = {"mapper": mapper, "samples": 100_000, "objective": ", ".join(metrics)}
    (task,) = tasks(files, settings=settings)
    found = task.run()
    assert tuple(name for name, _, _ in found.metrics) == metrics
    best = min(all_values(task, metrics))
    assert tuple(value for _, value, _ in found.metrics) == pytest.approx(best, rel=1e-12)
    if mapper == "optimal":
        assert found.certificate.optimal


def test_where_no_proof_can_be_begun_heuristics_search_and_that_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr("dse.mappers.exact.shape.MOST_TILES", 1)
    files = timeloop_files.write(tmp_path, size=6, constraints=timeloop_files.KEEP)
    (task,) = tasks(files, settings={"samples": 500})
    found = task.run()
    assert found.certificate.bound is None
    assert "tile shapes" in found.certificate.assumed
    assert "heuristics searched in the proof's place, with 500 samples" in found.notes
    assert found.evaluation.stats.cycles > 0


def test_a_mapping_obeys_the_constraints(tmp_path):
    files = timeloop_files.write(tmp_path, constraints=timeloop_files.CONSTRAINTS)
    (task,) = tasks(files, settings=EVERY)
    mapping = task.run().evaluation.mapping
    assert mapping.temporal[-1, task.project.problem.dimensions.index("P")] == 1


def test_several_problems_are_as_many_searches(tmp_path):
    files = timeloop_files.write(tmp_path)
    for size in (4, 9):
        (tmp_path / f"p{size}.yaml").write_text(timeloop_files.PROBLEM % size)
        files.append(str(tmp_path / f"p{size}.yaml"))
    found = tasks(files, settings=EVERY)
    assert [(t.name, t.project.problem.bounds["P"]) for t in found] == [
        ("prob", 16),
        ("p4", 4),
        ("p9", 9),
    ]


def test_nothing_found_says_why(tmp_path):
    files = timeloop_files.write(tmp_path)
    text = (tmp_path / "arch.yaml").read_text().replace("depth: 64", "depth: 2")
    (tmp_path / "arch.yaml").write_text(text)
    files.append(str(tmp_path / "keep.yaml"))
    (tmp_path / "keep.yaml").write_text(timeloop_files.KEEP)
    (task,) = tasks(files, settings=EVERY)
    with pytest.raises(NothingFeasible, match="even with the smallest tiles.*Buf"):
        task.run()


def test_the_written_map_is_read_back_as_it_was(tmp_path):
    files = timeloop_files.write(tmp_path)
    (task,) = tasks(files, settings=EVERY)
    found = task.run().evaluation
    (tmp_path / "map.yaml").write_text(
        map_yaml(found.mapping, found.input.architecture, found.input.problem)
    )
    back = read_files([*files, tmp_path / "map.yaml"])
    for name in ("temporal", "spatial", "keep"):
        np.testing.assert_array_equal(getattr(back.mapping, name), getattr(found.mapping, name))
    again = evaluate_one(back.architecture, back.problem, back.mapping)
    assert again == found.stats


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"samples": 0}, "samples = 0, expected at least 1"),
        ({"seed": -1}, "seed = -1"),
        ({"mapper": "optimum"}, "did you mean 'optimal'"),
        ({"mapper": {"name": "optimal", "node": 1}}, "mapper.node"),
        ({"objective": "edq"}, "unknown metric 'edq'"),
        ({"timeloop_version": "5"}, "unknown timeloop_version '5'"),
        ({"budget": 1}, "unknown setting 'budget'"),
    ],
)
def test_wrong_settings_are_refused(tmp_path, settings, told):
    with pytest.raises(SpecError, match=told):
        tasks(timeloop_files.write(tmp_path), settings=settings)


def test_accesses_are_counted_and_the_prices_are_the_hardwares_own(tmp_path):
    (task,) = tasks(timeloop_files.write(tmp_path), settings={**EVERY, "objective": "accesses-1"})
    found = task.run()
    assert found.evaluation.input.architecture == task.project.architecture
    assert found.metrics == (("accesses-1", 3.0 + 18.0 + 16.0, "accesses"),)


def test_problems_of_one_name_are_told_apart(tmp_path):
    files = timeloop_files.write(tmp_path)
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "prob.yaml").write_text(timeloop_files.PROBLEM % 4)
        files.append(str(tmp_path / folder / "prob.yaml"))
    assert [task.name for task in tasks(files, settings=EVERY)] == ["prob", "prob~2", "prob~3"]


@pytest.mark.slow
def test_a_proof_is_of_the_mapping_that_is_returned(tmp_path):
    files = timeloop_files.write(tmp_path, size=6, constraints=timeloop_files.KEEP)
    settings = {"mapper": "optimal", "samples": 2000, "objective": "delay, energy"}
    (task,) = tasks(files, settings=settings)
    found = task.run()
    assert found.certificate.value == found.metrics[0][1] == found.evaluation.stats.cycles
    assert found.certificate.optimal


@pytest.mark.parametrize("mapper", [3, [["x"]], ["optimal"]])
def test_a_mapper_that_is_no_name_is_refused(tmp_path, mapper):
    with pytest.raises(SpecError, match="mapper = .*: expected a name"):
        tasks(timeloop_files.write(tmp_path), settings={"mapper": mapper})


@pytest.mark.slow
@pytest.mark.parametrize("most", [2, 3])
def test_the_best_mapping_with_few_temporal_loops_is_found(tmp_path, most):
    files = timeloop_files.write(tmp_path, size=6, constraints=timeloop_files.KEEP)
    limit = f"{{max_temporal_loops_in_a_mapping: {most}, optimization_metric: energy}}"
    (tmp_path / "mapper.yaml").write_text(f"mapper: {limit}\n")
    (task,) = tasks(files, settings={"samples": 3000})
    found = task.run()
    mapping = found.evaluation.mapping
    assert (mapping.temporal > 1).sum() <= most
    project = task.project
    space = Mapspace(project.problem, project.architecture, project.constraints)
    values = [
        evaluate_one(project.architecture, project.problem, batch[b]).energy_pj
        for batch in enumerate_valid(space, 1000)
        for b in range(len(batch))
        if (batch[b].temporal > 1).sum() <= most
    ]
    assert found.metrics[0][1] == pytest.approx(min(values), rel=1e-12)
    # the proof of all mappings is one of these, too, where its mapping has few loops
    assert (found.certificate is None) == any("nothing is proven" in note for note in found.notes)


@pytest.mark.slow
def test_a_limit_that_nothing_keeps_is_named(tmp_path):
    rules = timeloop_files.KEEP + "  - {target: DRAM, type: temporal, factors: P=2 R=3}\n"
    files = timeloop_files.write(tmp_path, constraints=rules)
    (tmp_path / "mapper.yaml").write_text("mapper: {max_temporal_loops_in_a_mapping: 1}\n")
    (task,) = tasks(files, settings={"samples": 200})
    with pytest.raises(NothingFeasible, match="with at most 1 temporal loops"):
        task.run()
