"""Objectives and constraints by expression, Pareto fronts, genes."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest

import dse
from dse.components.chain import energy_chain
from dse.errors import NothingFeasible, SpecError
from dse.goals.design import Design, DesignMetrics
from dse.goals.limits import limits
from dse.goals.metric_names import METRIC_NAMES, Scale, of_design
from dse.goals.metrics import Metrics
from dse.goals.objective import Objective, objective
from dse.goals.pareto import Front, FrontMember, crowding_distance, nondominated_ranks
from dse.plugins import plugins
from dse.space import catalog
from dse.space.genes import Genes
from dse.space.search_space import SearchSpace
from dse.testing import ObjectiveConformance

DESIGN = DesignMetrics(True, 100.0, 5000.0, 2e6, 0.5, operations=4000, clock_ns=2.0)


def _kit(name):
    return type(f"Test_{name}", (ObjectiveConformance,), {"objective": name})


TestEdp, TestEnergy, TestDelay = map(_kit, ("edp", "energy", "delay"))
TestArea, TestAdp, TestEadp = map(_kit, ("area", "adp", "eadp"))
TestExpression = _kit("2*cycles + energy_pj - 3*gflops")


def test_every_builtin_has_a_conformance_test():
    kits = (k for k in globals().values() if isinstance(k, type))
    tested = {k.objective for k in kits if hasattr(k, "objective")}
    builtin = {n for n, p in plugins("objective").items() if p.distribution == "dse-accel"}
    assert builtin <= tested


@pytest.mark.parametrize(
    ("field", "function", "test"),
    [
        ("of_design", lambda m: -m.edp, "mappings_are_ranked_as_designs_of_one_layer"),
        ("of_design", lambda m: math.inf, "values_of_designs_are_numbers"),
        ("of_mappings", lambda m: m.cycles + len(m), "mappings_are_ranked_alone_as_together"),
    ],
)
def test_the_kit_catches(field, function, test, monkeypatch):
    goal = replace(objective("edp"), **{field: function})
    monkeypatch.setattr("dse.testing.objectives.objective", lambda _: goal)
    with pytest.raises(AssertionError):
        getattr(TestEdp(), f"test_{test}")()


def test_no_value_is_never_the_best():
    goal = Objective("x", "", "x", lambda m: math.nan, lambda m: np.full(len(m), np.nan))
    assert goal(DESIGN) == math.inf
    assert np.isinf(goal.rank(Metrics(np.ones(2, bool), *(np.ones(2) for _ in range(4))))).all()


def test_all_metrics_of_a_design():
    known = of_design(DESIGN)
    assert set(known) == set(METRIC_NAMES)
    assert known["delay_ns"] == 200
    assert known["gflops"] == 20
    assert known["power_w"] == pytest.approx(0.025)  # 5000 pJ in 200 ns
    assert known["seconds"] == pytest.approx(200e-9)
    assert known["inferences_per_s"] == pytest.approx(5e6)
    assert known["tops"] == pytest.approx(known["gflops"] / 1e3)
    assert known["tops_per_w"] == pytest.approx(known["tops"] / known["power_w"])
    assert known["edp"] == 500_000
    assert known["area_mm2"] == pytest.approx(2)


def test_expression_as_objective():
    goal = objective("2*cycles + energy_pj - 3*gflops")
    assert goal(DESIGN) == 200 + 5000 - 60
    assert goal(DesignMetrics.infeasible("no")) == math.inf
    metrics = Metrics(
        np.array([True, False, True]), *(np.array([100.0, np.nan, 50.0]) for _ in range(4))
    )
    value = goal.rank(metrics, Scale(4000, 2.0))
    assert value.tolist() == [300 - 3 * 20, math.inf, 150 - 3 * 40]
    assert objective("max(cycles, energy_pj)")(DESIGN) == 5000
    assert objective("log2(cycles) ** 2")(DESIGN) == pytest.approx(math.log2(100) ** 2)


def test_large_values_do_not_overflow():
    huge = DesignMetrics(True, 1e12, 1e15, 2e6, 0.5)
    assert objective("edp")(huge) == objective("energy_pj * cycles")(huge) == 1e27


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("foo", "unknown objective 'foo'"),
        ("cycels*2", "did you mean 'cycles'"),
        ("__import__('os')", "not arithmetic"),
        ("cycles.real", "not arithmetic"),
        ("1 + 2", "mentions no metric"),
        ("cycles +", "not arithmetic"),
    ],
)
def test_wrong_objectives(text, message):
    with pytest.raises(SpecError, match=message.replace("(", r"\(")):
        objective(text)


def test_constraints():
    found = limits("area_mm2 < 4, power_w <= min(2, 0.02), cycles > 10")
    assert [x.source for x in found] == ["area_mm2 < 4", "power_w <= min(2, 0.02)", "cycles > 10"]
    excess = [x.excess(of_design(DESIGN)) for x in found]
    assert excess == [0.0, pytest.approx(0.25), 0.0]
    assert "0.025 <= 0.02 is false" in found[1].reason(of_design(DESIGN))
    assert limits("cycles < 100")[0].excess(of_design(DESIGN)) > 0
    assert limits("cycles <= 100")[0].excess(of_design(DESIGN)) == 0
    assert limits(None) == ()


@pytest.mark.parametrize(
    "text", ["area_mm2", "area_mm2 < 4 < 5", "foo < 3", "area_mm2 == 4", "< 4"]
)
def test_wrong_constraints(text):
    with pytest.raises(SpecError):
        limits(text)


@pytest.mark.slow
def test_constraints_bind_a_run(tmp_path):
    given = {"arch": "gemmini", "workload": "dosa_bert", "samples": 60}
    given |= {"optimizer": "random"}
    free = dse.run(**given, folder=str(tmp_path / "a"))
    bound = free.metrics.area_um2 * 0.9
    tight = dse.run(**given, folder=str(tmp_path / "b"), constraints=f"area_um2 < {bound}")
    assert tight.metrics.area_um2 < bound
    with pytest.raises(NothingFeasible, match="constraint area_mm2 < 0.001"):
        dse.run(**given, folder=str(tmp_path / "c"), constraints="area_mm2 < 0.001")


@pytest.mark.slow
def test_resources_are_bounded_as_by_the_templates_budget(tmp_path):
    given = {"arch": "gemmini", "workload": "dosa_bert", "samples": 300}
    given |= {"optimizer": "random"}
    bound = "pes <= 1024, on_chip_bytes <= 200000, pes <= 2048"
    found = dse.run(**given, folder=str(tmp_path / "a"), constraints=bound)
    assert found.architecture.compute.instances <= 1024
    size = sum(
        x.size_words * x.word_bits * x.instances for x in found.architecture.levels if not x.is_dram
    )
    assert size / 8 <= 200_000
    space = dse.runner.run.space_of_run(found.folder)
    assert space.limits == ()
    with pytest.raises(SpecError, match=r"4096 PEs, over the budget of 1024"):
        space.template.build({"pe_dim": 64, "scratchpad_kb": 8, "accumulator_kb": 8})
    with pytest.raises(SpecError, match="none feasible"):
        dse.run(**given, folder=str(tmp_path / "b"), constraints="pes <= 1")


def test_a_bound_on_resources_is_no_larger_than_the_budget():
    template = catalog.template("naas_eyeriss")
    budget = template.within({"pes": 100.7, "noc_words_per_cycle": 99.0}).spec.budget
    assert (budget.pes, budget.noc_words_per_cycle) == (100, 16)
    assert budget.on_chip_bytes == template.spec.budget.on_chip_bytes
    assert template.within({}) is template


@pytest.mark.parametrize(
    "text", ["pes < 9", "2*pes <= 9", "pes >= 9", "pes <= cycles", "pes + cycles <= 3", "pes <= 0"]
)
def test_wrong_bounds_on_resources(text):
    with pytest.raises(SpecError, match="constraints: "):
        limits(text)


def test_fronts_against_the_definition():
    rng = np.random.default_rng(1)
    value = rng.integers(0, 6, (60, 3)).astype(float)

    def dominated(i, among):
        return any((value[j] <= value[i]).all() and (value[j] < value[i]).any() for j in among)

    left, number, expected = set(range(60)), 0, np.zeros(60, int)
    while left:
        free = {i for i in left if not dominated(i, left)}
        for i in free:
            expected[i] = number
        left -= free
        number += 1
    assert nondominated_ranks(value).tolist() == expected.tolist()


def test_crowding_rewards_the_ends_and_the_lonely():
    value = np.array([[0.0, 10.0], [1.0, 9.0], [5.0, 5.0], [10.0, 0.0]])
    distance = crowding_distance(value)
    assert np.isinf(distance[[0, 3]]).all()
    assert distance[2] > distance[1]


def test_front_keeps_what_nothing_beats():
    rng = np.random.default_rng(2)
    points = [tuple(map(float, p)) for p in rng.integers(0, 9, (80, 2))]
    front = Front()
    for point in points:
        front.offer(FrontMember(Design({}), DESIGN, point))
    kept = {m.value for m in front.members}
    best = {p for p in points if not any(q != p and q[0] <= p[0] and q[1] <= p[1] for q in points)}
    assert kept == best
    assert not front.offer(FrontMember(Design({}), DESIGN, (math.inf, 0.0)))


@pytest.mark.slow
def test_nsga2_result_has_a_front(tmp_path):
    result = dse.run(
        arch="gemmini",
        workload="dosa_bert",
        optimizer={"name": "nsga2", "population": 6, "mappings_per_hardware": 5},
        samples=150,
        folder=str(tmp_path / "run"),
    )
    assert [g.name for g in result.front_objectives] == ["energy", "delay", "area"]
    for a, b in itertools.permutations(result.front_members, 2):
        assert any(x < y for x, y in zip(a.value, b.value, strict=True))
    assert (tmp_path / "run" / "front.png").stat().st_size > 10_000
    files = result.as_dict()["front"]["members"]
    assert all((tmp_path / "run" / m["files"] / "arch.yaml").is_file() for m in files)


def _space(arch, **fixed):
    template = catalog.template(arch)
    workload = catalog.workload("vgg16_conv1_1")
    return SearchSpace(template, workload, energy_chain(template.energy), fixed)


def test_tied_variables_are_no_genes_and_follow():
    """A product under constraint: the last variable follows from the others."""
    genes = Genes(_space("eyeriss_poster"))
    assert "mesh_y" not in {v.name for v in genes.free}
    assert len(genes.free) == 9
    rng = np.random.default_rng(0)
    values = genes.sample(rng)
    seen = set()
    for _ in range(50):
        values = genes.child(rng, [values], 0.5, creep=0.5)
        assert values["mesh_x"] * values["mesh_y"] == 168
        seen.add(values["mesh_x"])
    assert len(seen) > 5


def test_children_obey_fixed_variables_and_take_both_parents():
    genes = Genes(_space("eyeriss_poster", glb_depth=1024))
    rng = np.random.default_rng(0)
    one, other = genes.sample(rng), genes.sample(rng)
    for _ in range(20):
        child = genes.child(rng, [one, other], 0.0)
        assert child["glb_depth"] == 1024
        assert all(child[v.name] in (one[v.name], other[v.name]) for v in genes.free)
