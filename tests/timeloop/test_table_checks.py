"""Warnings where an ERT does not say all that Timeloop prices by it; the numbers are Timeloop's."""

import logging

import pytest
from timeloop_texts import ERT, PROBLEM, tree

from dse.timeloop.read.inputs import read_text

RF = "  - {name: s.chip.RF, actions: [{name: read, energy: 1}, {name: write, energy: 2}]}\n"
DRAM = "  - {name: s.DRAM, actions: [{name: read, energy: 9}, {name: write, energy: 9}]}\n"
WHOLE = ERT + RF + DRAM


def warnings(caplog, text):
    with caplog.at_level(logging.WARNING):
        spec = read_text(text)
    return spec.architecture, [r.getMessage().partition(": ")[2] for r in caplog.records]


def test_a_whole_table(caplog):
    _, found = warnings(caplog, tree() + PROBLEM + WHOLE)
    assert found == []


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (RF, "", "ERT: no table of component 'RF'; its energy is Timeloop's built-in one"),
        ("s.GLB", "s.GBL", "ERT: no table of component 'GLB' ('GBL' is of no component); its"),
        ("s.MAC", "s.MACs", "ERT: no table of component 'MAC' ('MACs' is of no component); its"),
        ("name: read, energy: 1", "name: raed, energy: 1", "ERT: table 'RF' has no action read;"),
        ("name: write, energy: 2", "name: x, energy: 2", "ERT: table 'RF' has no action write;"),
        ("name: compute", "name: computes", "ERT: table 'MAC' has no action compute (or"),
        ("name: s.DRAM", "name: s.Dram", "ERT: no table of component 'DRAM'"),
    ],
)
def test_what_is_missing(caplog, old, new, message):
    assert old in WHOLE
    plain, _ = warnings(caplog, tree() + PROBLEM)
    caplog.clear()
    architecture, found = warnings(caplog, tree() + PROBLEM + WHOLE.replace(old, new))
    assert found[0].startswith(message)
    if "RF" in message and "no table" in message:
        assert architecture.level("RF").energy == plain.level("RF").energy


def test_tables_of_nothing(caplog):
    more = "  - {name: s.chip.NoC, actions: [{name: transfer, energy: 1}]}\n"
    _, found = warnings(caplog, tree() + PROBLEM + WHOLE + more)
    assert found == ["ERT: table 'NoC' is of no component"]


def test_an_energy_of_its_own_needs_no_table(caplog):
    own = "entries: 64, word-bits: 8, meshX: 4, vector-access-energy: 5"
    architecture, found = warnings(caplog, tree(rf=own) + PROBLEM + WHOLE.replace(RF, ""))
    assert found == []
    assert architecture.level("RF").energy.read_pj == 5


def test_a_summary_is_no_table(caplog):
    summary = "ERT_summary: {version: 0.4, table_summary: []}\n"
    _, found = warnings(caplog, tree() + PROBLEM + summary)
    assert found == [
        "ERT_summary: is not read; expected Accelergy's other file, ERT.yaml: energies are "
        "Timeloop's built-in ones"
    ]
    caplog.clear()
    assert warnings(caplog, tree() + PROBLEM + WHOLE + summary)[1] == []
