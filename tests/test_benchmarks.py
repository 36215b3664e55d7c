"""Benchmarks of papers find their data, or say in a line where it is from; sets of files count."""

import gzip
import json
import subprocess
import sys
from pathlib import Path

import pytest
from timeloop_files import write

from dse.timeloop.evaluate import evaluate_files
from dse.timeloop.mapper_run import tasks
from dse.timeloop.write.inputs import mapping_yaml

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "option", "source"),
    [
        ("dosa_dataset", "--data", "https://github.com/ucb-bar/dosa"),
        ("learned", "--data", "https://github.com/ucb-bar/dosa"),
        ("recorded_search", "--data", "https://github.com/ucb-bar/dosa"),
        ("rtl", "--data", "https://github.com/ucb-bar/dosa"),
        ("ga_poster", "--reference", "https://github.com/akarshkumar0101/hardware-final-project"),
        ("sparse_figures", "--artifact", "https://github.com/Accelergy-Project/micro22-sparseloop"),
    ],
)
def test_missing_data_is_named_with_its_source(name, option, source, tmp_path):
    words = [sys.executable, str(BENCHMARKS / f"{name}.py"), option, str(tmp_path / "none")]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert source in done.stderr
    assert str(tmp_path / "none") in done.stderr
    assert option in done.stderr


def answer_of(paths, folder, settings):
    """Return what is recorded of a timeloop-mapper that found what a search of ours does."""
    (task,) = tasks(paths, settings=settings)
    spec = task.run().evaluation.input
    text = mapping_yaml(spec.mapping, spec.architecture, spec.problem)
    (folder / "theirs.yaml").write_text(text)
    stats = evaluate_files([*paths, folder / "theirs.yaml"]).stats
    return {"cycles": stats.cycles, "energy_uj": stats.energy_uj, "mapping": text}


@pytest.mark.slow
def test_what_is_found_is_set_beside_what_timeloop_mapper_found(tmp_path):
    paths = write(tmp_path)
    best = answer_of(paths, tmp_path, {})
    poor = answer_of(paths, tmp_path, {"mapper": "random", "samples": 1})
    wrong = {**best, "cycles": best["cycles"] + 1}
    files = [{"path": Path(path).name, "text": Path(path).read_text()} for path in paths]
    gated = "{type: gating, options: [{target: W, condition_on: [I]}]}"
    target = f"{{name: Buf, action_optimization: [{gated}]}}"
    sparse = {"path": "sparse.yaml", "text": f"sparse_optimizations: {{targets: [{target}]}}"}
    rows = [
        {"files": files, "answers": {"4cf6d4c": best}},
        {"files": files, "answers": {"4cf6d4c": poor}},
        {"files": files, "answers": {"4cf6d4c": wrong}},
        {"files": [*files, sparse]},
        {"files": [*files, {"path": "elsewhere.yaml"}]},
    ]
    sets = tmp_path / "sets.jsonl.gz"
    with gzip.open(sets, "wt") as lines:
        for number, row in enumerate(rows):
            row |= {"id": number, "name": f"set {number}", "kind": "mapper"}
            lines.write(json.dumps(row) + "\n")

    def outcomes(*more):
        kept = tmp_path / "outcomes.jsonl"
        words = [sys.executable, str(BENCHMARKS / "public_files.py"), "--sets", str(sets)]
        words += ["--search", "--outcomes", str(kept), *more]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        assert done.returncode == 1, done.stderr
        return [json.loads(line) for line in kept.read_text().splitlines()], done.stdout

    found, text = outcomes()
    expected = ["found", "found", "differs", "found", "not here"]
    assert [one["outcome"] for one in found] == expected
    assert found[0]["ratio"] == pytest.approx(1, abs=1e-7)
    assert found[1]["ratio"] < 1
    assert "2 sets beside timeloop-mapper, in its own first metric: 0 worse" in text
    assert f"{best['cycles']} cycles" in found[2]["reason"]
    # what is kept is not tried again
    again, _ = outcomes("--mapper", "random", "--samples", "1")
    assert again == found
    (tmp_path / "outcomes.jsonl").unlink()
    poorly, text = outcomes("--mapper", "random", "--samples", "1")
    assert [one["outcome"] for one in poorly] == ["worse", *expected[1:]]
    assert "1 worse" in text


def naas_figures(bound):
    """Return figures of one scenario, as ``naas.py --json`` keeps them."""
    use = {"utilization": 0.5}
    network = {
        "name": "net",
        "chip": {"cycles": 4e6, "energy_pj": 4e6, **use},
        "searched": {"cycles": 2e6, "energy_pj": 2e6, **use},
        "copy": {"cycles": 4e6, "energy_pj": 2e6, **use},
        "bound": {"cycles": 1e6, "energy_pj": 1e6},
    }
    labels = {"pes": "4", "array_dims": "1", "array_x": "4", "parallel_x": "K", "l2_bytes": "1024"}
    counts = ("designs", "evaluations", "seconds", "cpu_seconds", "raw_per_second")
    return {
        "chip": "eyeriss",
        "networks": [network],
        "hardware": {**labels, "l1_bytes": "1", "l1_sums_bytes": "1", "bandwidth": "1"},
        **dict.fromkeys((*counts, "evaluator_seconds", "drawing_seconds"), 1),
        "proof": {"value": 5e12, "bound": bound, "wall_s": 1.0, "cpu_s": 1.0, "reason": "early"},
    }


@pytest.mark.slow
@pytest.mark.parametrize(
    ("bound", "expected"),
    [
        (2e12, "| Eyeriss | 4 | 5 | 2 | 50.0% | 4.00x | 8.00x | 16.00x | 75.0% | 1 | 1 |"),
        (
            0.0,
            "| Eyeriss | 4 | 5 | nothing early | 100.0% | 4.00x | - | 16.00x | 75.0% | 1 | 1 |",
        ),
        (4.1e12, "lies below the bound"),
    ],
)
def test_what_is_found_is_set_beside_what_is_proven(bound, expected, tmp_path):
    kept = tmp_path / "naas.json"
    kept.write_text(json.dumps({"scenarios": [naas_figures(bound)], "ablation": []}))
    words = [sys.executable, str(BENCHMARKS / "naas.py"), "--render", str(kept)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert expected in done.stdout + done.stderr
