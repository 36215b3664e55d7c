"""The journal: what a kill leaves, and that no changed line goes unnoticed."""

import json
import zlib

import pytest

from dse.errors import SpecError
from dse.study.journal import Journal, has_checksums, read_journal

RECORDS = [
    {"design": 0, "values": {"a": 3}, "valid": True, "best": 0.1 + 0.2},
    {"design": 1, "values": {"a": 4}, "valid": False, "reason": 'too large: "crc":"00000000"}'},
    {"design": 2, "values": {}, "valid": False, "reason": "ünïcode\n"},
]


@pytest.fixture
def journal(tmp_path):
    path = tmp_path / "journal.jsonl"
    with Journal(path) as open_journal:
        for record in RECORDS:
            open_journal.write(record)
        state = open_journal.size_bytes, open_journal.crc
    return path, *state


def resumed(path, size, crc):
    with Journal(path, size, crc) as again:
        return again.size_bytes, again.crc


def test_lines_are_the_records_with_a_checksum_as_last_key(journal):
    path, size, crc = journal
    assert size == path.stat().st_size
    lines = path.read_bytes().splitlines()
    before = 0
    for record, line in zip(RECORDS, lines, strict=True):
        read = json.loads(line)
        assert list(read) == [*record, "crc"]
        body = json.dumps(record, separators=(",", ":")).encode()
        before = zlib.crc32(body, before)
        assert read.pop("crc") == f"{before:08x}"
        assert read == record
    assert before == crc
    assert list(read_journal(path)) == RECORDS
    assert resumed(path, size, crc) == (size, crc)
    assert has_checksums(path)


def test_a_torn_line_is_skipped_and_cut_off(journal):
    path, size, crc = journal
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"design":3,"va')
    assert list(read_journal(path)) == RECORDS
    assert resumed(path, size, crc) == (size, crc)
    assert path.read_bytes() == whole


def test_lines_after_the_checkpoint_are_cut_off_and_written_again(tmp_path):
    path, other = tmp_path / "journal.jsonl", tmp_path / "other.jsonl"
    with Journal(path) as one:
        one.write(RECORDS[0])
        size, crc = one.size_bytes, one.crc
        one.write(RECORDS[1])
    with Journal(path, size, crc) as one, Journal(other) as two:
        one.write(RECORDS[2])
        for record in (RECORDS[0], RECORDS[2]):
            two.write(record)
    assert path.read_bytes() == other.read_bytes()


def test_every_flipped_bit_is_noticed_and_nothing_is_lost(journal):
    path, size, crc = journal
    whole = path.read_bytes()
    for place in range(8 * len(whole)):
        data = bytearray(whole)
        data[place // 8] ^= 1 << place % 8
        path.write_bytes(data)
        with pytest.raises(SpecError, match=r"journal.jsonl, line \d: damaged"):
            resumed(path, size, crc)
        assert path.read_bytes() == data
        if place // 8 < len(whole) - 1:
            with pytest.raises(SpecError, match="damaged"):
                list(read_journal(path))
        else:  # without its end, the last line counts as torn
            assert list(read_journal(path)) == RECORDS[:-1]


def test_the_damaged_line_is_named(journal):
    path, size, crc = journal
    path.write_bytes(path.read_bytes().replace(b'"a":4', b'"a":5'))
    for read in (lambda: list(read_journal(path)), lambda: resumed(path, size, crc)):
        with pytest.raises(SpecError, match="line 2: damaged"):
            read()


@pytest.mark.parametrize("order", [(1, 2), (0, 2), (0, 0, 1, 2), (1, 0, 2), (0, 2, 1)])
def test_missing_doubled_and_moved_lines_are_noticed(journal, order):
    path, *_ = journal
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[i] for i in order))
    with pytest.raises(SpecError, match="damaged"):
        list(read_journal(path))


def test_another_studys_journal_is_refused(journal, tmp_path):
    path, size, crc = journal
    with pytest.raises(SpecError, match="not the journal that its checkpoint was saved with"):
        resumed(path, size, crc ^ 1)
    with pytest.raises(SpecError, match="cut by hand"):
        resumed(path, size + 1, crc)
    assert path.stat().st_size == size


@pytest.mark.parametrize(
    "content",
    [
        b"nonsense\n{}\n",
        b"{}\n",
        b'{"design":0,"valid":true}\n',  # as version 0.1.0 wrote them
        b'{"crc":"00000000"}\n',
        b"\n",
        b"\x00" * 100 + b"\n",
    ],
)
def test_what_is_no_journal_is_refused(tmp_path, content):
    path = tmp_path / "journal.jsonl"
    path.write_bytes(content)
    with pytest.raises(SpecError, match="line 1"):
        list(read_journal(path))
    assert not has_checksums(path)


@pytest.mark.parametrize("body", [b"[" * 100_000, b"[1]", b"nonsense"])
def test_sealed_lines_that_are_no_records_are_refused(tmp_path, body):
    path = tmp_path / "journal.jsonl"
    body += b"}"
    path.write_bytes(b'%s,"crc":"%08x"}\n' % (body[:-1], zlib.crc32(body)))
    with pytest.raises(SpecError, match="line 1: not a record"):
        list(read_journal(path))


def test_a_missing_journal_is_named(tmp_path):
    for read in (has_checksums, lambda path: list(read_journal(path))):
        with pytest.raises(SpecError, match="journal.jsonl: cannot be read"):
            read(tmp_path / "journal.jsonl")


def test_a_planted_link_is_refused(journal, tmp_path):
    path, size, crc = journal
    link = tmp_path / "other.jsonl"
    link.symlink_to(path)
    with pytest.raises(SpecError, match="is a link"):
        Journal(link)
    assert path.stat().st_size == size
