"""Runs on Timeloop's own architecture and problem files."""

from pathlib import Path

import pytest
import timeloop_files
import yaml

import dse
from dse.cli import main
from dse.errors import SpecError
from dse.runner.run import go_on


def run(folder, **settings):
    return dse.run(optimizer="random", samples=20, folder=folder, **settings)


@pytest.mark.slow
def test_hardware_is_searched_on_their_chip(tmp_path):
    arch, prob, _ = timeloop_files.write(tmp_path)
    variables = {"Buf": {"depth": [4, 16, 64], "read_bandwidth": 1}}
    rules = tmp_path / "keep.yaml"
    rules.write_text(timeloop_files.KEEP)
    given = {"arch": f"{arch}+{rules}", "workload": prob, "variables": variables}
    found = run(tmp_path / "run", **given)
    assert found.metrics.cycles >= 96  # as many words are read, one in a cycle
    assert found.design.values["Buf_read_bandwidth"] == 1
    assert found.design.values["Buf_depth"] in (4, 16, 64)
    # the folder is whole: it goes on without the files
    for name in (arch, prob):
        Path(name).unlink()
    again = go_on(tmp_path / "run")
    assert again.design.values == found.design.values
    assert again.metrics == found.metrics


@pytest.mark.slow
def test_a_file_of_constraints_joins_the_architecture(tmp_path):
    arch, prob, _ = timeloop_files.write(tmp_path)
    rules = tmp_path / "constraints.yaml"
    rules.write_text(timeloop_files.CONSTRAINTS + timeloop_files.KEEP.partition("targets:\n")[2])
    run(tmp_path / "run", arch=arch, workload=prob, constraints=str(rules))
    template = (tmp_path / "run" / "template.yaml").read_text()
    assert "factors: {P: 1}" in template
    assert "keep: [W, I, O]" in template


def test_constraints_in_a_file_need_their_architecture(tmp_path):
    with pytest.raises(SpecError, match="goes with Timeloop's architecture"):
        run(tmp_path / "run", arch="gemmini", workload="alexnet", constraints="rules.yaml")


def test_a_missing_file_is_named(tmp_path):
    arch, prob, _ = timeloop_files.write(tmp_path)
    with pytest.raises(SpecError, match=r"there is no file .*nothing.yaml"):
        run(tmp_path / "run", arch=f"{arch}+{tmp_path}/nothing.yaml", workload=prob)


def jinja_project(tmp_path):
    """Write a project whose architecture and problem are templates; return their paths."""
    arch, prob, _ = timeloop_files.write(tmp_path)
    for name in ("chip", "layers", "shared"):
        (tmp_path / name).mkdir()
    text = Path(arch).read_text().replace("depth: 64", "depth: {{depth}}")
    (tmp_path / "chip" / "arch.yaml").write_text(text)
    (tmp_path / "shared" / "base.yaml").write_text("# nothing\n")
    (tmp_path / "layers" / "one.yaml").write_text(
        "{{include_text('../shared/base.yaml')}}\n"
        + Path(prob).read_text().replace("P: 16", "P: {{size}}")
    )
    return str(tmp_path / "chip" / "arch.yaml"), str(tmp_path / "layers" / "one.yaml")


@pytest.mark.slow
def test_templates_get_their_definitions_on_the_command_line(tmp_path, capsys):
    arch, prob = jinja_project(tmp_path)
    words = ["run", f"arch={arch}", f"workload={prob}", "optimizer=random", "samples=20", "-q"]
    (tmp_path / "elsewhere").mkdir()
    words += ["n_jobs=1", f"folder={tmp_path / 'run'}"]
    words += ["--include-path", str(tmp_path / "elsewhere")]
    assert main([*words, "-D", "depth=32", "-Dsize=8"]) == 0
    template = yaml.safe_load((tmp_path / "run" / "template.yaml").read_text())
    assert template["storage"][1]["size_words"] == 32
    assert "P: 8" in (tmp_path / "run" / "workload.yaml").read_text()
    config = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())
    assert config["definitions"] == {"depth": "32", "size": "8"}
    assert config["include_path"] == [str(tmp_path / "elsewhere")]


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["-D", "depth=32"], "UndefinedError: 'size' is undefined; -D NAME=VALUE gives it a value"),
        (["--include-path", "PATH", "-D", "depth=32", "-D", "size=8", "--define=x=1"], "-D x: no"),
        (["-D", "depth"], "-D depth: expected NAME=VALUE"),
        (["-D"], "-D : expected NAME=VALUE"),
        (["--include-path", "none", "-D", "depth=32", "-D", "size=8"], "none: is no folder"),
    ],
)
def test_definitions_that_are_wrong_or_not_used_are_refused(tmp_path, capsys, flags, said):
    arch, prob = jinja_project(tmp_path)
    there = str(tmp_path / "shared")
    words = [there if word == "PATH" else word for word in flags]
    assert main(["run", f"arch={arch}", f"workload={prob}", *words]) == 2
    assert said in capsys.readouterr().err


def test_a_definition_without_a_template_is_refused(capsys):
    assert main(["run", "arch=gemmini", "workload=alexnet", "-D", "x=1"]) == 2
    assert capsys.readouterr().err == "error: -D x: no template uses it\n"
