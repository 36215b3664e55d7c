"""Mappers over paddings: proofs against every mapping of every padding, budgets."""

import itertools
import sys
from dataclasses import replace

import numpy as np
import pytest

from dse.domain.architecture import AccessEnergy, Architecture, Compute, HardwareBatch, StorageLevel
from dse.domain.constraints import LevelConstraint, SpatialConstraint
from dse.domain.mapping import MappingBatch
from dse.domain.padding import NO_PADDING, Padding, mapped_problem
from dse.domain.problem import SHAPES, Problem
from dse.evaluators.native import NativeEvaluator
from dse.evaluators.wrapped import WrappedEvaluator
from dse.goals.objective import objective, objectives
from dse.mappers.base import LEAST_SAMPLES
from dse.mapspace.enumeration import enumerate_valid
from dse.mapspace.padding import alternatives
from dse.mapspace.space import Mapspace
from dse.plugins import plugin

pytestmark = pytest.mark.slow

AUTO = Padding.parse("auto")
GOALS = ("edp", "energy", "delay")


def chip(mesh_x=4, mesh_y=1, inner=8, middle=24):
    """A small array with a buffer each, below a shared buffer."""
    price = AccessEnergy(1.0, 1.0, 1.0, leak_pj=0.01)
    count = mesh_x * mesh_y
    levels = (
        StorageLevel(
            "inner", size_words=inner, mesh_x=mesh_x, mesh_y=mesh_y, instances=count, energy=price
        ),
        StorageLevel("middle", size_words=middle, shared_bandwidth=4.0, energy=price),
        StorageLevel(
            "outer", kind="DRAM", shared_bandwidth=2.0, energy=AccessEnergy(20.0, 20.0, 20.0)
        ),
    )
    compute = Compute(mesh_x=mesh_x, mesh_y=mesh_y, instances=count, energy_pj=0.5)
    return Architecture("chip", levels, compute)


def gemm(m, n, k):
    return Problem(SHAPES["gemm"], {"M": m, "N": n, "K": k})


def conv(**bounds):
    shape = SHAPES["cnn-layer"]
    return Problem(shape, {d: bounds.get(d, 1) for d in shape.dimensions}, {"Wstride": 2})


def rules(problem):
    """Constraints that leave few mappings: what is kept where is fixed, X has a few dimensions."""
    first, second, result = problem.tensors
    return {
        "inner": LevelConstraint(keep=(first, result), bypass=(second,)),
        "middle": LevelConstraint(
            keep=(first, second),
            bypass=(result,),
            spatial=SpatialConstraint(x=problem.dimensions[:1] + problem.dimensions[2:3]),
        ),
    }


def mapper(name, constraints, goal="edp", **settings):
    chosen = plugin("mapper", name)
    given = objectives()[goal] if goal in objectives() else objective(goal)
    return chosen.factory(
        NativeEvaluator(n_jobs=1), constraints, given, chosen.settings_type(**settings)
    )


def padded(name, problem, samples=600, architecture=None, padding=AUTO, **settings):
    made = mapper(name, rules(problem), **settings)
    hardware = HardwareBatch.of(architecture or chip())
    return made.map_padded(hardware, problem, np.array([samples], np.int64), 1, padding)


def best_of_all(problem, architecture, most):
    """The least EDP, energy and delay over all mappings of all paddings up to ``most``."""
    least = dict.fromkeys(GOALS, np.inf)
    sizes = [range(n, (most(n) if n > 1 else 1) + 1) for n in problem.bounds.values()]
    for bounds in itertools.product(*sizes):
        one = replace(problem, bounds=dict(zip(problem.dimensions, bounds, strict=True)))
        space = Mapspace(one, architecture, rules(problem))
        for batch in enumerate_valid(space, 16384):
            metrics = NativeEvaluator().evaluate(HardwareBatch.of(architecture), one, batch)
            for goal, value in least.items():
                least[goal] = min(value, float(objectives()[goal].rank(metrics).min()))
    return least


CASES = [
    (gemm(5, 1, 7), chip()),
    (gemm(7, 5, 1), chip(3, 2)),
    (gemm(5, 1, 5), chip(4, 1, inner=4, middle=12)),
    (conv(R=2, P=5, C=3), chip(4, 1)),
]


@pytest.mark.parametrize("case", range(len(CASES)))
def test_the_proof_is_over_every_padding_there_is(case):
    """Not only the useful sizes: no mapping of any size up to twice the bounds is better."""
    problem, architecture = CASES[case]
    least = best_of_all(problem, architecture, lambda n: 2 * n - 1)
    for goal in GOALS:
        found = padded("optimal", problem, 3000, architecture, goal=goal, threads=1)
        (certificate,) = found.certificates
        assert certificate.value == least[goal], goal
        assert certificate.optimal, goal
        assert "useful combinations of sizes" in certificate.assumed


def test_a_share_is_proven_over_the_paddings_that_it_allows():
    problem, architecture = CASES[0]
    padding = Padding.parse("20%")
    least = best_of_all(problem, architecture, padding.most)
    found = padded("optimal", problem, 3000, architecture, padding, threads=1)
    assert found.certificates[0].optimal
    assert found.certificates[0].value == least["edp"]
    assert "padding=20%: all 4 useful combinations" in found.certificates[0].assumed


def test_padding_gains_where_the_size_is_awkward():
    problem = gemm(13, 1, 11)
    plain = padded("optimal", problem, padding=NO_PADDING)
    found = padded("optimal", problem)
    assert found.metrics.edp[0] < plain.metrics.edp[0]
    assert plain.certificates[0].assumed.endswith("timeloop 4cf6d4c")


def test_a_proof_that_is_given_up_still_bounds_all():
    problem = gemm(13, 11, 7)
    exact = padded("optimal", problem).metrics.edp[0]
    (certificate,) = padded("optimal", problem, nodes=1).certificates
    assert certificate.bound is not None
    assert certificate.bound <= exact * (1 + 1e-11)


@pytest.mark.parametrize("name", ["random", "hillclimb", "anneal", "gamma", "cma", "exhaustive"])
def test_every_mapper_returns_a_mapping_of_the_padded_problem(name):
    problem = gemm(13, 1, 11)
    found = padded(name, problem)
    one = mapped_problem(problem, found.mappings[0])
    space = Mapspace(problem, chip(), rules(problem))
    assert one in alternatives(space, AUTO, "edp").problems
    assert one != problem
    exact = NativeEvaluator().evaluate(chip(), one, MappingBatch.of([found.mappings[0]]))
    assert found.metrics.valid[0]
    assert found.metrics.cycles[0] == exact.cycles[0]
    assert found.metrics.energy_pj[0] == exact.energy_pj[0]
    # operations that padding adds are no work
    assert found.metrics.utilization[0] == exact.utilization[0] * (problem.macs / one.macs)
    again = padded(name, problem)
    assert again.mappings == found.mappings


_PROGRAM = """\
#!{python}
import yaml
sizes = yaml.safe_load(open("input.yaml"))["problem"]["instance"]
spread = max(n for n in range(1, 5) if sizes["M"] % n == 0)
outer = " ".join(f"{{d}}={{n // spread if d == 'M' else n}}" for d, n in sizes.items())
print(outer, spread, file=open({log!r}, "a"))
open("timeloop-mapper.map.yaml", "w").write(f'''
mapping:
- {{{{target: outer, type: temporal, factors: {{outer}}, permutation: MNK}}}}
- {{{{target: middle, type: spatial, factors: M={{spread}}, permutation: MNK, split: 3}}}}
- {{{{target: middle, type: bypass, keep: [A, B], bypass: [Z]}}}}
- {{{{target: inner, type: bypass, keep: [A, Z], bypass: [B]}}}}
''')
"""


def test_timeloops_own_mapper_is_asked_for_paddings(tmp_path):
    """A program in its place spreads M over the columns as far as its size divides."""
    program, log = tmp_path / "timeloop-mapper", tmp_path / "log"
    program.write_text(_PROGRAM.format(python=sys.executable, log=str(log)))
    program.chmod(0o755)
    problem = gemm(13, 1, 11)
    # the program fetches all from outside: let that not be what takes the time
    quick = replace(chip(), levels=tuple(replace(x, shared_bandwidth=None) for x in chip().levels))
    found = padded("timeloop", problem, architecture=quick, binary=str(program))
    asked = {line.rpartition(" ")[0] for line in log.read_text().splitlines()}
    assert len(asked) > 1
    one = mapped_problem(problem, found.mappings[0])
    assert one != problem
    exact = NativeEvaluator().evaluate(quick, one, MappingBatch.of([found.mappings[0]]))
    assert found.metrics.cycles[0] == exact.cycles[0]
    assert found.metrics.utilization[0] == exact.utilization[0] * (problem.macs / one.macs)
    plain = padded("timeloop", problem, architecture=quick, padding=NO_PADDING, binary=str(program))
    assert mapped_problem(problem, plain.mappings[0]) == problem
    assert found.metrics.edp[0] < plain.metrics.edp[0]


class _Counter(WrappedEvaluator):
    """Counts the mappings evaluated, and of which problems."""

    def __init__(self, inner):
        super().__init__(inner)
        self.count = {}

    def evaluate_batch(self, hardware, problem, mappings, hardware_index):
        for h in hardware_index.tolist():
            key = hardware.architectures[h].name, problem
            self.count[key] = self.count.get(key, 0) + 1
        return super().evaluate_batch(hardware, problem, mappings, hardware_index)


@pytest.mark.parametrize("name", ["random", "gamma", "cma", "optimal"])
@pytest.mark.parametrize("samples", [(0, 1), (3, 40), (500, 129)])
def test_the_budget_is_shared_and_never_exceeded(name, samples):
    problem = gemm(13, 5, 11)
    made = mapper(name, rules(problem))
    counter = _Counter(made.evaluator)
    made.evaluator = counter
    two = HardwareBatch((replace(chip(), name="one"), replace(chip(4, 1, 6), name="two")))
    found = made.map_padded(two, problem, np.array(samples, np.int64), 1, AUTO)
    for h, label in enumerate(("one", "two")):
        spent = sum(n for (own, _), n in counter.count.items() if own == label)
        assert spent <= samples[h]
        assert (found.mappings[h] is not None) == (samples[h] > 0)
    if name == "random" and samples[0] == 500:
        tried = {p for own, p in counter.count if own == "one"}
        assert len(tried) == 500 // 4 // LEAST_SAMPLES


def test_too_few_samples_go_to_the_most_promising_padding():
    problem = gemm(13, 1, 11)
    first = alternatives(Mapspace(problem, chip(), rules(problem)), AUTO, "edp").problems[0]
    found = padded("random", problem, samples=1)
    assert mapped_problem(problem, found.mappings[0]) == first != problem


def test_without_padding_nothing_changes():
    problem = gemm(12, 4, 8)
    made = mapper("gamma", rules(problem))
    samples = np.array([300], np.int64)
    plain = made.map(HardwareBatch.of(chip()), problem, samples, 3)
    off = made.map_padded(HardwareBatch.of(chip()), problem, samples, 3, NO_PADDING)
    assert off.mappings == plain.mappings
    # one choice only, as of a space in which no other size is useful
    alone = made.map_any(HardwareBatch.of(chip()), [(problem,)], samples, 3)
    assert alone.mappings == plain.mappings


@pytest.mark.parametrize("goal", ["-utilization", "cycles / utilization", "energy_pj"])
def test_expressions_count_the_problem_s_own_work(goal):
    """A padding that adds work does not look better for it."""
    problem = gemm(13, 1, 11)
    found = padded("random", problem, samples=2000, goal=goal)
    made = mapper("random", rules(problem), goal=goal)
    value = made.rank(found.metrics, problem, chip())[0]
    one = mapped_problem(problem, found.mappings[0])
    exact = NativeEvaluator().evaluate(chip(), one, MappingBatch.of([found.mappings[0]]))
    work = exact.utilization[0] * (problem.macs / one.macs)
    expected = {
        "-utilization": -work,
        "cycles / utilization": exact.cycles[0] / work,
        "energy_pj": exact.energy_pj[0],
    }
    assert value == pytest.approx(expected[goal], rel=1e-12)
    assert 0 < work <= 1


def test_why_nothing_is_mapped_is_told_of_the_problem_itself():
    problem = gemm(13, 1, 11)
    starved = chip(inner=1)
    found = padded("random", problem, architecture=starved)
    assert found.mappings == (None,)
    assert not found.metrics.valid[0]
