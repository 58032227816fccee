"""A cache that was left unfinished is gone on with, whatever was left of it, and never taken for whole."""

import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tinysight.data import pixels
from tinysight.data.folders import load, pixel_cache
from tinysight.progress import Silent

SCRIPT = Path(__file__).parent / "load_until_killed.py"
FILES, CHUNK = 30, 4


@pytest.fixture(scope="module")
def pets(tmp_path_factory):
    """Fifteen cats, two of them broken, and fifteen dogs."""
    folder, random = tmp_path_factory.mktemp("pets"), np.random.default_rng(0)
    for name in ("cat", "dog"):
        (folder / name).mkdir()
        for number in range(FILES // 2):
            image = random.integers(0, 256, (8, 8, 3), dtype=np.uint8)
            Image.fromarray(image).save(folder / name / f"{number:02}.png")
    for broken in ("cat/03.png", "cat/11.png"):
        (folder / broken).write_bytes(b"no picture")
    return folder


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch):
    monkeypatch.setattr(pixel_cache, "CHUNK", CHUNK)


@pytest.fixture(scope="module")
def expected(pets, tmp_path_factory):
    return load(pets, (8, 8), skip_bad=True, cache=tmp_path_factory.mktemp("other"))


class Counter(Silent):
    """Counts what is decoded, and is interrupted behind so many."""

    def __init__(self, most=FILES + 1):
        self.decoded, self.most, self.notes = 0, most, []

    def advance(self, amount, **figures):
        self.decoded += amount
        if self.decoded >= self.most:
            raise KeyboardInterrupt

    def note(self, message):
        self.notes.append(message)


def interrupted(pets, cache, behind):
    with pytest.raises(KeyboardInterrupt):
        load(pets, (8, 8), skip_bad=True, progress=Counter(behind), cache=cache)


def gone_on(pets, cache):
    progress = Counter()
    return progress, load(pets, (8, 8), skip_bad=True, progress=progress, cache=cache)


def same(dataset, expected):
    assert dataset.fingerprint == expected.fingerprint
    assert dataset.remarks == expected.remarks
    assert [part.files for part in dataset.parts.values()] == [part.files for part in expected.parts.values()]


@pytest.mark.parametrize("behind", [1, CHUNK, 2 * CHUNK + 1, FILES])
def test_what_was_decoded_before_an_interruption_is_kept(pets, tmp_path, expected, behind):
    interrupted(pets, tmp_path, behind)
    progress, dataset = gone_on(pets, tmp_path)

    kept = (behind - 1) // CHUNK * CHUNK
    assert progress.decoded == FILES - kept
    assert progress.notes == ([f"{kept} of {FILES} images were decoded before; going on."] if kept else [])
    same(dataset, expected)
    assert gone_on(pets, tmp_path)[0].decoded == 0


@settings(max_examples=25)
@given(pixels_left=st.floats(0, 1), journal_left=st.floats(0, 1), flipped=st.none() | st.floats(0, 0.999))
def test_whatever_power_loss_left_of_it_comes_to_the_same(
    pets, tmp_path_factory, expected, pixels_left, journal_left, flipped
):
    cache = tmp_path_factory.mktemp("cache")
    interrupted(pets, cache, 6 * CHUNK + 1)
    (entry,) = cache.iterdir()
    for path, left in ((entry / "pixels.part", pixels_left), (entry / "journal", journal_left)):
        content = bytearray(path.read_bytes())
        del content[round(left * len(content)) :]
        if flipped is not None and content:
            content[int(flipped * len(content))] ^= 16
        path.write_bytes(content)

    same(gone_on(pets, cache)[1], expected)
    assert gone_on(pets, cache)[0].decoded == 0


def test_files_that_changed_meanwhile_are_decoded_anew(pets, tmp_path, expected):
    interrupted(pets, tmp_path, 4 * CHUNK + 1)
    changed = expected.test.files[0]  # among the last that are decoded
    before = (pets / changed).read_bytes()
    try:
        Image.new("RGB", (8, 8), "red").save(pets / changed)
        progress, dataset = gone_on(pets, tmp_path)
    finally:
        (pets / changed).write_bytes(before)

    assert progress.decoded == FILES - 4 * CHUNK
    assert dataset.test.pixels[0, :, 0, 0].tolist() == [255, 0, 0]
    same(gone_on(pets, tmp_path)[1], expected)


def test_two_that_want_the_same_decode_it_once(pets, tmp_path, expected):
    found, counters = [], [Counter(), Counter()]

    def work(counter):
        found.append(load(pets, (8, 8), skip_bad=True, progress=counter, cache=tmp_path))

    threads = [threading.Thread(target=work, args=(counter,)) for counter in counters]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sum(counter.decoded for counter in counters) == FILES
    for dataset in found:
        same(dataset, expected)


def test_who_has_it_open_keeps_what_another_decodes_anew(pets, tmp_path, expected, monkeypatch):
    monkeypatch.setattr(pixels, "LARGE", 0)
    held = gone_on(pets, tmp_path)[1]
    assert pixels.mapped(held.train.pixels)
    (entry,) = tmp_path.iterdir()
    (entry / "journal").write_bytes(b"")

    assert gone_on(pets, tmp_path)[0].decoded == FILES
    same(held, expected)


@pytest.mark.slow
def test_killed_again_and_again_it_is_finished_in_the_end(pets, tmp_path, expected):
    for moment in (2, 5, 6):
        done = subprocess.run([sys.executable, SCRIPT, pets, tmp_path, str(moment)], capture_output=True, text=True)
        assert done.returncode == -signal.SIGKILL, done.stderr

    progress, dataset = gone_on(pets, tmp_path)
    assert 0 < progress.decoded < FILES
    same(dataset, expected)
