"""``energy=table`` and ``energy=ert``: grid, scaling rules, monotony, errors."""

import csv
import gzip
import math
import os
from pathlib import Path

import numpy as np
import pytest

from dse.components import logic
from dse.components.cacti import scaled_sram, sram
from dse.components.chain import energy_chain
from dse.domain.architecture import AccessEnergy, Architecture, Compute, StorageLevel
from dse.domain.technology import (
    DRAM_PJ_PER_BIT,
    Technology,
    logic_area_scale,
    logic_energy_scale,
)
from dse.errors import SpecError

REPOSITORY = Path(__file__).resolve().parents[2]
_REFERENCE = Path(os.environ.get("DSE_REFERENCE", REPOSITORY.parent / "shared" / "reference"))
_GRID = _REFERENCE / "cacti_sram_grid.csv.gz"
_RANDOM = REPOSITORY / "tests" / "data" / "sram_random.csv.gz"
_SUBSET = REPOSITORY / "tests" / "data" / "sram_grid.csv.gz"
_COLUMNS = ("read_energy_pJ", "write_energy_pJ", "leak_power_mW", "area_um2")
_AT_40 = Technology(40, 1.0)


def grid_error(path):
    """Return the number of points of Accelergy 0.4 and the largest relative error on them."""
    worst, points = 0.0, 0
    for row in csv.DictReader(gzip.decompress(path.read_bytes()).decode().splitlines()):
        if "old_plugin" in row["source"]:
            continue
        made = scaled_sram(
            int(row["width_bits"]),
            int(row["depth_rows"]),
            int(row["n_rw_ports"]),
            int(row["n_banks"]),
            float(row["technology_nm"]),
        )
        points += 1
        for value, key in zip(made, _COLUMNS, strict=True):
            worst = max(worst, abs(value / float(row[key]) - 1))
    return points, worst


def test_sram_off_the_grid_is_near_cacti():
    """100 random SRAMs of any width, up to 8 MB, by CACTI itself at 32 and 45 nm, blended to 40."""
    rows = list(csv.DictReader(gzip.decompress(_RANDOM.read_bytes()).decode().splitlines()))
    numbers = np.array([[float(x) for x in row.values()] for row in rows])
    made = np.array([scaled_sram(*map(int, row[:4]), 40) for row in numbers])
    errors = np.abs(made / numbers[:, 4:] - 1)
    assert errors.shape == (100, 4)
    # read, write, leakage, area
    assert (errors.mean(axis=0) < (0.025, 0.024, 0.010, 0.023)).all()
    assert (np.quantile(errors, 0.9, axis=0) < (0.080, 0.075, 0.032, 0.075)).all()


def test_sram_equals_accelergy_on_part_of_the_grid():
    points, worst = grid_error(_SUBSET)
    assert points >= 600
    assert worst < 1e-5


@pytest.mark.reference
@pytest.mark.skipif(not _GRID.is_file(), reason="no reference data")
def test_sram_equals_accelergy_on_the_whole_grid():
    points, worst = grid_error(_GRID)
    assert points == 8970
    assert worst < 1e-5


def test_sram_rules():
    # narrow rows and few rows are a share of the smallest SRAM
    whole, narrow = scaled_sram(32, 64, 1, 1, 45), scaled_sram(8, 16, 1, 1, 45)
    assert narrow.read_pj == pytest.approx(whole.read_pj * (0.7 / 4 + 0.3) * 0.25**0.78)
    assert narrow.area_um2 == pytest.approx(whole.area_um2 / 16)
    # between the nodes linear in nm, beyond them scaled
    mid = 5 / 13 * sram(64, 512, node_nm=32).read_pj + 8 / 13 * sram(64, 512, node_nm=45).read_pj
    assert scaled_sram(64, 512, 1, 1, 40).read_pj == pytest.approx(mid)
    first = sram(64, 512, node_nm=22)
    small = scaled_sram(64, 512, 1, 1, 11)
    assert small.read_pj == pytest.approx(first.read_pj * math.sqrt(0.5))
    assert small.area_um2 == pytest.approx(first.area_um2 / 2)
    assert small.leak_mw == pytest.approx(first.leak_mw * 0.79 * math.sqrt(0.5))
    last = sram(64, 512, node_nm=90)
    assert scaled_sram(64, 512, 1, 1, 180) == pytest.approx([4 * x for x in last])
    # banks are a power of two, of which those asked for leak
    three, four = scaled_sram(64, 1024, 1, 3, 40), scaled_sram(64, 1024, 1, 4, 40)
    assert three == pytest.approx((*four[:2], four.leak_mw * 3 / 4, four.area_um2))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, 64, 1, 1, 40), "expected positive"),
        ((32, 64, 1, 1, -1), "expected positive"),
        ((8192, 64, 1, 1, 40), "table ends at 1024 bits"),
        ((32, 64, 5, 1, 40), "5 ports"),
        ((32, 2**30, 1, 1, 40), "KB"),
    ],
)
def test_sram_beyond_the_table(arguments, message):
    with pytest.raises(SpecError, match=message):
        scaled_sram(*arguments)


def test_sram_grows_with_size_and_node():
    """Area and leakage grow with the size; energy does over each factor of 4."""
    rows = [64 * 2**k for k in range(12)]
    made = [scaled_sram(64, n, 1, 1, 40) for n in rows]
    for small, large in zip(made, made[1:], strict=False):
        assert small.area_um2 < large.area_um2
        assert small.leak_mw < large.leak_mw
    for small, large in zip(made, made[2:], strict=False):
        assert small.read_pj < large.read_pj
    tiny = [scaled_sram(8, n, 1, 1, 40) for n in (1, 2, 4, 8, 16, 32, 64)]
    for small, large in zip(tiny, tiny[1:], strict=False):
        assert all(a < b for a, b in zip(small, large, strict=True))
    nodes = [scaled_sram(64, 512, 1, 1, n) for n in (7, 14, 22, 28, 32, 40, 45, 65, 90, 130)]
    for small, large in zip(nodes, nodes[1:], strict=False):
        assert small.area_um2 < large.area_um2
        assert small.read_pj < large.read_pj


@pytest.mark.parametrize(
    ("bits", "clock_ns", "energy_pj", "leak_pj", "area_um2"),
    [
        (4, 1, 0.2244, 0.0015, 134.0),
        (8, 1, 0.8450, 0.0056, 466.4),
        (16, 1, 3.275, 0.0212, 1726.5),
        (32, 1, 12.89, 0.0823, 6628),
        (8, 2, 0.6183, 0.0075, 366.0),
        (32, 2, 9.636, 0.105, 5319),
        (8, 5, 0.5608, 0.0180, 332.25),
        (16, 5, 2.200, 0.0660, 1239.5),
        (8, 3, 0.5608, 0.0180, 332.25),  # rounded up to the next row
    ],
)
def test_integer_macs_equal_the_plug_in(bits, clock_ns, energy_pj, leak_pj, area_um2):
    price = logic.int_mac(bits, Technology(40, clock_ns))
    assert price.energy_pj == pytest.approx(energy_pj, rel=1e-3)
    assert price.leak_pj == pytest.approx(leak_pj, rel=0.05)  # printed with two digits
    assert price.area_um2 == pytest.approx(area_um2, rel=1e-3)


@pytest.mark.parametrize(
    ("bits", "clock_ns", "energy_pj", "area_um2"),
    [(32, 1, 51.98, 8720), (32, 5, 32.33, 4120), (16, 1, 15.57, 3001.8), (16, 5, 9.08, 1418.3)],
)
def test_floating_point_macs_equal_the_plug_in(bits, clock_ns, energy_pj, area_um2):
    price = logic.fp_mac(bits, Technology(40, clock_ns))
    assert price.energy_pj == pytest.approx(energy_pj, rel=1e-3)
    assert price.area_um2 == pytest.approx(area_um2, rel=1e-3)


def test_registers():
    assert logic.register(8, Technology(40, 5)).energy_pj == pytest.approx(0.072)
    assert logic.register_file(8, 1, _AT_40) == logic.register(8, _AT_40)
    four = logic.register_file(8, 4, _AT_40)
    assert four.energy_pj == pytest.approx(8 * 0.0090 + 4 * 2 / 32 * 0.02947)
    assert four.area_um2 == pytest.approx(32 * 5.98 + 4 * 2 / 32 * 71)


def test_logic_is_monotone():
    for price in (logic.int_adder, logic.int_mac, logic.register, logic.fp_adder, logic.fp_mac):
        widths = [price(bits, _AT_40) for bits in (4, 8, 16, 24, 32)]
        for a, b in zip(widths, widths[1:], strict=False):
            assert all(x < y for x, y in zip(a, b, strict=True)), price.__name__
    files = [logic.register_file(16, n, _AT_40) for n in (1, 2, 3, 8, 12, 100, 192)]
    for a, b in zip(files, files[1:], strict=False):
        assert all(x < y for x, y in zip(a, b, strict=True))
    nodes = range(7, 131)
    for scale in (logic_energy_scale, logic_area_scale):
        values = [scale(n) for n in nodes]
        assert values == sorted(values)
        assert scale(40) == 1


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"node_nm": 0, "clock_ns": 1}, "node_nm = 0"),
        ({"node_nm": 40, "clock_ns": -1}, "clock_ns = -1"),
        ({"node_nm": 40, "clock_ns": 1, "dram": "LPDR4"}, "did you mean 'LPDDR4'"),
    ],
)
def test_technology_is_checked(given, message):
    with pytest.raises(SpecError, match=message):
        Technology(**given)


def machine(kind="SRAM", mac="intmac", **level):
    levels = (
        StorageLevel("Buffer", kind, word_bits=8, size_words=1024, **level),
        StorageLevel("DRAM", "DRAM", word_bits=8, block_size=8),
    )
    return Architecture("a", levels, Compute("MAC", mac, word_bits=8), _AT_40)


def test_table_prices_an_architecture():
    priced = energy_chain("table").price(machine(block_size=8))
    made = scaled_sram(64, 128, 1, 1, 40)
    energy = priced.level("Buffer").energy
    assert energy == AccessEnergy(made.read_pj, made.write_pj, made.write_pj, made.leak_mw)
    assert priced.level("DRAM").energy.read_pj == DRAM_PJ_PER_BIT["LPDDR4"] * 64
    assert priced.compute.energy_pj == pytest.approx(0.845, rel=1e-3)
    assert priced.level("Buffer").network.wire_energy_pj == 0
    wired = energy_chain("table").price(machine(wires=True))
    assert wired.level("Buffer").network.wire_energy_pj == pytest.approx(0.3254)


@pytest.mark.parametrize(
    ("architecture", "message"),
    [
        (machine("scratchpad"), "level 'Buffer': unknown class 'scratchpad'"),
        (machine(mac="macc"), "compute 'MAC': unknown class 'macc'; did you mean 'fpmac'"),
        (Architecture("a", machine().levels, Compute()), "needs the technology"),
    ],
)
def test_unknown_components_are_errors(architecture, message):
    with pytest.raises(SpecError, match=message):
        energy_chain("table").price(architecture)


_ERT = """\
ERT:
  version: '0.4'
  tables:
    - name: top.Buffer[1..1]
      actions:
        - {name: read, energy: 2.0}
        - {name: write, energy: 3.0}
        - {name: update, energy: 4.0}
        - {name: leak, energy: 0.5}
    - name: top.DRAM[1..1]
      actions: [{name: read, energy: 100}, {name: write, energy: 100}, {name: update, energy: 100}]
    - name: top.MAC[1..4]
      actions: [{name: compute, energy: 0.25}]
ART:
  version: '0.4'
  tables: [{name: 'top.Buffer[1..1]', area: 10.0}]
"""


def test_ert_from_a_file_and_from_a_folder(tmp_path):
    one = tmp_path / "tables.yaml"
    one.write_text(_ERT)
    priced = energy_chain(f"ert:{one}").price(machine())
    assert priced.level("Buffer").energy == AccessEnergy(2, 3, 4, 0.5)
    assert priced.level("Buffer").area_um2 == 10
    assert priced.compute.energy_pj == 0.25
    ert, art = _ERT.split("ART:")
    (tmp_path / "ERT.yaml").write_text(ert)
    (tmp_path / "ART.yaml").write_text("ART:" + art)
    assert energy_chain(f"ert:{tmp_path}").price(machine()) == priced


def test_ert_must_name_every_component(tmp_path):
    path = tmp_path / "ERT.yaml"
    path.write_text(_ERT.replace("Buffer", "Bufer"))
    with pytest.raises(SpecError, match="unknown component 'Buffer'; did you mean 'Bufer'"):
        energy_chain(f"ert:{path}").price(machine())
    with pytest.raises(SpecError, match="needs a path"):
        energy_chain("ert")
    with pytest.raises(SpecError, match="only ert takes a path"):
        energy_chain(f"table:{path}")


class TestCommand:
    def test_figures_source_and_curve(self, capsys):
        from dse.cli import main

        assert main(["components", "sram", "size_kb=64", "width=128", "node=40"]) == 0
        out = capsys.readouterr().out
        made = scaled_sram(128, 4096, 1, 1, 40)
        assert f"read_pj            {made.read_pj:.6g}" in out
        assert "CACTI" in out
        assert out.count("#") > 20

    @pytest.mark.slow
    def test_json_and_plot(self, tmp_path, capsys):
        import json

        from dse.cli import main

        assert main(["components", "intmac", "width=8", "clock=5", "--json"]) == 0
        figures = json.loads(capsys.readouterr().out)["figures"]
        assert figures["energy_pj"] == pytest.approx(0.5608, rel=1e-3)
        path = tmp_path / "sram.png"
        assert main(["components", "sram", f"plot={path}"]) == 0
        assert path.read_bytes().startswith(b"\x89PNG")
        assert main(["components", "dram", "type=HBM2", "width=8"]) == 0
        assert "31.2" in capsys.readouterr().out

    @pytest.mark.parametrize(
        ("words", "message"),
        [
            (["srm"], "did you mean 'sram'"),
            (["sram", "size=3"], "unknown key 'size'; did you mean 'size_kb'"),
            (["sram", "size_kb=big"], "size_kb=big: expected a number"),
            (["sram", "width=-1"], "above 0"),
            (["dram", "type=DDR9"], "unknown DRAM 'DDR9'"),
        ],
    )
    def test_errors(self, words, message, capsys):
        from dse.cli import main

        assert main(["components", *words]) == 2
        assert message in capsys.readouterr().err
