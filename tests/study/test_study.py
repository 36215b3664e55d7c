"""The study: budget, journal, checkpoint, resume, kill."""

import json
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest

import dse
from dse.components.chain import energy_chain
from dse.errors import DseError, NothingFeasible, SpecError
from dse.evaluators.native import NativeEvaluator
from dse.goals.design import Design
from dse.goals.objective import objective, objectives
from dse.mappers.random import RandomMapper, RandomMapperSettings
from dse.optimizers.random import RandomSearch, RandomSearchSettings
from dse.runner.run import resume, start
from dse.settings import NoSettings
from dse.space import catalog
from dse.space.search_space import SearchSpace
from dse.study.journal import Journal, read_journal
from dse.study.optimizer import Optimizer
from dse.study.study import Study, optimizer_rng
from dse.study.times import times_of

SMALL = {"workload": "dosa_bert", "optimizer": "random", "samples": 20, "seed": 1}


PATIENCE_S = 400  # the first run of all compiles the model


def run_words(folder, **settings):
    words = [f"{key}={value}" for key, value in {**SMALL, **settings}.items()]
    return [sys.executable, "-m", "dse", "run", "--quiet", f"folder={folder}", *words]


def wait_for_lines(process, journal, lines):
    deadline = time.monotonic() + PATIENCE_S
    while not (journal.exists() and journal.read_bytes().count(b"\n") >= lines):
        if time.monotonic() > deadline or process.poll() is not None:
            process.kill()
            raise AssertionError("the run ended or hung before it could be stopped")
        time.sleep(0.002)


def small_space(fixed=None):
    template, workload = catalog.template("gemmini"), catalog.workload("dosa_bert")
    return SearchSpace(template, workload, energy_chain("dosa"), fixed)


def study_of(space, optimizer, samples, **options):
    evaluator, goal = NativeEvaluator(), objective("edp")
    settings = RandomMapperSettings()
    mapper = RandomMapper(evaluator, space.template.constraints, goal, settings)
    return Study(space, optimizer, mapper, evaluator, goal, samples=samples, seed=0, **options)


def same_files(one, other):
    for name in ("journal.jsonl", "result.json", "template.yaml", "workload.yaml"):
        assert (one / name).read_bytes() == (other / name).read_bytes(), name
    assert {p.name: p.read_bytes() for p in (one / "best").iterdir()} == {
        p.name: p.read_bytes() for p in (other / "best").iterdir()
    }


@pytest.mark.slow
def test_killed_and_resumed_ends_like_undisturbed(tmp_path):
    settings = {"samples": 400, "optimizer.mappings_per_hardware": 1}
    subprocess.run(run_words(tmp_path / "whole", **settings), check=True, capture_output=True)
    broken = tmp_path / "broken"
    journal = broken / "journal.jsonl"
    with subprocess.Popen(run_words(broken, **settings), stdout=subprocess.DEVNULL) as process:
        wait_for_lines(process, journal, 20)
        process.send_signal(signal.SIGKILL)
    assert not (broken / "result.json").exists()
    with journal.open("ab") as file:  # a line that was being written
        file.write(b'{"design": 9')
    words = [sys.executable, "-m", "dse", "run", "--quiet", f"resume={broken}"]
    subprocess.run(words, check=True, capture_output=True)
    same_files(broken, tmp_path / "whole")


@pytest.mark.slow
def test_interrupt_exits_130_and_resumes(tmp_path):
    settings = {"samples": 1500, "optimizer.mappings_per_hardware": 1}
    words = run_words(tmp_path / "run", **settings)
    journal = tmp_path / "run" / "journal.jsonl"
    pipe = subprocess.PIPE
    with subprocess.Popen(
        words,
        stderr=pipe,
        stdout=pipe,
        text=True,
        # a test run in the background of a shell ignores interrupts, and so would its children
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
    ) as process:
        wait_for_lines(process, journal, 8)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "resume=" in errors
    assert "Traceback" not in errors
    assert all(record["valid"] for record in read_journal(journal))
    assert resume(tmp_path / "run").execute().samples == 1500


@pytest.mark.parametrize("between", [0.0, float("inf")])
def test_what_came_after_the_last_checkpoint_is_done_again(tmp_path, monkeypatch, between):
    monkeypatch.setattr("dse.study.study._BETWEEN_SAVES_S", between)
    settings = {**SMALL, "optimizer": {"name": "random", "mappings_per_hardware": 1}}
    settings |= {"samples": 60, "n_jobs": 1}
    dse.run(**settings, folder=tmp_path / "whole")
    broken, batches = tmp_path / "broken", []

    def stop_after_three(now):
        batches.append(now)
        if len(batches) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        start({**settings, "folder": str(broken)}).execute(stop_after_three)
    saved = resume(broken).study.state.asked
    assert saved == (batches[2] if between == 0.0 else batches[0]).designs
    assert len(list(read_journal(broken / "journal.jsonl"))) == batches[2].designs
    resume(broken).execute()
    same_files(broken, tmp_path / "whole")
    samples = [at for at, _ in times_of(broken)]
    assert samples == [at for at, _ in times_of(tmp_path / "whole")]


def test_resuming_a_finished_run_changes_nothing(tmp_path):
    first = dse.run(**SMALL, folder=tmp_path / "run")
    before = (tmp_path / "run" / "journal.jsonl").read_bytes()
    again = resume(tmp_path / "run", {"n_jobs": 1}).execute()
    assert (again.design, again.metrics) == (first.design, first.metrics)
    assert (tmp_path / "run" / "journal.jsonl").read_bytes() == before


def test_result_file_and_best_folder(tmp_path):
    result = dse.run(**SMALL, folder=tmp_path / "run")
    saved = json.loads((tmp_path / "run" / "result.json").read_text())
    assert saved["schema"] == "dse.result"
    assert saved["version"] == 1
    best = saved["best"]
    layers = best["layers"]
    assert best["cycles"] == sum(x["count"] * x["cycles"] for x in layers)
    assert best["energy_pj"] == pytest.approx(sum(x["count"] * x["energy_pj"] for x in layers))
    assert best["edp_pj_cycles"] == pytest.approx(best["cycles"] * best["energy_pj"])
    assert saved["objective"]["value"] == result.value
    assert saved["energy"] == "dosa"
    for layer in layers:  # the files of the best design give the same numbers
        files = [
            tmp_path / "run" / "best" / name
            for name in (
                *("arch.yaml", "ERT.yaml", "ART.yaml"),
                *(f"{layer['name']}.problem.yaml", f"{layer['name']}.mapping.yaml"),
            )
        ]
        stats = dse.model_files(*files)
        assert stats.cycles == layer["cycles"]
        assert stats.energy_pj == pytest.approx(layer["energy_pj"], rel=1e-9)


def test_no_times_in_the_journal(tmp_path):
    dse.run(**SMALL, folder=tmp_path / "a")
    time.sleep(0.01)
    dse.run(**SMALL, folder=tmp_path / "b")
    same_files(tmp_path / "a", tmp_path / "b")


def test_other_seed_other_journal(tmp_path):
    dse.run(**SMALL, folder=tmp_path / "a")
    dse.run(**{**SMALL, "seed": 2}, folder=tmp_path / "b")
    a, b = ((tmp_path / x / "journal.jsonl").read_bytes() for x in "ab")
    assert a != b


class Forgetful(Optimizer[NoSettings]):
    """Learns nothing."""

    def tell(self, designs, metrics):
        self.told = (list(designs), list(metrics))

    def state_dict(self):
        return {}

    def load_state_dict(self, state):
        pass


class Greedy(Forgetful):
    """Asks for far more than there is."""

    def ask(self):
        values = self.space.sample_values(self.rng)
        return [Design(values, mapping_samples=7) for _ in range(100)]


def test_an_optimizer_cannot_overspend():
    space = small_space()
    optimizer = Greedy(space, NoSettings(), np.random.default_rng(0), 10)
    state = study_of(space, optimizer, 10).run()
    assert state.samples == 10
    designs, metrics = optimizer.told
    assert len(designs) == len(metrics) == state.asked == 2
    assert all(len(d.mappings) == 5 for d in designs)


class Replays(Forgetful):
    """Asks for designs that bring their mappings."""

    design: Design

    def ask(self):
        return [self.design]


def test_designs_with_mappings_are_evaluated_as_they_are(tmp_path):
    first = dse.run(**SMALL, folder=tmp_path / "run")
    space = small_space()
    optimizer = Replays(space, NoSettings(), np.random.default_rng(0), 1)
    optimizer.design = replace(first.design, mapping_samples=50)
    state = study_of(space, optimizer, 3).run()
    assert state.samples == 3  # one each, whatever mapping_samples says
    assert state.best_metrics == first.metrics
    values = {"pe_dim": 2, "scratchpad_kb": 1, "accumulator_kb": 1}
    optimizer.design = replace(first.design, values=values)
    state = study_of(space, optimizer, 1).run()
    assert state.best is None
    ((metrics,),) = (optimizer.told[1],)
    assert not metrics.valid
    assert "query" in metrics.reason
    assert "ERROR: couldn't map level" in metrics.reason


def test_hardware_that_maps_nothing_is_infeasible(tmp_path):
    arch = catalog.find("arch", "gemmini").read_text()
    tiny = tmp_path / "tiny.yaml"
    tiny.write_text(arch.replace("scratchpad_kb * 1024", "1"))
    with pytest.raises(
        NothingFeasible, match="query.*smallest tiles.*Scratchpad: mapped tile size 2 exceeds"
    ):
        dse.run(
            tiny,
            **{**SMALL, "samples": 2},
            mapper={"name": "random", "max_draws": 5},
            folder=tmp_path / "run",
        )
    saved = json.loads((tmp_path / "run" / "result.json").read_text())
    assert saved["status"] == "infeasible"


@pytest.mark.parametrize("name", sorted(objectives()))
def test_the_best_design_is_the_journals_best(name, tmp_path):
    result = dse.run(**SMALL, objective=name, folder=tmp_path / "run")
    records = list(read_journal(tmp_path / "run" / "journal.jsonl"))
    assert result.value == min(r["objective"] for r in records) == records[-1]["best"]


def test_two_writers_of_one_folder_are_refused(tmp_path):
    run = start({**SMALL, "folder": str(tmp_path / "run")})
    with (
        Journal(tmp_path / "run" / "journal.jsonl"),
        pytest.raises(DseError, match="another process"),
    ):
        run.execute()


def test_a_folder_in_use_is_refused(tmp_path):
    dse.run(**SMALL, folder=tmp_path / "run")
    with pytest.raises(SpecError, match="resume="):
        dse.run(**SMALL, folder=tmp_path / "run")


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").touch()  # below a file no user may make a folder, root included
    for place in ({"runs": str(tmp_path / "file")}, {"folder": str(tmp_path / "file" / "run")}):
        with pytest.raises(SpecError, match="file.*: cannot be made"):
            start({**SMALL, **place})


def test_a_full_disk_is_one_error_and_loses_nothing(tmp_path):
    limits = pytest.importorskip("resource")
    dse.run(**SMALL, folder=tmp_path / "whole")
    run = start({**SMALL, "folder": str(tmp_path / "full")})
    before = limits.getrlimit(limits.RLIMIT_FSIZE)
    limits.setrlimit(limits.RLIMIT_FSIZE, (500, before[1]))
    try:
        with pytest.raises(DseError, match="full.*: cannot be written") as caught:
            run.execute()
    finally:
        limits.setrlimit(limits.RLIMIT_FSIZE, before)
    assert caught.value.exit_code == 1
    assert not (tmp_path / "full" / "result.json").exists()
    resume(tmp_path / "full").execute()
    same_files(tmp_path / "whole", tmp_path / "full")


def test_results_that_cannot_be_written_are_one_error_and_resumed(tmp_path):
    run = start({**SMALL, "folder": str(tmp_path / "run")})
    (tmp_path / "run" / "best").touch()
    with pytest.raises(DseError, match="run: cannot be written .*resume="):
        run.execute()
    (tmp_path / "run" / "best").unlink()
    dse.run(**SMALL, folder=tmp_path / "whole")
    resume(tmp_path / "run").execute()
    same_files(tmp_path / "whole", tmp_path / "run")


def test_broken_run_folders(tmp_path):
    with pytest.raises(SpecError, match="not a run folder"):
        resume(tmp_path)
    dse.run(**SMALL, folder=tmp_path / "run")
    (tmp_path / "run" / "config.yaml").write_text("optimizer: randm")
    with pytest.raises(SpecError, match="did you mean 'random'"):
        resume(tmp_path / "run")


@pytest.mark.parametrize(
    ("samples", "expected"), [(1, 1), (1000, 100), (10_000, 1000), (100_000, 1000)]
)
def test_default_mappings_per_hardware_is_that_of_dosa(samples, expected):
    search = RandomSearch(small_space(), RandomSearchSettings(), optimizer_rng(0), samples)
    assert search.mappings_per_hardware == expected


def test_progress_within_batches_changes_nothing(tmp_path):
    dse.run(**SMALL, folder=tmp_path / "whole")
    ticks, batches = [], []
    run = start({**SMALL, "n_jobs": 1, "folder": str(tmp_path / "run")})
    run.execute(batches.append, ticks.append)
    layers = len({layer.problem for layer in run.space.workload})
    assert len(ticks) == layers * len(batches)
    samples = [now.samples for now in ticks[:layers]]
    assert samples == sorted(samples)
    assert samples[-1] == batches[0].samples
    for name in ("journal.jsonl", "result.json"):
        assert (tmp_path / "run" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
