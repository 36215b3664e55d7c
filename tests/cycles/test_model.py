"""The cycle model against the RTL's cycles on record, and what holds of every job."""

from dataclasses import astuple, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rtl_jobs import CACHED, CACHED_TABLE, MEMORIES, PLAIN, SIDES, draw, read_table

from dse.cycles.hardware import Cache, Machine, Memory
from dse.cycles.job import C, G, K, N, P, Q, R, S
from dse.cycles.lower import Tiling, job_of
from dse.cycles.model import cycles
from dse.domain.problem import SHAPES, Problem


def test_it_equals_the_rtl_to_the_cycle_on_record():
    table = read_table()
    machines = {(case.machine[0], tuple(case.memory)) for case, _ in table}
    assert len(machines) == len(SIDES) * len(PLAIN)
    jobs = [case.job() for case, _ in table]
    assert [cycles(job).total for job in jobs] == [count for _, count in table]
    # what the record is to cover
    registers = [job.registers for job in jobs]
    assert sum(r.padding_x + r.padding_y > 0 for r in registers) > 100
    assert sum(r.stride_x > 1 or r.stride_y > 1 for r in registers) > 50
    assert sum((r.tile != r.edge_tile).any() for r in registers) > 100
    assert sum(_spills(r) for r in registers) > 100
    assert sum(case.shape == "depthwise-cnn-layer" for case, _ in table) > 30
    assert {r.weights_halves for r in registers} == {1, 2} == {r.sums_halves for r in registers}


def test_it_equals_the_rtl_with_caches_on_record():
    table = read_table(CACHED_TABLE)
    assert {tuple(case.memory[4:]) for case, _ in table} == {
        astuple(MEMORIES[name].cache) for name in CACHED
    }
    jobs = [case.job() for case, _ in table]
    assert [cycles(job).total for job in jobs] == [count for _, count in table]
    # the caches are of use, and not always
    without = [cycles(replace(case, memory=case.memory[:4]).job()).total for case, _ in table]
    slower = sum(a > b for a, (_, b) in zip(without, table, strict=True))
    assert len(table) / 2 < slower


def _spills(r):
    """Whether partial sums leave the chip: a loop over outputs inside one over reductions."""
    loops = [d for d in r.order if r.trips[d] > 1]
    reduced = [i for i, d in enumerate(loops) if d in (R, S, C)]
    return bool(reduced) and any(d not in (R, S, C) for d in loops[: reduced[-1]])


jobs = st.builds(
    lambda seed, side, memory, tiles: draw(np.random.default_rng(seed), side, memory, 10**6, tiles)[
        1
    ],
    st.integers(0, 2**32),
    st.sampled_from((2, 4, 16, 64)),
    st.builds(
        Memory,
        st.sampled_from((1, 3, 20, 100, 333)),
        st.sampled_from((4, 8, 16)),
        st.integers(1, 64),
        st.sampled_from((16, 64, 256)),
    ),
    st.sampled_from((100, 20_000)),
)


@settings(max_examples=80, deadline=None)
@given(jobs)
def test_repeated_tiles_that_are_skipped_change_no_number(job):
    assert cycles(job) == cycles(job, skipping=False)


@settings(max_examples=80, deadline=None)
@given(jobs)
def test_parts_add_up_and_bounds_hold(job):
    found = cycles(job)
    parts = (found.compute, found.array_fill, found.array_drain)
    waits = (found.bandwidth, found.latency, found.overlap)
    assert min(*parts, *waits) >= 0
    assert sum(parts) + sum(waits) == found.total
    memory, bounds = job.machine.memory, job.bounds
    assert found.compute * job.machine.pe_dim**2 >= job.macs
    assert found.compute * job.registers.block_c * job.registers.block_k >= job.macs
    outputs = np.prod(bounds[[P, Q, K, N, G]]) * job.registers.output_bytes
    moved = np.prod(bounds[[R, S, C, K, G]]) + outputs
    assert found.total >= moved / memory.bytes_per_cycle + memory.latency_cycles
    assert found.array_drain <= 2 * job.machine.pe_dim


@st.composite
def with_and_without(draw_one, latency):
    """The same job with a cache of some latency (None: the memory's), and without."""
    seed, side = draw_one(st.integers(0, 2**32)), draw_one(st.sampled_from((2, 4, 16)))
    of_memory = draw_one(st.sampled_from((1, 20, 100, 333)))
    kilobytes, line = draw_one(st.sampled_from(((1, 256), (1, 1024), (4, 256), (64, 512))))
    timing = of_memory, draw_one(st.sampled_from((4, 16))), draw_one(st.integers(1, 64))
    largest = draw_one(st.sampled_from((16, 64, 256)))
    cache = Cache(kilobytes, latency or of_memory, line)
    return [
        draw(np.random.default_rng(seed), side, Memory(*timing, largest, c), 10**6, 2000)[1]
        for c in (cache, None)
    ]


@settings(max_examples=60, deadline=None)
@given(with_and_without(None))
def test_a_cache_as_slow_as_the_memory_changes_no_number(pair):
    assert cycles(pair[0]) == cycles(pair[1])


@settings(max_examples=60, deadline=None)
@given(with_and_without(1))
def test_a_cache_changes_waiting_only(pair):
    found, without = cycles(pair[0]), cycles(pair[1])
    assert (found.compute, found.array_fill) == (without.compute, without.array_fill)
    waits = (found.array_drain, found.bandwidth, found.latency, found.overlap)
    assert min(waits) >= 0
    assert found.compute + found.array_fill + sum(waits) == found.total
    memory = pair[0].machine.memory
    moved = np.prod(pair[0].bounds[[R, S, C, K, G]])
    assert found.total >= moved / memory.bytes_per_cycle + memory.latency_cycles  # it begins cold


def _conv(bounds, tile, order, machine, blocks=(16, 16)):
    problem = Problem(SHAPES["cnn-layer"], dict(zip("RSPQCKN", bounds, strict=True)))
    return job_of(problem, Tiling(tile, order, *blocks), machine)


def _one_tile(cache=None):
    """One block of 2 x 3 weights and 5 inputs on an array of 4 x 4."""
    memory = Memory(latency_cycles=10, bytes_per_cycle=8, in_flight=4, burst_bytes=64, cache=cache)
    bounds = (1, 1, 5, 1, 2, 3, 1)
    return _conv(bounds, [*bounds, 1], range(8), Machine(4, 64, 128, memory), (2, 3))


def test_one_tile_by_hand():
    """Every cycle from the rules in docs/cycles.md."""
    # 0 pushed, 1 taken, 2 weights granted, 3 their one burst of 6 bytes, 13 on the bus;
    # 4 inputs granted, 5 their burst of 10 bytes, 15 and 16 on the bus, 17 arrived, 18 loaded;
    # 18 taken, 19 and 20 weights, 21 to 25 inputs; 25 + 2 * 4 + 1 = 34 drained and granted;
    # 35 to 39 five bursts, the first has left the bus at 46 and the fifth, behind the fourth
    # place in flight, is issued then: 35, 36, 37, 38, 46; on the bus at 56, gone at 57
    assert cycles(_one_tile()).total == 57


def test_one_tile_with_a_cache_by_hand():
    """The same tile: weights and inputs are cold, all outputs lie on one line."""
    # as above until the first burst of the outputs, issued at 35, which fetches their line: it has
    # the bus at 45, and behind it come the other three, at 46, 47 and 48, from the cache; the fifth
    # is issued at 46 and has the bus at 49, gone at 50
    assert cycles(_one_tile(Cache(kilobytes=1, latency_cycles=3, line_bytes=64))).total == 50


def test_what_is_loaded_again_comes_from_a_cache_that_holds_it():
    """Weights of 4 KB, loaded for each of 64 outputs: once from memory with 8 KB, always with 1."""
    tile, order = [1, 1, 1, 1, 16, 16, 1, 1], [C, K, P, Q, R, S, N, G]
    found = {}
    for kilobytes in (None, 1, 8):
        cache = kilobytes and Cache(kilobytes, 1, 256)
        machine = Machine(16, 1024, 2**10, Memory(200, 64, 1, 256, cache))
        found[kilobytes] = cycles(_conv((1, 1, 64, 1, 64, 64, 1), tile, order, machine)).total
    assert found[8] < found[1] / 2
    assert found[1] <= found[None]


def test_a_layer_that_the_array_limits_takes_little_more_than_its_macs():
    machine = Machine(16, 2**17, 2**16)
    job = _conv(
        *((3, 3, 28, 28, 128, 128, 1), [3, 3, 28, 7, 64, 32, 1, 1]),
        *([C, K, Q, P, R, S, N, G], machine),
    )
    found = cycles(job)
    assert found.compute == 3 * 3 * 28 * 28 * 128 * 128 // 256
    assert found.total < 1.03 * found.compute


def test_repetition_makes_large_jobs_cheap():
    """Ten million tiles, which would take a while to walk."""
    machine = Machine(16, 2**17, 2**15)
    bounds = (1, 1, 224, 224, 256, 256, 16)
    job = _conv(bounds, [1, 1, 14, 1, 16, 16, 1, 1], [P, Q, K, C, N, R, S, G], machine)
    assert job.tiles == 16 * 224 * 16 * 16 * 16
    assert cycles(job).compute == job.macs // 256


@pytest.mark.parametrize("order", [[C, P, K, Q, R, S, N, G], [P, K, C, Q, R, S, N, G]])
def test_partial_sums_that_leave_the_chip_cost_their_traffic(order):
    machine = Machine(16, 2**17, 2**15, Memory(latency_cycles=1, in_flight=64))
    job = _conv((1, 1, 64, 1, 64, 64, 1), [1, 1, 16, 1, 16, 16, 1, 1], order, machine)
    found = cycles(job)
    spilled = (4 - 1) * 64 * 64 * 4 * 2 if order[0] == P else 0
    loaded = (64 * 64 * 4 if order[0] == C else 64 * 64) + 64 * 64 * 4
    at_least = (spilled + loaded + 64 * 64) // 8
    assert at_least <= found.total < 1.5 * at_least + 1000
