"""Files of a run folder: whole or not at all, never through a link, only what is a file."""

import os
import threading

import pytest

from dse.disk import open_to_append, open_to_read, read_file, replace_file, write_all, write_whole
from dse.errors import DseError, SpecError


def test_a_file_is_replaced_whole(tmp_path):
    path = tmp_path / "file"
    for data in (b"one", b"", b"x" * 100_000):
        replace_file(path, data)
        assert path.read_bytes() == data
    write_whole(path, b"two", durable=False)
    assert path.read_bytes() == b"two"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("name", ["file", "file.partial"])
def test_links_are_replaced_and_what_they_lead_to_stays(tmp_path, name):
    target = tmp_path / "precious"
    target.write_bytes(b"mine")
    (tmp_path / name).symlink_to(target)
    replace_file(tmp_path / "file", b"new")
    assert target.read_bytes() == b"mine"
    assert (tmp_path / "file").read_bytes() == b"new"
    assert not (tmp_path / "file").is_symlink()
    assert not (tmp_path / "file.partial").exists()


def test_what_a_kill_left_is_in_nobodys_way(tmp_path):
    (tmp_path / "file.partial").write_bytes(b"ha")
    replace_file(tmp_path / "file", b"whole")
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == {"file": b"whole"}


def test_a_failure_leaves_the_old_content_and_no_part(tmp_path, monkeypatch):
    path = tmp_path / "file"
    replace_file(path, b"old")

    def full(descriptor, data):
        os.write(descriptor, data[:1])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("dse.disk.write_all", full)
    with pytest.raises(DseError, match=r"file: cannot be written \(No space left"):
        replace_file(path, b"new")
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == {"file": b"old"}


def test_a_folder_in_the_way_is_named(tmp_path):
    for name in ("file", "file.partial"):
        (tmp_path / name).mkdir()
        with pytest.raises(DseError, match="file: cannot be written"):
            replace_file(tmp_path / "file", b"")
        (tmp_path / name).rmdir()


def test_writing_in_parts(tmp_path):
    ours, theirs = os.pipe()  # takes 64 KB at a time
    read = []

    def reader():
        while part := os.read(ours, 1 << 16):
            read.append(part)

    thread = threading.Thread(target=reader)
    thread.start()
    data = os.urandom(300_000)
    write_all(theirs, data)
    os.close(theirs)
    thread.join()
    os.close(ours)
    assert b"".join(read) == data


def test_appending_needs_the_file_itself(tmp_path):
    (tmp_path / "precious").write_bytes(b"mine")
    (tmp_path / "link").symlink_to(tmp_path / "precious")
    (tmp_path / "nowhere").symlink_to(tmp_path / "new")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    for name, message in (
        *(("link", "is a link"), ("nowhere", "is a link")),
        *(("folder", "Is a directory"), ("pipe", "not a regular file")),
    ):
        with pytest.raises(DseError, match=f"{name}: .*{message}"):
            open_to_append(tmp_path / name)
    assert (tmp_path / "precious").read_bytes() == b"mine"
    assert not (tmp_path / "new").exists()


def test_reading_needs_a_regular_file_within_bounds(tmp_path):
    (tmp_path / "file").write_bytes(b"12345")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "zero").symlink_to("/dev/zero")
    assert read_file(tmp_path / "file", 5) == b"12345"
    for name, message in (
        *(("file", "has 5 bytes, expected at most 4"), ("none", "cannot be read")),
        *(("pipe", "is not a regular file"), ("zero", "is not a regular file")),
    ):
        with pytest.raises(SpecError, match=f"{name}: {message}"):
            read_file(tmp_path / name, 4)
    with pytest.raises(SpecError, match="not a regular file"):
        open_to_read(tmp_path)
