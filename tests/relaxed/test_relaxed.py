"""The differentiable twin: equal to the exact model at whole factors, gradients by differences."""

from dataclasses import replace

import numpy as np
import pytest
from relaxed_spaces import CASES, VERSIONS, between, draw, some_mapping_of_each, space_of

from dse.components.chain import energy_chain
from dse.errors import SpecError
from dse.evaluators.native import NativeEvaluator
from dse.mapspace import Mapspace
from dse.relaxed import RelaxedNetwork, Sizing, Twin
from dse.relaxed.fit import Used
from dse.relaxed.prices import price_list
from dse.relaxed.sizing import demand_of
from dse.space import catalog
from dse.space.search_space import SearchSpace

pytestmark = pytest.mark.slow


def without_rounding(architecture):
    """Return the hardware with accesses of one word, so that no block is half full."""
    return replace(
        architecture,
        levels=tuple(replace(level, block_size=1) for level in architecture.levels),
    )


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(("arch", "net"), CASES)
def test_twin_is_the_exact_model_at_whole_factors(arch, net, version):
    """Without links, rounded partitions and half-full blocks, the numbers are the same."""
    space, rng = space_of(arch, net), np.random.default_rng(0)
    twin = Twin([x.problem for x in space.workload], len(space.template.level_names), version, None)
    close = total = 0
    for architecture, i, found in draw(space, rng, 12):
        problem = space.workload.layers[i].problem
        hardware = without_rounding(architecture)
        plain = replace(found, no_link_transfer=np.ones_like(found.no_link_transfer))
        exact = NativeEvaluator(version).evaluate(hardware, problem, plain)
        mappings = [plain[k] for k in range(len(plain))]
        cost = twin.cost(twin.points(mappings, [i] * len(plain)), price_list([hardware]))
        for name in ("energy_pj", "cycles"):
            error = np.abs(getattr(cost, name) / getattr(exact, name) - 1)
            assert error.max() < 1e-3, (architecture, problem, mappings[int(error.argmax())])
            close += int((error < 1e-9).sum())
            total += len(error)
    assert close > 0.6 * total


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(("arch", "net"), CASES)
def test_gradients_of_cost_and_use_are_the_differences(arch, net, version):
    space, rng = space_of(arch, net), np.random.default_rng(1)
    twin = Twin([x.problem for x in space.workload], len(space.template.level_names), version, None)
    for architecture, i, found in draw(space, rng, 6):
        prices = price_list([architecture])
        x = between(twin.points([found[0]], [i]), rng)
        cost = twin.cost(x, prices)
        shares = Used(*(rng.normal(size=(1, twin.levels)) for _ in range(3)))
        by_use = dict(zip(("temporal", "spatial"), twin.share_used(x, shares), strict=True))

        def values(point, prices=prices, shares=shares):
            one = twin.cost(point, prices, gradient=False)
            used = sum((np.log(a) * b).sum() for a, b in zip(twin.used(point), shares, strict=True))
            return np.array([one.energy_pj[0], one.cycles[0], used])

        here = values(x)
        for name in ("temporal", "spatial"):
            for place in np.argwhere(getattr(x, name) > 1):
                at = tuple(place)
                up, down = (values(moved(x, name, at, step)) for step in (1e-6, -1e-6))
                slope = (up - down) / 2e-6
                told = [getattr(cost, f"{k}_{name}")[at] for k in ("energy", "cycles")]
                told.append(by_use[name][at])
                tolerance = 1e-5 * np.abs(slope) + 1e-7 * np.abs(here) + 1e-6
                assert (np.abs(told - slope) <= tolerance).all(), (name, at, told, slope)


def moved(points, name, at, step):
    array = getattr(points, name).copy()
    array[at] *= np.exp(step)
    return points._replace(**{name: array})


def test_gradients_by_prices_are_the_differences():
    space, rng = space_of("eyeriss", "resnet50"), np.random.default_rng(2)
    twin = Twin(
        [x.problem for x in space.workload], len(space.template.level_names), VERSIONS[0], None
    )
    for architecture, i, found in draw(space, rng, 5):
        prices = price_list([architecture])
        x = twin.points([found[0]], [i])
        cost = twin.cost(x, prices)
        for row in range(prices.shape[1]):
            for column in range(5 if row < twin.levels else 1):
                more = prices.copy()
                more[0, row, column] += 1.0
                rise = twin.cost(x, more, gradient=False).energy_pj - cost.energy_pj
                assert rise[0] == pytest.approx(cost.energy_price[0, row, column], rel=1e-6)


def test_factors_below_one_count_as_one_and_have_no_gradient():
    space, rng = space_of("gemmini", "resnet50"), np.random.default_rng(3)
    twin = Twin(
        [x.problem for x in space.workload], len(space.template.level_names), VERSIONS[0], None
    )
    architecture, i, found = next(draw(space, rng, 1))
    x = twin.points([found[0]], [i])
    below = x._replace(temporal=np.where(x.temporal == 1, 0.5, x.temporal))
    one, other = (twin.cost(p, price_list([architecture])) for p in (x, below))
    assert one.energy_pj == other.energy_pj
    assert one.cycles == other.cycles
    assert not other.energy_temporal[below.temporal < 1].any()
    assert not other.cycles_temporal[below.temporal < 1].any()


def test_points_and_mappings_are_each_other():
    space, rng = space_of("eyeriss", "resnet50"), np.random.default_rng(4)
    for architecture, i, found in draw(space, rng, 4):
        problem = space.workload.layers[i].problem
        twin = Twin([problem], len(architecture.levels), VERSIONS[0], None)
        mappings = [found[k] for k in range(len(found))]
        points = twin.points(mappings, [0] * len(mappings))
        back = [points.mapping(k, Mapspace(problem, architecture)) for k in range(len(mappings))]
        of = NativeEvaluator().evaluate
        again = of(architecture, problem, type(found).of(back))
        first = of(architecture, problem, found)
        assert np.array_equal(again.energy_pj, first.energy_pj)
        assert np.array_equal(again.cycles, first.cycles)


def test_a_diagonal_tensor_is_refused():
    from dse.domain.problem import DataSpace, Problem, Shape, Term

    rows = ((Term("A"),), (Term("A"),))
    shape = Shape("diagonal", ("A", "B"), (DataSpace("X", rows, read_write=True),))
    with pytest.raises(SpecError, match="one row"):
        Twin([Problem(shape, {"A": 2, "B": 3})], 2, VERSIONS[0], None)


# hardware from mappings


@pytest.mark.parametrize("arch", ["gemmini", "eyeriss", "simba", "tpu_v1", "shidiannao"])
def test_smallest_hardware_fits_and_nothing_smaller_does(arch):
    """The mappings of a network are valid on it; with any inferred variable less, one is not."""
    space = space_of(arch, "dosa_bert" if arch == "tpu_v1" else "alexnet")
    rng = np.random.default_rng(5)
    sizing = Sizing(space.template)
    problems = [x.problem for x in space.workload]
    tried = 0
    for _ in range(60):
        drawn = space.sample_values(rng)
        mappings = some_mapping_of_each(space, drawn, rng)
        if mappings is None:
            continue
        demand = demand_of(mappings, problems)
        values, short = sizing.smallest(demand, drawn)
        assert short == ""
        if all(len(raisers) <= 1 for raisers in sizing.raisers):
            assert all(values[v.name] <= drawn[v.name] for v in sizing.inferred)
        assert fits(space, values, mappings, problems)
        for variable in sizing.inferred:
            index = variable.index_of(values[variable.name])
            if index == 0:
                continue
            less = {**values, variable.name: variable.value_at(index - 1)}
            assert short_of_something(sizing, demand, less)
        tried += 1
        if tried == 6:
            return
    raise AssertionError("too few networks could be mapped")


def fits(space, values, mappings, problems):
    from dse.domain.mapping import MappingBatch

    hardware = energy_chain("pat").price(space.template.tree(values))
    return all(
        NativeEvaluator().evaluate(hardware, p, MappingBatch.of([m])).valid[0]
        for m, p in zip(mappings, problems, strict=True)
    )


def short_of_something(sizing, demand, values):
    return any(r.amount(values) < demand.of(r)[0] for r in sizing.resources)


def test_demand_beyond_the_largest_hardware_is_told():
    space = space_of("gemmini", "alexnet")
    sizing = Sizing(space.template, {"pe_dim": 4})
    mappings = some_mapping_of_each(
        space, {"pe_dim": 128, "scratchpad_kb": 2048, "accumulator_kb": 2048},
        np.random.default_rng(6),
    )  # fmt: skip
    demand = demand_of(mappings, [x.problem for x in space.workload])
    values, short = sizing.smallest(demand, {})
    assert values["pe_dim"] == 4
    assert "children along X of level" in short


@pytest.mark.parametrize(
    ("arch", "energy", "goal"),
    [("gemmini", "dosa", "edp"), ("gemmini", "table", "eadp"), ("eyeriss", "table", "adp"),
     ("simba", "table", "edp"), ("tpu_v1", "table", "energy"), ("shidiannao", "table", "delay")],
)  # fmt: skip
def test_network_gradient_is_the_difference(arch, energy, goal):
    """Through traffic, inferred hardware, prices, penalties and budgets."""
    from dse.goals.objective import objective

    rng = np.random.default_rng(7)
    template, net = catalog.template(arch), catalog.workload("alexnet")
    space = SearchSpace(template, net, energy_chain(energy), goal=objective(goal))
    mappings = None
    while mappings is None:
        values = space.sample_values(rng)
        mappings = some_mapping_of_each(space, values, rng)
    network = RelaxedNetwork(space, values, None, area_weight=0.25)
    x = between(network.twin.points(mappings * 2, list(range(len(net))) * 2), rng)
    value = network.evaluate(x)
    for name in ("temporal", "spatial"):
        places = np.argwhere(getattr(x, name) > 1)
        for place in places[rng.permutation(len(places))[:25]]:
            at = tuple(place)
            up, down = (
                network.evaluate(moved(x, name, at, step), gradient=False).loss[at[0] // len(net)]
                for step in (1e-6, -1e-6)
            )
            told = getattr(value, name)[at]
            assert told == pytest.approx((up - down) / 2e-6, rel=1e-4, abs=1e-6)


def test_network_of_whole_mappings_is_the_design():
    """On hardware of its own tables' grid, the network's numbers are the study's."""
    from dse.domain.mapping import MappingBatch

    space, rng = space_of("gemmini", "alexnet", "dosa", "dosa"), np.random.default_rng(8)
    drawn = {"pe_dim": 64, "scratchpad_kb": 512, "accumulator_kb": 512}
    mappings = some_mapping_of_each(space, drawn, rng)
    network = RelaxedNetwork(space, {}, None)
    found = network.evaluate(network.twin.points(mappings, list(range(len(space.workload)))))
    demand = demand_of(mappings, [x.problem for x in space.workload])
    values, _ = network.sizing.smallest(demand, {})
    logs = np.exp(found.log_values[0])
    for name, value in zip(network.relaxed.names, logs, strict=True):
        assert value <= values[name] < value + 1.001 or name == "accumulator_kb"
    hardware = space.architecture(values)
    exact = [
        NativeEvaluator("dosa").evaluate(hardware, x.problem, MappingBatch.of([m]))
        for x, m in zip(space.workload, mappings, strict=True)
    ]
    counts = [x.count for x in space.workload]
    energy = sum(n * m.energy_pj[0] for n, m in zip(counts, exact, strict=True))
    cycles = sum(n * m.cycles[0] for n, m in zip(counts, exact, strict=True))
    assert found.energy_pj[0] == pytest.approx(energy, rel=0.02)
    assert found.cycles[0] == pytest.approx(cycles, rel=1e-4)


def test_an_objective_without_a_gradient_is_refused():
    from dse.goals.objective import objective

    space = SearchSpace(
        catalog.template("gemmini"), catalog.workload("alexnet"), energy_chain("dosa"),
        goal=objective("2*cycles"),
    )  # fmt: skip
    with pytest.raises(SpecError, match=r"2\*cycles"):
        RelaxedNetwork(space, {}, None)
