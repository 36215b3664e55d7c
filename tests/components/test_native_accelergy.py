"""Compound components taken apart and priced: expected numbers are worked out by hand.

At 40 nm and 1 ns the tables say of 32 bits: adder 0.21 pJ, 0.0023 pJ leaked, 278 um^2; comparator
0.02947 pJ; of a bit of a register 0.009 pJ, 7e-5 pJ, 5.98 um^2.
"""

import logging

import pytest
import yaml

from dse.components import cacti
from dse.components.native_accelergy import compound_kinds, prices
from dse.errors import SpecError
from dse.timeloop.read.flatten import flatten
from dse.timeloop.yaml.io import load_texts

ADDER, ADDER_LEAK, ADDER_AREA = 0.21 / 32, 0.0023 / 32, 278 / 32


def arch(components, attributes="{technology: 40nm}", version="0.3"):
    return f"""\
architecture:
  version: {version}
  subtree:
  - name: System
    attributes: {attributes}
    local:
{components}
"""


def one(kind, attributes="", more=""):
    line = f"    - {{name: X, class: {kind}, attributes: {{{attributes}}}{more}}}"
    return arch(line)


def priced(*texts, **options):
    named = [(f"file{i}.yaml", text) for i, text in enumerate(texts)]
    return prices(flatten(load_texts(named), None), **options).components


def energies(table):
    return {action.name: action.energy_pj for action in table.actions}


ARRAY = """\
compound_components:
  version: 0.3
  classes:
  - name: array_compute
    attributes: {technology: must_specify, width: must_specify, lanes: 2, meshX: 3}
    subcomponents:
    - name: adders[1..lanes*meshX]
      class: intadder
      area_scale: 1 / lanes
      energy_scale: 2
      attributes: {width: width}
    actions:
    - name: compute
      subcomponents:
      - {name: "adders[1..lanes]", actions: [{name: add, REPEAT: lanes + 2}]}
    - name: leak
      subcomponents:
      - {name: "adders[1..lanes*meshX]", actions: [{name: leak}]}
"""


@pytest.mark.parametrize("word", ["energy_scale", "repeat", "action_share"])
@pytest.mark.parametrize("version", ["0.2", "0.3", "0.4"])
def test_scales_and_ranges(word, version):
    classes = ARRAY.replace("REPEAT", word).replace("version: 0.3", f"version: {version}")
    (table,) = priced(one("array_compute", "width: 16"), classes)
    # of an adder of 16 bits: 2 lanes, 4 times each, at twice the energy; 6 of them leak
    assert energies(table) == {
        "compute": pytest.approx(ADDER * 16 * 2 * 4 * 2, rel=1e-12),
        "leak": pytest.approx(ADDER_LEAK * 16 * 6 * 2, rel=1e-12),
    }
    assert table.area_um2 == pytest.approx(ADDER_AREA * 16 * 6 * 0.5, rel=1e-12)
    (part,) = table.actions[0].parts
    assert (part.name, part.action, part.scale) == ("adders[1..2]", "add", 16.0)
    assert part.estimator == "table: Aladdin logic"


def test_scales_of_the_component_itself():
    classes = ARRAY.replace("REPEAT", "repeat")
    (plain,) = priced(one("array_compute", "width: 16"), classes)
    more = ", energy_scale: 10, area_scale: lanes + 1"
    (scaled,) = priced(one("array_compute", "width: 16", more), classes)
    assert energies(scaled)["leak"] == pytest.approx(energies(plain)["leak"] * 10, rel=1e-12)
    assert scaled.area_um2 == pytest.approx(plain.area_um2 * 3, rel=1e-12)


NESTED = """\
compound_components:
  version: 0.4
  classes:
  - name: storage_file
    attributes:
      technology: "must_specify"
      width: "must_specify"
      depth: "must_specify"
      bits: max(1, ceil(log2(depth))) if depth >= 1 else 1
      half: bits / 2
    subcomponents:
    - {name: "storage[1..width*depth]", class: aladdin_register}
    - {name: "comparator[1..depth]", class: comparator, attributes: {width: bits}}
    actions:
    - &write
      name: write
      subcomponents:
      - {name: "storage[1..width]", actions: [{name: write}]}
      - {name: "comparator[1..depth]", actions: [{name: compare}]}
    - {name: update, <<: *write}
    - name: read
      subcomponents:
      - {name: "storage[1..width]", actions: [{name: read, energy_scale: half}]}
  - name: smart_storage
    attributes: {technology: "must_specify", width: 8, depth: "must_specify"}
    subcomponents:
    - name: file[0..1]
      class: storage_file
      area_scale: 0.25
      energy_scale: 3
      attributes: {width: width, depth: depth // 2}
    actions:
    - name: read
      subcomponents:
      - {name: "file[0]", actions: [{name: read, repeat: 5}]}
    - name: write
      subcomponents:
      - {name: "file[0..1]", actions: [{name: write}]}
"""


def test_compounds_in_compounds():
    (table,) = priced(one("smart_storage", "depth: 48"), NESTED)
    # 24 rows of 8 bits: addresses of 5 bits, compared in every row
    compare = 0.02947 * 5 / 32
    assert energies(table) == {
        "read": pytest.approx(8 * 0.009 * 2.5 * 5 * 3, rel=1e-12),
        "write": pytest.approx(2 * 3 * (8 * 0.009 + 24 * compare), rel=1e-12),
    }
    area = 24 * 8 * 5.98 + 24 * 71 * 5 / 32
    assert table.area_um2 == pytest.approx(2 * 0.25 * area, rel=1e-12)
    names = [part.name for part in table.actions[1].parts]
    assert names == ["file[0..1].storage[1..8]", "file[0..1].comparator[1..24]"]


ARGUMENTS = """\
compound_components:
  version: 0.3
  classes:
  - name: buffer
    attributes: {technology: 40nm, width: 64, depth: 1024, n_banks: 2}
    subcomponents:
    - {name: storage, class: SRAM, attributes: {width: width, depth: depth, n_banks: n_banks}}
    - {name: "generator[0..1]", class: intadder, attributes: {width: log2(ceil(depth - 0.5))}}
    actions:
    - name: read
      arguments: {data_delta: 0..1, address_delta: 0..n_banks}
      subcomponents:
      - name: storage
        actions:
        - {name: read, arguments: {data_delta: data_delta, address_delta: address_delta}}
      - {name: "generator[1]", actions: [{name: add, repeat: address_delta}]}
"""


def test_arguments_of_actions():
    (table,) = priced(one("buffer"), ARGUMENTS)
    read, add = cacti.scaled_sram(64, 1024, 1, 2, 40).read_pj, ADDER * 10
    found = {(a.arguments["data_delta"], a.arguments["address_delta"]): a for a in table.actions}
    # seven tenths of an access move the data, three the address; each address is one addition
    assert {key: action.energy_pj for key, action in found.items()} == {
        (0, 0): 0,
        (1, 0): pytest.approx(0.7 * read, rel=1e-12),
        (0, 1): pytest.approx(0.3 * read + add, rel=1e-12),
        (1, 1): pytest.approx(read + add, rel=1e-12),
        (0, 2): pytest.approx(0.3 * read + 2 * add, rel=1e-12),
        (1, 2): pytest.approx(read + 2 * add, rel=1e-12),
    }
    assert list(found) == [(0, 0), (1, 0), (0, 1), (1, 1), (0, 2), (1, 2)]


def test_attributes_of_the_sub_trees_around():
    text = """\
architecture:
  version: 0.3
  subtree:
  - name: System
    attributes: {technology: 40nm, latency: 5ns, lanes: 2}
    local:
    - {name: A, class: intadder, attributes: {width: lanes * 16}}
    subtree:
    - name: Chip
      attributes: {latency: 1ns}
      local:
      - {name: B, class: intadder, attributes: {width: 32}}
      - {name: C, class: intadder, attributes: {datawidth: 32, latency: 2ns}}
"""
    tables = {table.path: energies(table)["add"] for table in priced(text)}
    expected = {"System.A": 0.0857, "System.Chip.B": 0.21, "System.Chip.C": 0.0858}
    assert tables == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("kind", "attributes", "expected", "area_um2"),
    [
        (
            "intmac",
            "datawidth: 8",
            {"mac_random": 0.8450, "mac_reused": 0.7261, "mac_gated": 0.0575, "leak": 0.0056},
            466.375,
        ),
        (
            "intmac",
            "width: 8, global_cycle_seconds: 5e-9",
            {"compute": 0.5608, "mac_reused": 0.4799, "mac_gated": 0.0364, "leak": 0.0180},
            332.25,
        ),
        ("fpmac", "exponent: 8, mantissa: 24", {"compute": 51.98, "mac_gated": 51.98}, 8720),
        ("fpmac", "exponent: 5, mantissa: 10", {"compute": 15.57}, 3001.8),
        ("fpmac", "datawidth: 16", {"compute": 15.57}, 3001.8),
        ("DRAM", "type: HBM2, width: 64", {"read": 249.6, "update": 249.6, "leak": 0}, 0),
        ("DRAM", "block-size: 4, word-bits: 8", {"read": 256}, 0),
        ("counter", "width: 16", {"count": 0.12535, "leak": 1.6e-4}, 247.75),
        ("wire", "width: 8, length: 2mm", {"transfer_random": 8 * 0.3254 * 2}, 0),
        ("FIFO", "datawidth: 8, depth: 4", {"push": 8 * 0.009 + 0.02947 * 2 / 32}, 52.2775),
        ("aladdin_multiplier", "width_a: 32, width_b: 8", {"read": 12.68 / 4}, 6350 / 4),
        ("aladdin_adder", "", {"read": 0.21}, 278),
        ("intadder", "width: 8, n_instances: 3", {"add": 0.0525, "leak": 0.001725}, 208.5),
        ("dummy_storage", "technology: -1", {"read": 0, "leak": 0}, 0),
        ("SRAM", "width: 0, depth: 0", {"read": 0, "write": 0}, 0),
        ("intadder", "width: 0", {"add": 0, "leak": 0}, 0),
    ],
)
def test_primitive_components(kind, attributes, expected, area_um2):
    (table,) = priced(one(kind, attributes))
    found = energies(table)
    # the sources have four digits
    assert {key: found[key] for key in expected} == pytest.approx(expected, rel=5e-3, abs=1e-12)
    assert table.area_um2 == pytest.approx(area_um2, rel=1e-4)


def test_a_buffers_size_follows_from_timeloops_keys():
    said = cacti.scaled_sram(64, 4096, 1, 1, 40).read_pj
    for attributes in (
        "width: 64, depth: 4096",
        "word-bits: 16, block-size: 4, entries: 16384",
        "word_bits: 16, block_size: 4, sizeKB: 32",
        "memory_width: 64, memory_depth: 4096",
    ):
        (table,) = priced(one("SRAM", attributes))
        assert energies(table)["read"] == said, attributes


def test_beyond_the_table():
    """Rows side by side; banks and ports go on as they did from 2 to 4 and from 1 to 2."""
    wide = energies(priced(one("SRAM", "width: 4096, depth: 1024"))[0])
    assert wide["read"] == 4 * cacti.scaled_sram(1024, 1024, 1, 1, 40).read_pj
    two, four = (cacti.scaled_sram(64, 512 * n, 1, n, 40).read_pj for n in (2, 4))
    (table,) = priced(one("SRAM", "width: 64, depth: 8192, n_banks: 16"))
    assert energies(table)["read"] == pytest.approx(four * (four / two) ** 2, rel=1e-12)
    assert table.areas[0].estimator == "table: CACTI SRAM, banks extrapolated"
    one_port, two_ports = (cacti.scaled_sram(64, 512, n, 1, 40).area_um2 for n in (1, 2))
    (table,) = priced(one("SRAM", "width: 64, depth: 512, n_rw_ports: 4"))
    assert table.area_um2 == pytest.approx(two_ports**2 / one_port, rel=1e-12)


def test_classes_of_several_files_and_nodes():
    nodes = """\
architecture:
  version: 0.4
  nodes:
  - !Container
    name: system
    attributes: {technology: "40nm", global_cycle_seconds: 1e-9}
  - !Component
    name: buffer
    class: smart_storage
    attributes: {depth: 24 * 2}
    required_actions: [read]
  - !Container
    name: PE
    spatial: {meshX: 4}
  - !Component
    name: mac
    class: compute
    subclass: intadder
    attributes: {width: 32}
"""
    array = ARRAY.replace("REPEAT", "repeat")
    buffer, dummy, mac = priced(nodes, array, NESTED)
    assert (buffer.path, mac.path) == (
        "system_top_level.buffer[1..1]",
        "system_top_level.mac[1..4]",
    )
    assert energies(buffer)["read"] == pytest.approx(8 * 0.009 * 2.5 * 5 * 3, rel=1e-12)
    assert set(energies(dummy).values()) == {0.0}
    assert energies(mac)["add"] == pytest.approx(0.21, rel=1e-12)


def test_the_flat_format_takes_node_and_clock_from_outside():
    text = """\
arch:
  storage:
  - {name: RF, entries: 64, word-bits: 16, instances: 4}
  - {name: DRAM, technology: DRAM, word-bits: 16, instances: 1}
  arithmetic: {name: MAC, word-bits: 8, instances: 4}
"""
    with pytest.raises(SpecError, match="component 'RF'.*'technology' is missing.*table:45nm"):
        priced(text)
    defaults = {"technology": "40nm", "global_cycle_seconds": "5ns"}
    dram, rf, mac = priced(text, defaults=defaults)
    assert energies(dram)["read"] == 128
    assert energies(rf)["read"] == cacti.scaled_sram(16, 64, 1, 1, 40).read_pj
    assert energies(mac)["compute"] == pytest.approx(0.5608, rel=1e-3)


@pytest.mark.parametrize(
    ("text", "old", "new", "message"),
    [
        ("array_compute", "", "", "attribute 'width' of class 'array_compute' is not given"),
        ("aray_compute", "", "", "unknown class 'aray_compute'; did you mean 'array_compute'"),
        ("array_compute", "class: intadder", "class: intader", "did you mean 'intadder'"),
        ("array_compute", 'name: "adders[1..lanes]"', "name: adder", "did you mean 'adders'"),
        ("array_compute", "lanes + 2", "lane + 2", "unknown name 'lane'; did you mean 'lanes'"),
        ("array_compute", "lanes*meshX]\n      class", "0]\n      class", "backwards"),
        ("array_compute", "class: intadder", "class: SRAM", "attribute 'depth' is missing"),
        ("array_compute", "class: intadder", "class: array_compute", "a class within itself"),
        ("array_compute", "1 / lanes", "1 / 0", "area_scale = '1 / 0': .*has no value"),
        ("array_compute", "technology: must_specify", "technology: x", "'technology' = 'x'"),
    ],
)
def test_errors_name_place_and_nearest(text, old, new, message):
    classes = ARRAY.replace("REPEAT", "repeat").replace(old, new) if old else ARRAY
    attributes = "width: 16" if "is not given" not in message else ""
    whole = arch(f"    - {{name: X, class: {text}, attributes: {{{attributes}}}}}")
    if "technology" in new:
        whole = whole.replace("{technology: 40nm}", "{}")
    with pytest.raises(SpecError, match=message) as caught:
        priced(whole, classes)
    assert "component 'System.X'" in str(caught.value)


def test_classes_that_grow_without_end_are_refused():
    classes = "".join(
        f"""
  - name: mac{n}
    attributes: {{technology: 40nm}}
    subcomponents: [{", ".join(f"{{name: s{k}, class: mac{n + 1}}}" for k in range(9))}]
    actions: []"""
        for n in range(9)
    )
    last = "\n  - {name: mac9, attributes: {}, subcomponents: [], actions: []}\n"
    with pytest.raises(SpecError, match="more than 100000 subcomponents"):
        priced(one("mac0"), f"compound_components:\n  version: 0.4\n  classes:{classes}{last}")


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ("width: 8, depth: wide", "'depth' = 'wide', expected a number"),
        ("width: 8, depth: 64, technology: tiny", "'technology' = 'tiny'"),
        ("width: 8, depth: 64, global_cycle_seconds: soon", "clock period 'soon'"),
        ("width: 8, depth: 64, n_banks: 5000", "5000 banks"),
    ],
)
def test_bad_attributes(attributes, message):
    with pytest.raises(SpecError, match=message):
        priced(one("SRAM", attributes))


def test_bad_dram_and_actions():
    with pytest.raises(SpecError, match="unknown DRAM type 'LPDDR5'; did you mean 'LPDDR"):
        priced(one("DRAM", "type: LPDDR5, width: 64"))
    with pytest.raises(SpecError, match="unknown action 'raed'; did you mean 'read'"):
        priced(one("SRAM", "width: 64, depth: 64", ", required_actions: [raed]"))
    more = ", required_actions: [read]"
    with pytest.raises(SpecError, match="unknown action 'read'"):
        priced(one("array_compute", "width: 16", more), ARRAY.replace("REPEAT", "repeat"))


def test_what_timeloop_does_not_ask_for_is_left_out_with_a_warning(caplog):
    lines = "    - {name: N, class: router}\n    - {name: A, class: intadder, subclass: intmac}"
    with caplog.at_level(logging.WARNING):
        tables = priced(arch(lines.replace("subclass: intmac", "attributes: {width: 32}")))
    assert [table.path for table in tables] == ["System.A"]
    assert "component 'System.N'" in caplog.text
    assert "unknown class 'router'" in caplog.text


def test_an_action_that_a_subcomponent_lacks_costs_nothing_and_is_warned_of(caplog):
    classes = NESTED.replace("actions: [{name: read, repeat: 5}]", "actions: [{name: idle}]")
    with caplog.at_level(logging.WARNING):
        (table,) = priced(one("smart_storage", "depth: 48"), classes)
    assert energies(table)["read"] == 0
    assert "class 'storage_file': unknown action 'idle'" in caplog.text


def test_tables_as_accelergy_writes_them():
    root = flatten(load_texts([("a.yaml", one("buffer")), ("b.yaml", ARGUMENTS)]), None)
    assert compound_kinds(root) == ["buffer"]
    tables = prices(root)
    files = {name: yaml.safe_load(text) for name, text in tables.files().items()}
    (entry,) = files["ERT.yaml"]["ERT"]["tables"]
    assert entry["name"] == "System.X"
    read = [action["energy"] for action in entry["actions"]]
    assert len(read) == 6
    assert tables.energies().find("X", ["read"]) == max(read)
    (summary,) = files["ERT_summary.yaml"]["ERT_summary"]["table_summary"]
    (listed,) = summary["actions"]
    assert listed["average_energy"] == pytest.approx(sum(read) / 6)
    (worst,) = summary["primitive_estimation(s)"]
    estimators = {x["subcomponent_name"]: x["estimator"] for x in worst["subaction_estimations"]}
    assert estimators == {
        "storage": "table: CACTI SRAM",
        "generator[1]": "table: Aladdin logic",
    }
    (area,) = files["ART.yaml"]["ART"]["tables"]
    parts = files["ART_summary.yaml"]["ART_summary"]["table_summary"][0]["primitive_estimations"]
    assert area["area"] == sum(part["area"] * part["scale_area_by"] for part in parts)
    assert tables.areas()["X"] == pytest.approx(area["area"], rel=1e-7)
