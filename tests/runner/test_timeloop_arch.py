"""Runs on Timeloop's own architecture and problem files."""

from pathlib import Path

import pytest
import timeloop_files

import dse
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
