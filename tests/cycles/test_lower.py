"""What is refused, and by which words; what a mapping of the template becomes."""

from dataclasses import replace

import numpy as np
import pytest

from dse.cycles.hardware import DIMENSIONS, Cache, Machine, Memory
from dse.cycles.lower import Tiling, job_of, lower, tiling_of
from dse.cycles.model import cycles
from dse.domain.mapping import Mapping
from dse.domain.problem import SHAPES, Problem
from dse.errors import InvalidMapping, SpecError
from dse.mapspace.sampling import sample_valid
from dse.mapspace.space import Mapspace
from dse.model.evaluate import evaluate_one
from dse.space import catalog


def _problem(shape="cnn-layer", **bounds):
    names = SHAPES[shape].dimensions
    return Problem(SHAPES[shape], {d: bounds.get(d, 1) for d in names})


MACHINE = Machine(4, 4096, 1024)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Machine(12, 1024, 1024), "pe_dim = 12"),
        (lambda: Machine(256, 1024, 1024), "pe_dim = 256"),
        (lambda: Machine(4, 0, 1024), "scratchpad_bytes = 0"),
        (lambda: Machine(16, 1024, 63), "accumulator_bytes = 63"),
        (lambda: Memory(latency_cycles=0), "latency_cycles = 0"),
        (lambda: Memory(bytes_per_cycle=12), "bytes_per_cycle = 12"),
        (lambda: Memory(in_flight=65), "in_flight = 65"),
        (lambda: Memory(bytes_per_cycle=16, burst_bytes=8), "burst_bytes = 8"),
        (lambda: Cache(0), "cache: kilobytes = 0, expected an integer of 1 to 4096"),
        (lambda: Cache(3), "kilobytes = 3, expected a power of two"),
        (lambda: Cache(1, line_bytes=2048), "kilobytes = 1, expected an integer of 2 to"),
        (lambda: Cache(8192), "kilobytes = 8192, expected an integer of 1 to 4096"),
        (lambda: Cache(8, line_bytes=48), "line_bytes = 48"),
        (lambda: Cache(8, latency_cycles=0), "cache: latency_cycles = 0"),
        (
            lambda: Memory(19, cache=Cache(8)),
            "latency_cycles = 20, expected at most the memory's 19",
        ),
        (
            lambda: Memory(burst_bytes=128, cache=Cache(8)),
            "line_bytes = 64, expected at least the largest burst's 128",
        ),
    ],
)
def test_hardware_out_of_range_is_named(make, words):
    with pytest.raises(SpecError, match=words):
        make()


@pytest.mark.parametrize(
    ("tiling", "arguments", "error", "words"),
    [
        (Tiling([1, 1, 9, 1, 4, 4, 1, 1], range(8), 4, 4), {}, SpecError, "tile = "),
        (Tiling([1, 1, 8, 1, 4, 4, 1, 1], [0] * 8, 4, 4), {}, SpecError, "order = "),
        (Tiling([1, 1, 8, 1, 4, 4, 1, 1], range(8), 0, 4), {}, SpecError, "block_c = 0"),
        (Tiling([1, 1, 8, 1, 8, 4, 1, 1], range(8), 8, 4), {}, InvalidMapping, "8 rows"),
        (Tiling([1, 1, 8, 1, 8, 4, 1, 1], range(8), 4, 8), {}, InvalidMapping, "8 columns"),
        (Tiling([1, 1, 8, 1, 4, 4, 1, 1], range(8), 4, 4), {"output_bytes": 2}, SpecError, "= 2"),
        (Tiling([1, 1, 8, 1, 4, 4, 1, 1], range(8), 4, 4), {"padding": (4, 0)}, SpecError, "= 4"),
    ],
)
def test_tilings_that_make_no_job_are_named(tiling, arguments, error, words):
    with pytest.raises(error, match=words):
        job_of(_problem(P=8, C=16, K=16), tiling, MACHINE, **arguments)


def test_a_tile_that_does_not_fit_is_no_mapping():
    tiling = Tiling([1, 1, 8, 1, 16, 16, 1, 1], range(8), 4, 4)
    with pytest.raises(InvalidMapping, match="384 bytes of weights and inputs, but there are 100"):
        job_of(_problem(P=8, C=16, K=16), tiling, Machine(4, 100, 1024))
    with pytest.raises(InvalidMapping, match="32 partial sums in a column, but there are 16"):
        job_of(_problem(P=8, C=16, K=16), tiling, Machine(4, 1024, 256))


def test_other_shapes_and_templates_are_refused():
    gemm = Problem(SHAPES["gemm"], {"M": 4, "N": 4, "K": 4})
    with pytest.raises(SpecError, match="shape 'gemm'"):
        job_of(gemm, Tiling([1] * 8, range(8), 1, 1), MACHINE)
    for name in catalog.names("arch"):
        template = catalog.template(name)
        if template.defaults is None or name == "gemmini":
            continue
        with pytest.raises(
            SpecError, match="cycles are known of|a square array|expected one|temporal loops over"
        ):
            Machine.of(template.build(template.defaults))


@pytest.mark.parametrize("shape", ["cnn-layer", "depthwise-cnn-layer"])
def test_every_mapping_that_is_valid_has_a_job(shape):
    """The hardware's buffers hold what Timeloop says they hold, down to the byte."""
    values = {"pe_dim": 8, "scratchpad_kb": 4, "accumulator_kb": 2}
    architecture = catalog.template("gemmini").build(values)
    machine = Machine.of(architecture)
    assert machine == Machine(8, 4096, 2048)
    problem = _problem(shape, R=3, S=3, P=14, Q=14, C=24, K=16, N=2, G=10)
    mappings = sample_valid(
        Mapspace(problem, architecture, architecture.constraints), 100, 1, 10**7
    ).mappings
    assert len(mappings) == 100
    for i in range(len(mappings)):
        job = lower(problem, mappings[i], machine)
        count = np.prod([mappings[i].temporal[3, d] for d in range(len(problem.dimensions))])
        assert job.tiles == count
        assert job.macs == problem.macs
        found = cycles(job)
        # what Timeloop counts for the MACs is what the array computes, without its waits
        compute = problem.macs // np.prod(mappings[i].spatial)
        assert found.compute == compute <= evaluate_one(architecture, problem, mappings[i]).cycles
        assert found.total > compute


def _mapping(problem, temporal, spatial, order=None, remainders=None):
    """Factors by level (registers first) and dimension; remainders of the temporal ones."""
    levels, names = 4, problem.dimensions
    arrays = [np.ones((levels, len(names)), np.int32) for _ in range(2)]
    for array, factors in zip(arrays, (temporal, spatial), strict=True):
        for (level, name), factor in factors.items():
            array[level, names.index(name)] = factor
    left = arrays[0].copy()
    for (level, name), factor in (remainders or {}).items():
        left[level, names.index(name)] = factor
    plain = Mapping.trivial(levels, len(names), 3)
    permutation = plain.permutation.copy()
    if order:
        permutation[3] = [names.index(name) for name in order]
    return replace(
        plain,
        temporal=arrays[0],
        spatial=arrays[1],
        permutation=permutation,
        keep=np.array([[1, 0, 0], [0, 0, 1], [1, 1, 0], [1, 1, 1]], np.bool_),
        temporal_remainder=left if remainders else None,
        spatial_remainder=arrays[1].copy() if remainders else None,
    )


def test_loops_at_dram_are_loops_over_tiles():
    problem = _problem(R=3, P=8, C=16, K=32)
    mapping = _mapping(
        problem,
        {(0, "P"): 2, (1, "P"): 2, (3, "P"): 2, (1, "R"): 3, (3, "C"): 4, (1, "K"): 2, (3, "K"): 4},
        {(1, "C"): 4, (2, "K"): 4},
        order="CPKRSQN",
    )
    tiling = tiling_of(problem, mapping)
    assert list(tiling.tile) == [3, 1, 4, 1, 4, 8, 1, 1]
    assert [DIMENSIONS[d] for d in tiling.order] == list("CPKRSQNG")
    assert (tiling.block_c, tiling.block_k) == (4, 4)
    registers = lower(problem, mapping, MACHINE).registers
    assert registers.trips.tolist() == [1, 1, 2, 1, 4, 4, 1, 1]


def test_imperfect_factors_make_a_last_tile_of_what_is_left():
    problem = _problem(P=10, C=4, K=4)
    factors = {(1, "P"): 4, (3, "P"): 3, (1, "C"): 1}
    mapping = _mapping(
        problem, factors, {(1, "C"): 4, (2, "K"): 4}, remainders={(1, "P"): 2, (3, "P"): 3}
    )
    registers = lower(problem, mapping, MACHINE).registers
    assert (registers.tile[2], registers.edge_tile[2], registers.trips[2]) == (4, 2, 3)


def test_mappings_without_the_roles_are_refused():
    problem = _problem(P=8, C=4, K=4)
    with pytest.raises(SpecError, match="spatial factor P = 2, expected K below"):
        lower(problem, _mapping(problem, {(3, "P"): 4}, {(1, "P"): 2}), MACHINE)
    with pytest.raises(SpecError, match="temporal factor P = 2 at the scratchpad, expected 1"):
        lower(problem, _mapping(problem, {(2, "P"): 2, (3, "P"): 4}, {}), MACHINE)
    with pytest.raises(SpecError, match="3 levels; cycles are known of"):
        lower(problem, Mapping.trivial(3, 7, 3), MACHINE)
    with pytest.raises(SpecError, match="4 levels; cycles are known of"):
        lower(problem, Mapping.trivial(4, 7, 3), MACHINE)


def test_registers_are_as_many_as_the_rtl_has():
    job = job_of(_problem(P=8), Tiling([1, 1, 8, 1, 1, 1, 1, 1], range(8), 1, 1), MACHINE)
    assert len(job.words()) == 85
    assert job.words()[:4].tolist() == [0, 0, 0, 64]  # the last fields: no cache, and burst_bytes
    cached = replace(MACHINE, memory=Memory(cache=Cache(8, 10, 128)))
    job = job_of(_problem(P=8), Tiling([1, 1, 8, 1, 1, 1, 1, 1], range(8), 1, 1), cached)
    assert job.words()[:4].tolist() == [10, 7, 64, 64]
    assert len(DIMENSIONS) == 8
