"""Plug-ins: outside ones are found, broken ones are named and skipped."""

import dataclasses
import re
import subprocess
import sys

import pytest
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from dse.errors import SpecError, unknown_name
from dse.plugins import GROUPS, _is_typed, plugin, plugins, typed
from dse.runner.config import RunConfig, resolve

MODULE = '''
from dataclasses import dataclass
from dse.settings import setting
from dse.goals.design import Design
from dse.study.optimizer import Optimizer

@dataclass(frozen=True)
class Settings:
    mappings: int = setting(3, "mappings per hardware")

class Outside(Optimizer[Settings]):
    """An optimizer from outside."""
    settings_type = Settings
    def ask(self):
        return [Design(self.space.sample_values(self.rng), mapping_samples=self.settings.mappings)]
    def tell(self, designs, metrics):
        pass
    def state_dict(self):
        return {}
    def load_state_dict(self, state):
        pass

class Stateless(Optimizer[Settings]):
    """An optimizer that does not say what it has learned."""
    settings_type = Settings
    def ask(self):
        return []
    def tell(self, designs, metrics):
        pass

@dataclass(frozen=True)
class Demanding:
    must: int

class NoDefault(Outside):
    settings_type = Demanding

from dse.goals.objective import EDP, Objective

MINE = Objective("mine", "pJ", "mine alone", lambda m: m.energy_pj, "energy")
CYCLES = Objective("cycles", "pJ", "not cycles", lambda m: m.energy_pj, "energy")
NEAR = Objective("near", "cycles", "of layers that are a constant", lambda m: -m.cycles, "delay")
'''

ENTRY_POINTS = """\
[dse.optimizers]
outside = outside_plugin:Outside
broken = outside_plugin:Missing
nodefault = outside_plugin:NoDefault
stateless = outside_plugin:Stateless
random = outside_plugin:Outside

[dse.objectives]
mine = outside_plugin:MINE
near = outside_plugin:NEAR
cycles = outside_plugin:CYCLES
edp = outside_plugin:MINE
other = dse.goals.objective:EDP
class = outside_plugin:Outside
wrong = outside_wrong:WRONG
"""

WRONG = """\
from dse.goals.objective import Objective

WRONG = Objective("wrong", "", "", lambda m: 0.0, "cycles")
"""


@pytest.fixture
def site(tmp_path):
    """A folder that holds an installed distribution with plug-ins."""
    info = tmp_path / "outside_plugin-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: outside-plugin\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(ENTRY_POINTS)
    (tmp_path / "outside_plugin.py").write_text(MODULE)
    (tmp_path / "outside_wrong.py").write_text(WRONG)
    return tmp_path


def dse_command(site, *words):
    code = (
        f"import sys; sys.path.insert(0, {str(site)!r}); from dse.cli import main; sys.exit(main())"
    )
    return subprocess.run(
        [sys.executable, "-c", code, *words], capture_output=True, text=True, cwd=site, check=False
    )


@pytest.mark.slow
def test_outside_plugins(site):
    listed = dse_command(site, "list", "optimizers")
    assert re.search(r"\noutside +An optimizer from outside\.\n", listed.stdout)
    assert "Random hardware" in listed.stdout  # the built-in keeps its name
    lines = listed.stderr.splitlines()
    assert any("'broken' of 'outside-plugin' is skipped: AttributeError" in x for x in lines)
    assert any("'nodefault'" in x and "must has no default" in x for x in lines)
    assert any("does not define load_state_dict, state_dict" in x for x in lines)
    assert any("'random'" in x and "taken by 'dse-accel'" in x for x in lines)


def test_outside_objectives_mean_what_their_name_says(site):
    listed = dse_command(site, "list", "objectives")
    rows = dict(line.split(maxsplit=1) for line in listed.stdout.splitlines())
    assert set(rows) == {"adp", "area", "delay", "eadp", "edp", "energy", "mine", "near"}
    assert rows["mine"] == "mine alone, in pJ"
    assert rows["edp"] == "energy x delay, in pJ x cycle"
    for name, said in {
        "edp": "the name is taken by 'dse-accel'",
        "cycles": "the name is a metric's",
        "other": "its name is 'edp', expected the entry point's",
        "class": "<class 'outside_plugin.Outside'>, expected a dse.goals.objective.Objective",
        "wrong": "SpecError: unknown of_mappings 'cycles'",
    }.items():
        (line,) = [x for x in listed.stderr.splitlines() if f"objective '{name}' of" in x]
        assert said in line


def test_an_objective_without_a_mean_is_told(site):
    words = (
        "run",
        "--quiet",
        "objective=near",
        "samples=2",
        "optimizer=random",
        "workload=dosa_bert+alexnet",
    )
    run = dse_command(site, *words)
    assert run.returncode == 2
    assert "on one of several networks, expected more than 0" in run.stderr


@pytest.mark.slow
def test_an_outside_optimizer_runs_and_resumes(site):
    words = ("workload=dosa_bert", "samples=7", "optimizer.mappings=2", "folder=out")
    run = dse_command(site, "run", "--quiet", "optimizer=outside", *words)
    assert run.returncode == 0, run.stderr
    assert len((site / "out" / "journal.jsonl").read_text().splitlines()) == 4
    again = dse_command(site, "run", "--quiet", "resume=out")
    assert again.returncode == 0, again.stderr
    assert again.stdout == run.stdout
    shown = dse_command(site, "show", "outside")
    assert "optimizer.mappings=3  mappings per hardware" in shown.stdout


def test_builtins_are_registered():
    for kind in GROUPS:
        assert all(p.distribution == "dse-accel" for p in plugins(kind).values())
        assert all(p.summary.endswith(".") for p in plugins(kind).values())


def test_unknown_names():
    with pytest.raises(SpecError, match="unknown optimizer 'rndom'; did you mean 'random'"):
        plugin("optimizer", "rndom")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"sampels": 3}, "unknown setting 'sampels'; did you mean 'samples'"),
        (
            {"optimizer": {"name": "random", "mapings": 3}},
            "did you mean 'optimizer.mappings_per_hardware'",
        ),
        ({"samples": "x"}, "samples: "),
        ({"variables": 3}, "variables"),
        ({"mapper": {"max_draws": []}}, "mapper.max_draws"),
        ({"runs": "${oc.env:HOME}"}, r"runs = '\$\{oc.env:HOME\}': expected a value without"),
        ({"variables": {"a": "${b}"}}, r"variables.a = '\$\{b\}'"),
        ({"evaluator": {"name": "timeloop", "binary": "${b}"}}, "evaluator.binary"),
    ],
)
def test_wrong_settings(given, message):
    with pytest.raises(SpecError, match=message):
        resolve(given)


SCHEMAS = [RunConfig, *(p.settings_type for kind in GROUPS for p in plugins(kind).values())]
VALUES = [0, 3, -1, 2.5, 4.0, True, False, None, "", "auto", "3", "true", [], ["a"], {}, {"a": 1}]


@pytest.mark.parametrize("schema", SCHEMAS, ids=lambda schema: schema.__name__)
def test_settings_are_what_omegaconf_makes_of_them(schema):
    """With its types and its values, whether OmegaConf is asked or not."""
    cases = [{}, *({f.name: value} for f in dataclasses.fields(schema) for value in VALUES)]
    for given in cases:
        whole = {k: int(v) if v.__class__ is float and v == int(v) else v for k, v in given.items()}
        try:
            merged = OmegaConf.merge(OmegaConf.structured(schema), whole)
            expected = repr(OmegaConf.to_object(merged))
        except OmegaConfBaseException:
            expected = "refused"
        try:
            found = repr(typed(schema, given, ""))
        except SpecError:
            found = "refused"
        assert found == expected, given


def test_most_settings_need_no_omegaconf():
    assert sum(_is_typed(schema, {}) for schema in SCHEMAS) > len(SCHEMAS) / 2


def test_settings_survive_a_round_trip():
    optimizer = {"name": "random", "mappings_per_hardware": 2}
    config = resolve({"samples": 5, "optimizer": optimizer})
    assert resolve(config.as_dict()) == config


def test_an_unknown_dotted_name_lists_its_own_group_only():
    text = unknown_name(
        "setting", "optimizer.foo", ["arch", "optimizer.bar", "optimizer.b", "arch"]
    )
    assert text.endswith("(choices: optimizer.b, optimizer.bar)")
    assert unknown_name("name", "edb", ["edp", "edp", "area"]).endswith("(choices: area, edp)")
