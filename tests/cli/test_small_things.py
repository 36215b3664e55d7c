"""Small things of the command line: JSON lists, 1e3, completion, launchers, what is loaded."""

import json
import re
import subprocess
import sys

import pytest

import dse
from dse.cli import COMMANDS, main
from dse.cli.hydra_front import jobs_of
from dse.cli.listing import KINDS

QUICK = ("-q", "--json", "optimizer=random", "workload=dosa_bert", "n_jobs=1")


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_lists_for_programs(capsys):
    assert main(["list", "optimizers", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert list(told) == ["optimizers"]
    assert {"name", "summary"} == set(told["optimizers"][0])
    assert "lockstep" in [row["name"] for row in told["optimizers"]]
    assert main(["list", "--json"]) == 0
    assert list(json.loads(capsys.readouterr().out)) == list(KINDS)


def test_whole_numbers_with_an_exponent(capsys):
    assert main(["run", *QUICK, "samples=1.2e1", "variables.pe_dim=1e1"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["samples"], told["variables"]) == (12, {"pe_dim": 10})
    assert dse.run(workload="dosa_bert", optimizer="random", samples=1e1).samples == 10
    for wrong in ("samples=1.25e1", "samples=1e30", "samples=1e999999999"):
        assert main(["run", *QUICK, wrong]) == 2
        assert "samples" in capsys.readouterr().err
    with pytest.raises(dse.SpecError, match="samples"):
        dse.run(workload="dosa_bert", samples=1.5)


def test_help_of_map_lists_what_it_takes(capsys):
    assert main(["map", "--help"]) == 0
    text = capsys.readouterr().out.partition("settings:")[2]
    names = {line.split()[0].partition("=")[0] for line in text.splitlines() if line.strip()}
    assert "objective" in names
    for name in ("optimizer", "workload", "constraints", "record"):
        assert name not in names
        assert main(["map", "layer=vgg16/conv1_1", f"{name}=x"]) == 2
        assert "map has no such setting" in capsys.readouterr().err


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_knows_commands_settings_and_names(shell, capsys):
    assert main(["completion", shell]) == 0
    text = capsys.readouterr().out
    for word in (*COMMANDS, "optimizer=lockstep", "arch=gemmini", "workload=resnet50", "samples="):
        assert word in text
    assert not re.search(r"@[A-Z_]+@", text)
    assert main(["completion", "tcsh"]) == 2
    assert "unknown shell 'tcsh'" in capsys.readouterr().err


def completed(line):
    """Return what bash makes of a line that ends where Tab is pressed."""
    script = subprocess.run(
        [sys.executable, "-m", "dse", "completion", "bash"],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    words = line.replace("=", " = ").split(" ")
    program = f"""{script}
compopt() {{ :; }}
COMP_LINE={line!r}; COMP_POINT=${{#COMP_LINE}}
COMP_WORDS=({" ".join(repr(w) for w in words if w)} {"''" if line.endswith(" ") else ""})
COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
_dse
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
    done = subprocess.run(["bash", "-c", program], capture_output=True, text=True, check=True)
    return done.stdout.split()


def test_bash_completes():
    assert set(completed("dse com")) == {"components", "compare", "completion"}
    assert completed("dse run samp") == ["samples="]
    assert completed("dse run optimizer=lock") == ["lockstep"]
    assert "gemmini" in completed("dse show gem")


@pytest.mark.parametrize("place", [0, 1, 2])
def test_flags_stand_anywhere_between_settings(place):
    words = ["seed=0,1", "workload=alexnet"]
    words.insert(place, "-m")
    jobs, varied = jobs_of(words)
    assert [(job["seed"], job["workload"]) for job in jobs] == [(0, "alexnet"), (1, "alexnet")]
    assert varied == ["seed"]


def test_a_launcher_works_or_says_what_installs_it(capsys, tmp_path, monkeypatch):
    words = ["run", "-m", *QUICK, "samples=2", "seed=0,1"]
    with monkeypatch.context() as without:
        without.setattr("dse.cli.hydra_front.is_installed", lambda _: False)
        assert main([*words, "hydra/launcher=submitit_slurm"]) == 2
    told = capsys.readouterr().err
    assert "needs hydra-submitit-launcher: pip install hydra-submitit" in told
    for name in ("hydra_plugins", "hydra_plugins.hydra_joblib_launcher"):
        pytest.importorskip(name, reason="the extra 'launchers' is not installed")
    more = ["hydra/launcher=joblib", "hydra.launcher.n_jobs=1", "folder=sweep"]
    assert main([*words, *more]) == 0
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [one["seed"] for one in told] == [0, 1]
    assert (tmp_path / "sweep" / "sweep.json").is_file()


def test_matplotlib_is_loaded_where_something_is_drawn():
    code = (
        "import sys\nfrom dse.cli import main\n"
        "main(['run', *sys.argv[1:]])\n"
        "sys.exit('matplotlib' in sys.modules or 'pandas' in sys.modules)"
    )
    words = [*QUICK, "samples=2"]
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
