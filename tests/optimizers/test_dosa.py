"""What DOSA's search is made of: meter, first mappings, slots, orders, descent, validation."""

import json
from copy import deepcopy

import numpy as np
import pytest
from relaxed_spaces import some_mapping_of_each, space_of

import dse
from dse.cli import main
from dse.domain.mapping import MappingBatch
from dse.domain.padding import mapped_problem, padded_layers
from dse.errors import SpecError
from dse.evaluators.metered import MeteredEvaluator
from dse.evaluators.native import NativeEvaluator
from dse.goals.design import Design
from dse.goals.meter import Meter
from dse.mapspace import Mapspace
from dse.mapspace.padding import alternatives
from dse.optimizers.dosa import DosaSearch, DosaSettings
from dse.plugins import plugin
from dse.relaxed.descent import Descent, gumbel_mix, softmax_mix
from dse.relaxed.orders import stationary_orders
from dse.relaxed.price_table import PriceTable
from dse.relaxed.prices import price_list
from dse.relaxed.relaxed_sizing import RelaxedSizing
from dse.relaxed.sizing import Sizing, demand_of
from dse.relaxed.slots import Slots, nearest_divisor
from dse.relaxed.start import first_mapping
from dse.space import catalog
from dse.study.design_evaluator import DesignEvaluator
from dse.study.optimizer import Optimizer
from dse.study.study import Study

pytestmark = pytest.mark.slow

ARCHS = ("gemmini", "eyeriss", "simba", "tpu_v1", "shidiannao", "naas_eyeriss")


# the meter


def test_meter_pools_layers_and_counts_what_has_begun():
    meter = Meter(10, layers=4)
    meter.charge(3)
    assert (meter.spent, meter.left, meter.settle()) == (1, 9, 1)
    meter.charge(1)
    assert (meter.spent, meter.settle()) == (1, 0)
    meter.charge(5)
    meter.charge_design(2)
    assert (meter.spent, meter.left, meter.settle()) == (5, 5, 2)


def test_meter_refuses_what_is_beyond_the_budget():
    meter = Meter(2, layers=3)
    meter.charge(4)
    with pytest.raises(ValueError, match="over the budget"):
        meter.charge(3)
    assert meter.spent == 2
    meter.charge(2)
    assert meter.left == 0


class _Spender(Optimizer):
    """Evaluates every design twice by itself before it asks for it."""

    def ask(self):
        values = self.space.sample_values(self.rng)
        self.meter.charge(2 * len(self.space.workload))
        return [Design(values, mapping_samples=3)]

    def tell(self, designs, metrics):
        pass

    def state_dict(self):
        return {}

    def load_state_dict(self, state):
        pass


def test_study_counts_what_the_optimizer_evaluates_by_itself():
    from dse.mappers.random import RandomMapper, RandomMapperSettings
    from dse.settings import NoSettings

    space = space_of("gemmini", "dosa_bert")
    evaluator = NativeEvaluator()
    mapper = RandomMapper(
        evaluator, space.template.constraints, space.objective, RandomMapperSettings()
    )
    optimizer = _Spender(space, NoSettings(), np.random.default_rng(0), 13)
    study = Study(space, optimizer, mapper, evaluator, space.objective, samples=13, seed=0)
    spent = []
    study.run(lambda progress: spent.append(progress.samples))
    assert spent == [5, 10, 13]


def test_metered_evaluator_charges_each_mapping():
    space, meter = space_of("gemmini", "alexnet"), Meter(10, layers=8)
    values = {"pe_dim": 16, "scratchpad_kb": 128, "accumulator_kb": 128}
    mappings = some_mapping_of_each(space, values, np.random.default_rng(0))
    problem = space.workload.layers[0].problem
    batch = MappingBatch.of([mappings[0]] * 9)
    evaluator = MeteredEvaluator(NativeEvaluator(), meter)
    metrics = evaluator.evaluate(space.architecture(values), problem, batch)
    assert metrics.valid.all()
    assert meter.spent == 2


# first mappings


@pytest.mark.parametrize("arch", ARCHS)
def test_first_mapping_fits_and_lies_in_its_space(arch):
    space, rng = space_of(arch, "resnet18"), np.random.default_rng(1)
    for _ in range(3):
        architecture = space.architecture(space.sample_values(rng))
        for layer in space.workload:
            mapspace = Mapspace(layer.problem, architecture)
            mapping = first_mapping(mapspace)
            if mapping is None:
                continue
            batch = MappingBatch.of([mapping])
            assert NativeEvaluator().evaluate(architecture, layer.problem, batch).valid[0]
            for d, slots in enumerate(mapspace.slots):
                for slot in slots:
                    table = mapping.spatial if slot.spatial else mapping.temporal
                    assert table[slot.level, d] <= slot.cap or slot.fixed


def test_first_mapping_fills_the_array():
    space = space_of("gemmini", "resnet50")
    values = {"pe_dim": 16, "scratchpad_kb": 128, "accumulator_kb": 128}
    architecture = space.architecture(values)
    layer = space.workload.layers[2]
    mapping = first_mapping(Mapspace(layer.problem, architecture))
    assert mapping.spatial.prod() == 256


# slots


@pytest.mark.parametrize("arch", ARCHS)
def test_rounding_keeps_products_caps_and_whole_points(arch):
    space, rng = space_of(arch, "alexnet"), np.random.default_rng(2)
    values = space.sample_values(rng)
    descent = Descent(space, values, None)
    mappings = [first_mapping(s) for s in descent.spaces]
    if None in mappings:
        pytest.skip("the largest hardware maps not every layer")
    state = descent.state_of(mappings)
    same = descent.slots.rounded(state.log_free, state.log_bound, state.points)
    assert np.array_equal(same.temporal, state.points.temporal)
    assert np.array_equal(same.spatial, state.points.spatial)
    for _ in range(5):
        drawn = np.maximum(state.log_free + rng.normal(0, 1, len(state.log_free)), 0.0)
        points = descent.slots.rounded(drawn, state.log_bound, state.points)
        product = (points.temporal * points.spatial).prod(axis=1)
        for n, layer in enumerate(space.workload):
            sizes = layer.problem.sizes
            assert np.array_equal(product[n, : len(sizes)], sizes)
        s = descent.slots
        table = np.stack([points.temporal, points.spatial])
        assert (table[s.kind, s.layer, s.level, s.dimension] <= s.cap).all()


def test_writing_and_reading_free_factors_is_the_identity():
    space = space_of("eyeriss", "alexnet")
    values = space.sample_values(np.random.default_rng(3))
    spaces = [Mapspace(x.problem, space.architecture(values)) for x in space.workload]
    descent = Descent(space, values, None)
    state = descent.state_of([first_mapping(s) for s in spaces])
    points, rests = descent.slots.write(state.log_free, state.log_bound, state.points)
    assert np.allclose(points.temporal, state.points.temporal, rtol=1e-12)
    assert np.allclose(points.spatial, state.points.spatial, rtol=1e-12)
    assert (rests > -1e-9).all()
    assert np.allclose(descent.slots.read(points), state.log_free, atol=1e-12)


@pytest.mark.parametrize("arch", ARCHS)
def test_bounds_are_those_that_points_multiply_to(arch):
    space, rng = space_of(arch, "alexnet", padding="auto"), np.random.default_rng(4)
    descent = Descent(space, space.sample_values(rng), None)
    slots, problems = descent.slots, [s.problem for s in descent.spaces]
    assert np.array_equal(slots.bounds_of(problems), slots.log_bound)
    padded = [alternatives(s, space.padding, "edp").problems[-1] for s in descent.spaces]
    bounds = slots.bounds_of(padded)
    assert (bounds > slots.log_bound).any()
    empty = descent.network.twin.points(
        [s.empty_batch(1)[0] for s in descent.spaces], list(range(len(problems)))
    )
    drawn = rng.uniform(0, 2, len(slots.cap)) * (slots.cap > 1)
    points = slots.rounded(drawn, bounds, empty)
    assert np.array_equal(slots.bounds_at(points), bounds)
    for n, one in enumerate(padded):
        mapping = points.mapping(n, descent.spaces[n])
        assert mapped_problem(problems[n], mapping) == one


def test_the_sizes_chosen_are_not_worse_than_the_own_ones():
    space = space_of("gemmini", "alexnet", padding="auto", pe_dim=12)
    meter = Meter(1000, len(space.workload))
    values = {"pe_dim": 12, "scratchpad_kb": 128, "accumulator_kb": 32}
    descent = Descent(space, values, meter)
    architecture = space.architecture(values)
    state = descent.state_of(
        [first_mapping(Mapspace(x.problem, architecture)) for x in space.workload]
    )
    own = state.log_bound.copy()
    descent.choose_sizes(state)
    assert meter.settle() <= descent.size_cost
    assert (state.log_bound >= own).all()
    assert (state.log_bound > own).any()

    def worth(bounds):
        points = descent.slots.rounded(state.log_free, bounds, state.points)
        energy, cycles = descent.network.priced(points, descent._implied(state))
        counts = np.array([layer.count for layer in space.workload])
        return (counts @ energy) * (counts @ cycles)

    assert worth(state.log_bound) < worth(own)
    chosen = state.log_bound.copy()
    descent.choose_sizes(state)  # from where it stands, its own size is among those compared
    assert worth(state.log_bound) <= worth(chosen)


def test_a_padded_search_goes_on_as_if_it_had_not_stopped():
    space = space_of("gemmini", "alexnet", padding="10%", pe_dim=12)
    settings = DosaSettings(steps=60, round_every=20)
    search, again = (DosaSearch(space, settings, np.random.default_rng(1), 500) for _ in range(2))
    evaluator = NativeEvaluator()
    chosen = plugin("mapper", "random")
    mapper = chosen.factory(
        evaluator, space.template.constraints, space.objective, chosen.settings_type()
    )
    price = DesignEvaluator(space, mapper, evaluator)

    def step(one):
        priced = price(one.ask(), np.random.SeedSequence(0))
        one.meter.settle()
        one.tell(*zip(*priced, strict=True))
        return priced

    for _ in range(2):
        ((design, metrics),) = step(search)
        assert metrics.valid
    assert padded_layers(space.workload, design.mappings)
    again.load_state_dict(search.state_dict())
    again.rng.bit_generator.state = search.rng.bit_generator.state
    again.meter = deepcopy(search.meter)
    again._descent = None
    for _ in range(2):
        assert step(search) == step(again)


def test_a_learned_latency_knows_no_padding(tmp_path):
    with pytest.raises(SpecError, match="optimizer.model = .*expected mapspace.padding=off"):
        dse.run(
            arch="gemmini", workload="alexnet", mapspace={"padding": "auto"}, samples=5,
            optimizer={"name": "dosa", "model": str(tmp_path)}, folder=tmp_path / "run",
        )  # fmt: skip


@pytest.mark.parametrize(
    ("left", "wanted", "cap", "expected"),
    [(12, 4.2, 99, 4), (12, 4.9, 99, 4), (12, 5.1, 99, 6), (12, 5.0, 99, 6), (12, 6, 5, 4),
     (7, 3.9, 99, 1), (7, 4.0, 99, 7), (1, 9, 99, 1), (8, 0.2, 99, 1)],
)  # fmt: skip
def test_nearest_divisor(left, wanted, cap, expected):
    assert nearest_divisor(left, wanted, cap) == expected


def test_a_layer_without_any_mapping_is_refused():
    space = space_of("gemmini", "alexnet")
    values = space.sample_values(np.random.default_rng(0))
    mapspace = Mapspace(space.workload.layers[0].problem, space.architecture(values))
    mapspace.infeasible = "nothing fits"
    with pytest.raises(SpecError, match="nothing fits"):
        Slots.of([mapspace])


# orders


@pytest.mark.parametrize("arch", ARCHS)
def test_orders_are_permutations_with_one_stationary_tensor(arch):
    space = space_of(arch, "alexnet")
    architecture = space.architecture(space.sample_values(np.random.default_rng(4)))
    for layer in list(space.workload)[:3]:
        mapspace = Mapspace(layer.problem, architecture)
        own = len(layer.problem.dimensions)
        orders = stationary_orders(mapspace, own + 1, 4)
        assert orders.shape == (4, len(architecture.levels), own + 1)
        assert (np.sort(orders, axis=2) == np.arange(own + 1)).all()
        a = mapspace.arrays
        relevant = (layer.problem.projection != 0).any(axis=1)
        for s in range(len(architecture.levels)):
            start, stop = a.free_start[s], a.free_start[s] + a.free_count[s]
            assert (orders[:, s, :start] == a.order[s, :start]).all()
            for t in range(3):
                moves = relevant[t, orders[t, s, start:stop]]
                assert (np.diff(moves.astype(int)) >= 0).all()


def test_greedy_orders_are_not_worse_than_any_one_order_for_all():
    space = space_of("gemmini", "resnet18", "dosa", "dosa")
    values = {"pe_dim": 32, "scratchpad_kb": 128, "accumulator_kb": 64}
    descent = Descent(space, values, None)
    architecture = space.architecture(values)
    first = [first_mapping(Mapspace(x.problem, architecture)) for x in space.workload]
    points = descent.state_of(first).points
    dram = len(architecture.levels) - 1
    assert descent.free_levels == [dram]

    def edp(x):
        cost = descent.network.twin.cost(x, price_list([architecture]), gradient=False)
        counts = [layer.count for layer in space.workload]
        return (counts * cost.energy_pj).sum() * (counts * cost.cycles).sum()

    single = []
    for t in range(descent.orders):
        every = points.take(np.arange(len(points.problem)))
        for n, s in enumerate(descent.spaces):
            every.order[n, dram] = stationary_orders(s, 7, 3)[t, dram]
        single.append(edp(every))
    assert edp(descent.search_orders(points, values)) <= min(single) * (1 + 1e-12)


def test_mixes_weigh_the_better_orders_more():
    energy, cycles = np.array([[1.0, 2.0, 4.0]]), np.array([[1.0, 1.0, 2.0]])
    soft = softmax_mix(energy, cycles)
    gumbel = gumbel_mix(np.zeros((1, 3)))(energy, cycles)
    for weights in (soft, gumbel):
        assert weights.sum() == pytest.approx(1)
        assert (np.diff(weights) < 0).all()
    assert gumbel[0, 0] == pytest.approx(8 / 13)


# prices and sizes of real-valued hardware


@pytest.mark.parametrize(("arch", "energy"), [("gemmini", "dosa"), ("eyeriss", "table")])
def test_price_table_is_the_chain_and_its_slope_the_difference(arch, energy):
    space, rng = space_of(arch, "alexnet", energy), np.random.default_rng(5)
    sizing = Sizing(space.template)
    table = PriceTable(space.template, space.chain, sizing.inferred, {})
    for _ in range(10):
        values = space.sample_values(rng)
        x = np.log([[values[v.name] for v in sizing.inferred]])
        prices, slopes = table(x)
        exact = price_list([space.architecture(values)])
        limited = np.isfinite(exact)
        assert np.allclose(prices[limited], exact[limited], rtol=0.06)
        x += rng.uniform(0.001, 0.002, x.shape)
        _, slopes = table(x)
        for v in range(x.shape[1]):
            step = np.zeros(x.shape)
            step[0, v] = 1e-7
            rise = (table(x + step)[0] - table(x - step)[0]) / 2e-7
            assert np.allclose(slopes[..., v], rise, rtol=1e-4, atol=1e-5 * abs(prices) + 1e-9)


def test_beyond_the_largest_hardware_prices_stay():
    space = space_of("gemmini", "alexnet", "dosa")
    sizing = Sizing(space.template)
    table = PriceTable(space.template, space.chain, sizing.inferred, {})
    ends = np.log([[v.maximum for v in sizing.inferred]])
    inside, _ = table(ends)
    outside, slopes = table(ends + 1.0)
    assert np.array_equal(inside, outside)
    assert not slopes.any()


@pytest.mark.parametrize("arch", ["gemmini", "eyeriss", "simba"])
def test_relaxed_hardware_is_the_exact_one_but_for_rounding_up(arch):
    space, rng = space_of(arch, "dosa_bert" if arch == "gemmini" else "alexnet"), None
    rng = np.random.default_rng(6)
    sizing = Sizing(space.template)
    relaxed = RelaxedSizing(sizing, {})
    tried = 0
    while tried < 4:
        mappings = some_mapping_of_each(space, space.sample_values(rng), rng)
        if mappings is None:
            continue
        tried += 1
        demand = demand_of(mappings, [x.problem for x in space.workload])
        exact, short = sizing.smallest(demand, {})
        assert short == ""
        needs = np.log([[float(demand.of(r)[0]) for r in sizing.resources]])
        sized = relaxed(needs)
        assert not sized.excess.any()
        for variable, log_value in zip(sizing.inferred, sized.log_values[0], strict=True):
            index = variable.index_of(exact[variable.name])
            assert np.exp(log_value) <= exact[variable.name] * (1 + 1e-9)
            if index and variable.name != "accumulator_kb":  # its words follow from pe_dim's
                assert np.exp(log_value) > variable.value_at(index - 1) * (1 - 1e-9)


# the search


@pytest.mark.parametrize("linear", [False, True])
def test_descent_lowers_the_loss_and_rounds_to_a_valid_design(linear):
    space = space_of("gemmini", "alexnet", "dosa", "dosa")
    values = {"pe_dim": 16, "scratchpad_kb": 64, "accumulator_kb": 64}
    architecture = space.architecture(values)
    descent = Descent(space, values, None)
    state = descent.state_of(
        [first_mapping(Mapspace(x.problem, architecture)) for x in space.workload]
    )
    before = descent.network.evaluate(state.points, gradient=False).loss[0]
    for _ in range(150):
        descent.step(state, 0.01, linear=linear)
    after = descent.network.evaluate(state.points, gradient=False).loss[0]
    assert after < before - 0.1
    points, inferred, short = descent.rounded(state)
    assert short == ""
    hardware = space.architecture(inferred)
    for layer, mapping in zip(space.workload, descent.mappings(points), strict=True):
        batch = MappingBatch.of([mapping])
        assert NativeEvaluator().evaluate(hardware, layer.problem, batch).valid[0]


def test_tiles_beyond_the_hardware_are_taken_back():
    """With the array fixed and small buffers, rounded points still fit."""
    template, net = catalog.template("eyeriss"), catalog.workload("alexnet")
    from dse.components.chain import energy_chain
    from dse.space.search_space import SearchSpace

    fixed = {"glb_kb": 16, "ifmap_words": 8, "weight_words": 48, "psum_words": 8}
    space = SearchSpace(template, net, energy_chain("table"), fixed)
    values = space.sample_values(np.random.default_rng(7))
    architecture = space.architecture(values)
    descent = Descent(space, values, None)
    state = descent.state_of([first_mapping(Mapspace(x.problem, architecture)) for x in net])
    state.log_free = state.log_free + 1.0
    _, inferred, short = descent.rounded(state)
    assert short == ""
    assert space.architecture(inferred)


def dosa(space, samples, **settings):
    chosen = plugin("optimizer", "dosa")
    made = chosen.settings_type(**settings)
    return chosen.factory(space, made, np.random.default_rng(0), samples)


def test_every_step_order_and_design_is_a_sample(tmp_path):
    import dse

    settings = {"name": "dosa", "steps": 20, "round_every": 8}
    result = dse.run(
        "gemmini", "dosa_bert", settings, samples=200, seed=0, folder=str(tmp_path / "run")
    )
    lines = (tmp_path / "run" / "journal.jsonl").read_text().splitlines()
    spent = [json.loads(line)["samples"] for line in lines]
    # a start is 3 orders and a design; a stretch its steps, 3 orders and a design
    assert spent[0] == 4
    assert {8 + 4, 4 + 4, 4} >= set(np.diff(spent)[:-1])
    assert 8 + 4 in np.diff(spent)
    assert result.samples == spent[-1] <= 200


def test_search_ends_after_the_starts_that_were_asked_for(tmp_path):
    import dse

    settings = {"name": "dosa", "steps": 4, "round_every": 4, "starts": 2}
    folder = tmp_path / "run"
    result = dse.run("gemmini", "dosa_bert", settings, samples=500, seed=0, folder=str(folder))
    lines = (folder / "journal.jsonl").read_text().splitlines()
    spent = np.diff([0, *(json.loads(line)["samples"] for line in lines)])
    assert (spent == 4 + 4).sum() == 2
    assert result.samples < 500


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"starts": 0}, "optimizer.starts = 0"),
        ({"steps": 0}, "optimizer.steps = 0"),
        ({"learning_rate": -1.0}, "optimizer.learning_rate = -1.0"),
        ({"discard": 0.5}, "optimizer.discard = 0.5"),
        ({"ordering": "shufle"}, "did you mean 'shuffle'"),
        ({"variables": "lin"}, "optimizer.variables"),
    ],
)
def test_wrong_settings_are_refused(settings, said):
    with pytest.raises(SpecError, match=said.replace(".", r"\.")):
        dosa(space_of("gemmini", "dosa_bert"), 100, **settings)


def test_an_objective_without_a_gradient_is_refused_at_once():
    from dse.goals.objective import objective

    space = space_of("gemmini", "dosa_bert")
    space.objective = objective("cycles + energy_pj")
    with pytest.raises(SpecError, match="gradient"):
        dosa(space, 100)


# validation


@pytest.mark.parametrize("arch", ["gemmini", "simba"])
def test_validate_differentiable(arch, tmp_path, capsys):
    plot = tmp_path / "plots" / "twin.png"
    words = ["validate", "model=differentiable", f"arch={arch}", "workload=resnet18"]
    assert main([*words, "--random", "300", "--plot", str(plot)]) == 0
    out = capsys.readouterr().out
    assert "verdict: as close as DOSA's model or closer" in out
    assert plot.stat().st_size > 1000
    assert main([*words, "--random", "64", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["agrees"] is True
    assert {row["kind"] for row in told["rows"]} >= {"all"}
    assert sum(r["mappings"] for r in told["rows"] if r["kind"] != "all") == 3 * 64


def test_validate_says_when_the_twin_is_far_off(monkeypatch):
    from dse.validate import twin as validation

    real = validation.price_list
    monkeypatch.setattr(validation, "price_list", lambda a: real(a) * 1.02)
    report = validation.compare_twin(space_of("gemmini", "resnet18"), 64, 0)
    assert not report.agrees
    assert "FURTHER" in validation.report_text(report)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["model=diferentiable"], "did you mean 'differentiable'"),
        (["model=differentiable", "arch=gemini"], "did you mean 'gemmini'"),
        (["model=differentiable", "file.yaml"], "no files"),
        (["model=differentiable", "--random", "0"], "expected at least 1"),
    ],
)
def test_what_validate_differentiable_refuses(words, said, capsys):
    assert main(["validate", *words]) == 2
    assert said in capsys.readouterr().err


def test_linear_steps_are_measured_as_in_the_paper():
    """The paper's column maxima of Gemmini: K 8 and C 16 in space, P 14, C 64, K 128 in time."""
    space = space_of("gemmini", "resnet50")
    slots = Descent(space, {}, None).slots
    places = zip(slots.kind, slots.level, slots.dimension, strict=True)
    of = dict(zip(places, slots.scale, strict=True))
    names = space.workload.layers[0].problem.dimensions
    paper = {(1, 2, "K"): 8, (1, 1, "C"): 16, (0, 1, "P"): 14, (0, 1, "C"): 64, (0, 1, "R"): 3}
    for (kind, level, name), value in paper.items():
        assert value / 1.5 < of[kind, level, names.index(name)] < value * 1.5
