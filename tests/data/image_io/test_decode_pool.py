"""Batches decoded in worker processes equal those of `decode_images`, even if workers are killed."""

import os
import signal

import numpy as np
import pytest
from PIL import Image

from tinysight._util.hardware import usable_cores
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


def consumed(batches, counts):
    """Yield batches, and append to `counts` for each."""
    for batch in batches:
        counts.append(len(batch))
        yield batch


def test_batches_are_read_two_for_each_worker_ahead(files, monkeypatch):
    monkeypatch.setattr(decode_pool, "MIN_FILES_FOR_PROCESSES", 40)
    counts = []
    decoding = decode_batches(consumed(in_batches(files, 1), counts), 40, SIZE, SilentProgress())
    next(decoding)
    assert len(counts) == 2 * usable_cores() + 1
    next(decoding)
    assert len(counts) == 2 * usable_cores() + 2
    decoding.close()


@pytest.mark.parametrize(("total", "processes"), [(19_999, 0), (20_000, usable_cores())])
def test_20000_files_are_decoded_in_one_process_for_each_core(files, monkeypatch, total, processes):
    started = record_processes(monkeypatch)
    ((pixels, failures),) = decode_batches([files[:4]], total, SIZE, SilentProgress())
    assert len(started) == processes
    np.testing.assert_array_equal(pixels, decode_images(files[:4], SIZE)[0])
    assert [index for index, _ in failures] == [3]
    assert all(process.poll() is not None for process in started)


def test_large_files_are_decoded_in_this_process(files, tmp_path, monkeypatch):
    monkeypatch.setattr(decode_pool, "MIN_FILES_FOR_PROCESSES", 1)
    large = tmp_path / "large.png"
    noise = np.random.default_rng(0).integers(0, 256, (100, 100, 3), dtype=np.uint8)
    Image.fromarray(noise).save(large)
    decoded_here = []

    def note(batch, size):
        decoded_here.append(list(batch))
        return decode_images(batch, size)

    monkeypatch.setattr(decode_pool, "decode_images", note)
    results = list(decode_batches([files[:2], [large]], 3, SIZE, SilentProgress()))
    assert decoded_here == [[large]]
    np.testing.assert_array_equal(results[1][0], decode_images([large], SIZE)[0])


@pytest.mark.usefixtures("_many")
def test_an_error_while_listing_files_stops_all_workers(files, monkeypatch):
    started, progress = record_processes(monkeypatch), RecordingProgress()

    def failing():
        yield files[:2]
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        list(decode_batches(failing(), 40, SIZE, progress))
    assert progress.finished == 1
    assert all(process.poll() is not None for process in started)


@pytest.mark.usefixtures("_many")
def test_no_batches_and_empty_batches_give_no_pixels():
    assert list(decode_batches([], 1000, SIZE, SilentProgress())) == []
    ((pixels, failures),) = decode_batches([[]], 1000, SIZE, SilentProgress())
    assert (pixels.shape, failures) == ((0, 3, 6, 9), [])
