import threading

import numpy as np
import pytest
from PIL import Image

from tinysight.data.image_io import decoding, read_crops, read_image
from tinysight.data.image_io.decoding import decode_images, decode_in_chunks


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
