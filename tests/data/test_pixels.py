"""Mapped pixels: the same as those in memory, never written to, and let go of after they were looked at."""

import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from tinysight.data import pixels
from tinysight.data.pixels import gathered, mapped, open_pixels, portions

SHAPE = (300, 3, 32, 32)
GATHER = """  # takes every twentieth of 300 MB, and tells by how much the peak of its memory grew
import resource, sys, numpy as np
from pathlib import Path
from tinysight.data import pixels
shape = (100_000, 3, 32, 32)
np.zeros(shape, np.uint8).tofile(sys.argv[1])
pixels.LARGE = 0
opened = pixels.open_pixels(Path(sys.argv[1]), shape)
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
before = peak()
pixels.gathered(opened, np.arange(0, len(opened), 20))
print(peak() - before)
"""


@pytest.fixture
def images():
    return np.random.default_rng(0).integers(0, 256, SHAPE, dtype=np.uint8)


@pytest.fixture
def opened(images, tmp_path, monkeypatch):
    monkeypatch.setattr(pixels, "LARGE", 1000)
    (tmp_path / "pixels").write_bytes(images.tobytes())
    return open_pixels(tmp_path / "pixels", SHAPE)


def resident():
    """Return the bytes of mapped files that count as memory of this process."""
    if not Path("/proc/self/status").exists():
        pytest.skip("this system does not say")
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssFile"):
            return int(line.split()[1]) * 1024
    pytest.skip("this system does not say")


def test_few_are_read_into_memory_and_many_are_mapped(images, opened, tmp_path, monkeypatch):
    monkeypatch.setattr(pixels, "LARGE", images.nbytes)
    few = open_pixels(tmp_path / "pixels", SHAPE)

    assert mapped(opened)
    assert not mapped(few)
    for found in (opened, few):
        np.testing.assert_array_equal(found, images)


def test_views_are_mapped_and_copies_are_not(opened):
    assert mapped(opened[10:20][:, 0])
    assert not mapped(opened[[1, 2]])
    assert not mapped(opened.copy())


def test_a_map_that_somebody_else_made_is_left_alone(images, tmp_path):
    (tmp_path / "theirs").write_bytes(images.tobytes())
    theirs = np.memmap(tmp_path / "theirs", np.uint8, "c", shape=SHAPE)
    theirs[7] = 9  # in memory alone: to let go of the page would undo it

    assert not mapped(theirs)
    assert [(portion == 9).all() for portion in portions(theirs, 1)][7]
    assert (gathered(theirs, np.array([7])) == 9).all()


def test_mapped_pixels_cannot_be_changed(opened):
    with pytest.raises(ValueError, match="read-only"):
        opened[0] = 0


@pytest.mark.parametrize("count", [1, 7, 300, 1000, None])
def test_portions_are_all_images_in_order(images, opened, count):
    for source in (images, opened):
        found = list(portions(source, count))
        np.testing.assert_array_equal(np.concatenate(found), images)
        assert [len(portion) for portion in found[:-1]] == [count or 300] * (len(found) - 1)


def test_torch_takes_portions_of_mapped_pixels_as_they_are(opened):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert sum(len(torch.from_numpy(portion)) for portion in portions(opened, 64)) == 300


def test_of_no_images_there_are_no_portions():
    assert list(portions(np.empty((0, 3, 4, 4), np.uint8))) == []


def test_gathered_takes_indices_and_masks(images, opened):
    chosen = np.array([3, 3, 250, 0])
    np.testing.assert_array_equal(gathered(opened, chosen), images[chosen])
    mask = np.arange(300) % 2 == 0
    np.testing.assert_array_equal(gathered(opened, mask), images[mask])


def test_what_was_looked_at_is_no_memory_of_the_process_any_more(tmp_path, monkeypatch):
    monkeypatch.setattr(pixels, "LARGE", 1000)
    count = 20_000  # 60 MB
    np.zeros((count, *SHAPE[1:]), np.uint8).tofile(tmp_path / "pixels")
    opened = open_pixels(tmp_path / "pixels", (count, *SHAPE[1:]))

    before = resident()
    assert not opened.any()
    held = resident() - before
    for _ in portions(opened):
        pass
    let_go = resident() - before

    assert held > 50e6
    assert let_go < 10e6


def test_images_from_all_over_a_file_take_no_more_memory_than_themselves(tmp_path):
    done = subprocess.run([sys.executable, "-c", GATHER, str(tmp_path / "pixels")], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 100e6


def test_a_file_that_is_too_short_is_not_opened(opened, tmp_path):
    with pytest.raises(ValueError, match="mmap length"):
        open_pixels(tmp_path / "pixels", (301, *SHAPE[1:]))
