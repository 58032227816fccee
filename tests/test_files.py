"""A file is either written whole or not at all, whatever happens on the way."""

import errno
import os
import resource
import stat

import pytest

from tinysight.errors import StorageError
from tinysight.files import atomic_writer, write_bytes, write_text


@pytest.fixture
def old(tmp_path):
    """A file that is about to be written anew."""
    path = tmp_path / "file"
    path.write_bytes(b"old")
    return path


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_content_is_what_was_written_and_nothing_else_is_left(tmp_path):
    write_bytes(tmp_path / "new folder" / "file", b"\x00\xff")
    write_text(tmp_path / "text", "žluťoučký\n")
    assert (tmp_path / "new folder" / "file").read_bytes() == b"\x00\xff"
    assert (tmp_path / "text").read_bytes() == "žluťoučký\n".encode()
    assert names(tmp_path) == ["new folder", "text"]
    assert names(tmp_path / "new folder") == ["file"]


def test_an_older_file_is_replaced(old):
    write_bytes(old, b"new")
    assert old.read_bytes() == b"new"
    assert names(old.parent) == ["file"]


def test_the_bytes_are_on_disk_before_the_name_and_the_name_before_the_return(old, disk):
    write_bytes(old, b"new")
    assert disk.calls == ["mkdir", "open", "fsync", "chmod", "replace", "open", "fsync"]


def test_new_folders_are_on_disk_before_the_file_in_them(tmp_path, disk):
    write_bytes(tmp_path / "new" / "folder" / "file", b"")
    made, synced = ["mkdir", "mkdir", "mkdir"], ["open", "fsync", "open", "fsync"]
    assert disk.calls == [*made, *synced, "open", "fsync", "chmod", "replace", "open", "fsync"]


def test_the_folder_that_a_new_folder_lies_in_is_the_one_that_is_brought_to_disk(tmp_path, monkeypatch):
    opened, plain_open = [], os.open

    def watched(path, *arguments, **keywords):
        opened.append(os.fspath(path))
        return plain_open(path, *arguments, **keywords)

    monkeypatch.setattr(os, "open", watched)
    write_bytes(tmp_path / "new" / "file", b"")
    first, *_, last = opened
    assert (first, last) == (str(tmp_path), str(tmp_path / "new"))


def test_a_power_cut_at_any_moment_leaves_the_old_content_or_the_new(old, power_cuts):
    found = []
    for _ in power_cuts(lambda: write_bytes(old, b"new")):
        found.append(old.read_bytes())
        assert found[-1] in (b"old", b"new")
        old.write_bytes(b"old")
    assert set(found) == {b"old", b"new"}


@pytest.mark.parametrize("call", ["open", "fsync", "chmod", "replace"])
@pytest.mark.parametrize(
    ("code", "advice"), [(errno.ENOSPC, "make room"), (errno.EROFS, "another place"), (errno.EACCES, "another place")]
)
def test_a_failing_disk_leaves_the_old_file_alone_and_says_what_to_do(old, disk, call, code, advice):
    disk.fails[call] = code
    with pytest.raises(StorageError, match=advice) as caught:
        write_bytes(old, b"new")
    assert str(old) in str(caught.value)
    assert old.read_bytes() == b"old"
    assert names(old.parent) == ["file"]


def test_a_disk_that_takes_only_part_of_the_bytes_leaves_the_old_file_alone(old):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    try:
        with pytest.raises(StorageError, match="Cannot write"):
            write_bytes(old, bytes(100_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert old.read_bytes() == b"old"
    assert names(old.parent) == ["file"]


@pytest.mark.parametrize("reason", [ValueError, KeyboardInterrupt])
def test_what_goes_wrong_while_writing_leaves_the_old_file_alone(old, reason):
    def write_half():
        with atomic_writer(old) as file:
            file.write(b"half of the n")
            raise reason

    with pytest.raises(reason):
        write_half()
    assert old.read_bytes() == b"old"
    assert names(old.parent) == ["file"]


def test_places_that_cannot_be_written_to_are_named(tmp_path, old):
    (tmp_path / "folder").mkdir()
    hopeless = {
        old / "below a file": "choose another place",
        old / "far" / "below": "choose another place",
        tmp_path / "folder": "a folder of that name is in the way",
        tmp_path / ("long" * 100): "choose a shorter one",
    }
    for path, advice in hopeless.items():
        with pytest.raises(StorageError, match=advice) as caught:
            write_bytes(path, b"new")
        assert str(path) in str(caught.value)
    assert names(tmp_path) == ["file", "folder"]


@pytest.mark.parametrize("mask", [0o022, 0o077, 0o002])
def test_permissions_are_those_that_the_user_gives_to_new_files(tmp_path, mask):
    before = os.umask(mask)
    try:
        write_bytes(tmp_path / "file", b"")
        assert os.umask(mask) == mask
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o666 & ~mask
