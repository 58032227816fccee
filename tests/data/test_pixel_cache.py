"""Resuming an unfinished pixel cache, whatever an interruption left of it."""

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

from tinysight._util.progress import SilentProgress
from tinysight.data import pixel_cache, pixels
from tinysight.data.sources.folder import load_folder

SCRIPT = Path(__file__).parent / "load_until_killed.py"
FILES, CHUNK = 30, 4


@pytest.fixture(scope="module")
def pets(tmp_path_factory):
    """Fifteen cat images, two of them broken, and fifteen dog images."""
    folder, random = tmp_path_factory.mktemp("pets"), np.random.default_rng(0)
    for name in ("cat", "dog"):
        (folder / name).mkdir()
        for number in range(FILES // 2):
            image = random.integers(0, 256, (8, 8, 3), dtype=np.uint8)
            Image.fromarray(image).save(folder / name / f"{number:02}.png")
    for broken in ("cat/03.png", "cat/11.png"):
        (folder / broken).write_bytes(b"not an image")
    return folder


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch):
    monkeypatch.setattr(pixel_cache, "FILES_PER_CHUNK", CHUNK)


@pytest.fixture(scope="module")
def expected(pets, tmp_path_factory):
    return load_folder(pets, (8, 8), skip_unreadable=True, cache=tmp_path_factory.mktemp("other"))


class Counter(SilentProgress):
    """Counts decoded images and raises KeyboardInterrupt after `limit` of them."""

    def __init__(self, limit=FILES + 1):
        self.decoded, self.limit, self.notes = 0, limit, []

    def advance(self, amount, **figures):
        self.decoded += amount
        if self.decoded >= self.limit:
            raise KeyboardInterrupt

    def note(self, message):
        self.notes.append(message)


def interrupt(pets, cache, after):
    with pytest.raises(KeyboardInterrupt):
        load_folder(pets, (8, 8), skip_unreadable=True, progress=Counter(after), cache=cache)


def resume(pets, cache):
    progress = Counter()
    return progress, load_folder(pets, (8, 8), skip_unreadable=True, progress=progress, cache=cache)


def assert_same(dataset, expected):
    assert dataset.fingerprint == expected.fingerprint
    assert dataset.notes == expected.notes
    assert [part.files for part in dataset.splits.values()] == [part.files for part in expected.splits.values()]


@pytest.mark.parametrize("after", [1, CHUNK, 2 * CHUNK + 1, FILES])
def test_complete_chunks_survive_an_interruption(pets, tmp_path, expected, after):
    interrupt(pets, tmp_path, after)
    progress, dataset = resume(pets, tmp_path)

    kept = (after - 1) // CHUNK * CHUNK
    assert progress.decoded == FILES - kept
    assert progress.notes == ([f"Resuming: {kept} of {FILES} images are already decoded."] if kept else [])
    assert_same(dataset, expected)
    assert resume(pets, tmp_path)[0].decoded == 0


@settings(max_examples=25)
@given(pixels_left=st.floats(0, 1), journal_left=st.floats(0, 1), flipped=st.none() | st.floats(0, 0.999))
def test_a_truncated_or_corrupted_cache_gives_the_same_dataset(
    pets, tmp_path_factory, expected, pixels_left, journal_left, flipped
):
    cache = tmp_path_factory.mktemp("cache")
    interrupt(pets, cache, 6 * CHUNK + 1)
    (entry,) = cache.iterdir()
    for path, left in ((entry / "pixels.part", pixels_left), (entry / "journal", journal_left)):
        content = bytearray(path.read_bytes())
        del content[round(left * len(content)) :]
        if flipped is not None and content:
            content[int(flipped * len(content))] ^= 16
        path.write_bytes(content)

    assert_same(resume(pets, cache)[1], expected)
    assert resume(pets, cache)[0].decoded == 0


def test_a_journal_without_its_last_byte_is_continued(pets, tmp_path, expected):
    interrupt(pets, tmp_path, 4 * CHUNK + 1)
    (entry,) = tmp_path.iterdir()
    journal = entry / "journal"
    journal.write_bytes(journal.read_bytes()[:-1])

    progress, dataset = resume(pets, tmp_path)
    assert progress.decoded == FILES - 3 * CHUNK
    assert_same(dataset, expected)
    assert resume(pets, tmp_path)[0].decoded == 0


def test_files_changed_during_an_interruption_are_decoded_again(pets, tmp_path, expected):
    interrupt(pets, tmp_path, 4 * CHUNK + 1)
    changed = expected.test.files[0]  # in one of the last chunks
    before = (pets / changed).read_bytes()
    try:
        Image.new("RGB", (8, 8), "red").save(pets / changed)
        progress, dataset = resume(pets, tmp_path)
    finally:
        (pets / changed).write_bytes(before)

    assert progress.decoded == FILES - 4 * CHUNK
    assert dataset.test.pixels[0, :, 0, 0].tolist() == [255, 0, 0]
    assert_same(resume(pets, tmp_path)[1], expected)


def test_two_threads_decode_the_same_folder_once(pets, tmp_path, expected):
    datasets, counters = [], [Counter(), Counter()]

    def work(counter):
        datasets.append(load_folder(pets, (8, 8), skip_unreadable=True, progress=counter, cache=tmp_path))

    threads = [threading.Thread(target=work, args=(counter,)) for counter in counters]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sum(counter.decoded for counter in counters) == FILES
    for dataset in datasets:
        assert_same(dataset, expected)


def test_a_mapped_dataset_stays_valid_while_the_cache_is_rebuilt(pets, tmp_path, expected, monkeypatch):
    monkeypatch.setattr(pixels, "MAX_IN_MEMORY_BYTES", 0)
    mapped = resume(pets, tmp_path)[1]
    assert pixels.is_memmapped(mapped.train.pixels)
    (entry,) = tmp_path.iterdir()
    (entry / "journal").write_bytes(b"")

    assert resume(pets, tmp_path)[0].decoded == FILES
    assert_same(mapped, expected)


@pytest.mark.slow
def test_decoding_finishes_after_repeated_sigkill(pets, tmp_path, expected):
    for kill_at in (2, 5, 6):
        process = subprocess.run([sys.executable, SCRIPT, pets, tmp_path, str(kill_at)], capture_output=True, text=True)
        assert process.returncode == -signal.SIGKILL, process.stderr

    progress, dataset = resume(pets, tmp_path)
    assert 0 < progress.decoded < FILES
    assert_same(dataset, expected)
