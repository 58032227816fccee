import threading

import numpy as np
import pytest
from PIL import Image

from tinysight.data.crops import SIX_CROP
from tinysight.data.image_io import decoding, read_crops, read_image
from tinysight.data.image_io.decoding import decode_crops, decode_images, decode_in_chunks, mostly_small_files


@pytest.fixture
def files(tmp_path):
    """A hundred PNG files, each of a different gray; numbers 7 and 70 are damaged."""
    paths = [tmp_path / f"{number}.png" for number in range(100)]
    for number, path in enumerate(paths):
        Image.new("L", (5, 5), number).save(path)
    paths[7].write_bytes(b"")
    paths[70].write_text("not an image")
    return paths


class RecordingProgress:
    def __init__(self):
        self.events = []

    def start(self, task, total, unit=""):
        self.events.append(("start", total, unit))

    def advance(self, amount, **figures):
        self.events.append(amount)

    def finish(self, line=""):
        self.events.append("finish")

    def note(self, message):
        self.events.append(message)


def test_results_keep_the_order_of_sources(files):
    pixels, failures = decode_images(files, (4, 6))

    assert pixels.shape == (100, 3, 4, 6)
    assert pixels.dtype == np.uint8
    expected = np.arange(100)
    expected[[7, 70]] = 0
    np.testing.assert_array_equal(pixels[:, 1, 2, 3], expected)
    assert [index for index, _ in failures] == [7, 70]
    assert "7.png: empty file" in failures[0][1]
    assert "70.png: not a JPEG" in failures[1][1]


def test_bytes_decode_like_files(files):
    pixels, failures = decode_images([files[5].read_bytes(), b""], (4, 4))

    np.testing.assert_array_equal(pixels[0], read_image(files[5], (4, 4)))
    assert failures == [(1, failures[0][1])]


def test_no_sources_give_no_pixels():
    pixels, failures = decode_images([], (4, 6))

    assert pixels.shape == (0, 3, 4, 6)
    assert failures == []
    assert list(decode_in_chunks([], (4, 6))) == []


def test_progress_counts_every_image(files):
    progress = RecordingProgress()

    decode_images(files, (4, 4), progress)

    start, *amounts, finish = progress.events
    assert start == ("start", 100, "images")
    assert sum(amounts) == 100
    assert len(amounts) > 1
    assert finish == "finish"


def test_an_interrupt_cancels_the_remaining_images(files, monkeypatch):
    started = []

    def count(source, size, looks):
        started.append(source)
        return read_crops(source, size, looks)

    class Interrupting(RecordingProgress):
        def advance(self, amount, **figures):
            raise KeyboardInterrupt

    monkeypatch.setattr(decoding, "read_crops", count)
    with pytest.raises(KeyboardInterrupt):
        decode_images(files * 100, (4, 4), Interrupting())

    assert len(started) < 10_000
    assert not [thread for thread in threading.enumerate() if "ThreadPool" in thread.name]


@pytest.mark.parametrize("chunk", [1, 30, 100, 1024])
def test_chunks_concatenate_to_a_single_decode(files, chunk):
    whole, failures = decode_images(files, (4, 4))
    collected = []
    for part, pixels, failed in decode_in_chunks(files, (4, 4), chunk_size=chunk):
        np.testing.assert_array_equal(pixels[:, 0], whole[part])
        assert len(pixels) <= chunk
        collected += [(part.start + index, message) for index, message in failed]
    assert part.stop == 100
    assert collected == failures


def test_the_next_chunk_is_decoded_in_the_background(files, monkeypatch):
    started = threading.Event()

    def note_second_chunk(source, size, looks):
        if source == files[10]:
            started.set()
        return read_crops(source, size, looks)

    monkeypatch.setattr(decoding, "read_crops", note_second_chunk)
    chunks = decode_in_chunks(files, (4, 4), chunk_size=10)
    next(chunks)

    assert started.wait(timeout=60)
    chunks.close()


def test_progress_advances_by_32_images(files):
    progress = RecordingProgress()
    decode_images(files, (4, 4), progress)
    assert progress.events == [("start", 100, "images"), 32, 32, 32, 4, "finish"]


@pytest.mark.parametrize(
    ("sizes", "small"),
    [
        ([], True),
        ([10_000], True),
        ([10_001], False),
        ([0, 20_000], True),
        ([0, 20_001], False),
        ([1, 20_000, 9_999], True),
        ([2, 20_000, 9_999], False),
    ],
)
def test_files_are_small_up_to_a_mean_of_10000_bytes(sizes, small):
    assert mostly_small_files([bytes(size) for size in sizes]) == small


@pytest.mark.parametrize(("n", "step"), [(64, 1), (127, 1), (128, 2), (191, 2), (192, 3), (640, 10)])
def test_every_kth_of_many_files_is_sampled_so_that_about_64_are(n, step):
    sources = [bytes(10_000) if index % step == 0 else bytes(10_000_000 // n) for index in range(n)]
    assert mostly_small_files(sources)
    sources[step * ((n - 1) // step)] += b"x"
    assert not mostly_small_files(sources)


def test_sizes_are_those_of_files_and_missing_files_count_as_empty(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(bytes(20_000))
    assert mostly_small_files([path, tmp_path / "missing"])
    path.write_bytes(bytes(20_001))
    assert not mostly_small_files([path, tmp_path / "missing"])


def threads_of(sources, monkeypatch, parties):
    """Return the number of threads that decode; each waits until `parties` of them decode at once."""
    barrier, threads = threading.Barrier(parties), set()

    def note_thread(source, size, crops):
        if threading.get_ident() not in threads:
            threads.add(threading.get_ident())
            barrier.wait(timeout=60)
        return read_crops(source, size, crops)

    monkeypatch.setattr(decoding, "read_crops", note_thread)
    monkeypatch.setattr(decoding, "usable_cores", lambda: 2)
    decode_images(sources, (4, 4))
    return len(threads)


def test_large_files_are_decoded_on_all_cores(files, monkeypatch):
    content = files[5].read_bytes() + bytes(20_000)
    assert threads_of([content] * 65, monkeypatch, parties=2) == 2


def test_small_files_are_decoded_by_one_thread(files, monkeypatch):
    assert threads_of([files[5].read_bytes()] * 300, monkeypatch, parties=1) == 1


def test_several_crops_of_many_files(files):
    pixels, failures = decode_crops(files[:9], (4, 4), SIX_CROP)
    assert pixels.shape == (9, 6, 3, 4, 4)
    assert [index for index, _ in failures] == [7]
    assert (pixels[:, :, 0, 0, 0] == [[number if number != 7 else 0] * 6 for number in range(9)]).all()


def test_a_chunk_has_1024_images_by_default():
    parts = [(part, len(failed)) for part, _, failed in decode_in_chunks([b"x"] * 1025, (1, 1))]
    assert parts == [(slice(0, 1024), 1024), (slice(1024, 1025), 1)]


def test_chunks_of_several_crops(files):
    (first, last) = decode_in_chunks(files[:3], (4, 4), SIX_CROP, chunk_size=2)
    assert (first[1].shape, last[1].shape) == ((2, 6, 3, 4, 4), (1, 6, 3, 4, 4))
    assert (first[0], last[0]) == (slice(0, 2), slice(2, 3))
