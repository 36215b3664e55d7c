"""What DOSA's program makes of mappings, and how long the model of Gemmini says that it takes.

The recorded cycles are those of the DOSA artifact (``firesim_*.csv`` of ucb-bar/dosa, BSD-2), read
from beside the repository where they lie there. Mappings in this file are our own.
"""

import csv
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import spearmanr

from dse.cycles import firesim
from dse.cycles.gemmini import C, K, N, P, Q, R, S, Timing
from dse.cycles.gemmini_tiles import fill_requests
from dse.domain.mapping import MappingBatch
from dse.domain.problem import SHAPES, Problem
from dse.errors import SpecError

DATA = Path(__file__).parents[3] / "shared/reference/dosa"
DIMENSIONS = SHAPES["cnn-layer"].dimensions
#: Whole numbers that a cycle count can be worked out with by hand; no line ever misses.
ROUND = Timing(
    latency=20.0,
    beat=2.0,
    store=4.0,
    level2_line=0.0,
    memory_line=0.0,
    array=4.0,
    matmul_tile=100.0,
    convolution_tile=200.0,
    start=1000.0,
    level2_kb=512.0,
    last_level_kb=4096.0,
)


def layer(stride=1, shape="cnn-layer", **bounds):
    sizes = {d: bounds.get(d, 1) for d in SHAPES[shape].dimensions}
    coefficients = dict.fromkeys(SHAPES[shape].coefficients, 1)
    if "Wstride" in coefficients:
        coefficients |= {"Wstride": stride, "Hstride": stride}
    return Problem(SHAPES[shape], sizes, coefficients)


def mapping(text):
    """Return what DOSA writes as ``L3 K4 Q2 - L2 K16X - L1 C2 C16X - L0 P8``, outermost first."""
    shape = (4, len(DIMENSIONS), 1)
    temporal, spatial = np.ones(shape, np.int32), np.ones(shape, np.int32)
    permutation = np.empty(shape, np.int8)
    for part in text.split(" - "):
        level, *loops = part.split()
        order = []
        for loop in reversed(loops):
            d = DIMENSIONS.index(loop[0])
            if loop.endswith("X"):
                spatial[int(level[1]), d] = int(loop[1:-1])
            else:
                temporal[int(level[1]), d] = int(loop[1:])
                order.append(d)
        rest = [d for d in range(len(DIMENSIONS)) if d not in order]
        permutation[int(level[1]), :, 0] = [*order, *rest]
    places = np.arange(len(DIMENSIONS), dtype=np.int8)
    false = np.zeros((4, 3, 1), np.bool_)
    return MappingBatch(
        temporal=temporal,
        spatial=spatial,
        permutation=permutation,
        spatial_permutation=np.tile(places, (4, 1))[:, :, None],
        split=np.full((4, 1), len(DIMENSIONS), np.int8),
        keep=~false,
        no_temporal_reuse=false,
        no_multicast=false,
        no_link_transfer=false,
    )


def lowered(problem, text):
    return firesim.lower(problem, mapping(text), 0)


def named(values):
    return dict(zip("NQPKSRC", map(int, values), strict=True))


def test_a_matrix_product_is_tiled_in_blocks_of_16_rounded_down():
    program = lowered(layer(P=128, C=96, K=48), "L3 P4 K2 - L2 K8X - L1 K3 C6 P2 C16X - L0 P16")
    assert program.matmul
    assert (program.side, program.rows, program.columns, program.inner) == (16, 128, 48, 96)
    assert named(program.limit) == {"N": 1, "Q": 1, "P": 8, "K": 3, "S": 1, "R": 1, "C": 6}
    # K: 24 is one block, not one and a half; so the program has three tiles of it, not two
    assert named(program.step) == {"N": 1, "Q": 1, "P": 2, "K": 1, "S": 1, "R": 1, "C": 6}


def test_blocks_are_counted_in_16_even_on_smaller_and_larger_arrays():
    small = lowered(layer(P=64, C=64, K=64), "L3 K8 - L2 K4X - L1 C16 K2 P64 C4X - L0 N1")
    assert small.side == 4
    assert named(small.limit)["P"] == named(small.limit)["C"] == 16
    assert [named(small.step)[d] for d in "PKC"] == [4, 1, 4]
    large = lowered(layer(P=64, C=64, K=64), "L3 P1 - L2 K64X - L1 P64 C64X - L0 N1")
    assert large.side == 64
    assert [named(large.limit)[d] for d in "PKC"] == [1, 1, 1]
    assert [named(large.step)[d] for d in "PKC"] == [4, 4, 4]


def test_a_convolution_keeps_its_tiles_and_is_square():
    program = lowered(
        layer(R=3, S=3, P=60, Q=6, C=32, K=64),
        "L3 P2 K4 R3 - L2 K16X - L1 S3 Q6 P5 C2 C16X - L0 P6",
    )
    assert not program.matmul
    assert program.in_size == 60
    assert named(program.limit) == {"N": 1, "Q": 60, "P": 60, "K": 64, "S": 3, "R": 3, "C": 32}
    assert named(program.step) == {"N": 1, "Q": 6, "P": 30, "K": 16, "S": 3, "R": 1, "C": 32}


@pytest.mark.parametrize(
    ("window", "stride", "size"), [(3, 1, 14), (3, 2, 14), (7, 2, 14), (2, 1, 15), (4, 2, 15)]
)
def test_an_even_window_makes_one_output_more(window, stride, size):
    program = lowered(
        layer(stride, R=window, S=window, P=14, Q=14, C=4, K=4),
        f"L3 P14 - L2 K4X - L1 Q14 R{window} S{window} C4X - L0 N1",
    )
    assert program.in_size == 14 * stride
    assert named(program.limit)["P"] == named(program.limit)["Q"] == size


def test_loops_go_in_the_mappings_order_and_then_in_the_programs():
    program = lowered(
        layer(R=3, S=3, P=14, Q=14, C=4, K=16),
        "L3 Q7 R3 K4 - L2 K4X - L1 Q2 P14 S3 C4X - L0 N1",
    )
    assert list(program.order) == [K, R, Q, C, S, P, N]


@pytest.mark.parametrize(("k", "c", "side"), [(1, 1, 2), (3, 1, 4), (4, 4, 4), (8, 9, 16)])
def test_the_array_is_the_smallest_power_of_two(k, c, side):
    program = lowered(layer(P=7, Q=7, C=c, K=k), f"L3 P7 - L2 K{k}X - L1 Q7 C{c}X - L0 N1")
    assert program.side == side


def test_what_was_never_recorded_is_refused():
    with pytest.raises(SpecError, match="spatial factor 128, expected at most 64"):
        lowered(layer(P=7, C=128, K=4), "L3 P7 - L2 K4X - L1 C128X - L0 N1")
    other = next(name for name in SHAPES if name != "cnn-layer")
    with pytest.raises(SpecError, match=f"'{other}': DOSA's program knows 'cnn-layer' only"):
        lowered(layer(shape=other), "L3 P1 - L2 K4X - L1 C4X - L0 N1")


@pytest.mark.parametrize(
    ("stride", "length", "offset", "requests", "beats"),
    [
        (64, 64, 0, 1, 4),
        (64, 64, 16, 2, 5),  # 48 bytes of one line, 16 of the next
        (64, 16, 0, 1, 1),
        (64, 24, 0, 1, 2),
        (64, 24, 24, 1, 4),  # only a whole line holds it
        (64, 24, 48, 2, 2),
        (32, 16, 0, 1, 1),
        (32, 16, 5, 1, 2),  # rows begin at 5 and 37 of a line
        (48, 32, 0, 1.25, 2.5),  # at 0, 48, 32 and 16 of a line: 2, 1 + 1, 2 and 4 beats
    ],
)
def test_a_row_is_read_in_aligned_requests(stride, length, offset, requests, beats):
    table = np.zeros((65, 64, 2))
    fill_requests(stride, table)
    assert tuple(table[length, offset]) == (requests, beats)


def test_one_tile_of_a_convolution_by_hand():
    program = lowered(layer(P=16, Q=16, C=16, K=16), "L3 N1 - L2 K16X - L1 P16 Q16 C16X - L0 N1")
    program = program._replace(offset=0)
    asked = 1000 + 200
    # two commands are in flight: 16 rows each, of one request, in (20 + 16) / 2 cycles; one
    # command for the weights, one for each of 16 rows of pixels
    loaded = asked + 18 + 16 * 18
    executed = loaded + 20 + 16 * 16
    # from when the last 8 blocks are under way, and through the array: 16 commands of 16 rows
    stored = executed - 8 * 16 + 4 * 16 + 16 * 16 * 4
    assert firesim.cycles(program, ROUND) == stored + 20
    # 8 bytes on, rows begin at 8, 24, 40 and 56 of a line: 2, 4, 2 and 1 + 1 beats
    loaded = asked + 17 * 16 * (1.25 + 1.25 * 2)
    executed = loaded + 20 + 16 * 16
    stored = executed - 8 * 16 + 4 * 16 + 16 * 16 * (1.25 * 4 + 1.25 * 2)
    assert firesim.cycles(program._replace(offset=8), ROUND) == stored + 20


def test_one_tile_of_a_matrix_product_by_hand():
    program = lowered(layer(P=32, C=16, K=16), "L3 N1 - L2 K16X - L1 P32 C16X - L0 N1")
    asked = 1000 + 100
    loaded = asked + 18 + 2 * 18
    # its one step over the reduction executes when all is there: two blocks of 16 rows
    executed = loaded + 20 + 2 * 16
    stored = executed + 4 * 16 + 2 * 16 * 4 / 2
    assert firesim.cycles(program, ROUND) == stored + 20


def test_tiles_are_loaded_while_others_execute():
    one = layer(P=64, Q=64, C=16, K=16)
    whole = lowered(one, "L3 Q8 - L2 K16X - L1 P64 Q8 C16X - L0 N1")._replace(offset=0)
    execute = 64 * 64 * 1
    free = ROUND._replace(store=1.0, convolution_tile=1.0, start=0.0)
    # loading and storing take about as long as executing, and hide behind each other
    assert execute < firesim.cycles(whole, free) < 2.2 * execute


def test_a_tile_in_the_padding_alone_runs_through_65535_rows():
    inside = layer(2, R=7, S=7, P=8, Q=8, C=4, K=4)
    apart = lowered(inside, "L3 Q8 S7 - L2 K4X - L1 P8 R7 C4X - L0 N1")
    together = lowered(inside, "L3 Q8 - L2 K4X - L1 P8 R7 S7 C4X - L0 N1")
    assert firesim.cycles(together) < 20_000
    # the last row of outputs, and the last of the window: one row beyond the only row of padding
    assert firesim.cycles(apart) > 65_000


def test_a_cache_that_is_too_small_costs():
    program = lowered(
        layer(P=28, Q=28, C=256, K=512), "L3 K32 Q4 - L2 K16X - L1 P28 Q7 C16 C16X - L0 N1"
    )
    sizes = [firesim.cycles(program, firesim.TIMING._replace(level2_kb=kb)) for kb in (64, 4096)]
    assert sizes[0] > 1.2 * sizes[1]


#: Mappings of our own, and what the model says of them with the committed timing.
GOLDEN = {
    "conv": (
        layer(R=3, S=3, P=28, Q=28, C=64, K=96),
        "L3 K6 Q4 - L2 K16X - L1 R3 S3 Q7 P28 C4 C16X - L0 N1",
        178498.912,
    ),
    "strided": (
        layer(2, R=3, S=3, P=14, Q=14, C=48, K=32),
        "L3 R3 C3 Q2 - L2 K32X - L1 S3 Q7 P14 C16X - L0 N1",
        38123.552,
    ),
    "1x1": (
        layer(P=56, Q=56, C=40, K=72),
        "L3 C5 Q14 P2 - L2 K8X - L1 K9 Q4 C8X - L0 P28",
        255515.417333,
    ),
    "matmul": (
        layer(P=96, C=160, K=80),
        "L3 P2 C5 K5 - L2 K16X - L1 C2 P3 C16X - L0 P16",
        11378.792,
    ),
    "vector": (layer(C=1500, K=700), "L3 K14 C25 - L2 K50X - L1 C60X - L0 N1", 151402.623156),
}


@pytest.mark.parametrize("name", GOLDEN)
def test_golden(name):
    problem, text, expected = GOLDEN[name]
    assert firesim.cycles(lowered(problem, text)) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(
    ("file", "every", "least", "most"),
    [("firesim_test.csv", 1, 0.98, 0.12), ("firesim_train.csv", 12, 0.94, 0.35)],
)
def test_recorded_rows(file, every, least, most):
    if not (DATA / file).is_file():
        pytest.skip(f"{DATA / file} is not there")
    with (DATA / file).open() as lines:
        rows = list(csv.DictReader(lines))[::every]
    found, recorded = [], []
    for row in rows:
        problem = layer(int(row["prob.Wstride"]), **{d: int(row[f"prob.{d}"]) for d in DIMENSIONS})
        text = row["mapping.mapping"]
        for tensors in ("[WIO]", "[WI]", "[O]", "[W]"):
            text = text.replace(tensors, "")
        found.append(firesim.cycles(lowered(problem, text)))
        recorded.append(float(row["target.gemmini_cycle"]))
    ratio = np.array(found) / np.array(recorded)
    assert spearmanr(found, recorded).statistic >= least
    assert np.mean(np.abs(ratio - 1)) <= most
