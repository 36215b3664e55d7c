"""Energy chains: Timeloop's built-in energies, and DOSA's prices."""

import math

import pytest

from dse.components import aladdin, cacti
from dse.components.chain import CHAINS, energy_chain
from dse.domain.architecture import AccessEnergy, Architecture, Compute, StorageLevel
from dse.errors import SpecError
from dse.space import catalog
from dse.timeloop import pat


def gemmini(pe_dim, scratchpad_kb, accumulator_kb, chain="dosa"):
    values = {
        "pe_dim": pe_dim,
        "scratchpad_kb": scratchpad_kb,
        "accumulator_kb": accumulator_kb,
    }
    return energy_chain(chain).price(catalog.template("gemmini").build(values))


@pytest.mark.parametrize(
    ("pe_dim", "scratchpad_kb", "accumulator_kb"), [(2, 1, 1), (16, 128, 32), (128, 2048, 2048)]
)
def test_energies_follow_the_formulas_of_dosa(pe_dim, scratchpad_kb, accumulator_kb):
    a = gemmini(pe_dim, scratchpad_kb, accumulator_kb)
    registers, accumulator, scratchpad, dram = a.levels
    assert registers.energy.read_pj == pytest.approx(0.48746172, rel=1e-7)
    expected = 0.1005025 * accumulator_kb / pe_dim + 1.949749
    assert accumulator.energy.read_pj == pytest.approx(expected, rel=1e-5)
    expected = 0.0251256 * scratchpad_kb + 0.487437
    assert scratchpad.energy.read_pj / pe_dim == pytest.approx(expected, rel=1e-5)
    assert dram.energy.read_pj / 64 == 100
    assert a.compute.energy_pj == 0.5608
    for level in a.levels:
        e = level.energy
        assert e == AccessEnergy(e.read_pj, e.read_pj, e.read_pj)


def test_area_of_gemmini_is_the_sum_of_its_parts():
    """Registers and MACs from Aladdin; one accumulator per column and a scratchpad from CACTI."""
    accumulator_um2, scratchpad_um2 = 4703.42, cacti.sram(256, 64).area_um2
    expected = 32**2 * (47.84 + 332.25) + 32 * accumulator_um2 + scratchpad_um2
    assert gemmini(32, 2, 16).area_um2 == pytest.approx(expected, rel=1e-12)


def test_areas_of_the_parts():
    a = gemmini(16, 128, 128)
    assert a.level("Registers").area_um2 == pytest.approx(47.84)
    assert a.level("DRAM").area_um2 == 0
    assert a.compute.area_um2 == 332.25
    assert a.level("Accumulator").area_um2 == cacti.sram(32, 2048, ports=2, banks=2).area_um2
    assert a.level("Scratchpad").area_um2 == cacti.sram(128, 8192).area_um2
    assert gemmini(128, 1, 1).level("Accumulator").area_um2 == 1.0  # below 64 bytes


def test_pat():
    assert pat.dram_energy_pj(16, 1) == 200
    assert pat.multiplier_energy_pj(16) == 1
    assert pat.multiplier_energy_pj(8) == 0.25
    # half a kilobyte of 16-bit words is the unit of its SRAM energies
    assert pat.sram_energy_pj(256, 16, 1, 1) == 1
    assert pat.sram_energy_pj(256, 16, 4, 1) == pytest.approx(4)
    assert pat.sram_energy_pj(256, 16, 1, 2) == pytest.approx(1 + 5 / 99.5 * 0.5)
    priced = gemmini(16, 128, 32, "pat")
    assert priced.area_um2 == 0
    assert priced.compute.energy_pj == 0.25


@pytest.mark.parametrize(
    ("bits", "energy_pj", "area_um2"),
    [(4, 0.1456, 94.25), (8, 0.5608, 332.25), (16, 2.200, 1239.5), (32, 8.716, 4779)],
)
def test_integer_macs(bits, energy_pj, area_um2):
    assert aladdin.int_mac(bits).energy_pj == pytest.approx(energy_pj, rel=1e-3)
    assert aladdin.int_mac(bits).area_um2 == pytest.approx(area_um2, rel=1e-9)


def test_sram_table_is_exact_on_its_grid():
    assert cacti.sram(32, 128, 2, 2) == (1.27294, 1.74205, pytest.approx(2 * 2.11597e-05), 4703.42)
    assert cacti.sram(32, 64).area_um2 == 834.441


def test_sram_between_grid_points_lies_between_them():
    low, high = cacti.sram(128, 1024), cacti.sram(128, 1536)
    for a, x, b in zip(low, cacti.sram(128, 1200), high, strict=True):
        assert min(a, b) < x < max(a, b)
    middle = cacti.sram(181, 1024)  # about the geometric mean of 128 and 256
    narrow, wide = cacti.sram(128, 181 * 8), cacti.sram(256, 181 * 4)
    assert math.isclose(middle.area_um2**2, narrow.area_um2 * wide.area_um2, rel_tol=0.01)


def test_small_srams_count_as_the_smallest():
    assert cacti.sram(8, 16) == cacti.sram(32, 64)
    assert cacti.sram(16, 256) == cacti.sram(32, 128)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((32, 64, 3, 1), "3 ports / 1 banks"),
        ((32, 64, 1, 4), "1 ports / 4 banks"),
        ((4096, 64), "4096 bits per row"),
        ((32, 2**24), "KB"),
    ],
)
def test_srams_beyond_the_table_are_refused(arguments, message):
    with pytest.raises(SpecError, match=message):
        cacti.sram(*arguments)


def test_errors_name_the_level():
    huge = StorageLevel("Big", word_bits=8, size_words=2**34)
    with pytest.raises(SpecError, match="level 'Big': SRAM"):
        energy_chain("dosa").price(Architecture("a", (huge,), Compute()))


def test_pricing_changes_nothing_else():
    values = {"pe_dim": 4, "scratchpad_kb": 8, "accumulator_kb": 4}
    bare = catalog.template("gemmini").build(values)
    # those left out need files or a tool, or take the template's own prices
    for name in sorted(set(CHAINS) - {"ert", "accelergy", "template"}):
        priced = energy_chain(name).price(bare)
        for before, after in zip(bare.levels, priced.levels, strict=True):
            assert after.energy.read_pj > 0
            assert (before.name, before.size_words, before.instances) == (
                *(after.name, after.size_words, after.instances),
            )
        assert energy_chain(name).price(priced) == priced


def test_unknown_chain():
    with pytest.raises(SpecError, match="did you mean 'dosa'"):
        energy_chain("dos")


@pytest.mark.parametrize("bits", [2**600, 2**2000])
def test_words_beyond_any_price_are_refused(bits):
    with pytest.raises(SpecError, match="energy_pj = .*, expected 0 to 1e100"):
        energy_chain("dosa").price_compute(Compute(word_bits=bits), None)
