"""Constraints of Timeloop's mapper: all kinds, all places, all versions, and what is refused."""

import logging
import re

import pytest
import timeloop_files
import yaml

from dse.domain.constraints import LevelConstraint
from dse.domain.fixed_factors import fitted
from dse.errors import SpecError
from dse.mapspace.space import Mapspace
from dse.timeloop.evaluate import evaluate_text
from dse.timeloop.read.flatten import flatten
from dse.timeloop.read.inputs import read_entry
from dse.timeloop.read.mapspace import read_constraints
from dse.timeloop.write.constraints import constraint_rules
from dse.timeloop.yaml.io import load_texts

BASE = timeloop_files.ARCH + timeloop_files.PROBLEM % 16
GRID = """\
architecture:
  version: 0.4
  subtree:
  - name: top
    local:
    - {name: DRAM, class: DRAM, attributes: {width: 64, word_bits: 8}}
    subtree:
    - name: chip
      local:
      - {name: GLB, class: SRAM, attributes: {depth: 8192, width: 64, word_bits: 8}}
      subtree:
      - name: PE[0..15]
        local:
        - {name: RF, class: regfile, attributes: {depth: 64, width: 8, word_bits: 8, meshX: 4}}
        - {name: MACC, class: intmac, attributes: {datawidth: 8, meshX: 4}}
problem:
  shape: cnn-layer
  instance: {C: 16, K: 32, R: 3, S: 3, P: 14, Q: 14, N: 1}
"""


def read(text, constraints, version="4cf6d4c"):
    root = load_texts([("base", text), ("con", constraints)])
    spec, _ = read_entry(root, version, for_model=False)
    flat = flatten(root, spec.problem)
    return spec, read_constraints(flat, spec.architecture, spec.problem, version)


def one(text, rule, key="mapspace_constraints", version="4cf6d4c"):
    """Return the constraints of a single rule, by level."""
    return read(text, yaml.safe_dump({key: [rule]}), version)[1]


def rule(target="Buf", kind="temporal", **content):
    return {"target": target, "type": kind, **content}


def test_every_relation_and_default():
    loops = one(BASE, rule(factors="R<=3, P >= 4"))["Buf"].temporal
    assert (loops.max_factors, loops.min_factors, loops.factors) == ({"R": 3}, {"P": 4}, {})
    loops = one(BASE, rule(factors="R<=2", default_max_factor=4))["Buf"].temporal
    assert loops.max_factors == {"R": 2, "P": 4}
    loops = one(BASE, rule(factors="R>=2", default_min_factor=3))["Buf"].temporal
    assert loops.min_factors == {"R": 2, "P": 3}
    assert one(BASE, rule(factors=["P4", "R=0"]))["Buf"].temporal.factors == {"P": 4, "R": 0}


def test_the_least_factor_holds():
    spec, constraints = read(
        BASE, "mapspace_constraints: [{target: Buf, type: temporal, factors: P>=4}]"
    )
    space = Mapspace(spec.problem, spec.architecture, constraints)
    table = space.factors[1].table
    assert sorted(table[:, 0].tolist()) == [4, 8, 16]


@pytest.mark.parametrize(
    "block",
    [
        "mapspace: {constraints: [RULE]}",
        "mapspace: {targets: [RULE]}",
        "mapspace: {constraints: mine, constraints_mine: [RULE]}",
        "mapspace: [RULE]",
        "mapspace: {template: uber, version: 0.4, targets: [RULE]}",
        "mapspace_constraints: {targets: [RULE]}",
        "mapspace: [{name: Buf, constraints: [{type: temporal, attributes: {factors: P=4}}]}]",
        "arch_constraints: [RULE]",
        "architecture_constraints: {targets: [RULE]}",
        "extra_mapping_constraints: {version: 0.4, targets: [RULE]}",
    ],
)
def test_every_place_is_read(block):
    text = block.replace("RULE", "{target: Buf, type: temporal, factors: P=4}")
    assert read(BASE, text)[1] == {"Buf": LevelConstraint(temporal=_fixed(P=4))}


def _fixed(**factors):
    return type(LevelConstraint().temporal)(factors=factors)


def test_the_architectures_own_constraints_are_read():
    text = BASE.replace(
        "  version: 0.4\n",
        "  version: 0.4\n  constraints: [{target: Buf, type: temporal, factors: P=4}]\n",
    )
    assert read(text, "mapper: {}")[1]["Buf"].temporal.factors == {"P": 4}


def test_both_ends_of_an_order():
    level = one(GRID, rule("GLB", permutation="RS_K"))["GLB"].temporal
    assert (level.permutation, level.suffix) == (("R", "S"), ("K",))
    spec, constraints = read(
        GRID, "mapspace_constraints: [{target: GLB, type: temporal, permutation: _KC}]"
    )
    space = Mapspace(spec.problem, spec.architecture, constraints)
    order = [spec.problem.dimensions[d] for d in space.arrays.order[1]]
    assert order[-2:] == ["K", "C"]
    assert space.arrays.free_start[1] == 0


def test_a_least_parallelism():
    found = one(GRID, rule("RF", "utilization", min=0.5))["RF"]
    assert found.min_parallelism == 0.5
    spec, constraints = read(
        GRID, "mapspace_constraints: [{target: RF, type: parallelism, attributes: {min: 0.3}}]"
    )
    assert Mapspace(spec.problem, spec.architecture, constraints).arrays.least_parallel == 5


def test_data_spaces_and_reuse():
    found = one(GRID, rule("GLB", "bypassing", keep=["Inputs"], bypass=["Weights"]))["GLB"]
    assert (found.keep, found.bypass) == (("Inputs",), ("Weights",))
    space = rule("GLB", "spatial", no_reuse=["Weights"], no_link_transfer=["Inputs"])
    found = one(GRID, space)["GLB"]
    assert (found.no_multicast, found.no_link_transfer) == (("Weights",), ("Inputs",))
    assert one(GRID, rule("RF", no_reuse=["Inputs"]))["RF"].no_temporal_reuse == ("Inputs",)
    # a key that 3.0.3 does not know
    older_grid = GRID.replace("word_bits", "word-bits")
    assert one(older_grid, rule("RF", no_reuse=["Inputs"]), version="3.0.3") == {}
    older = rule("RF", no_temporal_reuse=["Inputs"])
    assert one(older_grid, older, version="3.0.3")["RF"].no_temporal_reuse == ("Inputs",)


@pytest.mark.parametrize(
    ("order", "split", "x", "y"),
    [
        ("KC", 1, "K", "CRSPQNG"),
        ("KC", 2, "KC", "RSPQNG"),
        ("", 0, "", "RSPQCKN"),
        ("", 99, "RSPQCKN", ""),
        ("K_C", 6, "KRSPQN", "C"),
    ],
)
def test_a_split_says_who_runs_where(order, split, x, y):
    content = {"permutation": order} if order else {}
    found = one(GRID, rule("GLB", "spatial", split=split, **content))["GLB"].spatial
    assert set(found.x) == set(x)
    assert set(found.y) == set(y) - {"G"}


def test_a_split_among_dimensions_of_any_order(caplog):
    ones = "R=1 S=1 P=1 Q=1 N=1"
    found = one(GRID, rule("GLB", "spatial", split=3, factors=ones))["GLB"].spatial
    assert {"K", "C"} <= set(found.x) and {"K", "C"} <= set(found.y)
    assert not caplog.records
    found = one(GRID, rule("GLB", "spatial", split=1, factors=ones))["GLB"].spatial
    assert {"K", "C"} & set(found.x) == {"C"}
    assert "leaves open which of C, K run along X" in caplog.text


def test_a_factor_beyond_the_bound_is_ignored_as_timeloop_does(caplog):
    assert one(BASE, rule(factors="P=99")) == {}
    assert "P=99 is ignored, as it exceeds the bound 16" in caplog.text


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"factors": "P<4"}, "'P<4' is ignored"),
        ({"remainders": 2}, "remainders: is ignored"),
        ({"attributes": {"factors": "P=4", "no_reuse": ["I"]}}, "looks for it beside 'attributes'"),
        ({"colour": "red"}, "colour: is ignored"),
    ],
)
def test_what_has_no_effect_is_named(content, said, caplog):
    one(BASE, rule(**content))
    assert said in caplog.text


def test_of_rubys_mapspace_the_perfect_factors_are_searched(caplog):
    text = "mapspace: {template: ruby, targets: [{target: Buf, type: temporal, factors: P=4}]}"
    assert read(BASE, text)[1]["Buf"].temporal.factors == {"P": 4}
    assert "the mappings with perfect factors are searched" in caplog.text
    caplog.clear()
    assert one(BASE, rule(kind="max_overbooked_proportion", proportion=0.1)) == {}
    assert "it has no effect on dense problems" in caplog.text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("mapspace_constraints: [{target: Buf, type: temporl, factors: P=2}]", "unrecognized"),
        ("mapspace_constraints: [{target: Buf, type: temporal, permutaton: RP}]", "'permutation'?"),
        ("mapspace_constraints: [{target: Buf, type: temporal, factor: P=2}]", "'factors'?"),
        ("mapspace_constraints: [{target: Buf, type: temporal, factors: Z=2}]", "dimension 'Z'"),
        ("mapspace_constraints: [{target: Buf, type: temporal, factors: P>=0}]", "at least 1"),
        ("mapspace_constraints: [{target: Buf, type: temporal, permutation: RPR}]", "stands twice"),
        ("mapspace_constraints: [{target: Buf, type: spatial, factors: P=2}]", "has no fan-out"),
        ("mapspace_constraints: [{target: DRAM, type: utilization, min: 0.5}]", "innermost"),
        ("mapspace_constraints: [{target: Buf, type: utilization, min: 2}]", "from 0 to 1"),
        (
            "mapspace_constraints: [{target: Bufs, type: temporal}]",
            "target storage level not found",
        ),
        ("mapspace_constraints: [{target: Buf, type: bypass, keep: [X]}]", "data space 'X'"),
        ("mapspace_constraints: [{target: Buf, type: bypass, no_coalesce: [O]}]", "no_coalesce"),
        (
            "mapspace_constraints: [{target: Buf, type: temporal, rmw_first_update: [O]}]",
            "rmw_first_update is not supported",
        ),
        ("mapspace: {template: rubi}", "unsupported mapspace template"),
        ("mapspace: {constraint: []}", "did you mean 'constraints'"),
        (
            "mapspace: {constraints: , targets: [{target: Buf, type: temporal}]}",
            "'constraints' is empty",
        ),
        (
            "mapspace: [{target: Buf, type: temporal}]\n"
            "mapspace_constraints: [{target: Buf, type: temporal}]",
            "found both",
        ),
        (
            "architecture_constraints: [{target: Buf, type: temporal, factors: P=2}]\n"
            "mapspace_constraints: [{target: Buf, type: temporal, factors: P=2}]",
            "re-specification of factor for dimension P at level Buf",
        ),
        (
            "mapspace_constraints: [{target: Buf, type: bypass, keep: [I]},"
            " {target: Buf, type: bypass, bypass: [I]}]",
            "re-specification of dataspace bypass flag",
        ),
    ],
)
def test_what_timeloop_stops_on_is_refused(text, said):
    with pytest.raises(SpecError, match=re.escape(said)) as error:
        read(BASE, text)
    assert str(error.value).startswith("con:") or "'X'" in said


def test_the_outermost_levels_last_word_counts():
    text = (
        "architecture_constraints: [{target: DRAM, type: bypass, bypass: [I]}]\n"
        "mapspace_constraints: [{target: DRAM, type: bypass, keep: [I]}]"
    )
    assert read(BASE, text)[1]["DRAM"].keep == ("I",)


@pytest.mark.parametrize(
    ("factors", "bounds", "outer"),
    [
        ({"Buf": "P=3"}, {"R": 3, "P": 18}, 6),
        ({"Buf": "P=5", "DRAM": "P=5"}, {"R": 3, "P": 20}, 4),
        ({"Buf": "P=2", "DRAM": "P=16"}, {"R": 3, "P": 16}, 8),
        ({"Buf": "P=4"}, {"R": 3, "P": 16}, None),
    ],
)
def test_bounds_are_padded_to_what_fixed_factors_divide(factors, bounds, outer):
    rules = [rule(level, factors=text) for level, text in factors.items()]
    spec, constraints = read(BASE, yaml.safe_dump({"mapspace_constraints": rules}))
    made = fitted(spec.problem, constraints, spec.architecture)
    assert dict(made.problem.bounds) == bounds
    assert bool(made.changes) == (outer is not None)
    space = Mapspace(made.problem, spec.architecture, made.constraints)
    assert space.infeasible is None
    if outer is not None:
        assert outer in space.factors[1].table[:, 1]


def test_an_empty_mapspace_names_the_constraints():
    text = "mapspace_constraints: [{target: Buf, type: temporal, factors: P=4 P<=2}]"
    spec, constraints = read(BASE, text)
    said = Mapspace(spec.problem, spec.architecture, constraints).infeasible
    assert said is not None
    assert "P=4 temporal at Buf, P<=2 temporal at Buf" in said


def test_constraints_come_back_from_the_files_written():
    rules = [
        rule("GLB", "bypass", keep=["Inputs"], bypass=["Weights"]),
        rule("GLB", factors="C<=4 P>=2 R=3", permutation="RS_K"),
        rule("GLB", "spatial", factors="C>=2", permutation="KC", split=1),
        rule("RF", "utilization", min=0.25),
    ]
    spec, constraints = read(GRID, yaml.safe_dump({"mapspace_constraints": rules}))
    written = constraint_rules(constraints, spec.architecture, spec.problem)
    again = read(GRID, yaml.safe_dump({"mapspace_constraints": written}))[1]
    # what is written says of all levels what holds without a word
    spaces = [Mapspace(spec.problem, spec.architecture, c) for c in (constraints, again)]
    assert spaces[0].slots == spaces[1].slots
    for name in ("order", "free_start", "free_count", "axis", "keep"):
        one, other = (getattr(space.arrays, name) for space in spaces)
        assert (one == other).all(), name
    assert spaces[0].arrays.least_parallel == spaces[1].arrays.least_parallel == 4


def test_the_model_joins_extra_constraints_into_the_mapping():
    extra = "extra_mapping_constraints: {targets: [{target: Buf, type: temporal, factors: P=4}]}\n"
    with pytest.raises(SpecError, match="product of all factors of dimension R is 1"):
        evaluate_text(BASE + extra)
    mapping = (
        "mapping: [{target: Buf, type: temporal, factors: R=3},"
        " {target: DRAM, type: temporal, factors: P=4}]\n"
    )
    assert evaluate_text(BASE + mapping + extra).stats.cycles == 48


def test_the_model_holds_a_mapping_against_default_limits():
    mapping = (
        "mapping: [{target: Buf, type: temporal, factors: R=3 P=4},"
        " {target: DRAM, type: temporal, factors: P=4}]\n"
    )
    limit = "arch_constraints: [{target: Buf, type: temporal, default_max_factor: %d}]\n"
    assert evaluate_text(BASE + mapping + limit % 4).stats.cycles == 48
    with pytest.raises(SpecError, match="violates architecture constraints"):
        evaluate_text(BASE + mapping + limit % 3)


def test_keys_at_the_top_that_mean_nothing_are_named(caplog):
    with caplog.at_level(logging.WARNING):
        read(BASE, "constraints: []\nignore: 1")
    assert "constraints: is ignored" in caplog.text
    assert "ignore: is ignored" in caplog.text
    with pytest.raises(SpecError, match="did you mean 'mapspace_constraints'"):
        read(BASE, "mapspace_constraint: []")


@pytest.mark.parametrize("content", [{"factors": "P=1 R<=4"}, {"permutation": "RP", "split": 1}])
def test_a_spatial_rule_that_asks_for_nothing_needs_no_fan_out(content, caplog):
    assert one(BASE, rule(kind="spatial", **content)) == {}
    assert "is ignored, as level 'Buf' has no fan-out (Timeloop stops)" in caplog.text


@pytest.mark.parametrize("content", [{"factors": "P=2"}, {"factors": "P=0"}, {"factors": "R>=2"}])
def test_one_that_asks_for_loops_does(content):
    with pytest.raises(SpecError, match="cannot find spatial tiling level"):
        one(BASE, rule(kind="spatial", **content))


def test_macs_without_a_mesh_have_that_of_the_innermost_storage_in_a_search(caplog):
    text = GRID.replace("{datawidth: 8, meshX: 4}", "{datawidth: 8}")
    compute = read(text, "mapper: {}")[0].architecture.compute
    assert (compute.mesh_x, compute.mesh_y) == (4, 4)
    assert "has no meshX: taken to be the 4 x 4 of 'RF' (Timeloop stops" in caplog.text
    mapping = "mapping: [{target: DRAM, type: temporal, factors: C16 K32 R3 S3 P14 Q14}]\n"
    with pytest.raises(SpecError, match="mesh_y 4 does not divide mesh_y 1 of 'MACC'.*aborts"):
        evaluate_text(text + mapping)


def test_a_map_in_a_list_of_data_spaces_is_what_timeloop_stops_on():
    bad = "mapspace_constraints:\n- {target: Buf, type: bypass, bypass: [W, {target: Buf}]}"
    with pytest.raises(SpecError, match=r"(?s)bypass\[1\] = .*ERROR: bad conversion, at line: 2"):
        read(BASE, bad)
