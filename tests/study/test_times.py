"""The times of a study: one line a batch, which survive a kill and go on after it."""

import pytest

import dse.study.times
from dse.errors import SpecError
from dse.study.study import Progress
from dse.study.times import Times, read_times, times_of


@pytest.fixture
def clock(monkeypatch):
    """A clock that a test sets."""
    now = [100.0]
    monkeypatch.setattr(dse.study.times, "working_time", lambda: now[0])
    return now


def at(samples):
    return Progress(samples, 100, 1, 1, 1.0)


def test_a_resumed_study_goes_on_after_its_last_line(tmp_path, clock):
    path = tmp_path / "times.jsonl"
    with Times(path, 0) as times:
        clock[0] = 101.5
        times.note(at(10))
    path.write_bytes(path.read_bytes() + b'{"samples":20,"sec')  # torn
    clock[0] = 500.0
    with Times(path, 10) as times:
        clock[0] = 500.25
        times.note(at(20))
    assert read_times(path) == [(10, 1.5), (20, 1.75)]
    assert path.read_text() == (
        '{"samples":10,"seconds":1.500000}\n{"samples":20,"seconds":1.750000}\n'
    )


def test_times_of_what_was_lost_are_cut_off(tmp_path, clock):
    path = tmp_path / "times.jsonl"
    with Times(path, 0) as times:
        for samples in (10, 20, 30):
            clock[0] += 1.0
            times.note(at(samples))
    with Times(path, 20) as times:
        clock[0] += 0.5
        times.note(at(30))
    assert read_times(path) == [(10, 1.0), (20, 2.0), (30, 2.5)]


@pytest.mark.parametrize(
    "line",
    [
        "x", "[]", "{}", '{"samples":20,"seconds":NaN}', '{"samples":5,"seconds":9.000000}',
        '{"samples":20,"seconds":0.500000}', '{"samples":20,"seconds":"2"}', "[" * 10_000,
    ],
)  # fmt: skip
def test_what_is_no_time_ends_them(tmp_path, line):
    (tmp_path / "times.jsonl").write_text(f'{{"samples":10,"seconds":1.000000}}\n{line}\n')
    assert times_of(tmp_path) == [(10, 1.0)]


def test_a_folder_without_times_has_none(tmp_path):
    assert times_of(tmp_path) == []
    with pytest.raises(SpecError, match="cannot be read"):
        read_times(tmp_path / "times.jsonl")


def test_a_link_is_not_followed(tmp_path):
    (tmp_path / "times.jsonl").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(SpecError, match="is a link"):
        Times(tmp_path / "times.jsonl", 0)
    assert not (tmp_path / "elsewhere").exists()
