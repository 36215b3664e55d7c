"""`mapspace.free`: what of a template's constraints is the hardware's, and what is lifted."""

from __future__ import annotations

import pytest
import yaml

from dse.components.chain import energy_chain
from dse.domain.constraints import PHYSICAL, LevelConstraint
from dse.domain.problem import SHAPES, Layer, Problem, Workload
from dse.errors import SpecError
from dse.mapspace.space import Mapspace
from dse.space import catalog
from dse.space.mapspace_choice import freed, held_on_chip
from dse.space.search_space import SearchSpace
from dse.space.template import ArchTemplate
from dse.timeloop.write.constraints import constraint_rules

CONV = Problem(SHAPES["cnn-layer"], {"R": 3, "S": 1, "P": 4, "Q": 2, "C": 4, "K": 4, "N": 1})


def without_choices() -> list[str]:
    every = ((name, catalog.template(name)) for name in catalog.names("arch"))
    return [name for name, template in every if not any(v.choices for v in template.variables)]


def changed(**level: object) -> ArchTemplate:
    """Gemmini with other constraints of its scratchpad."""
    content = yaml.safe_load(catalog.find("arch", "gemmini").read_text(encoding="utf-8"))
    content["storage"][1]["constraints"] = level
    return ArchTemplate.parse(content, "changed.yaml")


@pytest.mark.parametrize("name", without_choices())
def test_only_facts_of_the_hardware_are_left(name):
    before = catalog.template(name)
    after = freed(before)
    assert after.is_free
    assert not before.is_free
    for level, rules in before.constraints.items():
        own = after.constraints[level]
        assert own == LevelConstraint(**{key: getattr(rules, key) for key in PHYSICAL})
    values = before.defaults or {v.name: v.minimum for v in before.variables}
    one, other = before.build(values), after.build(values)
    assert one.levels == other.levels
    assert one.compute == other.compute
    assert other.constraints == after.constraints


def test_any_loop_runs_wherever_there_is_fan_out():
    template = freed(catalog.template("gemmini"))
    architecture = template.build(template.defaults)
    space = Mapspace(CONV, architecture)
    spatial = {s for s in range(4) if max(architecture.fanout(s)) > 1}
    for dimension, slots in zip(CONV.dimensions, space.slots, strict=True):
        assert {x.level for x in slots if not x.spatial} == {0, 1, 2, 3}, dimension
        assert {x.level for x in slots if x.spatial} == spatial, dimension
    movable = sum(n > 1 for n in CONV.bounds.values())
    assert space.arrays.free_count.tolist() == [movable] * 4
    assert not space.arrays.any_keep_free


def test_optional_keeps_and_bypasses_are_choices():
    rules = {"keep": ["Weights", "Inputs"], "bypass": ["Outputs"], "optional": ["Inputs"]}
    template = changed(**rules)
    assert template.constraints["Scratchpad"].keep == ("Weights", "Inputs")
    own = freed(template).constraints["Scratchpad"]
    assert (own.keep, own.bypass) == (("Weights",), ("Outputs",))
    with pytest.raises(SpecError, match=r"optional: tensor 'Outputs' is neither kept nor bypassed"):
        changed(keep=["Weights", "Inputs"], optional=["Outputs"])


def test_rules_of_the_network_and_of_what_is_held_on_chip_stay():
    template = held_on_chip(changed(no_multicast=["Inputs"], min_parallelism=0.5), "timeloop")
    own = freed(template).constraints
    assert own["Scratchpad"] == LevelConstraint(no_multicast=("Inputs",))
    assert own["DRAM"].onchip == "timeloop"


def test_templates_that_search_parallel_dimensions_as_hardware_are_refused():
    with pytest.raises(SpecError, match=r"'naas_eyeriss'.*variable parallel_x"):
        freed(catalog.template("naas_eyeriss"))


def test_spaces_are_told_apart_and_said():
    workload = Workload("one", (Layer("a", CONV),))
    template = catalog.template("gemmini")
    spaces = [SearchSpace(x, workload, energy_chain("dosa")) for x in (template, freed(template))]
    assert "the template's constraints" in spaces[0].mapspace
    assert "any loops that its fan-outs admit" in spaces[1].mapspace
    assert all("even mappings" in space.mapspace for space in spaces)


def test_timeloop_is_told_of_bypasses_only():
    template = freed(catalog.template("gemmini"))
    architecture = template.build(template.defaults)
    rules = constraint_rules(template.constraints, architecture, CONV)
    assert {rule["type"] for rule in rules} == {"bypass"}
    assert len(rules) == 4
