"""What is the same is mapped and evaluated once."""

from dataclasses import replace

import numpy as np
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
