"""Choices that are no names."""

import pytest

from dse.cli import main
from dse.errors import SpecError
from dse.runner.config import resolve


@pytest.mark.parametrize("word", ["+hydra/launcher=-0", "+hydra/launcher=1.5"])
def test_a_choice_of_hydra_that_is_no_name_is_refused(word, capsys):
    assert main(["run", "arch=gemmini", "workload=alexnet", word]) == 2
    assert f"'{word}': expected the name of a choice" in capsys.readouterr().err


@pytest.mark.parametrize(
    "word",
    [
        "hydra.run.dir=elsewhere",
        "++hydra.run={dir: elsewhere}",
        "+hydra.sweep.subdir=x",
        "hydra.output_subdir=x",
        "hydra.job.chdir=true",
        "++hydra={run: {dir: elsewhere}}",
    ],
)
def test_folders_of_hydras_own_are_refused(word, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["run", "workload=alexnet", word]) == 2
    said = capsys.readouterr().err
    assert "Hydra's own folders are not used; expected runs=DIR" in said
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("kind", ["optimizer", "mapper", "evaluator"])
@pytest.mark.parametrize("value", [["x"], 3, [[]]])
def test_a_plug_in_that_is_neither_name_nor_settings_is_refused(kind, value):
    with pytest.raises(SpecError, match=f"{kind} = .*: expected a name"):
        resolve({kind: value})
