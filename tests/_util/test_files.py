"""Atomic writes under full disks, power cuts and exceptions."""

import errno
import os
import stat

import pytest

from tinysight._util.errors import StorageError
from tinysight._util.files import atomic_writer, write_bytes, write_text


@pytest.fixture
def old(tmp_path):
    """An existing file, to be overwritten."""
    path = tmp_path / "file"
    path.write_bytes(b"old")
    return path


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_write_leaves_only_the_file(tmp_path):
    write_bytes(tmp_path / "new folder" / "file", b"\x00\xff")
    write_text(tmp_path / "text", "žluťoučký\n")
    assert (tmp_path / "new folder" / "file").read_bytes() == b"\x00\xff"
    assert (tmp_path / "text").read_bytes() == "žluťoučký\n".encode()
    assert names(tmp_path) == ["new folder", "text"]
    assert names(tmp_path / "new folder") == ["file"]


def test_an_existing_file_is_replaced(old):
    write_bytes(old, b"new")
    assert old.read_bytes() == b"new"
    assert names(old.parent) == ["file"]


def test_the_content_is_synced_before_the_rename_and_the_rename_before_the_return(old, disk):
    write_bytes(old, b"new")
    assert disk.calls == ["mkdir", "open", "fsync", "chmod", "replace", "open", "fsync"]


def test_new_folders_are_synced_before_the_file(tmp_path, disk):
    write_bytes(tmp_path / "new" / "folder" / "file", b"")
    made, synced = ["mkdir", "mkdir", "mkdir"], ["open", "fsync", "open", "fsync"]
    assert disk.calls == [*made, *synced, "open", "fsync", "chmod", "replace", "open", "fsync"]


def test_the_parent_of_a_new_folder_is_synced(tmp_path, monkeypatch):
    opened, real_open = [], os.open

    def recording_open(path, *arguments, **keywords):
        opened.append(os.fspath(path))
        return real_open(path, *arguments, **keywords)

    monkeypatch.setattr(os, "open", recording_open)
    write_bytes(tmp_path / "new" / "file", b"")
    first, *_, last = opened
    assert (first, last) == (str(tmp_path), str(tmp_path / "new"))


def test_a_power_cut_leaves_the_old_or_the_new_content(old, power_cuts):
    contents = []
    for _ in power_cuts(lambda: write_bytes(old, b"new")):
        contents.append(old.read_bytes())
        assert contents[-1] in (b"old", b"new")
        old.write_bytes(b"old")
    assert set(contents) == {b"old", b"new"}


@pytest.mark.parametrize("call", ["open", "fsync", "chmod", "replace"])
@pytest.mark.parametrize(
    ("code", "advice"),
    [(errno.ENOSPC, "Free some space"), (errno.EROFS, "another folder"), (errno.EACCES, "another folder")],
)
def test_a_failing_disk_keeps_the_old_file_and_gives_advice(old, disk, call, code, advice):
    disk.fails[call] = code
    with pytest.raises(StorageError, match=advice) as caught:
        write_bytes(old, b"new")
    assert str(old) in str(caught.value)
    assert old.read_bytes() == b"old"
    assert names(old.parent) == ["file"]


def test_a_partial_write_keeps_the_old_file(old):
    resource = pytest.importorskip("resource")
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
def test_an_exception_while_writing_keeps_the_old_file(old, reason):
    def write_half():
        with atomic_writer(old) as file:
            file.write(b"half of the n")
            raise reason

    with pytest.raises(reason):
        write_half()
    assert old.read_bytes() == b"old"
    assert names(old.parent) == ["file"]


def test_unwritable_paths_are_named(tmp_path, old):
    (tmp_path / "folder").mkdir()
    unwritable = {
        old / "below a file": "Choose another folder",
        old / "far" / "below": "Choose another folder",
        tmp_path / "folder": "a folder of that name exists",
        tmp_path / ("long" * 100): "Choose a shorter one",
    }
    for path, advice in unwritable.items():
        with pytest.raises(StorageError, match=advice) as caught:
            write_bytes(path, b"new")
        assert str(path) in str(caught.value)
    assert names(tmp_path) == ["file", "folder"]


@pytest.mark.parametrize("mask", [0o022, 0o077, 0o002])
def test_permissions_follow_the_umask(tmp_path, mask):
    before = os.umask(mask)
    try:
        write_bytes(tmp_path / "file", b"")
        assert os.umask(mask) == mask
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o666 & ~mask
