"""What is the same is mapped and evaluated once; the first compilation is announced."""

import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from counting import Counting

from dse.components.chain import energy_chain
from dse.domain.problem import Layer, Workload
from dse.goals.design import Design
from dse.goals.objective import objective
from dse.mappers.random import RandomMapper, RandomMapperSettings
from dse.space import catalog
from dse.space.search_space import SearchSpace
from dse.study.design_evaluator import DesignEvaluator


def _setup():
    template = catalog.template("gemmini")
    one, two = (x.problem for x in catalog.workload("resnet50").layers[1:3])
    workload = Workload("twins", (Layer("a", one), Layer("b", two), Layer("c", one, count=3)))
    space = SearchSpace(template, workload, energy_chain("dosa"))
    evaluator = Counting()
    mapper = RandomMapper(evaluator, template.constraints, objective("edp"), RandomMapperSettings())
    return evaluator, DesignEvaluator(space, mapper, evaluator)


VALUES = {"pe_dim": 16, "scratchpad_kb": 64, "accumulator_kb": 32}


def test_identical_layers_are_mapped_once_and_counted_each():
    evaluator, price = _setup()
    [(design, metrics)] = price([Design(VALUES, mapping_samples=50)], np.random.SeedSequence(1))
    assert evaluator.asked == 100
    a, b, c = metrics.layers
    assert (a.cycles, a.energy_pj) == (c.cycles, c.energy_pj)
    assert metrics.cycles == a.cycles + b.cycles + 3 * c.cycles
    assert design.mappings is not None and design.mappings[0] == design.mappings[2]


def test_a_design_that_comes_back_is_not_evaluated_again():
    evaluator, price = _setup()
    [(design, metrics)] = price([Design(VALUES, mapping_samples=50)], np.random.SeedSequence(1))
    evaluator.asked = 0
    again = replace(design, mapping_samples=1)
    first = price([again, again], np.random.SeedSequence(2))
    second = price([again], np.random.SeedSequence(3))
    assert evaluator.asked == 2
    assert [m.cycles for _, m in (*first, *second)] == [metrics.cycles] * 3


def _compile_one(folder, before_import=""):
    """Compile one small function with the cache in a folder; return what stderr says."""
    program = (
        "import numpy as np\n"
        "import dse.jit as jit\n"
        f"{before_import}\n"
        "from dse.model.loops import copy_row\n"
        "copy_row.targetoptions.update(no_cpython_wrapper=False)\n"
        "to = np.zeros(3); copy_row(to, np.ones(3)); print(to.sum())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "NUMBA_CACHE_DIR": str(folder)},
        capture_output=True,
        text=True,
        check=True,
        cwd=folder,
    )
    assert done.stdout == "3.0\n"
    return done.stderr


@pytest.mark.slow
def test_the_first_compilation_is_announced_and_the_next_process_finds_it(tmp_path):
    assert "compiling the model" in _compile_one(tmp_path)
    assert _compile_one(tmp_path) == ""


@pytest.mark.slow
def test_an_edit_of_any_compiled_source_compiles_anew(tmp_path):
    _compile_one(tmp_path)
    edited = (
        "old = jit._sources; jit._sources = lambda room: "
        "tuple((n, t + (n == 'model/links.py'), s) for n, t, s in old(room))"
    )
    assert "compiling the model" in _compile_one(tmp_path, edited)
