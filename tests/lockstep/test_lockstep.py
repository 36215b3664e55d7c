"""The parts of the lock-step search: canonical keys, transfers, moves, sites; and what it finds."""

import dataclasses

import numpy as np
import pytest

import dse
from dse.components.chain import energy_chain
from dse.domain.architecture import HardwareBatch
from dse.domain.mapping import MappingBatch
from dse.domain.padding import Padding, mapped_problem, mapped_problems
from dse.evaluators.native import NativeEvaluator
from dse.lockstep.hardware import HardwareCache
from dse.lockstep.moves import Moves
from dse.lockstep.site import Site
from dse.lockstep.transfer import carry, seeds
from dse.mappers.gamma import STEPS
from dse.mappers.ground import Ground
from dse.mapspace import Mapspace, sample_any, sample_valid
from dse.mapspace.canonical import canonical_keys
from dse.plugins import plugin
from dse.runner.run import go_on, start
from dse.space import catalog
from dse.space.genes import Genes
from dse.space.search_space import SearchSpace

pytestmark = pytest.mark.slow


def hardware(name, **values):
    template = catalog.template(name)
    return energy_chain(template.energy).price(template.build({**template.defaults, **values}))


def layer(workload, index):
    return catalog.workload(workload).layers[index].problem


CASES = [("gemmini", "resnet50", 2), ("simba", "resnet50", 5), ("edge_tpu", "dosa_bert", 1)]


@pytest.mark.parametrize(("arch", "workload", "index"), CASES)
def test_equal_canonical_keys_cost_the_same(arch, workload, index):
    architecture, problem = hardware(arch), layer(workload, index)
    space = Mapspace(problem, architecture)
    drawn = sample_valid(space, 200, 1, 10**6).mappings
    # loops of one iteration go elsewhere, the others stay in their order
    moved = MappingBatch(
        **{f.name: getattr(drawn, f.name).copy() for f in dataclasses.fields(drawn)}
    )
    rng = np.random.default_rng(0)
    changed = 0
    for b in range(len(drawn)):
        for s in range(drawn.temporal.shape[0]):
            order = drawn.permutation[s, :, b]
            unit = [d for d in order if drawn.temporal[s, d, b] == 1]
            loops = [d for d in order if drawn.temporal[s, d, b] > 1]
            for d in unit:
                loops.insert(int(rng.integers(len(loops) + 1)), d)
            if moved.permutation.shape[2] > 1:
                changed += list(order) != loops
                moved.permutation[s, :, b] = loops
    assert changed > 100
    assert canonical_keys(moved) == canonical_keys(drawn)
    one, other = (NativeEvaluator().evaluate(architecture, problem, m) for m in (drawn, moved))
    assert np.array_equal(one.energy_pj, other.energy_pj)
    assert np.array_equal(one.cycles, other.cycles)


def test_different_mappings_have_different_canonical_keys():
    space = Mapspace(layer("resnet50", 2), hardware("gemmini"))
    drawn = sample_valid(space, 300, 1, 10**6).mappings
    written = {(drawn[b].temporal.tobytes(), drawn[b].spatial.tobytes()) for b in range(len(drawn))}
    assert len(set(canonical_keys(drawn))) >= len(written)
    swapped = drawn.take(np.arange(len(drawn)))
    for b in range(len(drawn)):
        outer = swapped.permutation[-1, :, b]
        loops = [p for p, d in enumerate(outer) if swapped.temporal[-1, d, b] > 1]
        if len(loops) > 1:
            outer[[loops[0], loops[1]]] = outer[[loops[1], loops[0]]]
            assert canonical_keys(swapped)[b] != canonical_keys(drawn)[b]


@pytest.mark.parametrize(("arch", "workload", "index"), CASES)
def test_fits_is_what_the_evaluator_calls_valid(arch, workload, index):
    architecture, problem = hardware(arch), layer(workload, index)
    space = Mapspace(problem, architecture)
    drawn = sample_any(space, 500, 3, 500_000).mappings
    valid = NativeEvaluator().evaluate(architecture, problem, drawn).valid
    assert valid.any()
    assert arch == "edge_tpu" or not valid.all()
    assert np.array_equal(Ground(space, STEPS, 100).fits(drawn), valid)


@pytest.mark.parametrize(
    ("arch", "to"),
    [
        ("gemmini", {"pe_dim": 128, "scratchpad_kb": 512, "accumulator_kb": 512}),
        ("gemmini", {"pe_dim": 7, "scratchpad_kb": 9, "accumulator_kb": 3}),
        ("eyeriss", {"rows": 6, "columns": 14, "glb_kb": 32, "weight_words": 96}),
        ("simba", {"global_kb": 16, "weight_kb": 1}),
    ],
)
def test_carried_mappings_are_legal_and_fit(arch, to):
    problem = layer("resnet50", 4)
    here, there = hardware(arch), hardware(arch, **to)
    members = sample_valid(Mapspace(problem, here), 12, 1, 10**6).mappings
    ground = Ground(Mapspace(problem, there), STEPS, 100)
    carried = carry(ground, members, 24, np.random.default_rng(0))
    assert 12 <= len(carried) <= 24
    assert NativeEvaluator().evaluate(there, problem, carried).valid.all()
    whole = (carried.temporal.astype(int) * carried.spatial).prod(axis=0)
    assert (whole == problem.sizes[:, None]).all()
    for d, slots in enumerate(ground.space.slots):
        places = {(slot.level, slot.spatial): slot for slot in slots}
        for s in range(carried.temporal.shape[0]):
            for spatial, table in ((False, carried.temporal), (True, carried.spatial)):
                slot = places.get((s, spatial))
                cap = 1 if slot is None else (slot.fixed or slot.cap)
                assert (table[s, d] <= cap).all()


def test_what_fits_larger_hardware_is_carried_unchanged():
    problem = layer("resnet50", 4)
    members = sample_valid(Mapspace(problem, hardware("gemmini")), 8, 1, 10**6).mappings
    there = hardware("gemmini", pe_dim=32, scratchpad_kb=256, accumulator_kb=128)
    ground = Ground(Mapspace(problem, there), STEPS, 100)
    carried = carry(ground, members, 20, np.random.default_rng(0))
    assert len(carried) > 8
    assert canonical_keys(carried.window(0, 8)) == canonical_keys(members)


@pytest.mark.parametrize("arch", ["gemmini", "eyeriss", "simba", "eyeriss_poster", "naas_eyeriss"])
def test_moves_give_hardware_that_can_be_built(arch):
    template = catalog.template(arch)
    space = SearchSpace(template, catalog.workload("dosa_bert"), energy_chain(template.energy))
    moves = Moves(Genes(space))
    rng = np.random.default_rng(0)
    values = space.sample_values(rng)
    made = 0
    for way in (*moves.alone, *moves.against):
        for octaves in (4.0, 1.0, 0.1):
            found = moves.moved(rng, values, way, octaves)
            if found is None:
                continue
            made += 1
            template.build(found)
            assert found != values
            for name, sign in way.signs:
                variable = template.variable(name)
                step = variable.index_of(found[name]) - variable.index_of(values[name])
                assert step * sign > 0
    assert made > 0


def test_moves_by_octaves():
    template = catalog.template("gemmini")
    space = SearchSpace(template, catalog.workload("dosa_bert"), energy_chain("dosa"))
    moves = Moves(Genes(space))
    way = next(w for w in moves.alone if w.signs == (("scratchpad_kb", 1),))
    here = {"pe_dim": 16, "scratchpad_kb": 100, "accumulator_kb": 32}
    got = [moves.moved(np.random.default_rng(0), here, way, o) for o in (2.0, 1.0, 0.5, 0.001, 9.0)]
    assert [v and v["scratchpad_kb"] for v in got] == [400, 200, 141, 101, 2048]
    assert moves.moved(np.random.default_rng(0), {**here, "scratchpad_kb": 2048}, way, 1.0) is None


@pytest.mark.parametrize("goal", ["edp", "energy", "delay", "energy_pj + 100 * cycles"])
def test_a_site_adds_up_to_what_its_best_design_is_worth(goal):
    from dse.goals.objective import objective
    from dse.lockstep.layer import LayerSearch
    from dse.study.design_evaluator import DesignEvaluator

    template, workload = catalog.template("gemmini"), catalog.workload("dosa_bert")
    space = SearchSpace(template, workload, energy_chain("dosa"), None, objective(goal))
    mapper = plugin("mapper", "random")
    evaluator = NativeEvaluator()
    price = DesignEvaluator(
        space,
        mapper.factory(evaluator, template.constraints, space.objective, mapper.settings_type()),
        evaluator,
    )
    built = HardwareCache(space)(template.defaults)
    counts = tuple(one.count for one in workload)
    site = Site(template.defaults, [LayerSearch(6) for _ in workload], counts)
    rng, before = np.random.default_rng(0), np.inf
    asked = []
    for _ in range(4):
        designs = site.designs(built, 10, None, rng)
        priced = price(designs, np.random.SeedSequence(0))
        site.learn(built, [m for _, m in priced], space.objective)
        asked += [space.objective(m) for _, m in priced]
        ((_, best),) = price([site.best()], np.random.SeedSequence(0))
        assert space.objective(best) == pytest.approx(site.value, rel=1e-12)
        # as good as any design asked for, and it never gets worse
        assert site.value <= min(asked) * (1 + 1e-12)
        assert site.value <= before * (1 + 1e-12)
        before = site.value
    assert site.spent == 40


_TWO_NETWORKS = """\
networks:
  - name: small
    shape: cnn-layer
    layers:
      - {name: conv, R: 3, S: 3, P: 14, Q: 14, C: 32, K: 64}
      - {name: dense, C: 256, K: 128, count: 2}
  - name: large
    shape: cnn-layer
    layers:
      - {name: conv, R: 3, S: 3, P: 56, Q: 56, C: 64, K: 64, count: 3}
"""


def test_several_networks_are_searched_for_their_common_objective(tmp_path):
    file = tmp_path / "two.yaml"
    file.write_text(_TWO_NETWORKS, encoding="utf-8")
    found = _found(tmp_path, workload=str(file), optimizer="lockstep", samples=300)
    small, large = found.metrics.networks
    assert found.value == pytest.approx((small.edp * large.edp) ** 0.5, rel=1e-12)
    other = _found(tmp_path / "random", workload=str(file), optimizer="random", samples=300)
    assert found.value < other.value


def _found(tmp_path, **settings):
    given = {"arch": "gemmini", "workload": "dosa_bert", "seed": 0, "folder": str(tmp_path / "run")}
    return start({**given, **settings}).execute()


def test_beats_random_search_by_far(tmp_path):
    """DOSA's gradient search ends at 1.90e15 pJ x cycle after 10,500 samples."""
    found = _found(tmp_path, optimizer="lockstep", samples=1000, timeloop_version="dosa")
    other = dse.run(
        "gemmini", "dosa_bert", "random", samples=1000, seed=0, folder=str(tmp_path / "random")
    )
    assert found.metrics.edp < 1.9e15
    assert found.metrics.edp < other.metrics.edp / 2


def test_constraints_on_metrics_are_met(tmp_path):
    free = _found(tmp_path / "free", optimizer="lockstep", samples=400)
    limit = free.metrics.area_um2 * 1e-6 / 2
    bound = _found(
        tmp_path / "bound", optimizer="lockstep", samples=400, constraints=f"area_mm2 < {limit}"
    )
    assert bound.metrics.area_um2 * 1e-6 < limit


@pytest.mark.parametrize("arch", ["eyeriss", "simba", "naas_eyeriss", "eyeriss_poster"])
def test_other_templates_are_searched_unchanged(arch, tmp_path):
    found = _found(tmp_path, arch=arch, optimizer="lockstep", samples=120)
    assert found.samples == 120
    assert found.design.values.keys() == {v.name for v in catalog.template(arch).variables}
    assert HardwareBatch.of(found.architecture).area_um2[0] == found.metrics.area_um2


_AWKWARD = """\
name: awkward
shape: cnn-layer
layers:
  - {name: dense, P: 197, C: 113, K: 37}
  - {name: odd, P: 13, Q: 13, C: 37, K: 113, R: 3, S: 3}
  - {name: even, C: 64, K: 32, count: 2}
"""


@pytest.fixture
def awkward(tmp_path):
    file = tmp_path / "awkward.yaml"
    file.write_text(_AWKWARD, encoding="utf-8")
    return {"workload": str(file), "optimizer": "lockstep", "variables": {"pe_dim": 16}}


def test_layers_are_padded_where_that_is_better(awkward, tmp_path):
    plain = _found(tmp_path / "plain", **awkward, samples=500)
    found = _found(tmp_path / "padded", **awkward, samples=500, mapspace={"padding": "auto"})
    assert set(found.padded) == {"dense", "odd"}
    # proven per layer (docs/padding.md), padding gains 365 x and 700 x on such an array
    assert found.value < plain.value / 50
    built = HardwareCache(_space(awkward, "auto"))(found.design.values)
    workload = found.workload.layers
    for number, (layer, mapping, told) in enumerate(
        zip(workload, found.design.mappings, found.metrics.layers, strict=True)
    ):
        one = mapped_problem(layer.problem, mapping)
        assert one in built.problems(number)
        exact = NativeEvaluator().evaluate(built.architecture, one, MappingBatch.of([mapping]))
        assert (exact.cycles[0], exact.energy_pj[0]) == (told.cycles, told.energy_pj)
        work = layer.problem.macs / one.macs
        assert told.utilization == pytest.approx(exact.utilization[0] * work, rel=1e-12)
    assert found.unpadded.edp > found.metrics.edp


def test_a_share_of_padding_is_kept_to(awkward, tmp_path):
    found = _found(tmp_path, **awkward, samples=300, mapspace={"padding": "4%"})
    sizes = {layer.name: layer.problem.bounds for layer in found.workload}
    assert found.padded
    for name, padded in found.padded.items():
        for dimension, size in padded.items():
            assert sizes[name][dimension] < size <= 1.04 * sizes[name][dimension]


def test_a_padded_search_is_the_same_again_and_goes_on(awkward, tmp_path):
    given = {**awkward, "samples": 250, "seed": 3, "mapspace": {"padding": "auto"}}
    whole = _found(tmp_path / "whole", **given)
    _found(tmp_path / "threads", **given, n_jobs=2)
    begun = start({"arch": "gemmini", **given, "folder": str(tmp_path / "part")})
    study = begun.study
    with pytest.raises(KeyboardInterrupt):
        study.run(_stop_after(100))
    begun.setup.close()
    again = go_on(tmp_path / "part")
    assert again.metrics == whole.metrics
    journals = [
        (tmp_path / name / "journal.jsonl").read_bytes()
        for name in ("whole/run", "threads/run", "part")
    ]
    assert journals[0] == journals[1] == journals[2]


def _stop_after(samples):
    def report(progress):
        if progress.samples >= samples:
            raise KeyboardInterrupt

    return report


def test_without_other_sizes_seeds_are_those_of_the_layer():
    """What other hardware padded to sizes that are not useful here goes to the first one here."""
    problem = layer("resnet50", 4)
    larger = dataclasses.replace(problem, bounds={**problem.bounds, "K": problem.bounds["K"] + 1})
    members = [
        sample_valid(Mapspace(one, hardware("gemmini")), 5, 1, 10**6).mappings
        for one in (problem, larger)
    ]
    template = catalog.template("gemmini")
    space = SearchSpace(template, catalog.workload("resnet50"), energy_chain("dosa"))
    built = HardwareCache(space)(template.defaults)
    source = MappingBatch.concatenate(members)
    rng = np.random.default_rng(0)
    made = seeds(built, (problem,), source, 16, rng, far=True)
    assert set(mapped_problems(problem, made)) == {problem}
    assert NativeEvaluator().evaluate(built.architecture, problem, made).valid.all()
    both = seeds(built, (problem, larger), source, 16, rng, far=False)
    assert set(mapped_problems(problem, both)) == {problem, larger}
    for one, own in mapped_problems(problem, both).items():
        assert len(own) >= 5
        assert NativeEvaluator().evaluate(built.architecture, one, both.take(own)).valid.all()


def _space(given, padding):
    template, workload = catalog.template("gemmini"), catalog.workload(given["workload"])
    return SearchSpace(
        template, workload, energy_chain(template.energy), padding=Padding.parse(padding)
    )
