"""What Timeloop writes, as recorded from real binaries, against the native model."""

from __future__ import annotations

import pytest
from timeloop_stub import records

from dse.errors import InvalidMapping, ToolError
from dse.evaluators.one_by_one import violation
from dse.model import evaluate_one
from dse.process.run import FinishedProcess
from dse.timeloop.read.inputs import read_text
from dse.tools.map_xml import parse_map_xml
from dse.tools.model_run import joined, printed_error_pj, read_run
from dse.tools.stats_file import parse_stats

STATS, XML = "timeloop-model.stats.txt", "timeloop-model.map+stats.xml"
VERSIONS = ("3.0.3", "4cf6d4c")


def case(version, name):
    record = records()[f"{version} {name}"]
    return record, read_text(record["input"], version)


def close(a, b, error=1e-9):
    return abs(a - b) <= error * max(abs(a), abs(b))


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", ["probe", "rich"])
def test_a_run_gives_the_native_models_stats(version, name):
    record, spec = case(version, name)
    said = joined(
        parse_stats(record["files"][STATS]),
        parse_map_xml(record["files"][XML], spec.problem.tensors),
    )
    own = evaluate_one(spec.architecture, spec.problem, spec.mapping, version)
    assert said.cycles == own.cycles
    assert said.computes == own.computes
    assert close(said.utilization, own.utilization)
    assert abs(said.energy_pj - own.energy_pj) <= printed_error_pj(said) + 1e-9 * own.energy_pj
    assert said.area_um2 == pytest.approx(own.area_um2, abs=0.01 * 20)
    assert list(said.levels) == list(own.levels)
    for level, mine in own.levels.items():
        theirs = said.levels[level]
        assert theirs.cycles == mine.cycles
        assert close(theirs.slowdown, mine.slowdown)
        assert theirs.leak_energy_pj == pytest.approx(mine.leak_energy_pj, abs=0.005)
        for tensor, counts in mine.tensors.items():
            for key, value in vars(counts).items():
                assert close(getattr(theirs.tensors[tensor], key), value), (level, tensor, key)
    assert said.networks.keys() == own.networks.keys()
    for network, tensors in own.networks.items():
        for tensor, counts in tensors.items():
            for key, value in vars(counts).items():
                assert close(getattr(said.networks[network][tensor], key), value), (network, key)


@pytest.mark.parametrize("version", VERSIONS)
def test_the_stats_file_alone_gives_what_is_printed(version):
    record, spec = case(version, "rich")
    printed = parse_stats(record["files"][STATS])
    own = evaluate_one(spec.architecture, spec.problem, spec.mapping, version)
    assert printed.cycles == own.cycles
    assert printed.area_um2 == pytest.approx(own.area_um2, abs=0.2)
    assert printed.utilization == pytest.approx(own.utilization, rel=1e-12)
    assert printed.energy_pj == pytest.approx(own.energy_pj, abs=0.005e6)
    assert list(printed.levels["Buffer"].tensors) == ["Weights", "Inputs"]
    for tensor, counts in printed.levels["Buffer"].tensors.items():
        mine = own.levels["Buffer"].tensors[tensor]
        assert (counts.reads, counts.fills) == (mine.reads, mine.fills)
    assert printed.networks["Buffer <==> Registers"]["Weights"].energy_pj > 0


def test_levels_that_todays_timeloop_hides_are_only_in_the_xml_file():
    record, spec = case("4cf6d4c", "hidden")
    printed = parse_stats(record["files"][STATS])
    exact = parse_map_xml(record["files"][XML], spec.problem.tensors)
    assert set(printed.networks) < set(exact.networks)
    assert printed.cycles == 120


def test_the_xml_file_needs_no_closed_root():
    text = records()["4cf6d4c rich"]["files"][XML]
    assert "</boost_serialization>" not in text
    assert "</boost_serialization>" in records()["3.0.3 rich"]["files"][XML]


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.99])
def test_files_cut_short_are_refused(share):
    record, spec = case("3.0.3", "rich")
    stats, xml = record["files"][STATS], record["files"][XML]
    with pytest.raises(ToolError):
        parse_stats(stats[: int(share * len(stats))])
    with pytest.raises(ToolError):
        parse_map_xml(xml[: int(share * len(xml))], spec.problem.tensors)


def test_files_of_two_runs_are_not_joined():
    probe, _ = case("3.0.3", "probe")
    rich, spec = case("3.0.3", "rich")
    with pytest.raises(ToolError):
        joined(
            parse_stats(probe["files"][STATS]),
            parse_map_xml(rich["files"][XML], spec.problem.tensors),
        )
    tampered = rich["files"][XML].replace("<energy_>", "<energy_>9", 1)
    with pytest.raises(ToolError, match="sum to"):
        joined(parse_stats(rich["files"][STATS]), parse_map_xml(tampered, spec.problem.tensors))


@pytest.mark.parametrize("version", VERSIONS)
def test_a_rejection_is_timeloops_own_line(tmp_path, version):
    record, spec = case(version, "rejected")
    with pytest.raises(InvalidMapping) as rejection:
        read_run(
            tmp_path, FinishedProcess("", record["returncode"], record["output"]), spec.problem
        )
    with pytest.raises(InvalidMapping) as own:
        evaluate_one(spec.architecture, spec.problem, spec.mapping, version)
    assert str(rejection.value) == str(own.value)
    found = violation(str(rejection.value))
    assert (found.level, found.resource, found.demand, found.bound, found.unit) == (
        *("Registers", "capacity", 5, 2, "words"),
    )


@pytest.mark.parametrize(
    ("reason", "resource", "demand", "bound"),
    [
        ("mapped tile size 3 is less than constrained minimum utilization 4.5", "minimum", 3, 4.5),
        ("mapped instances 8 exceeds available hardware instances 4", "instances", 8, 4),
        ("mapped X expansion 8 exceeds available hardware instances 4", "meshX", 8, 4),
        ("mapped Y expansion 8 exceeds available hardware instances 4", "meshY", 8, 4),
        ("mapped max Arithmetic X expansion 8 exceeds hardware instances 4", "meshX", 8, 4),
        ("mapped max Arithmetic instances 8 exceeds hardware instances 4", "instances", 8, 4),
    ],
)
def test_reasons_become_violations(reason, resource, demand, bound):
    found = violation(f"ERROR: couldn't map level PE: {reason}")
    assert found.level == "PE"
    assert found.resource.startswith(resource)
    assert (found.demand, found.bound) == (demand, bound)
