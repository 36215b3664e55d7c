"""Searches of mappings for sparse designs, against all mappings there are."""

from __future__ import annotations

import json
import math

import pytest
import timeloop_files

from dse.cli import main
from dse.errors import InvalidMapping, SpecError
from dse.mapspace.enumeration import enumerate_valid
from dse.mapspace.space import Mapspace
from dse.sparse.evaluate import evaluate_sparse
from dse.timeloop.evaluate import evaluate_files
from dse.timeloop.mapper_run import tasks

_CP = "{format: CP, flattened_rankIDs: [[R, P]]}"
_STORED = f"representation_format: {{data_spaces: [{{name: I, ranks: [{_CP}]}}]}}"
SPARSE = f"""
sparse_optimizations:
  targets:
  - {{name: DRAM, {_STORED}}}
  - {{name: GlobalBuffer, {_STORED}}}
  - name: Buffer
    {_STORED}
    action_optimization:
    - {{type: skipping, options: [{{target: W, condition_on: [I]}}]}}
"""
ROOM = "metadata_storage_width: 8, metadata_storage_depth: 64"
DENSITY = "I: {distribution: hypergeometric, density: 0.3}"


def files_of(folder, size=6, sparse=SPARSE, density=DENSITY):
    """Write a sparse design without a mapping; return the files' names."""
    problem = (timeloop_files.PROBLEM % size).rstrip()
    texts = {
        "arch": timeloop_files.CHIP,
        "problem": f"{problem[:-1]}, densities: {{{density}}}}}\n",
        "sparse": sparse,
    }
    for name, text in texts.items():
        (folder / f"{name}.yaml").write_text(text)
    return [str(folder / f"{name}.yaml") for name in texts]


def test_the_best_of_all_mappings_is_found(tmp_path):
    settings = {"mapper": {"name": "exhaustive"}, "samples": 10**6, "objective": "energy"}
    (task,) = tasks(files_of(tmp_path), settings=settings)
    project, best, count = task.project, math.inf, 0
    design = project.architecture.sparse
    space = Mapspace(project.problem, project.architecture, project.constraints)
    for batch in enumerate_valid(space, 1000):
        for b in range(0, len(batch), 7):
            try:
                parts = (project.architecture, project.problem, batch[b], design)
                best = min(best, evaluate_sparse(*parts).energy_pj)
            except (InvalidMapping, SpecError):
                continue
            count += 1
    found = task.run()
    assert count > 100
    assert found.metrics[0][1] <= best * (1 + 1e-12)
    assert found.evaluation.input.architecture.sparse is design
    assert found.evaluation.stats.energy_pj == found.metrics[0][1]


@pytest.mark.parametrize("mapper", ["random", "hillclimb", "anneal", "gamma", "cma"])
def test_heuristics_search_sparse_designs(tmp_path, mapper):
    settings = {"mapper": mapper, "samples": 300, "objective": "delay, energy"}
    (task,) = tasks(files_of(tmp_path), settings=settings)
    found = task.run()
    project = task.project
    design = project.architecture.sparse
    parts = (project.architecture, project.problem, found.evaluation.mapping, design)
    stats = evaluate_sparse(*parts)
    assert [value for _, value, _ in found.metrics] == [stats.cycles, stats.energy_pj]
    assert found.certificate is None


def test_nothing_is_proven(tmp_path):
    (task,) = tasks(files_of(tmp_path), settings={"samples": 200})
    found = task.run()
    assert found.certificate is None
    (note,) = found.notes
    assert "mapper=hillclimb searched: its bounds hold for dense tensors" in note


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"mapper": "timeloop"}, "mapper=timeloop: searches by a model of dense tensors"),
        ({"objective": "accesses-1"}, "metric accesses-1: not supported with sparse"),
    ],
)
def test_what_cannot_be_searched_is_refused(tmp_path, settings, said):
    (task,) = tasks(files_of(tmp_path), settings={"samples": 10, **settings})
    with pytest.raises(SpecError, match=said):
        task.run()


def test_the_mapping_that_is_written_is_the_one_that_was_found(tmp_path, capsys):
    files, out = files_of(tmp_path, 12), tmp_path / "out"
    assert main(["map", *files, "mapper=random", "samples=500", "-o", str(out), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    written = json.loads((out / "stats.json").read_text())
    assert written == told["stats"]
    assert sorted(p.name for p in out.iterdir()) == [
        *("stats.json", "timeloop-mapper.map.txt", "timeloop-mapper.map.yaml")
    ]
    again = evaluate_files([*files, str(out / "timeloop-mapper.map.yaml")]).stats
    assert again.cycles == told["stats"]["cycles"]
    assert again.energy_pj == told["stats"]["energy_pj"]


def test_compressed_tiles_may_be_larger_than_their_buffer(tmp_path):
    files = files_of(tmp_path, 64, density="I: 0.02")
    chip = timeloop_files.CHIP.replace("depth: 256, width: 8", f"depth: 16, width: 8, {ROOM}")
    assert ROOM in chip
    kept = "mapspace_constraints: {targets: [{target: Buffer, type: bypass, keep: [I]}]}\n"
    (tmp_path / "arch.yaml").write_text(chip + kept)
    (task,) = tasks(files, settings={"mapper": "exhaustive", "samples": 10**5})
    found = task.run().evaluation.stats.levels["Buffer"].tensors
    assert sum(tensor.utilized_capacity for tensor in found.values()) <= 16
    assert found["I"].tile_shape > 16
