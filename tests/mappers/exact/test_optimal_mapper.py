"""The optimal mapper against every mapping of small spaces, and its bounds against random ones."""

import dataclasses
from contextlib import contextmanager, nullcontext
from unittest import mock

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from optimal_cases import HARDWARE, Case, cases, every_mapping, proved

from dse.domain.architecture import AccessEnergy, Architecture, Compute, HardwareBatch, StorageLevel
from dse.domain.constraints import LevelConstraint, SpatialConstraint
from dse.domain.problem import SHAPES, Problem
from dse.evaluators.native import NativeEvaluator
from dse.goals.certificate import Certificate
from dse.goals.objective import EDP, objectives
from dse.mappers.exact.orders import Relevance, orders
from dse.mappers.exact.proof import layer_front, prove
from dse.mappers.optimal import OptimalMapper, OptimalMapperSettings
from dse.mapspace.enumeration import enumerate_valid
from dse.mapspace.space import Mapspace
from dse.runner.map_layer import map_layer

pytestmark = pytest.mark.slow

GOALS = ("edp", "energy", "delay")


@contextmanager
def hard():
    """Let every search go on as if its first passes had not been enough: with tails."""
    with (
        mock.patch("dse.mappers.exact.proof._BEAMS", (1, 2, 3)),
        mock.patch("dse.mappers.exact.proof._NODES_PER_LABEL", 0),
    ):
        yield


@pytest.mark.parametrize("effort", [nullcontext, hard])
@pytest.mark.parametrize("template", HARDWARE)
def test_equals_the_best_of_every_mapping(template, effort):
    """The same float, and the proof says so; some of the cases of the benchmark."""
    with effort():
        check_every_mapping(template)


def check_every_mapping(template):
    for case in cases(template)[:8:2]:
        least, count = every_mapping(case)
        assert count > 1000
        for goal in GOALS:
            (certificate,) = proved(case, goal, samples=3000).certificates
            assert certificate.value == least[goal], (case.name, goal)
            assert certificate.bound <= least[goal] * (1 + 1e-11), (case.name, goal)
            assert certificate.optimal, (case.name, goal)


@st.composite
def small_cases(draw):
    """Random problems on random trees, with windows on the grid and free bypassing."""
    shape, names = draw(
        st.sampled_from([("cnn-layer", "RSPQCK"), ("gemm", "MNK"), ("depthwise-cnn-layer", "RPQG")])
    )
    bounds = dict.fromkeys(SHAPES[shape].dimensions, 1)
    some = draw(st.lists(st.sampled_from(names), min_size=1, max_size=3, unique=True))
    for d in some:
        bounds[d] = draw(st.sampled_from([2, 3, 4, 6]))
    strides = {}
    if "R" in names:
        strides = {
            "Wstride": draw(st.integers(1, 3)), "Wdilation": draw(st.integers(1, 2)),
        }  # fmt: skip
    mesh_x, mesh_y = draw(st.sampled_from([(1, 1), (2, 1), (4, 1), (3, 2), (2, 2)]))
    price = st.sampled_from([0.25, 1.0, 3.0])
    limit = st.sampled_from([0.5, 1.0, 4.0, float("inf")])

    def energy():
        leak = draw(st.sampled_from([0.0, 0.01]))
        return AccessEnergy(draw(price), draw(price), draw(price), leak_pj=leak)

    inner = StorageLevel(
        "inner", size_words=draw(st.integers(3, 24)), mesh_x=mesh_x, mesh_y=mesh_y,
        instances=mesh_x * mesh_y, block_size=draw(st.sampled_from([1, 2])),
        shared_bandwidth=draw(limit), energy=energy(),
        cluster_size=draw(st.sampled_from([1, mesh_x])),
    )  # fmt: skip
    middle = StorageLevel(
        "middle", size_words=draw(st.integers(8, 64)), block_size=draw(st.sampled_from([1, 4])),
        read_bandwidth=draw(limit), write_bandwidth=draw(limit), energy=energy(),
    )  # fmt: skip
    outer = StorageLevel(
        "outer", kind="DRAM", block_size=2, shared_bandwidth=draw(limit),
        energy=AccessEnergy(20.0, 20.0, 20.0),
    )  # fmt: skip
    compute = Compute(mesh_x=mesh_x, mesh_y=mesh_y, instances=mesh_x * mesh_y, energy_pj=0.5)
    architecture = Architecture("random", (inner, middle, outer), compute)
    tensors = [t.name for t in SHAPES[shape].data_spaces]
    constraints = {
        "inner": LevelConstraint(keep=(tensors[0],), bypass=(tensors[draw(st.integers(1, 2))],)),
        "middle": LevelConstraint(
            keep=(tensors[-1],) if draw(st.booleans()) else (),
            spatial=SpatialConstraint(y=()) if draw(st.booleans()) and mesh_y == 1 else
            SpatialConstraint(),
        ),
    }  # fmt: skip
    return Case("random", architecture, constraints, Problem(SHAPES[shape], bounds, strides))


@settings(
    max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)
@given(
    small_cases(),
    st.sampled_from(GOALS),
    st.sampled_from(["4cf6d4c", "3.0.3"]),
    st.sampled_from([nullcontext, hard]),
)
def test_bounds_hold_and_proofs_are_right(case, goal, version, effort):
    """No mapping lies below the bound; what is called optimal is the best of every mapping."""
    space = Mapspace(case.problem, case.architecture, case.constraints)
    evaluator = NativeEvaluator(version)
    hardware = HardwareBatch.of(case.architecture)
    least = np.inf
    for batch in enumerate_valid(space, 16384):
        metrics = evaluator.evaluate(hardware, case.problem, batch)
        least = min(least, float(objectives()[goal].rank(metrics).min()))
    mapper = OptimalMapper(
        evaluator,
        case.constraints,
        objectives()[goal],
        OptimalMapperSettings(threads=1, seeding=20),
    )
    with effort():
        found = mapper.map(hardware, case.problem, np.array([2000], np.int64), 0)
    (certificate,) = found.certificates
    if not np.isfinite(least):
        assert found.mappings == (None,)
        return
    assert certificate.bound is not None
    assert certificate.bound <= least * (1 + 1e-11)
    assert certificate.value >= least
    assert not certificate.optimal or certificate.value <= least * (1 + 1e-11)


def test_the_front_holds_the_best_of_each_goal():
    """Its ends are the least cycles and energy, a point has the least EDP, none beats another."""
    case = cases("simba")[0]
    least, _ = every_mapping(case)
    front = layer_front(case.problem, case.architecture, case.constraints, threads=1)
    assert front.cycles.min() == least["delay"]
    assert front.energy_pj.min() == least["energy"]
    assert (front.cycles * front.energy_pj).min() == least["edp"]
    assert (np.diff(front.cycles) > 0).all()
    assert (np.diff(front.energy_pj) < 0).all()
    again = NativeEvaluator().evaluate(case.architecture, case.problem, front.mappings)
    assert (again.energy_pj == front.energy_pj).all()


def test_a_gap_allowed_is_kept_and_said():
    """With gap=0.2 the mapping found lies within 20 % of the bound."""
    case = cases("eyeriss")[0]
    (certificate,) = proved(case, "edp", gap=0.2).certificates
    assert certificate.complete
    assert certificate.gap <= 0.2 + 1e-9
    exact = proved(case, "edp", samples=3000).certificates[0].value
    assert certificate.bound <= exact * (1 + 1e-11) <= certificate.value * (1 + 1e-11)


def test_a_search_given_up_says_its_gap():
    """Few nodes leave a bound that holds, and no claim."""
    case = cases("simba")[3]
    (few,) = proved(case, "edp", nodes=50).certificates
    (all_,) = proved(case, "edp", samples=3000).certificates
    assert not few.complete
    assert few.bound <= all_.value <= few.value
    assert not few.optimal or few.value == all_.value


def test_a_search_out_of_time_still_has_a_bound():
    """No time at all: what the root of the search knows, and no claim."""
    case = cases("eyeriss")[1]
    (none,) = proved(case, "edp", time=0.0).certificates
    (all_,) = proved(case, "edp", samples=3000).certificates
    assert not none.complete
    assert not none.optimal
    assert 0 < none.bound <= all_.value <= none.value


def test_patterns_that_cannot_be_better_are_not_searched():
    """With free keep and bypass patterns the proof is that of every mapping."""
    case = cases("eyeriss")[0]
    free = {
        name: dataclasses.replace(case.constraints[name], keep=(), bypass=())
        for name in ("psum_spad", "shared_glb")
    }
    case = dataclasses.replace(
        case,
        architecture=dataclasses.replace(case.architecture, constraints=None),
        constraints={**case.constraints, **free},
        problem=Problem(SHAPES["gemm"], {"M": 4, "N": 2, "K": 4}),
    )
    assert (Mapspace(case.problem, case.architecture, case.constraints).arrays.keep == 2).sum() == 6
    least, _ = every_mapping(case)
    for goal in GOALS:
        (certificate,) = proved(case, goal, samples=3000).certificates
        assert certificate.value == least[goal]
        assert certificate.optimal


def test_one_sample_is_enough():
    """Without heuristics: the search knows the optimum before anything is priced."""
    case = next(c for c in cases("simba") if "M" in c.problem.dimensions)
    (one,) = proved(case, "edp", samples=1).certificates
    (many,) = proved(case, "edp", samples=3000).certificates
    assert one.optimal
    assert many.optimal
    assert one.value == pytest.approx(many.value, rel=1e-11)


def test_samples_that_a_stopped_search_leaves_go_to_the_heuristics():
    """The budget is spent, and the certificate knows the better mapping."""
    case = cases("tpu_v1")[1]
    few = proved(case, "edp", samples=400, seeding=3, nodes=1)
    none = proved(case, "edp", samples=4, seeding=3, nodes=1)
    (certificate,) = few.certificates
    assert not certificate.complete
    assert certificate.value == float(EDP.rank(few.metrics)[0])
    assert certificate.bound <= certificate.value < none.certificates[0].value


def test_threads_change_nothing():
    """One worker and three find the same."""
    case = cases("tpu_v1")[0]
    mapped = []
    for threads in (1, 3):
        mapper = OptimalMapper(
            NativeEvaluator(), case.constraints, EDP, OptimalMapperSettings(threads=threads)
        )
        mapped.append(
            mapper.map(HardwareBatch.of(case.architecture), case.problem, np.array([500]), 0)
        )
    assert mapped[0].mappings == mapped[1].mappings
    assert mapped[0].certificates == mapped[1].certificates


def test_too_large_a_space_has_no_bound_and_still_a_mapping(monkeypatch):
    """What cannot be laid out is said; the heuristics' mapping is returned."""
    monkeypatch.setattr("dse.mappers.exact.shape.MOST_TILES", 10)
    found = proved(cases("gemmini")[0], "edp")
    (certificate,) = found.certificates
    assert certificate.bound is None
    assert not certificate.optimal
    assert "tile shapes" in certificate.assumed
    assert found.mappings[0] is not None


def test_too_many_choices_in_space_have_no_bound_and_still_a_mapping(monkeypatch):
    monkeypatch.setattr("dse.mappers.exact.reach.MOST_SPREADS", 10)
    found = proved(cases("gemmini")[0], "edp")
    (certificate,) = found.certificates
    assert certificate.bound is None
    assert not certificate.complete
    assert "choices of spatial factors at one level, for each of" in certificate.assumed
    assert found.mappings[0] is not None


def test_orders_of_a_matrix_product_leave_one_for_each_tensor_at_rest():
    """Of six orders of M, N, K three remain: each keeps one tensor where it is."""
    relevance = Relevance(((0, -1, 1), (-1, 0, 1), (0, 1, -1)), ((-1, -1),) * 3, head=True)
    found = orders(relevance, (), (0, 1, 2), ())
    begin, end = found.first[7, 7, :2]
    assert end - begin == 3
    assert len({int(order[0]) for order in found.loops[begin:end]}) == 3


def test_certificates_say_gap_and_optimum():
    """The gap is relative to the value; rounding is no gap."""
    certificate = Certificate(200.0, 150.0, "", 1, complete=True)
    assert certificate.gap == 0.25
    assert not certificate.optimal
    assert dataclasses.replace(certificate, bound=200.0 * (1 - 1e-13)).optimal
    assert dataclasses.replace(certificate, bound=None).gap is None


def test_map_returns_the_certificate(tmp_path):
    """``python -m dse map`` has the proof in its result."""
    result = map_layer(
        {
            "arch": "tpu_v1",
            "mapper": {"name": "optimal"},
            "samples": 200,
            "folder": str(tmp_path / "run"),
        },
        "bert_base/attention_scores",
    )
    assert result.as_dict()["certificate"]["optimal"] is True
    assert result.certificate.value == result.value


def test_neighbours_spare_no_reads_above_a_bypassed_level(tmp_path):
    """Windows spread over PEs that keep none of them: bounds that let links serve all of a row but
    one element stayed at an eighth of the value, after millions of partial mappings."""
    settings = {"arch": "shidiannao", "mapper": {"name": "optimal"}, "samples": 200}
    result = map_layer({**settings, "folder": str(tmp_path / "run")}, "resnet18/layer4.0.conv1")
    assert result.certificate.optimal
    assert result.certificate.nodes < 100_000


@pytest.mark.parametrize("template", HARDWARE)
def test_what_a_dive_has_reached_is_kept(template):
    """A finished search ends within the gap that it was allowed, whichever dive was the best."""
    for case in cases(template)[:6]:
        with hard():
            (certificate,) = proved(case, "edp", gap=0.3, seeding=1).certificates
        assert certificate.complete
        assert certificate.gap <= 0.3 + 1e-9


def test_a_front_that_is_given_up_is_not_complete():
    case = cases("simba")[0]
    found = []
    for nodes in (1, 10**9):
        space = Mapspace(case.problem, case.architecture, case.constraints)
        certificate = prove(
            space, case.architecture, "front", "4cf6d4c", gap=0.0, threads=1, best=np.inf,
            samples=10, confirm=lambda _: np.inf, nodes=nodes, late=lambda: False,
            tell=lambda _, __: None,
        )  # fmt: skip
        found.append(certificate.complete)
    assert found == [False, True]
