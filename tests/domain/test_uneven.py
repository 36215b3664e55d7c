"""Which levels can be in parts, what the parts are, and what is refused."""

from dataclasses import replace

import pytest

from dse.domain.architecture import AccessEnergy, Architecture, Compute, Network, StorageLevel
from dse.domain.constraints import LevelConstraint, LoopConstraint
from dse.domain.problem import SHAPES, Problem
from dse.domain.uneven import divided, levels_asked
from dse.errors import SpecError

GEMM = Problem(SHAPES["gemm"], {"M": 4, "N": 4, "K": 4})
BUFFER = StorageLevel(
    "Buffer", size_words=64, area_um2=5.0, energy=AccessEnergy(1.0, 2.0, 3.0, leak_pj=0.5),
    network=Network(hop_energy_pj=0.25, fill_latency_cycles=4),
)  # fmt: skip
DRAM = StorageLevel("DRAM", kind="DRAM")


def machine(buffer=BUFFER, dram=DRAM, **others):
    return Architecture("machine", (buffer, dram), Compute(), **others)


def split(architecture=None, problem=GEMM, names=("Buffer",), **buffer):
    own = LevelConstraint(**{"keep": problem.tensors, **buffer})
    return divided(architecture or machine(), problem, {"Buffer": own}, names).architectures


@pytest.mark.parametrize(
    ("value", "names"),
    [
        (False, ()),
        ("false", ()),
        (True, None),
        ("True", None),
        ("Buffer", ("Buffer",)),
        ("A, B,A", ("A", "B")),
        (["A", "B"], ("A", "B")),
        ([], ()),
    ],
)
def test_the_setting_names_levels(value, names):
    assert levels_asked(value) == names


@pytest.mark.parametrize("value", [3, "A,,B", "", [1], {"A": 1}])
def test_other_settings_are_refused(value):
    with pytest.raises(SpecError, match=r"mapspace\.uneven = .*expected false, true, or names"):
        levels_asked(value)


def test_parts_are_one_buffer():
    all_ = split()
    assert len(all_) == 6
    orders = set()
    for one in all_:
        inner, *others = one.levels[:-1]
        assert inner == BUFFER
        assert [x.name for x in others] == ["Buffer_2", "Buffer_3"]
        for part in others:
            assert (part.part_of, part.size_words, part.area_um2) == ("Buffer", 64, 0.0)
            assert part.energy == replace(BUFFER.energy, leak_pj=0.0)
            assert part.latency_cycles == 0
        assert one.banks == (0, 0, 0, 3)
        assert one.divided == ("Buffer",)
        assert one.hop_energies_pj() == [0.25, 0.0, 0.0, 0.0]
        assert one.area_um2 == machine().area_um2
        assert one.undivided.divided == ()
        orders.add(tuple(one.constraints[x.name].keep for x in one.levels[:-1]))
    assert len(orders) == 6


def test_a_tensor_that_may_be_kept_is_kept_at_one_part_or_none():
    all_ = split(keep=GEMM.tensors[:2])
    kept = [tuple(t for x in one.levels[:-1] for t in one.constraints[x.name].keep) for one in all_]
    assert len(set(kept)) == len(kept) == 6 + 2
    empty = all_[-1].constraints["Buffer_3"]
    assert empty.keep == ()
    assert empty.temporal == LoopConstraint(dimensions=())


def test_names_that_are_taken_are_passed_over():
    named = machine(dram=replace(DRAM, name="Buffer_2"))
    assert [x.name for x in split(named)[0].levels] == [
        "Buffer",
        "Buffer_2_",
        "Buffer_3",
        "Buffer_2",
    ]


def test_the_inmost_part_has_the_constraints_of_the_level():
    loops = LoopConstraint(max_factors={"M": 2})
    for one in split(temporal=loops, no_temporal_reuse=("A",)):
        own, *others = (one.constraints[x.name] for x in one.levels[:-1])
        assert own.temporal == loops
        assert all(x.temporal == LoopConstraint() for x in others)
        assert all(x.no_temporal_reuse == ("A",) for x in (own, *others))


def spread(**network):
    """Two buffers below the memory."""
    dram = replace(DRAM, network=Network(**network))
    buffer = replace(BUFFER, mesh_x=2, instances=2)
    return Architecture("machine", (buffer, dram), Compute(mesh_x=2, instances=2))


CONV = Problem(SHAPES["cnn-layer"], {"R": 3, "S": 1, "P": 4, "Q": 1, "C": 2, "K": 2, "N": 1})
#: Scatters: an output is a window over what is read.
WINDOW = replace(
    SHAPES["gemm"],
    data_spaces=(
        *SHAPES["gemm"].data_spaces[:2],
        replace(
            SHAPES["gemm"].data_spaces[2],
            projection=(
                SHAPES["gemm"].data_spaces[2].projection[0]
                + SHAPES["gemm"].data_spaces[0].projection[1],
            ),
        ),
    ),
)


@pytest.mark.parametrize(
    ("architecture", "problem", "buffer", "why"),
    [
        (machine(), GEMM, {"keep": ("A",), "bypass": ("B", "Z")}, "fewer than two tensors"),
        (machine(replace(BUFFER, min_utilization=0.5)), GEMM, {}, "min_utilization"),
        (machine(replace(BUFFER, distributes=True)), GEMM, {}, "for single mappings only"),
        (
            machine(replace(BUFFER, network=Network(None, 0, 0, 1.0, reduction_supported=False))),
            GEMM, {}, "does not reduce partial sums",
        ),
        (spread(), GEMM, {}, "pass A on to each other below DRAM"),
        (spread(router_energy_pj=1.0), GEMM, {}, "below DRAM prices hops"),
        (machine(), Problem(WINDOW, {"M": 4, "N": 4, "K": 4}), {}, "Z is read and written"),
    ],
)  # fmt: skip
def test_what_would_not_count_alike_is_refused(architecture, problem, buffer, why):
    with pytest.raises(SpecError, match=rf"mapspace\.uneven = Buffer: .*{why}"):
        split(architecture, problem, **buffer)
    with pytest.raises(SpecError, match=rf"no level can be divided \(Buffer: .*{why}.*; DRAM: "):
        split(architecture, problem, None, **buffer)


def test_neighbours_that_pass_nothing_on_do_not_matter():
    rules = {
        "Buffer": LevelConstraint(keep=GEMM.tensors),
        "DRAM": LevelConstraint(no_link_transfer=GEMM.tensors),
    }
    assert len(divided(spread(), GEMM, rules, None)) == 6


def test_the_outermost_level_and_unknown_ones_are_refused():
    with pytest.raises(SpecError, match=r"mapspace\.uneven = DRAM: it is the outermost level"):
        split(names=("DRAM",))
    with pytest.raises(SpecError, match=r"unknown storage level 'Bufer'.*Buffer"):
        split(names=("Bufer",))


def test_too_many_orders_are_refused():
    two = Architecture("machine", (BUFFER, replace(BUFFER, name="L2"), DRAM), Compute())
    with pytest.raises(SpecError, match="256 orders of their tensors, expected at most 64"):
        divided(two, GEMM, {}, None)
    assert len(divided(two, GEMM, {}, ("L2",))) == 16


@pytest.mark.parametrize(
    ("levels", "why"),
    [
        ((replace(BUFFER, part_of="L2"), DRAM), "the buffer that stands right inside of it"),
        ((BUFFER, replace(BUFFER, name="b", part_of="Buffer", size_words=9), DRAM), "expected its"),
        (
            (replace(BUFFER, mesh_x=2, instances=2), replace(BUFFER, name="b", part_of="Buffer")),
            "as many instances",
        ),
    ],
)
def test_parts_that_are_no_buffer_are_refused(levels, why):
    mac = Compute(mesh_x=2, instances=2)
    with pytest.raises(SpecError, match=rf"part_of = .*{why}"):
        Architecture("machine", levels, mac)
