"""Boxes bounded by their corners: brute force, the corner's promise, and honest ends."""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest
import yaml
from cosearch_cases import (
    CASES,
    FREE,
    all_values,
    brute_force,
    frame_of,
    front,
    place_of,
    random_box,
    random_member,
    space_of,
)
from hypothesis import given
from hypothesis import strategies as st

from dse.cosearch.boxes import HardwareBoxes
from dse.cosearch.corner import corner_of, tile_words, widths_of
from dse.cosearch.corners import CornerSearch
from dse.cosearch.goal import CoSearchGoal
from dse.cosearch.layer_bounds import LayerBounds, Support, between
from dse.cosearch.polygon import least_corner, least_products
from dse.cosearch.size_ranges import ranges_of
from dse.errors import SpecError
from dse.evaluators.native import NativeEvaluator
from dse.goals.limits import limits
from dse.goals.objective import EDP
from dse.mapspace.cache import MapspaceCache
from dse.mapspace.membership import admitted
from dse.mapspace.sampling import sample_valid
from dse.mapspace.space import Mapspace
from dse.runner.run import resume, start
from dse.space import catalog

pytestmark = pytest.mark.slow

CHAINS_WITH_AREAS = ("table", "dosa")


def solve(case: str, objective: str, bounds: str = "", version: str = "4cf6d4c") -> CornerSearch:
    space = space_of(case, objective, version)
    goal = CoSearchGoal.of(space.objective, limits(bounds), space.template.max_area_um2)
    search = CornerSearch(space, goal)
    least = 0.0
    for _ in search.run():
        assert search.bound >= least
        least = search.bound
    return search


@pytest.mark.parametrize("case", [*CASES, *FREE])
def test_finds_exactly_the_least_value(case: str) -> None:
    expected = brute_force(space_of(case))
    with_areas = {**CASES, **FREE}[case][2] in CHAINS_WITH_AREAS
    for objective in ("edp", "energy", "delay", *(("adp",) if with_areas else ())):
        search = solve(case, objective)
        assert search.finished
        assert search.incumbent is not None
        assert search.incumbent.value == pytest.approx(expected[objective], rel=1e-12)
        assert search.bound == pytest.approx(search.incumbent.value, rel=search.tolerance)


def test_a_limit_on_the_area_is_kept() -> None:
    space = space_of("nvdla conv")
    free = solve("nvdla conv", "edp").incumbent
    assert free is not None
    areas = sorted({space.architecture(values).area_um2 for values in all_values(space)})
    smaller = [area for area in areas if area < free.metrics.area_um2]
    most = smaller[len(smaller) // 2]
    limited = solve("nvdla conv", "edp", f"area_um2 <= {most!r}").incumbent
    assert limited is not None
    assert limited.metrics.area_um2 <= most
    assert limited.value == pytest.approx(brute_force(space, most)["edp"], rel=1e-12)


@pytest.mark.parametrize(
    ("case", "rules"),
    [
        ("naas dense", ["l2_bytes <= 64 * pes"]),
        ("naas columns", ["array_x * array_y <= pes", "l2_bytes >= 32 * pes"]),
        ("poster dense", ["mesh_x * mesh_y == 12"]),
        ("eyeriss conv", ["glb_kb >= 4 * rows"]),
    ],
)
def test_the_boxes_hold_all_hardware(case: str, rules: list[str]) -> None:
    space = space_of(case, require=rules)
    hardware = HardwareBoxes(space, areas=False)
    found = 0
    for values in all_values(space):
        try:
            real = space.architecture(values)
        except SpecError:
            continue
        box = frame_of(hardware, values)
        assert box is not None
        assert space.architecture(hardware.values(box)) == real
        found += 1
    assert found > 10


@pytest.mark.parametrize(
    "case",
    [
        *("eyeriss conv", "nvdla conv", "edge tpu conv", "shidiannao conv", "tpu conv"),
        *("naas dense", "naas conv", "naas columns", "poster dense"),
    ],
)
def test_a_corner_is_no_worse_than_any_hardware_of_its_box(case: str) -> None:
    space = space_of(case)
    hardware = HardwareBoxes(space, areas=False)
    rng = np.random.default_rng(5)
    spaces = MapspaceCache(space.template.constraints)
    evaluator = NativeEvaluator()
    compared = 0
    for _ in range(25):
        box = random_box(hardware, rng)
        member = random_member(box, rng)
        try:
            real = space.architecture(hardware.values(member))
        except SpecError:
            continue
        corner = corner_of(hardware, box)
        problem = space.workload.layers[0].problem
        found = sample_valid(spaces(problem, real), 40, 3, 100_000).mappings
        if not len(found):
            continue
        assert admitted(spaces(problem, real), found).all()
        assert admitted(spaces(problem, corner), found).all()
        assert member.is_single
        # links between neighbours depend on the fan-out: a larger one may have fewer
        unlinked = replace(found, no_link_transfer=np.ones_like(found.no_link_transfer))
        inside, outside = (evaluator.evaluate(x, problem, unlinked) for x in (real, corner))
        assert outside.valid.all()
        assert (outside.cycles <= inside.cycles).all()
        assert (outside.energy_pj <= inside.energy_pj * (1 + 1e-12)).all()
        for b in range(len(found)):
            words = tile_words(problem, found[b])
            sizes = [level.size_words or math.inf for level in real.levels]
            assert all(words <= np.array(sizes))
        compared += len(found)
    assert compared > 100


@pytest.mark.parametrize(
    "case",
    [
        *("naas dense", "naas conv", "naas columns", "poster dense"),
        # windows over arrays of several widths, where neighbours may hand them on
        *("eyeriss conv", "shidiannao stride", "nvdla 256 stride", "simple weight window"),
    ],
)
def test_no_hardware_is_better_than_the_bound_of_a_box_that_holds_it(case: str) -> None:
    space = space_of(case)
    hardware = HardwareBoxes(space, areas=True)
    rng = np.random.default_rng(7)
    counts = [layer.count for layer in space.workload]
    bounds = LayerBounds(space, space.workload, 1)
    compared = 0
    for number in range(14):
        box = random_box(hardware, rng)
        real = None
        for _ in range(50):
            member = random_member(box, rng)
            with suppress(SpecError):
                real = space.architecture(hardware.values(member))
                break
        if real is None:
            continue
        tight = hardware.within_budget(box)
        assert tight is not None
        for part, kept in zip(member.rows, tight.rows, strict=True):
            assert part[0] in kept
        assert all(a <= b for a, b in zip(member.high, tight.high, strict=True))
        assert hardware.least_area(box) <= real.area_um2
        points = [front(space, real, layer.problem) for layer in space.workload]
        if not all(points):
            continue
        corner = corner_of(hardware, tight)
        floors = bounds.floors.least(corner)
        ranges = ranges_of(hardware, tight)
        place = place_of(ranges, member)
        assert ranges.able[place]
        multipliers, numbers = (0.0, math.inf, 3.0), range(len(bounds.layers))
        sized = bounds.floors.sized(corner, ranges.classes, multipliers, numbers).sum(axis=0)
        outlined = dict(zip(multipliers, sized[(slice(None), *place)], strict=True))
        for multiplier, quick in ((0.0, False), (math.inf, False), (3.0, number % 2 == 0)):
            least = sum(
                n * min(c if math.isinf(multiplier) else e + multiplier * c for e, c in own)
                for n, own in zip(counts, points, strict=True)
            )
            support = bounds.support(
                corner, multiplier, 0.05 * quick, quick=quick, widths=widths_of(hardware, tight)
            )
            assert support is not None
            assert support.least <= least * (1 + 1e-12)
            assert floors.get(multiplier, 0.0) <= least
            assert outlined[multiplier] <= least
            compared += 1
    assert compared >= 12


def test_a_search_that_is_stopped_has_a_bound_that_holds() -> None:
    space = space_of("naas conv")
    goal = CoSearchGoal.of(space.objective, (), None)
    least = brute_force(space)["edp"]
    search = CornerSearch(space, goal)
    for _ in search.run():
        assert search.bound <= least * (1 + 1e-12)
        assert search.incumbent is None or search.incumbent.value >= least * (1 - 1e-12)


points = st.lists(
    st.tuples(st.floats(1.0, 1e3), st.floats(1.0, 1e3)), min_size=1, max_size=12, unique=True
)


EDP_GOAL = CoSearchGoal.of(EDP, (), None)


@given(points, st.lists(st.floats(0.01, 100.0), max_size=4, unique=True))
def test_no_point_lies_below_the_least_corner(points, multipliers) -> None:
    def support(multiplier: float) -> Support:
        def weighted(point: tuple[float, float]) -> float:
            energy, cycles = point
            return cycles if math.isinf(multiplier) else energy + multiplier * cycles

        energy, cycles = min(points, key=weighted)
        return Support(multiplier, weighted((energy, cycles)), energy, cycles, ())

    told = {m: support(m) for m in (0.0, math.inf, *multipliers)}
    least = min(energy * cycles for energy, cycles in points)
    corner = least_corner({m: s.least for m, s in told.items()}, EDP_GOAL)
    assert corner.value <= least * (1 + 1e-9)
    lines = {m: np.array([s.least, 1e3 * s.least]) for m, s in told.items()}
    assert least_products(lines) == pytest.approx([corner.value, 1e6 * corner.value], rel=1e-6)
    # asked on and on, it is exact
    for _ in range(40):
        corner = least_corner({m: s.least for m, s in told.items()}, EDP_GOAL)
        wanted = between(told[corner.left], told[corner.right])
        if wanted is None or wanted in told:
            break
        told[wanted] = support(wanted)
    assert corner.value == pytest.approx(least, rel=1e-6)


@pytest.mark.parametrize("version", ["3.0.3", "dosa"])
@pytest.mark.parametrize(
    "case", ["eyeriss conv", "nvdla dense", "tpu stride", "simple weight", "shidiannao stride"]
)
def test_versions_without_leakage_are_proven_too(case: str, version: str) -> None:
    expected = brute_force(space_of(case, version=version))
    for objective in ("edp", "energy", "delay"):
        search = solve(case, objective, version=version)
        assert search.incumbent is not None
        assert search.incumbent.value == pytest.approx(expected[objective], rel=1e-12)
        assert search.bound == pytest.approx(search.incumbent.value, rel=search.tolerance)


@pytest.fixture
def given_run(tmp_path) -> dict:
    layers = [
        {"name": "a", "shape": "cnn-layer", "R": 3, "S": 3, "P": 28, "Q": 28, "C": 32, "K": 64},
        {"name": "b", "shape": "cnn-layer", "P": 14, "Q": 14, "C": 64, "K": 128, "count": 2},
    ]
    (tmp_path / "two.yaml").write_text(yaml.safe_dump({"name": "two", "layers": layers}))
    return {
        "arch": "eyeriss_256",
        "workload": str(tmp_path / "two.yaml"),
        "optimizer": {"name": "optimal", "nodes": 1, "mappings": 1000},
        "report": False,
    }


def test_a_run_that_is_stopped_has_a_gap(given_run, tmp_path) -> None:
    result = start({**given_run, "folder": str(tmp_path / "run")}).execute()
    proof = result.certificate
    assert proof is not None
    assert proof["status"] == "stopped"
    assert 0 < proof["bound"] < proof["value"] == result.value
    assert any("most generous hardware" in line for line in proof["assumed"])


def test_a_killed_run_ends_alike(given_run, tmp_path) -> None:
    class KilledError(Exception):
        pass

    def kill(_: object) -> None:
        raise KilledError

    whole = start({**given_run, "folder": str(tmp_path / "whole")}).execute()
    with pytest.raises(KilledError):
        start({**given_run, "folder": str(tmp_path / "part")}).execute(kill)
    result = resume(tmp_path / "part").execute()
    assert (result.value, result.certificate) == (whole.value, whole.certificate)


def test_boxes_may_be_left_out(given_run, tmp_path) -> None:
    optimizer = {"name": "optimal", "boxes": False, "mappings": 10}
    given = {**given_run, "optimizer": optimizer, "samples": 20}
    result = start({**given, "folder": str(tmp_path / "run")}).execute()
    assert result.certificate is not None
    assert result.certificate["status"] == "unsolved"


def test_what_is_stopped_before_a_design_is_found_has_the_studys(given_run, tmp_path) -> None:
    """Of a template that has no design of its own there is no first incumbent either."""
    content = yaml.safe_load(catalog.find("arch", "nvdla_small").read_text(encoding="utf-8"))
    for variable in content["variables"].values():
        variable.pop("default")
    (tmp_path / "none.yaml").write_text(yaml.safe_dump(content))
    settings = {**given_run, "arch": str(tmp_path / "none.yaml"), "samples": 20}
    result = start({**settings, "folder": str(tmp_path / "run")}).execute()
    proof = result.certificate
    assert proof is not None
    assert proof["status"] == "stopped"
    assert proof["value"] == result.value
    assert 0 <= proof["bound"] < proof["value"]


def test_time_ends_a_search_within_a_node(given_run, tmp_path) -> None:
    settings = {"name": "optimal", "mappings": 1000, "time": 0.0}
    run = start({**given_run, "optimizer": settings, "folder": str(tmp_path / "late")})
    result = run.execute()
    proof = result.certificate
    assert proof is not None
    assert (proof["status"], proof["bound"]) == ("stopped", 0.0)
    assert proof["value"] == result.value
    # of mappings that were drawn on the template's own hardware
    assert proof["effort"] == {"nodes": 0, "searches": 0, "designs": 1}
    assert result.design.values == run.space.template.defaults


@pytest.mark.parametrize("version", ["4cf6d4c", "3.0.3", "dosa"])
@pytest.mark.parametrize("case", [*CASES, *FREE])
def test_no_mapping_costs_less_than_the_floors(case: str, version: str) -> None:
    space = space_of(case, version=version)
    bounds = LayerBounds(space, space.workload, 1)
    evaluator = NativeEvaluator(version)
    compared = 0
    for values in all_values(space)[::7]:
        try:
            real = space.architecture(values)
        except SpecError:
            continue
        energy = cycles = 0.0
        for layer in space.workload:
            admits = Mapspace(layer.problem, real, space.template.constraints)
            found = sample_valid(admits, 60, 1, 100_000).mappings
            m = evaluator.evaluate(real, layer.problem, found)
            energy += layer.count * float(m.energy_pj[m.valid].min(initial=math.inf))
            cycles += layer.count * float(m.cycles[m.valid].min(initial=math.inf))
            compared += int(m.valid.sum())
        floors = bounds.floors.least(real)
        assert floors[0.0] <= energy
        assert floors[math.inf] <= cycles
    assert compared > 50
