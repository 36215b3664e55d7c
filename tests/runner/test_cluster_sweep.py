"""Sweeps by submitit: as job arrays of a Slurm that is none, in its debug mode, and on its own."""

import json
import os
import sys

import pytest

from dse.cli import main

pytestmark = pytest.mark.slow

WORDS = (
    *("run", "-m", "-q", "--json", "optimizer=random", "workload=dosa_bert", "samples=2"),
    *("seed=0,1", "report=false", "folder=sweep"),
)
#: Takes the place of Slurm's sbatch: begins each job of an array here.
SBATCH = """#!{python}
import os, re, subprocess, sys
script = open(sys.argv[-1]).read()
first, last = map(int, re.search(r"--array=(\\d+)-(\\d+)", script).groups())
for task in range(first, last + 1):
    told = {{"SLURM_ARRAY_JOB_ID": "7", "SLURM_ARRAY_TASK_ID": str(task), "SLURM_JOB_ID": "7",
            "SLURM_NTASKS": "1", "SLURM_PROCID": "0", "SLURM_LOCALID": "0", "SLURM_NODEID": "0",
            "SLURM_JOB_NUM_NODES": "1", "SLURM_JOB_NODELIST": "here"}}
    subprocess.Popen(["bash", sys.argv[-1]], env={{**os.environ, **told}},
                     stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
print("Submitted batch job 7")
"""
#: ... and of srun: runs a program, whatever it is told of how.
SRUN = """#!/bin/bash
while [[ $1 == -* ]]; do if [[ $1 == --output || $1 == --error ]]; then shift; fi; shift; done
exec "$@"
"""
SACCT = """#!/bin/bash
echo 'JobID|State|NodeList'; for n in 0 1; do echo "7_$n|RUNNING|here"; done
"""


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path, monkeypatch):
    reason = "the extra 'slurm' is not installed"
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher", reason=reason)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    """A Slurm that runs everything here and now."""
    place = tmp_path / "bin"
    place.mkdir()
    programs = {"sbatch": SBATCH.format(python=sys.executable), "srun": SRUN, "sacct": SACCT}
    for name, text in programs.items():
        (place / name).write_text(text)
        (place / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{place}{os.pathsep}{os.environ['PATH']}")


def check(capsys, tmp_path):
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [one["seed"] for one in told] == [0, 1]
    swept = [(tmp_path / one["folder"] / "journal.jsonl").read_bytes() for one in told]
    alone = []
    for seed in (0, 1):
        words = [word for word in WORDS[2:-3] if word != "-m"]
        assert main(["run", *words, f"seed={seed}", "report=false", f"folder=alone{seed}"]) == 0
        alone.append((tmp_path / f"alone{seed}" / "journal.jsonl").read_bytes())
    assert swept == alone


def test_a_sweep_by_submitit_here(tmp_path, capsys):
    more = ["hydra/launcher=submitit_local", "hydra.launcher.timeout_min=10"]
    assert main([*WORDS, *more]) == 0
    check(capsys, tmp_path)


def test_a_sweep_in_submitits_debug_mode(tmp_path, capsys, monkeypatch):
    """The launcher's jobs in this process, as submitit's own debugging runs them."""
    from hydra_plugins.hydra_submitit_launcher.submitit_launcher import LocalLauncher

    monkeypatch.setattr(LocalLauncher, "_EXECUTOR", "debug")
    assert main([*WORDS, "hydra/launcher=submitit_local"]) == 0
    check(capsys, tmp_path)


@pytest.mark.usefixtures("slurm")
def test_a_sweep_as_a_job_array(tmp_path, capsys):
    more = ["hydra/launcher=submitit_slurm", "hydra.launcher.partition=short"]
    assert main([*WORDS, *more, "hydra.launcher.array_parallelism=2"]) == 0
    check(capsys, tmp_path)
    scripts = list((tmp_path / "sweep" / ".submitit").rglob("7_submission.sh"))
    assert len(scripts) == 1
    text = scripts[0].read_text()
    assert "#SBATCH --partition=short" in text
    assert "#SBATCH --array=0-1%2" in text


def test_without_slurm_it_is_one_clear_line(capsys, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    assert main([*WORDS, "hydra/launcher=submitit_slurm"]) == 4
    assert "there is no srun on PATH" in capsys.readouterr().err
