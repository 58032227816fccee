"""Locks between processes, released when their process is killed."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from tinysight._util.errors import RunError, StorageError
from tinysight._util.locks import exclusive_lock, file_lock, is_locked
from tinysight._util.progress import SilentProgress

HOLD = """
import sys, time
from pathlib import Path
from tinysight._util.locks import file_lock

with file_lock(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""
TAKEN = RunError("run: another process is training in this directory. Wait until it ends.")


class Notes(SilentProgress):
    """Progress that records notices, and calls `event` on each."""

    def __init__(self, event=lambda: None):
        self.notes, self.event = [], event

    def note(self, message):
        self.notes.append(message)
        self.event()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "folder" / "lock"


@pytest.fixture
def holder(path):
    """Another process that holds the lock."""
    command = [sys.executable, "-c", HOLD, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_a_free_lock_is_taken_without_a_notice(path):
    progress = Notes()
    with file_lock(path, progress):
        assert is_locked(path)
    assert not is_locked(path)
    assert progress.notes == []


def test_a_killed_process_releases_its_lock(path, holder):
    progress = Notes(event=holder.kill)
    with file_lock(path, progress):
        assert holder.wait(60) != 0
    assert progress.notes == [f"Waiting for another process to release {path}."]


def test_threads_exclude_each_other(path):
    inside, most = [], []

    def work(number):
        with file_lock(path):
            inside.append(number)
            most.append(len(inside))
            inside.remove(number)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(40)))
    assert most == [1] * 40


def test_a_taken_lock_raises_the_given_error(path, holder):
    with pytest.raises(RunError, match="another process is training"), exclusive_lock(path, TAKEN):
        raise AssertionError
    holder.kill()
    holder.wait()
    with exclusive_lock(path, TAKEN):
        assert is_locked(path)
    assert not is_locked(path)


def test_an_error_inside_the_block_releases_the_lock(path):
    for lock in (lambda: file_lock(path), lambda: exclusive_lock(path, TAKEN)):
        with pytest.raises(BlockingIOError), lock():
            raise BlockingIOError
        assert not is_locked(path)


def test_a_lock_of_another_process_is_seen(path, holder):
    assert is_locked(path)
    holder.kill()
    holder.wait()
    assert not is_locked(path)


def test_a_missing_file_is_not_locked_and_not_created(path):
    assert not is_locked(path)
    assert not path.exists()


def test_a_path_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").touch()
    for lock in (file_lock, lambda path: exclusive_lock(path, TAKEN)):
        with pytest.raises(StorageError, match="Choose another folder"), lock(tmp_path / "file" / "lock"):
            raise AssertionError
