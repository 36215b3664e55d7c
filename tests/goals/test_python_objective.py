"""``objective=module:function``: a function of the user's own, which is code and needs trust."""

import sys

import pytest

import dse
from dse.cli import main
from dse.errors import DseError, SpecError
from dse.goals.python_objective import is_code, place_of, python_objective

GOALS = '''
from pathlib import Path

Path("loaded").write_text("x")


def root_edp(metrics):
    """Energy x the root of delay.

    More."""
    return metrics.energy_pj * metrics.cycles**0.5


def slowest(metrics):
    return max(layer.cycles for layer in metrics.layers)


def stages(metrics):
    return max(layer.count * layer.cycles for layer in metrics.layers)


stages.of_mappings = "delay"


def broken(metrics):
    return metrics.nonsense


broken.of_mappings = "edp"
number = 3
'''
QUICK = ("workload=dosa_bert", "samples=20", "optimizer=random", "-q")


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    (tmp_path / "goals_of_mine.py").write_text(GOALS)
    yield
    sys.modules.pop("goals_of_mine", None)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("m:f", True), ("a.b:f", True), ("edp", False), ("2*cycles", False), ("m:f()", False),
        ("a:b:c", False), ("cycles : energy", False),
    ],
)  # fmt: skip
def test_what_is_code(text, code):
    assert is_code(text) is code


def test_a_function_is_minimised_of_designs_and_mappings(tmp_path):
    result = dse.run(workload="dosa_bert", samples=20, optimizer="random",
                     objective="goals_of_mine:root_edp", folder=tmp_path / "run")  # fmt: skip
    m = result.metrics
    assert result.value == m.energy_pj * m.cycles**0.5
    assert result.objective == "goals_of_mine:root_edp"
    goal = python_objective("goals_of_mine:root_edp")
    assert goal.summary == "Energy x the root of delay."
    assert callable(goal.of_mappings)
    assert python_objective("goals_of_mine:stages").of_mappings == "delay"
    # the same function, given as such
    import goals_of_mine

    again = dse.run(workload="dosa_bert", samples=20, optimizer="random",
                    objective=goals_of_mine.root_edp, folder=tmp_path / "again")  # fmt: skip
    assert again.value == result.value


def test_what_cannot_be_an_objective_is_one_line(capsys, tmp_path):
    (tmp_path / "torn.py").write_text("def f(:")
    for name, message in {
        "torn:f": "torn cannot be loaded (SyntaxError: ",
        "goals_of_mine:nothing": "goals_of_mine has no function 'nothing'",
        "goals_of_mine:number": "goals_of_mine has no function 'number'",
        "no_such_module:f": "there is no module 'no_such_module' here",
        "goals_of_mine:slowest": "slowest.of_mappings = 'edp', 'energy' or 'delay'",
    }.items():
        assert main(["run", *QUICK, f"objective={name}"]) == 2
        err = capsys.readouterr().err
        assert message in err
        assert err.count("\n") == 1
    assert main(["run", *QUICK, "objective=goals_of_mine:broken"]) == 1
    assert "objective = goals_of_mine:broken: AttributeError" in capsys.readouterr().err
    for wrong in (lambda m: m.cycles, Noted().f):
        with pytest.raises(SpecError, match="expected a function at the top of a module"):
            place_of(wrong)


class Noted:
    def f(self, metrics):
        return metrics.cycles


def test_a_folder_from_elsewhere_loads_no_code(tmp_path, capsys, monkeypatch):
    assert main(["run", *QUICK, "objective=goals_of_mine:root_edp", "folder=mine"]) == 0
    mine = capsys.readouterr().out
    # one's own goes on
    assert main(["run", "resume=mine", "-q"]) == 0
    assert capsys.readouterr().out == mine
    # to another user it is a stranger's
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "another"))
    sys.modules.pop("goals_of_mine")
    (tmp_path / "loaded").unlink()
    for words in (["run", "resume=mine", "-q"], ["explain", "mine"]):
        assert main(words) == 2
        assert "objective = goals_of_mine:root_edp" in capsys.readouterr().err
    for words in (["compare", "mine"], ["certify", "mine"], ["validate", "mine"]):
        assert main(words) != 0
    assert "goals_of_mine" not in sys.modules
    assert not (tmp_path / "loaded").exists()
    assert main(["run", "resume=mine", "-q", "--trust"]) == 0
    assert (tmp_path / "loaded").exists()


def test_exact_searches_refuse_it(capsys):
    assert main(["run", *QUICK, "optimizer=optimal", "objective=goals_of_mine:root_edp"]) == 2
    assert "expected one of edp" in capsys.readouterr().err


def test_an_error_of_the_function_is_not_a_value():
    from dse.goals.design import DesignMetrics

    goal = python_objective("goals_of_mine:broken")
    with pytest.raises(DseError, match="'DesignMetrics' object has no attribute 'nonsense'"):
        goal(DesignMetrics(True, 1.0, 1.0, 1.0, 1.0))
