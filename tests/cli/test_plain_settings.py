"""Plain settings mean what Hydra makes of them, and what is not plain is left to Hydra."""

import subprocess
import sys

import pytest

from dse.cli.hydra_front import run_with_hydra
from dse.cli.plain_settings import composed, plain_settings
from dse.errors import SpecError
from dse.runner.config import resolve

PLAIN = [
    [],
    ["optimizer=random"],
    ["optimizer=ga", "optimizer.population=12", "samples=300", "seed=7"],
    ["optimizer.threads=0", "optimizer=optimal", "optimizer.gap=0.25"],
    ["workload=dosa_bert", "arch=./some/arch.yaml", "runs=/tmp/a-b_c", "folder=../x.y"],
    ["variables.pe_dim=16", "variables.name=wide", "parameters.context=128"],
    ["definitions.SIZE=16", "definitions.text=1.50", "definitions.flag=True"],
    ["mapper=gamma", "mapper.crossover=0.5", "mapspace.padding=auto", "mapspace.onchip=null"],
    ["objective=energy", "report=false", "record=TRUE", "store=Null", "n_jobs=2"],
    ["network.depth=3", "parallel=loky", "evaluator=native", "energy=dosa"],
    ["network.depth=-3", "variables.scale=-0.5"],
]


@pytest.mark.parametrize("words", PLAIN, ids=" ".join)
def test_plain_words_mean_what_hydra_makes_of_them(words):
    found = []
    run_with_hydra(words, found.append)
    plain = plain_settings(words)
    assert plain is not None
    assert resolve(plain).as_dict() == resolve(found[0]).as_dict()
    assert composed(words) == [plain]


@pytest.mark.parametrize(
    "word",
    [
        "+variables.pe_dim=16",
        "~mapper",
        "samples=1e4",
        "samples=0x10",
        "samples=007",
        "seed=1_000",
        "seed=1,2",
        "seed=range(3)",
        "variables.x=nan",
        "variables.x=-inf",
        "variables.x=.5",
        "variables.x=[1]",
        "variables.x='a b'",
        "variables.x=a b",
        "variables.x=",
        "objective=1",
        "objective=true",
        "constraints=null",
        "objective=2*cycles",
        "runs=${oc.env:HOME}",
        "runs=\\\\x",
        "hydra/launcher=joblib",
        "hydra.job.name=x",
        "--cfg",
        "-D",
        # wrong ones, of which Hydra says why
        "samples=many",
        "optimiser=ga",
        "optimizer=gaa",
        "optimizer=1",
        "optimizer.populations=3",
        "variables=3",
        "report=maybe",
    ],
)
def test_other_words_are_left_to_hydra(word):
    assert plain_settings([word]) is None
    assert plain_settings(["workload=dosa_bert", word]) is None


def test_a_setting_twice_is_left_to_hydra():
    assert plain_settings(["seed=1", "seed=2"]) is None
    assert plain_settings(["variables.x=1", "variables.x.y=2"]) is None


def test_wrong_words_are_told_as_by_hydra():
    with pytest.raises(SpecError, match="unknown setting 'optimiser'"):
        composed(["optimiser=ga"])
    with pytest.raises(SpecError, match="samples: Value 'many'"):
        composed(["samples=many"])


NOT_NEEDED = """
import sys
from dse.cli import main
code = main("run {words} workload=dosa_bert samples=30 report=false -q runs={runs}".split())
heavy = ("hydra", "jinja2", "matplotlib", "pandas", "torch", "joblib", "scipy.special")
ours = ("dse.optimizers.lockstep", "dse.learned.gaussian_process", "dse.relaxed.descent",
        "dse.report.page", "dse.sparse.batch.kernel", "dse.evaluators.rtl")
print(code, sorted(set(heavy + ours) & set(sys.modules)), file=sys.stderr)
"""


def test_a_run_loads_nothing_that_it_does_not_need(tmp_path):
    program = NOT_NEEDED.format(words="optimizer=random", runs=tmp_path)
    words = [sys.executable, "-c", program]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.stderr.splitlines()[-1] == "0 []", done.stderr
