"""Small inputs on which people got stuck, where they lie beside the checkout: each ends rightly.

What each expects stands in its README; a number is what the real binary said.
"""

import json
from pathlib import Path

import pytest

from dse.cli import main

CASES = Path(__file__).parents[2] / "shared" / "cases"
pytestmark = pytest.mark.skipif(not CASES.is_dir(), reason="no cases beside the checkout")
FILES = CASES / "timeloop-files"
#: Cycles of the base case, and its energy in pJ a compute, by timeloop-model.
BASE = (48, 102.25697)
MODELLED = {
    "base": BASE,
    "density-distribution": BASE,
    "density-without-sparse-optimizations": BASE,
    "duplicate-key": BASE,
    "hyphen-bandwidth": BASE,
    "neg-coefficient": BASE,
    "zero-coefficient": (48, 68.77082),
}
REFUSED = {
    "compute-class-name": "no compute found",
    "huge-depth": "at most 4294967295",
    "imperfect-factors": "product of all factors of dimension P",
    "layout": "layout: not supported",
    "long-dimension-name": "one letter",
    "sparse-gating": "sparse_optimizations",
    "width-below-block": "word_bits x block_size",
}
#: Computes of the mapping, which take a cycle each on one MAC; padding makes for more.
MAPPED = {
    "base": 48,
    "con-default-max-factor": 48,
    "con-extra-mapping-constraints": 48,
    "con-factor-above-bound": 48,
    "con-mapspace-key": 48,
    "con-min-factor": 48,
    "con-nondividing-factor": None,
    "con-permutation-separator": 48,
}


def files(name, *, mapping):
    """Return the files of a case, those that it lacks from the base."""
    unwanted = {"map.yaml"} if not mapping else {"mapper.yaml"}
    own = {p.name: p for p in (FILES / name).glob("*.yaml")}
    shared = {} if "in.yaml" in own else {p.name: p for p in (FILES / "base").glob("*.yaml")}
    return [str(p) for n, p in sorted({**shared, **own}.items()) if n not in unwanted]


@pytest.mark.parametrize("name", MODELLED)
def test_the_model_says_what_timeloop_says(name, capsys):
    assert main(["model", *files(name, mapping=True), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    cycles, pj = MODELLED[name]
    assert told["cycles"] == cycles
    assert told["energy_pj_per_compute"] == pytest.approx(pj, abs=6e-6)


def test_a_large_buffer_is_modelled_and_converted(tmp_path, capsys):
    case = files("convert-large-sizeKB", mapping=True)
    assert main(["model", *case, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["cycles"] == BASE[0]
    assert main(["convert", *case, "--to", "v0.4", "-o", str(tmp_path)]) == 0
    capsys.readouterr()
    assert main(["model", *map(str, tmp_path.glob("*.yaml")), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["energy_pj"] == pytest.approx(told["energy_pj"])


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_possible_is_refused_in_a_line(name, capsys):
    assert main(["model", *files(name, mapping=True)]) == 2
    told = capsys.readouterr().err.partition("error: ")[2]
    assert REFUSED[name] in told


@pytest.mark.slow
@pytest.mark.parametrize("name", MAPPED)
def test_a_mapping_is_found(name, capsys):
    argv = ["map", *files(name, mapping=False), "mapper=hillclimb", "samples=300", "--json"]
    assert main(argv) == 0
    stats = json.loads(capsys.readouterr().out)["stats"]
    assert stats["cycles"] == stats["computes"]
    assert stats["computes"] == MAPPED[name] or (MAPPED[name] is None and stats["computes"] > 48)
