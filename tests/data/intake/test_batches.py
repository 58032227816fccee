"""Batches decoded beside this process are what `decode` makes of them, whatever happens to the helpers."""

import os
import signal

import numpy as np
import pytest
from PIL import Image

from tinysight.data.intake import batches as beside
from tinysight.data.intake import decode
from tinysight.data.intake.batches import decode_batches
from tinysight.progress import Silent

SIZE = (6, 9)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Forty small pictures of several sizes; two cannot be read, one is not there."""
    folder, random = tmp_path_factory.mktemp("files"), np.random.default_rng(0)
    paths = [folder / f"ä {number}.png" for number in range(40)]
    for number, path in enumerate(paths):
        Image.fromarray(random.integers(0, 256, (8 + number, 12, 3), dtype=np.uint8)).save(path)
    paths[3].write_bytes(b"")
    paths[17].write_bytes(b"no picture")
    paths[39].unlink()
    return paths


@pytest.fixture(params=[1, 1000], ids=["beside", "here"])
def _many(request, monkeypatch):
    monkeypatch.setattr(beside, "MANY", request.param)


class Listener(Silent):
    def __init__(self):
        self.total, self.seen, self.over = 0, 0, 0

    def start(self, task, total, unit=""):
        self.total += total

    def advance(self, amount, **figures):
        self.seen += amount

    def finish(self, line=""):
        self.over += 1


def in_batches(files, size=7):
    return [files[start : start + size] for start in range(0, len(files), size)]


@pytest.mark.usefixtures("_many")
def test_batches_are_decoded_as_at_once(files):
    progress = Listener()
    decoded = list(decode_batches(in_batches(files), len(files), SIZE, progress))

    pixels, failures = decode(files, SIZE)
    np.testing.assert_array_equal(np.concatenate([batch for batch, _ in decoded]), pixels)
    assert [
        (7 * number + index, told) for number, (_, failed) in enumerate(decoded) for index, told in failed
    ] == failures
    assert len(failures) == 3
    assert (progress.total, progress.seen, progress.over) == (40, 40, 1)


@pytest.mark.usefixtures("_many")
def test_whoever_stops_early_leaves_nobody_behind(files, monkeypatch):
    started = record(monkeypatch)
    progress = Listener()
    decoding = decode_batches(in_batches(files, 2), len(files), SIZE, progress)
    next(decoding)
    decoding.close()

    assert progress.over == 1
    assert all(helper.poll() is not None for helper in started)


def record(monkeypatch):
    """Return a list to which every process is added that is started from now on."""
    started, popen = [], beside.subprocess.Popen

    def start(*arguments, **keywords):
        started.append(popen(*arguments, **keywords))
        return started[-1]

    monkeypatch.setattr(beside.subprocess, "Popen", start)
    return started


def test_a_helper_that_is_killed_is_not_missed(files, monkeypatch):
    monkeypatch.setattr(beside, "MANY", 1)
    started = record(monkeypatch)
    decoding = decode_batches(in_batches(files, 2), len(files), SIZE, Silent())
    found = [next(decoding)]
    for helper in started:
        os.kill(helper.pid, signal.SIGKILL)
    found += decoding

    np.testing.assert_array_equal(np.concatenate([batch for batch, _ in found]), decode(files, SIZE)[0])


def test_helpers_do_the_work_and_run_nothing_that_lies_about(files, monkeypatch, tmp_path):
    expected = decode(files[:5], SIZE)
    monkeypatch.setattr(beside, "MANY", 1)
    monkeypatch.setattr(beside, "decode", None)  # nothing is decoded in this process
    (tmp_path / "json.py").write_text("raise SystemExit('taken from the folder it was started in')")
    monkeypatch.chdir(tmp_path)
    ((pixels, failures),) = decode_batches([files[:5]], 5, SIZE, Silent())

    np.testing.assert_array_equal(pixels, expected[0])
    assert failures == expected[1]
