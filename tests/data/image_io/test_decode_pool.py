"""Batches decoded in worker processes equal those of `decode_images`, even if workers are killed."""

import os
import signal

import numpy as np
import pytest
from PIL import Image

from tinysight._util.progress import SilentProgress
from tinysight.data.image_io import decode_images, decode_pool
from tinysight.data.image_io.decode_pool import decode_batches

SIZE = (6, 9)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Forty small images of several sizes; two are unreadable, one is missing."""
    folder, random = tmp_path_factory.mktemp("files"), np.random.default_rng(0)
    paths = [folder / f"ä {number}.png" for number in range(40)]
    for number, path in enumerate(paths):
        Image.fromarray(random.integers(0, 256, (8 + number, 12, 3), dtype=np.uint8)).save(path)
    paths[3].write_bytes(b"")
    paths[17].write_bytes(b"not an image")
    paths[39].unlink()
    return paths


@pytest.fixture(params=[1, 1000], ids=["processes", "inline"])
def _many(request, monkeypatch):
    monkeypatch.setattr(decode_pool, "MIN_FILES_FOR_PROCESSES", request.param)


class RecordingProgress(SilentProgress):
    def __init__(self):
        self.total, self.advanced, self.finished = 0, 0, 0

    def start(self, task, total, unit=""):
        self.total += total

    def advance(self, amount, **figures):
        self.advanced += amount

    def finish(self, line=""):
        self.finished += 1


def in_batches(files, size=7):
    return [files[start : start + size] for start in range(0, len(files), size)]


@pytest.mark.usefixtures("_many")
def test_batches_equal_a_single_decode(files):
    progress = RecordingProgress()
    decoded = list(decode_batches(in_batches(files), len(files), SIZE, progress))

    pixels, failures = decode_images(files, SIZE)
    np.testing.assert_array_equal(np.concatenate([batch for batch, _ in decoded]), pixels)
    assert [
        (7 * number + index, message) for number, (_, failed) in enumerate(decoded) for index, message in failed
    ] == failures
    assert len(failures) == 3
    assert (progress.total, progress.advanced, progress.finished) == (40, 40, 1)


@pytest.mark.usefixtures("_many")
def test_closing_early_stops_all_workers(files, monkeypatch):
    started = record_processes(monkeypatch)
    progress = RecordingProgress()
    decoding = decode_batches(in_batches(files, 2), len(files), SIZE, progress)
    next(decoding)
    decoding.close()

    assert progress.finished == 1
    assert all(process.poll() is not None for process in started)


def record_processes(monkeypatch):
    """Return a list that will receive every process started from now on."""
    started, popen = [], decode_pool.subprocess.Popen

    def start(*arguments, **keywords):
        started.append(popen(*arguments, **keywords))
        return started[-1]

    monkeypatch.setattr(decode_pool.subprocess, "Popen", start)
    return started


def test_killed_workers_lose_no_images(files, monkeypatch):
    monkeypatch.setattr(decode_pool, "MIN_FILES_FOR_PROCESSES", 1)
    started = record_processes(monkeypatch)
    decoding = decode_batches(in_batches(files, 2), len(files), SIZE, SilentProgress())
    decoded = [next(decoding)]
    for process in started:
        os.kill(process.pid, signal.SIGKILL)
    decoded += decoding

    np.testing.assert_array_equal(np.concatenate([batch for batch, _ in decoded]), decode_images(files, SIZE)[0])


def test_workers_decode_and_do_not_import_from_the_working_folder(files, monkeypatch, tmp_path):
    expected = decode_images(files[:5], SIZE)
    monkeypatch.setattr(decode_pool, "MIN_FILES_FOR_PROCESSES", 1)
    monkeypatch.setattr(decode_pool, "decode_images", None)  # nothing is decoded in this process
    (tmp_path / "json.py").write_text("raise SystemExit('imported from the working folder')")
    monkeypatch.chdir(tmp_path)
    ((pixels, failures),) = decode_batches([files[:5]], 5, SIZE, SilentProgress())

    np.testing.assert_array_equal(pixels, expected[0])
    assert failures == expected[1]
