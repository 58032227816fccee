"""Memory-mapped pixels: equal to those in memory, read-only, and released after use."""

import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from tinysight.data import pixels
from tinysight.data.pixels import is_memmapped, iter_chunks, open_pixels, take

SHAPE = (300, 3, 32, 32)
GATHER = """  # reads every 20th image of 300 MB and prints the growth of the peak memory
import resource, sys, numpy as np
from pathlib import Path
from tinysight.data import pixels
shape = (100_000, 3, 32, 32)
np.zeros(shape, np.uint8).tofile(sys.argv[1])
pixels.MAX_IN_MEMORY_BYTES = 0
opened = pixels.open_pixels(Path(sys.argv[1]), shape)
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
before = peak()
pixels.take(opened, np.arange(0, len(opened), 20))
print(peak() - before)
"""


@pytest.fixture
def images():
    return np.random.default_rng(0).integers(0, 256, SHAPE, dtype=np.uint8)


@pytest.fixture
def opened(images, tmp_path, monkeypatch):
    monkeypatch.setattr(pixels, "MAX_IN_MEMORY_BYTES", 1000)
    (tmp_path / "pixels").write_bytes(images.tobytes())
    return open_pixels(tmp_path / "pixels", SHAPE)


def resident():
    """Return the resident bytes of mapped files of this process."""
    if not Path("/proc/self/status").exists():
        pytest.skip("needs /proc")
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssFile"):
            return int(line.split()[1]) * 1024
    pytest.skip("needs /proc")


def test_large_files_are_mapped_and_small_ones_are_read(images, opened, tmp_path, monkeypatch):
    monkeypatch.setattr(pixels, "MAX_IN_MEMORY_BYTES", images.nbytes)
    small = open_pixels(tmp_path / "pixels", SHAPE)

    assert is_memmapped(opened)
    assert not is_memmapped(small)
    for array in (opened, small):
        np.testing.assert_array_equal(array, images)


def test_views_are_mapped_and_copies_are_not(opened):
    assert is_memmapped(opened[10:20][:, 0])
    assert not is_memmapped(opened[[1, 2]])
    assert not is_memmapped(opened.copy())


def test_pages_of_other_memmaps_are_not_released(images, tmp_path):
    (tmp_path / "other").write_bytes(images.tobytes())
    other = np.memmap(tmp_path / "other", np.uint8, "c", shape=SHAPE)
    other[7] = 9  # copy-on-write: releasing the page would lose it

    assert not is_memmapped(other)
    assert [(chunk == 9).all() for chunk in iter_chunks(other, 1)][7]
    assert (take(other, np.array([7])) == 9).all()


def test_mapped_pixels_cannot_be_changed(opened):
    with pytest.raises(ValueError, match="read-only"):
        opened[0] = 0


@pytest.mark.parametrize("count", [1, 7, 300, 1000, None])
def test_chunks_contain_all_images_in_order(images, opened, count):
    for source in (images, opened):
        chunks = list(iter_chunks(source, count))
        np.testing.assert_array_equal(np.concatenate(chunks), images)
        assert [len(chunk) for chunk in chunks[:-1]] == [count or 300] * (len(chunks) - 1)


def test_torch_accepts_chunks_of_mapped_pixels_without_a_warning(opened):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert sum(len(torch.from_numpy(chunk)) for chunk in iter_chunks(opened, 64)) == 300


def test_no_images_give_no_chunks():
    assert list(iter_chunks(np.empty((0, 3, 4, 4), np.uint8))) == []


def test_indices_and_masks(images, opened):
    chosen = np.array([3, 3, 250, 0])
    np.testing.assert_array_equal(take(opened, chosen), images[chosen])
    mask = np.arange(300) % 2 == 0
    np.testing.assert_array_equal(take(opened, mask), images[mask])


def test_pages_are_released_after_each_chunk(tmp_path, monkeypatch):
    monkeypatch.setattr(pixels, "MAX_IN_MEMORY_BYTES", 1000)
    count = 20_000  # 60 MB
    np.zeros((count, *SHAPE[1:]), np.uint8).tofile(tmp_path / "pixels")
    opened = open_pixels(tmp_path / "pixels", (count, *SHAPE[1:]))

    before = resident()
    assert not opened.any()
    held = resident() - before
    for _ in iter_chunks(opened):
        pass
    released = resident() - before

    assert held > 50e6
    assert released < 10e6


def test_scattered_images_take_little_memory(tmp_path):
    done = subprocess.run([sys.executable, "-c", GATHER, str(tmp_path / "pixels")], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 100e6


def test_a_short_file_is_an_error(opened, tmp_path):
    with pytest.raises(ValueError, match="mmap length"):
        open_pixels(tmp_path / "pixels", (301, *SHAPE[1:]))
