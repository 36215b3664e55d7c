"""What is told while a search runs: from where it stands, also after resume, with the time left."""

import math
import types
from dataclasses import replace

import pytest

from dse.cli import progress as shown
from dse.goals.objective import EDP
from dse.study.study import Progress


@pytest.fixture
def clock(monkeypatch):
    now = [10.0]
    monkeypatch.setattr("dse.jit.working_time", lambda: now[0])
    return now


def at(samples):
    return Progress(samples, 1000, 1, 1, 2e12)


def test_the_bar_begins_where_a_resumed_run_stands(clock):
    told = []
    bar = types.SimpleNamespace(
        add_task=lambda *_, **options: told.append(options) or 1,
        update=lambda _, **options: told.append(options),
    )
    live = shown._Live(bar, EDP, None, at(600))
    assert told[0]["total"] == 1000
    assert told[1]["completed"] == 600
    assert told[1]["description"] == "600/1,000"
    assert "2 J x cycle" in told[1]["best"]
    clock[0] += 2.0
    live.tick(at(700))  # 100 samples in 2 s: those of before do not count
    assert told[2]["rate"] == "50/s ETA 0:00:06"
    live(at(800))
    assert told[3]["completed"] == 800


def test_lines_say_the_rate_since_it_was_resumed(clock, capsys):
    report = shown._Plain(EDP, None, at(600))
    clock[0] += 4.0
    report(at(800))
    assert "50 samples/s, ETA 4 s" in capsys.readouterr().err


def test_nothing_is_told_to_those_who_want_quiet():
    with shown.progress(EDP, True, at(0)) as report:
        assert report is None


@pytest.mark.parametrize(
    ("value", "bound", "told"),
    [
        (2e12, 1.5e12, "nothing better by more than 25 %"),
        (math.inf, 1.5e12, "nothing below 1.5e+12"),
        (2e12, 0.0, "no bound yet"),
    ],
)
def test_a_proof_on_its_way_tells_its_gap(clock, capsys, value, bound, told):
    now = replace(at(3), best_value=value, bound=bound)
    report = shown._Plain(EDP, None, at(0))
    report.tick(at(3))
    assert capsys.readouterr().err == ""
    report.tick(now)
    assert told in capsys.readouterr().err
    shows = []
    bar = types.SimpleNamespace(
        add_task=lambda *_, **__: 1, update=lambda _, **options: shows.append(options)
    )
    shown._Live(bar, EDP, None, at(0)).tick(now)
    assert shows[-1]["rate"] == told


def test_a_proof_tells_when_its_gap_is_closed_at_the_pace_of_late(clock):
    proof = shown._ProofCourse(shown._Clock(0))
    gaps = {0: 0.9, 10: 0.5, 20: 0.4, 30: 0.35, 40: 0.3}
    told = {}
    for seconds, gap in gaps.items():
        clock[0] = 10.0 + seconds
        told[seconds] = proof.text(1.0, 1.0 - gap)
    assert "ETA" not in told[0]
    assert told[40] == "nothing better by more than 30 %, ETA 0:01:00 at this pace"
    clock[0] = 10.0 + 80
    assert proof.text(1.0, 0.7).endswith("30 %, ETA -")  # as it was at half of the time
    assert proof.text(1.0, 1.0) == "nothing better by more than 0 %"
