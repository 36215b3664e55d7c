"""CMA-ES against the library, vectors against mappings and hardware, and the NAAS templates."""

from __future__ import annotations

import itertools
import math

import cmaes
import numpy as np
import pytest
import yaml
from numba import njit
from scipy import stats

import dse
from dse.components.chain import energy_chain
from dse.domain.architecture import HardwareBatch
from dse.domain.problem import SHAPES, Problem
from dse.errors import SpecError
from dse.evaluators.native import NativeEvaluator
from dse.evolution import normals
from dse.evolution.genome import Coding
from dse.evolution.hardware import HardwareVector
from dse.evolution.population import PopulationSampler
from dse.evolution.strategy import Strategies
from dse.goals.design import DesignMetrics
from dse.goals.objective import EDP
from dse.jit import OPTIONS
from dse.mapspace import MapspaceCache
from dse.mapspace.random_bits import hashed
from dse.plugins import plugin
from dse.space import catalog
from dse.space.search_space import SearchSpace
from dse.space.template import ArchTemplate

pytestmark = pytest.mark.slow

CHIPS = ("edge_tpu", "nvdla_1024", "nvdla_256", "eyeriss", "shidiannao")


def ellipsoid(x: np.ndarray) -> np.ndarray:
    scale = 10.0 ** np.linspace(0, 3, x.shape[-1])
    return ((x - 0.3) ** 2 * scale).sum(axis=-1)


@pytest.mark.parametrize("covariance", ["full", "diagonal"])
@pytest.mark.parametrize(("n", "population"), [(2, 6), (5, 11), (23, 14), (8, 64)])
def test_strategies_equal_the_library_step_by_step(covariance, n, population):
    kind = cmaes.CMA if covariance == "full" else cmaes.SepCMA
    start = np.random.default_rng(n).random((3, n))
    library = [
        kind(row.copy(), 0.4, seed=seed, population_size=population)
        for seed, row in enumerate(start)
    ]
    ours = Strategies(start, 0.4, population, covariance, -np.inf, np.inf)
    for _ in range(60):
        x = np.array([[one.ask() for _ in range(population)] for one in library])
        value = ellipsoid(x)
        for one, candidates, values in zip(library, x, value, strict=True):
            one.tell(list(zip(candidates, values, strict=True)))
        ours.update(x, value)
        for s, one in enumerate(library):
            np.testing.assert_allclose(ours.mean[s], one.mean, rtol=1e-10, atol=1e-12)
            np.testing.assert_allclose(ours.sigma[s], one._sigma, rtol=1e-10)
            one._eigen_decomposition()  # the library symmetrizes here
            ours._decomposed()
            np.testing.assert_allclose(ours.cov[s], one._C, rtol=1e-10, atol=1e-10 * one._C.max())


def drawn(ours: Strategies, count: int) -> np.ndarray:
    """Candidates ``(S, count, 4)`` of strategies, on a machine that every mapping fits."""
    ours.population = count
    own = np.zeros(len(ours), np.intp)
    x, _, ok = one_level("importance").draw(ours, own, rounds=1, shrink_from=2)
    assert ok.all()
    return x


@pytest.mark.parametrize("covariance", ["full", "diagonal"])
def test_candidates_have_the_covariance_and_stay_in_the_box(covariance):
    ours = Strategies(np.full((2, 4), 0.5), 0.01, 50, covariance, -np.inf, np.inf)
    for _ in range(5):
        x = drawn(ours, 50)
        ours.update(x, ellipsoid(x))
    many = drawn(ours, 40_000)
    for s in range(2):
        wanted = ours.cov[s] if covariance == "full" else np.diag(ours.cov[s])
        scaled = np.cov(many[s].T) / ours.sigma[s] ** 2
        assert np.abs(scaled - wanted).max() < 0.05 * wanted.max()
        off = (many[s].mean(axis=0) - ours.mean[s]) / ours.sigma[s]
        assert (np.abs(off) < 5 * np.sqrt(np.diag(wanted) / 40_000)).all()
    x = drawn(Strategies(np.full((1, 4), 0.9), 2.0, 50, covariance), 50)
    assert x.min() == 0.0
    assert x.max() == 1.0


def test_restarts_and_selections_leave_the_other_searches_alone():
    rng = np.random.default_rng(3)
    ours = Strategies(rng.random((3, 4)), 0.2, 8)
    for _ in range(4):
        x = drawn(ours, 8)
        ours.update(x, ellipsoid(x))
    before = ours.mean.copy(), ours.cov.copy()
    ours.restart(np.array([1]))
    np.testing.assert_array_equal(ours.cov[1], np.eye(4))
    np.testing.assert_array_equal(ours.mean[[0, 2]], before[0][[0, 2]])
    ours.keep(np.array([2]))
    np.testing.assert_array_equal(ours.cov[0], before[1][2])
    assert len(ours) == 1


def test_random_bits_become_standard_normal_numbers():
    @njit(**{**OPTIONS, "cache": False})
    def fill(seed, x):
        for i in range(len(x)):
            x[i] = normals.normal(hashed(seed, i))

    x = np.empty(2_000_000)
    fill(np.uint64(1), x)
    assert stats.kstest(x[:1_000_000], "norm").pvalue > 0.01
    # the edges of the layers, and the tail beyond them
    expected = len(x) * np.diff(stats.norm.cdf(normals._EDGE[::-1]))
    found, _ = np.histogram(x, normals._EDGE[::-1])
    assert (((found - expected) ** 2 / expected)[:-1]).sum() < stats.chi2.isf(0.01, 255)
    tail = np.abs(x[np.abs(x) > normals._TAIL])
    beyond = 2 * stats.norm.sf(normals._TAIL)
    assert abs(len(tail) - len(x) * beyond) < 4 * math.sqrt(len(x) * beyond)
    assert stats.kstest(2 * stats.norm.sf(tail) / beyond, "uniform").pvalue > 0.01
    assert abs(np.corrcoef(x[1:], x[:-1])[0, 1]) < 5 / math.sqrt(len(x))


def hardware_of(name: str, count: int) -> HardwareBatch:
    template = catalog.template(name)
    rng = np.random.default_rng(5)
    chain = energy_chain(template.energy)
    values = [template.defaults, *(template.sample(rng) for _ in range(count - 1))]
    return HardwareBatch(tuple(chain.price(template.build(v)) for v in values))


def conv() -> Problem:
    bounds = {"R": 3, "S": 3, "P": 28, "Q": 14, "C": 24, "K": 32, "N": 1}
    return Problem(SHAPES["cnn-layer"], bounds, {"Wstride": 2, "Hstride": 2})


@pytest.mark.parametrize("name", ["naas_eyeriss", "naas_edge_tpu", "eyeriss", "gemmini", "simba"])
@pytest.mark.parametrize("coding", [Coding(), Coding("index", "linear")])
def test_vectors_become_mappings_that_fit(name, coding):
    hardware, problem = hardware_of(name, 3), conv()
    space_of = MapspaceCache({})
    spaces = {h: space_of(problem, a) for h, a in enumerate(hardware.architectures)}
    evaluator = NativeEvaluator()
    for repair in (False, True):
        population = PopulationSampler(hardware, problem, spaces, coding, seed=1)
        x = np.random.default_rng(2).random((600, len(population.genome)))
        own = np.repeat(np.arange(3), 200)
        mappings, ok = read(population, x, own, 1 if repair else 2)
        metrics = evaluator.evaluate(hardware, problem, mappings, own.astype(np.int32))
        # what does not fit is known without evaluation, and the other way round
        np.testing.assert_array_equal(ok, metrics.valid)
        assert (ok | _crowded(hardware, mappings, own)).all() if repair else ok.any()
        product = mappings.temporal.prod(axis=0) * mappings.spatial.prod(axis=0)
        bounds = [problem.bounds[d] for d in problem.dimensions]
        np.testing.assert_array_equal(product, np.repeat([bounds], 600, axis=0).T)
        for b in (0, 250, 599):
            _assert_in_space(spaces[own[b]], mappings[b])


def read(population, x, own, shrink_from):
    """Mappings of vectors ``(B, n)``, drawn where there is no width, and which of them fit."""
    strategies = Strategies(x, 1e-300, 2, "diagonal")
    found, mappings, ok = population.draw(strategies, own, rounds=1, shrink_from=shrink_from)
    if shrink_from > 1:
        np.testing.assert_allclose(found[:, 0], x, rtol=0, atol=1e-290)
    return mappings.take(np.arange(0, len(mappings), 2)), ok[:, 0]


def _crowded(hardware, mappings, own):
    """Which mappings keep more tensors somewhere than there are words: nothing repairs them."""
    words = [[x.size_words or math.inf for x in a.levels] for a in hardware.architectures]
    return (mappings.keep.sum(axis=1) > np.array(words)[own].T).any(axis=0)


def test_searches_agree_on_what_is_kept():
    hardware, problem = hardware_of("naas_eyeriss", 3), conv()
    space_of = MapspaceCache({})
    spaces = {h: space_of(problem, a) for h, a in enumerate(hardware.architectures)}
    population = PopulationSampler(hardware, problem, spaces, Coding(), seed=1)
    genome = population.genome
    free = {g for g in genome.arrays.keep_gene.ravel().tolist() if g >= 0}
    assert free == set(range(genome.arrays.flags, len(genome)))
    strategies = Strategies(np.full((3, len(genome)), 0.5), 0.1, 50, "diagonal")
    x, _, _ = population.draw(strategies, np.arange(3), rounds=1, shrink_from=2)
    same = (x == x[:1]).all(axis=(0, 1))
    np.testing.assert_array_equal(same, [g in free for g in range(len(genome))])
    assert len(np.unique(x[0, :, -1])) == 50


@pytest.mark.parametrize("covariance", ["full", "diagonal"])
def test_what_fits_is_drawn_as_often_as_by_drawing_alone(covariance):
    """Rounds, places left and shared flags leave the distribution of what fits as it is."""
    hardware, problem = hardware_of("naas_eyeriss", 2), conv()
    space_of = MapspaceCache({})
    spaces = {h: space_of(problem, a) for h, a in enumerate(hardware.architectures)}
    population = PopulationSampler(hardware, problem, spaces, Coding(), seed=3)
    start = np.tile(population.genome.start, (2, 1))
    count = 3000
    strategies = Strategies(start, 0.2, count, covariance)
    alone, _, fits = population.draw(strategies, np.arange(2), rounds=1, shrink_from=2)
    population._fitting = 1.0  # so that many places are left after the first round
    x, _, ok = population.draw(strategies, np.arange(2), rounds=60, shrink_from=61)
    assert ok.all()
    for search in range(2):
        assert 0.05 < fits[search].mean() < 0.99
        pairs = zip(x[search].T, alone[search][fits[search]].T, strict=True)
        assert min(stats.ks_2samp(*pair).pvalue for pair in pairs) > 1e-4


def _assert_in_space(space, mapping):
    for d, slots in enumerate(space.slots):
        free = {(slot.level, slot.spatial): slot.cap for slot in slots}
        for s in range(len(mapping.temporal)):
            assert mapping.temporal[s, d] <= free.get((s, False), 1)
            assert mapping.spatial[s, d] <= free.get((s, True), 1)
    x = space.arrays
    for s, order in enumerate(mapping.permutation):
        assert sorted(order) == list(range(len(order)))
        start, stop = x.free_start[s], x.free_start[s] + x.free_count[s]
        np.testing.assert_array_equal(order[:start], x.order[s, :start])
        np.testing.assert_array_equal(order[stop:], x.order[s, stop:])
        axis = np.repeat([0, 1], [mapping.split[s], len(order) - mapping.split[s]])
        given = x.axis[s][mapping.spatial_permutation[s]]
        assert ((given == axis) | (given == 2)).all()
    assert (mapping.keep[x.keep == 1]).all()
    assert not (mapping.keep[x.keep == 0]).any()


def one_level(encoding: str, order: tuple[str, ...] | None = None) -> PopulationSampler:
    """A machine whose only freedom is the order of four loops."""
    architecture = {
        "name": "one",
        "energy": "dosa",
        "storage": [{"name": "DRAM", "class": "DRAM"}],
        "compute": {"name": "MAC"},
    }
    template = ArchTemplate.parse(architecture, "test")
    hardware = HardwareBatch.of(energy_chain("dosa").price(template.build({})))
    problem = Problem(SHAPES["cnn-layer"], dict(zip("RSPQCKN", (1, 1, 2, 3, 4, 5, 1), strict=True)))
    space = MapspaceCache({})(problem, hardware.architectures[0])
    return PopulationSampler(hardware, problem, {0: space}, Coding(encoding, order=order), seed=0)


def orders(population: PopulationSampler, x: np.ndarray) -> list[tuple[int, ...]]:
    mappings, _ = read(population, x, np.zeros(len(x), np.int64), 2)
    space = population.genome.spaces[0]
    start, count = space.arrays.free_start[0], space.arrays.free_count[0]
    return [tuple(column) for column in mappings.permutation[0, start : start + count].T.tolist()]


def test_the_most_important_loop_is_the_outermost():
    population = one_level("importance")
    assert len(population.genome) == 4
    x = np.array(list(itertools.permutations((0.1, 0.4, 0.6, 0.9))))
    dims = [2, 3, 4, 5]  # P Q C K
    wanted = [tuple(d for _, d in sorted(zip(row, dims, strict=True))) for row in x]
    assert orders(population, x) == wanted


def test_an_index_numbers_all_orders():
    population = one_level("index")
    assert len(population.genome) == 1
    x = (np.arange(24)[:, None] + 0.5) / 24
    assert orders(population, x) == list(itertools.permutations((2, 3, 4, 5)))
    assert orders(population, np.array([[0.0], [1.0]])) == [(2, 3, 4, 5), (5, 4, 3, 2)]


def test_a_fixed_order_is_read_from_the_outside():
    population = one_level("importance", ("K", "C", "P", "Q"))
    assert not population.genome.free
    assert orders(population, np.zeros((1, 1))) == [(3, 2, 4, 5)]


def search_space(name: str) -> SearchSpace:
    template = catalog.template(name)
    workload = catalog.workload("squeezenet")
    return SearchSpace(template, workload, energy_chain(template.energy))


@pytest.mark.parametrize("encoding", ["importance", "index"])
@pytest.mark.parametrize("scale", ["log", "linear"])
def test_hardware_is_what_its_vector_says(encoding, scale):
    space = search_space("naas_nvdla_256")
    vector = HardwareVector(space, {}, encoding, scale)
    rng = np.random.default_rng(0)
    for _ in range(50):
        values = vector.decode(rng.random(len(vector)))
        assert space.template.check(values) == values
        assert len({values[f"parallel_{a}"] for a in "xyz"}) == 3
        assert vector.decode(vector.encode(values)) == values
    least = vector.decode(vector.shrink(rng.random(len(vector)), 0.0))
    assert least["l2_bytes"] == 4096
    assert least["pes"] == 8


def test_importance_picks_the_parallel_dimensions():
    vector = HardwareVector(search_space("naas_nvdla_256"), {}, "importance", "log")
    x = np.full(len(vector), 0.5)
    x[-6:] = (0.8, 0.9, 0.1, 0.2, 0.7, 0.3)  # of K C P Q R S
    values = vector.decode(x)
    choices = catalog.template("naas_nvdla_256").variable("parallel_x").choices
    assert [choices[values[f"parallel_{a}"]] for a in "xyz"] == ["C", "K", "R"]


def test_an_index_reaches_every_arrangement():
    vector = HardwareVector(search_space("naas_nvdla_256"), {}, "index", "log")
    seen = set()
    for number in range(120):
        x = np.full(len(vector), 0.5)
        x[-1] = (number + 0.5) / 120
        values = vector.decode(x)
        seen.add(tuple(values[f"parallel_{a}"] for a in "xyz"))
    assert seen == set(itertools.permutations(range(6), 3))


@pytest.mark.parametrize("chip", CHIPS)
def test_free_arrays_have_the_chips_resources(chip):
    """Same node, clock, words and DRAM; PEs, bytes and bandwidth within those of the chip."""
    own, free = catalog.template(chip), catalog.template(f"naas_{chip}")
    built, ours = (
        energy_chain("table").price(template.build(template.defaults)) for template in (own, free)
    )
    assert ours.technology == built.technology
    assert ours.compute.energy_pj == built.compute.energy_pj
    assert ours.compute.word_bits == built.compute.word_bits
    dram = [a.levels[-1] for a in (built, ours)]
    for key in ("word_bits", "block_size", "energy", "read_bandwidth", "shared_bandwidth"):
        assert getattr(dram[1], key) == getattr(dram[0], key), key
    budget = yaml.safe_load(catalog.find("arch", f"naas_{chip}").read_bytes())["budget"]
    on_chip = [x for x in built.levels if not x.is_dram]
    shared = [x for x in on_chip if x.instances == 1]
    assert budget["pes"] == built.compute.instances
    assert budget["on_chip_bytes"] == sum(
        (x.size_words or 0) * x.word_bits * x.instances // 8 for x in on_chip
    )
    assert budget["noc_words_per_cycle"] == sum(
        min(x.read_bandwidth, x.shared_bandwidth) for x in shared
    )
    assert ours.level("L2").word_bits == shared[0].word_bits
    assert ours.level("L2").block_size == max(x.block_size for x in shared)
    sums = [x for x in on_chip if "Outputs" in own.constraints[x.name].keep and x.instances > 1]
    assert ours.level("L1_sums").word_bits == sums[0].word_bits


def test_array_dimensions_beyond_the_count_are_not_built():
    template = catalog.template("naas_nvdla_256")
    sizes = {"l2_bytes": 65536, "array_x": 12, "array_y": 6, "array_z": 8}
    values = {**template.defaults, **sizes}
    built = [template.build({**values, "array_dims": dims}).compute for dims in (1, 2, 3)]
    # the third takes what 256 PEs leave: 256 // 72
    assert [(c.mesh_x, c.mesh_y) for c in built] == [(12, 1), (12, 6), (12, 18)]


def test_a_channel_dimension_takes_the_groups_of_depthwise_layers():
    template = catalog.template("naas_nvdla_256")
    architecture = template.build(template.defaults)
    bounds = dict(zip("RSPQGN", (3, 3, 14, 14, 64, 1), strict=True))
    space = MapspaceCache({})(Problem(SHAPES["depthwise-cnn-layer"], bounds), architecture)
    g = space.problem.dimensions.index("G")
    assert [slot.cap for slot in space.slots[g] if slot.spatial] == [32]


def test_samples_are_spent_on_mappings_that_fit():
    hardware, problem = hardware_of("naas_eyeriss", 3), conv()
    for legality in ("repair", "resample"):
        chosen = plugin("mapper", "cma")
        evaluator = NativeEvaluator()
        mapper = chosen.factory(evaluator, {}, EDP, chosen.settings_type(legality=legality))
        seen = np.zeros(3, np.int64)
        original = evaluator.evaluate

        def counted(hw, problem, batch, index, original=original, seen=seen):
            metrics = original(hw, problem, batch, index)
            assert metrics.valid.all()
            np.add.at(seen, index, 1)
            return metrics

        evaluator.evaluate = counted
        mapper.map(hardware, problem, np.array([100, 0, 333]), 7)
        assert seen.tolist() == [100, 0, 333]


def test_naas_chooses_its_mapper_unless_one_is_named(tmp_path):
    given = {"arch": "naas_nvdla_256", "workload": "squeezenet", "samples": 20, "seed": 0}
    naas = {"name": "naas", "population": 4, "mappings_per_hardware": 5, "encoding": "index"}
    for number, (more, name) in enumerate((({}, "cma"), ({"mapper": "random"}, "random"))):
        result = dse.run(optimizer=naas, folder=str(tmp_path / str(number)), **given, **more)
        assert result.settings["mapper"]["name"] == name
        if name == "cma":
            assert result.settings["mapper"]["encoding"] == "index"


def test_sizing_leaves_the_connectivity_alone(tmp_path):
    naas = {"name": "naas", "population": 5, "mappings_per_hardware": 2, "search": "sizing"}
    given = {"arch": "naas_nvdla_256", "workload": "squeezenet", "samples": 20, "seed": 0}
    result = dse.run(optimizer=naas, folder=str(tmp_path / "run"), **given)
    defaults = catalog.template("naas_nvdla_256").defaults
    for name, value in result.design.values.items():
        if name.startswith(("array_", "parallel_")):
            assert value == defaults[name]
    assert result.settings["mapper"]["search"] == "tiles"


@pytest.mark.parametrize("legality", ["resample", "repair"])
def test_hardware_keeps_to_the_budget(legality, tmp_path):
    naas = {"name": "naas", "population": 20, "mappings_per_hardware": 1, "legality": legality}
    given = {"arch": "naas_shidiannao", "workload": "squeezenet", "samples": 60, "seed": 1}
    result = dse.run(optimizer=naas, folder=str(tmp_path / "run"), **given)
    assert result.feasible == result.designs == 60


def test_a_start_at_the_chip_begins_with_the_chip():
    from dse.study.study import optimizer_rng  # noqa: PLC0415

    chosen = plugin("optimizer", "naas")
    space = search_space("naas_eyeriss")
    settings = chosen.settings_type(start="chip")
    first = chosen.factory(space, settings, optimizer_rng(0), 6000).ask()[0]
    assert first.values == space.template.defaults


@pytest.mark.parametrize("inherit", [0.0, 0.7])
def test_candidates_inherit_numbers_of_the_best(inherit):
    from dse.study.study import optimizer_rng  # noqa: PLC0415

    chosen = plugin("optimizer", "naas")
    settings = chosen.settings_type(inherit=inherit, population=20)
    naas = chosen.factory(search_space("naas_eyeriss"), settings, optimizer_rng(0), 6000)
    designs = naas.ask()
    naas.tell(designs, [DesignMetrics(True, 2.0 + n, 3.0, 4.0, 0.5, (), "") for n in range(20)])
    best = naas._asked[0]
    naas.ask()
    share = np.mean([x == best for x in naas._asked])
    assert abs(share - inherit) < 0.15


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("encoding", "rank"),
        ("inherit", 1.0),
        ("population", 3),
        ("sigma", 0.0),
        ("legality", "drop"),
    ],
)
def test_wrong_settings_are_refused(setting, value):
    with pytest.raises(SpecError, match=f"optimizer.{setting}"):
        dse.run(optimizer={"name": "naas", setting: value}, arch="naas_eyeriss")


def test_several_networks_are_minimised_by_their_geometric_mean(tmp_path):
    result = dse.run(
        arch="gemmini",
        workload="alexnet+squeezenet",
        optimizer="random",
        samples=20,
        folder=str(tmp_path / "run"),
    )
    parts = result.metrics.networks
    assert [n.name for n in result.workload.networks] == ["alexnet", "squeezenet"]
    assert result.value == pytest.approx(math.sqrt(parts[0].edp * parts[1].edp), rel=1e-12)
    assert result.metrics.cycles == pytest.approx(sum(p.cycles for p in parts))
    alone = catalog.workload("squeezenet")
    assert [layer.count for layer in parts[1].layers] == [layer.count for layer in alone]
    assert [row["name"] for row in result.as_dict()["networks"]] == ["alexnet", "squeezenet"]
    # the copy in the run folder reads back the same
    again = catalog.workload(str(result.folder / "workload.yaml"))
    assert again == result.workload


def test_mistakes_in_several_networks_are_named():
    with pytest.raises(SpecError, match="unknown workload 'vgg61'.*vgg16"):
        catalog.workload("resnet50+vgg61")
    with pytest.raises(SpecError, match="declared twice"):
        catalog.workload("vgg16+vgg16")
    with pytest.raises(SpecError, match="unknown parameter 'context'"):
        catalog.workload("vgg16+resnet50", {"context": 3})
    with pytest.raises(SpecError, match="geometric"):
        dse.run(workload="vgg16+resnet50", objective="2*cycles")


def test_cma_finds_its_way_where_the_whole_array_hardly_ever_fits():
    """With all of Simba's fan-outs filled, as a search starts, its buffers overflow."""
    template = catalog.template("simba")
    hardware = HardwareBatch.of(
        energy_chain(template.energy).price(template.build(template.defaults))
    )
    for layer in catalog.workload("resnet50").layers[1:3]:
        edp = {}
        for name in ("cma", "gamma"):
            chosen = plugin("mapper", name)
            mapper = chosen.factory(
                NativeEvaluator(), template.constraints, EDP, chosen.settings_type()
            )
            found = mapper.map(hardware, layer.problem, np.array([1000]), 0)
            edp[name] = float(found.metrics.edp[0])
        assert edp["cma"] < 1.1 * edp["gamma"]
