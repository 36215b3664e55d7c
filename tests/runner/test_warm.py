"""Code that is compiled ahead is what later processes need."""

import os
import subprocess
import sys

import pytest

from dse.cli import main
from dse.errors import SpecError
from dse.runner import warm


def _dse(cache, *words):
    """Run a command that sees one core, and compiles before it runs."""
    (cache / "sitecustomize.py").write_text("import os\nos.cpu_count = lambda: 1\n")
    env = {**os.environ, "NUMBA_CACHE_DIR": str(cache), "PYTHONPATH": str(cache)}
    words = [sys.executable, "-m", "dse", *words]
    done = subprocess.run(words, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done


@pytest.mark.slow
def test_a_run_and_its_report_find_what_was_compiled_ahead(tmp_path):
    """Were the arguments of the jobs of other types, the run would compile again."""
    out = _dse(tmp_path, "warm", "evaluation", "details").stdout
    assert [line.split()[:2] for line in out.splitlines()] == [
        ["evaluation", "compiled"],
        ["details", "compiled"],
    ]
    words = ("run", "arch=eyeriss", "workload=dosa_bert", "optimizer=random", "samples=50")
    said = _dse(tmp_path, *words, f"folder={tmp_path / 'run'}").stderr
    assert (tmp_path / "run" / "report.html").exists()
    assert "compiling dse.mapspace.sampling" in said
    assert "dse.model.lanes" not in said
    assert "dse.model.kernel" not in said


def test_an_unknown_job_is_named():
    with pytest.raises(SpecError, match=r"unknown job 'detail'.*details"):
        list(warm.warm(["detail"], 1))


@pytest.mark.parametrize(
    ("program", "said"),
    [
        ("raise SystemExit('trace\\nno such machine')", "no such machine"),
        ("import os; os._exit(9)", "exit code 9"),
    ],
)
def test_a_job_that_fails_is_said(program, said, monkeypatch, capsys):
    monkeypatch.setattr(warm, "_words", lambda _: [sys.executable, "-c", program])
    assert main(["warm", "details"]) == 1
    out, err = capsys.readouterr()
    assert out.startswith("details")
    assert said in out
    assert err == "error: not everything could be compiled\n"


def test_jobs_run_here(monkeypatch, capsys):
    done = []
    monkeypatch.setitem(warm.JOBS, "details", lambda: done.append(1))
    assert main(["warm", "--here", "details"]) == 0
    assert done == [1]
    assert capsys.readouterr().out.split()[:2] == ["details", "compiled"]
