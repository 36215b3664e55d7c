"""The ``mapper`` block: what is read, what is said of keys without effect, what is refused."""

import pytest

from dse.errors import SpecError
from dse.timeloop.read.mapper import MapperDirectives, read_mapper
from dse.timeloop.yaml.io import load_texts


def block(text, levels=3):
    return read_mapper(load_texts([("mapper.yaml", f"mapper: {{{text}}}")]), levels)


def test_what_a_search_needs_is_read():
    found = block(
        "optimization-metrics: [delay, energy], search-size: 40, num-threads: 2, algorithm: "
        "linear-pruned, out_prefix: mine, live_status: True"
    )
    assert found == MapperDirectives(
        ("delay", "energy"), 40, 2, "linear_pruned", "mine", live_status=True
    )


@pytest.mark.parametrize(
    ("written", "metrics"),
    [
        ("last-level-accesses", ("accesses-2",)),
        ("last_level_accesses", ("accesses-2",)),
        ("ordered_accesses", ("accesses-2", "accesses-1", "accesses-0")),
        ("[accesses-1, edp, edp]", ("accesses-1", "edp")),
    ],
)
def test_metrics_in_timeloops_words(written, metrics):
    assert block(f"optimization_metric: {written}").metrics == metrics


def test_no_metric_and_no_block_are_the_edp():
    assert block("timeout: 0").metrics == ("edp",)
    nothing = read_mapper(load_texts([("a.yaml", "problem: {}")]), 3)
    assert nothing.metrics == ("edp",)
    assert nothing.notes == ("no mapper block: the EDP is minimised",)


def test_a_search_size_of_zero_is_none():
    assert block("search_size: 0").search_size is None


def test_keys_without_effect_are_named_once_each():
    notes = block(
        "optimization_metric: edp, victory-condition: 500, log_stats: false, timeout: 100, "
        "max_temporal_loops_in_a_mapping: -1"
    ).notes
    assert len(notes) == 2
    assert notes[0].startswith("mapper.victory-condition = 500: not used")
    assert notes[1].startswith("mapper.timeout = 100: not used")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("optimisation_metric: edp", "did you mean 'optimization_metric'"),
        ("optimization_metric: edq", "unknown metric 'edq'"),
        ("optimization_metric: accesses-3", "unknown metric 'accesses-3'.*accesses-2"),
        ("algorithm: simulated", "unknown algorithm 'simulated'"),
        ("num_threads: 0", "expected an integer of at least 1"),
        ("search_size: many", "search_size = 'many': expected an integer"),
        ("out_prefix: ../x", "without folders"),
        ("max_temporal_loops_in_a_mapping: few", "expected an integer of at least 1"),
    ],
)
def test_what_is_wrong_is_refused_with_its_place(text, told):
    with pytest.raises(SpecError, match=f"(?s)mapper.yaml:1: mapper.*{told}"):
        block(text)


@pytest.mark.parametrize(("text", "most"), [("9", 9), ("-1", None), ("0", None)])
def test_a_limit_on_temporal_loops(text, most):
    assert block(f"max_temporal_loops_in_a_mapping: {text}").max_temporal_loops == most
