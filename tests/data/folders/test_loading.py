import os
import shutil
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from tinysight.data import pixels
from tinysight.data.folders import chunks, load, pixel_cache
from tinysight.errors import DataError, StorageError
from tinysight.progress import Silent


def paint(folder, shades):
    """Write one grey PNG for each name and shade."""
    for name, shade in shades.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (8, 8), shade).save(folder / name)


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache"


@pytest.fixture
def pets(tmp_path):
    """Twenty cats of shades 0 to 19 and ten dogs of shades 100 to 109, in no splits."""
    folder = tmp_path / "pets"
    paint(folder, {f"cat/{shade:03}.png": shade for shade in range(20)})
    paint(folder, {f"dog/{shade:03}.png": shade for shade in range(100, 110)})
    return folder


@pytest.fixture
def divided(tmp_path):
    folder = tmp_path / "divided"
    paint(folder, {"train/cat/1.png": 1, "train/cat/2.png": 2, "train/dog/3.png": 3, "train/dog/4.png": 4})
    paint(folder, {"test/cat/5.png": 5, "test/dog/6.png": 6, "val/cat/7.png": 7})
    return folder


class Listener(Silent):
    def __init__(self):
        self.notes = []
        self.decoded = 0

    def advance(self, amount, **figures):
        self.decoded += amount

    def note(self, message):
        self.notes.append(message)


def shades(part):
    return part.pixels[:, 0, 0, 0].tolist()


def described(part):
    """Return shade, label and file of each image of a part, in an order that can be compared."""
    return sorted(zip(shades(part), part.labels.tolist(), part.files, strict=True))


def test_splits_become_parts_with_pixels_labels_and_files(divided, cache):
    dataset = load(divided, (5, 7), cache=cache)

    assert dataset.name == "divided"
    assert str(divided) in dataset.source
    assert dataset.class_names == ("cat", "dog")
    assert dataset.image_size == (5, 7)
    assert dataset.remarks == ()
    assert dataset.published is None
    assert described(dataset.train) == [
        (1, 0, "train/cat/1.png"),
        (2, 0, "train/cat/2.png"),
        (3, 1, "train/dog/3.png"),
        (4, 1, "train/dog/4.png"),
    ]
    assert dataset.train.labels.dtype == np.int64
    assert described(dataset.test) == [(5, 0, "test/cat/5.png"), (6, 1, "test/dog/6.png")]
    assert described(dataset.validation) == [(7, 0, "val/cat/7.png")]


def test_without_a_test_folder_a_fifth_of_every_class_is_set_aside_and_said(pets, cache):
    dataset = load(pets, cache=cache)

    assert Counter(dataset.test.labels.tolist()) == {0: 4, 1: 2}
    assert Counter(dataset.train.labels.tolist()) == {0: 16, 1: 8}
    assert sorted(shades(dataset.train) + shades(dataset.test)) == [*range(20), *range(100, 110)]
    assert len(dataset.remarks) == 1
    assert "6 images, a fifth of every class" in dataset.remarks[0]


def test_pixels_labels_and_files_belong_together(pets, cache):
    dataset = load(pets, cache=cache)

    for part in (dataset.train, dataset.test):
        for shade, label, file in zip(shades(part), part.labels, part.files, strict=True):
            assert file == f"{dataset.class_names[label]}/{shade:03}.png"


def test_images_are_in_an_order_of_chance(pets, cache):
    paint(pets, {f"{name}/more {shade:03}.png": shade for name in ("cat", "dog") for shade in range(40)})
    dataset = load(pets, cache=cache)

    for part in (dataset.train, dataset.test):
        changes = np.count_nonzero(np.diff(part.labels))  # of neighbours; class by class it would be 1
        assert changes > 0.25 * len(part)


def test_the_same_folder_is_the_same_dataset_every_time(pets, tmp_path):
    first, second = load(pets, cache=tmp_path / "a"), load(pets, cache=tmp_path / "b")

    assert first.fingerprint == second.fingerprint


@pytest.mark.parametrize(("count", "images"), [(1, "1 usable image"), (2, "2 usable images")])
def test_a_class_with_an_image_too_few_is_told_how_many_it_has_and_needs(pets, cache, count, images):
    paint(pets, {f"fox/{shade}.png": shade for shade in range(count)})
    with pytest.raises(DataError) as caught:
        load(pets, cache=cache)
    assert str(caught.value) == (
        f"Class fox has {images}, but 3 are needed, one each to learn from, to validate with and to test with; "
        "add more or leave it out."
    )


def test_a_picture_that_cannot_be_read_does_not_count(pets, cache):
    paint(pets, {f"fox/{shade}.png": shade for shade in range(3)})
    (pets / "fox/0.png").write_bytes(b"")
    with pytest.raises(DataError, match="Class fox has 2 usable images, but 3 are needed"):
        load(pets, skip_bad=True, cache=cache)


def test_three_images_of_a_class_are_enough(pets, cache):
    paint(pets, {f"fox/{shade}.png": shade for shade in range(3)})
    dataset = load(pets, cache=cache)
    assert (dataset.train.counts(3)[2], dataset.test.counts(3)[2]) == (2, 1)


def test_where_validation_images_are_set_aside_already_two_are_enough(divided, cache):
    shutil.rmtree(divided / "test")
    dataset = load(divided, cache=cache)
    assert (dataset.train.counts(2), dataset.test.counts(2)) == ([1, 1], [1, 1])
    (divided / "train/cat/1.png").unlink()
    with pytest.raises(DataError, match="Class cat has 1 usable image, but 2 are needed, one each to learn from and"):
        load(divided, cache=cache)


def test_unreadable_files_are_all_named_with_the_way_on(pets, cache):
    (pets / "cat/003.png").write_bytes(b"")
    (pets / "dog/100.png").write_text("woof")
    with pytest.raises(DataError) as caught:
        load(pets, cache=cache)

    message = str(caught.value)
    assert "2 of 30 image files" in message
    assert "--skip-bad" in message
    assert "cat/003.png: empty file" in message
    assert "dog/100.png: not a JPEG" in message


def test_of_many_unreadable_files_ten_are_named(pets, cache):
    for shade in range(13):
        (pets / f"cat/{shade:03}.png").write_bytes(b"")
    with pytest.raises(DataError) as caught:
        load(pets, cache=cache)

    assert "cat/009.png" in str(caught.value)
    assert "cat/010.png" not in str(caught.value)
    assert str(caught.value).endswith("and 3 more")


@pytest.mark.parametrize("times", [1, 2])
def test_skipped_files_are_told_and_the_rest_stays_aligned(pets, cache, times):
    (pets / "cat/003.png").write_bytes(b"")
    (pets / "dog/100.png").unlink()
    (pets / "dog/100.png").symlink_to("nowhere")
    for _ in range(times):  # the second time from the cache
        dataset = load(pets, skip_bad=True, cache=cache)

    told = dataset.remarks[0]
    assert "2 of 30 image files" in told
    assert "cat/003.png, dog/100.png" in told
    assert len(dataset.train) + len(dataset.test) == 28
    for part in (dataset.train, dataset.test):
        for shade, label, file in zip(shades(part), part.labels, part.files, strict=True):
            assert file == f"{dataset.class_names[label]}/{shade:03}.png"


def test_the_name_of_a_skipped_file_does_not_break_out_of_the_line_that_tells_of_it(pets, cache):
    (pets / "cat/a\n\x1b[2J.png").write_bytes(b"")
    told = load(pets, skip_bad=True, cache=cache).remarks[0]
    assert told.isprintable()
    assert r"'cat/a\n\x1b[2J.png'" in told


def test_a_class_without_a_readable_image_is_refused(divided, cache):
    (divided / "test/dog/6.png").write_bytes(b"")
    with pytest.raises(DataError, match="No test image of class dog can be read"):
        load(divided, skip_bad=True, cache=cache)


def decoded_again(folder, cache, **options):
    progress = Listener()
    dataset = load(folder, progress=progress, cache=cache, **options)
    return progress.decoded > 0, dataset


def test_the_second_time_nothing_is_decoded(pets, cache):
    first = load(pets, cache=cache)

    again, second = decoded_again(pets, cache)

    assert not again
    assert second.fingerprint == first.fingerprint


def test_a_refused_folder_needs_no_second_decoding_to_go_on_without_the_bad(pets, cache):
    (pets / "cat/003.png").write_bytes(b"")
    with pytest.raises(DataError):
        load(pets, cache=cache)

    assert not decoded_again(pets, cache, skip_bad=True)[0]


def touch(pets):
    os.utime(pets / "cat/000.png", ns=(1, 1))


def replace(pets):
    paint(pets, {"cat/000.png": 55})


def add(pets):
    paint(pets, {"cat/new.png": 55})


def remove(pets):
    (pets / "cat/000.png").unlink()


def rename(pets):
    (pets / "cat/000.png").rename(pets / "cat/new.png")


@pytest.mark.parametrize("change", [touch, replace, add, remove, rename])
def test_any_change_in_the_folder_decodes_anew(pets, cache, change):
    load(pets, cache=cache)
    change(pets)

    assert decoded_again(pets, cache)[0]


def test_another_size_and_another_intake_decode_anew(pets, cache, monkeypatch):
    load(pets, cache=cache)

    assert decoded_again(pets, cache, image_size=(16, 16))[0]
    monkeypatch.setattr(pixel_cache.reading, "VERSION", -1)
    assert decoded_again(pets, cache)[0]


def test_the_cache_holds_one_entry_for_a_folder_and_size(pets, cache):
    load(pets, cache=cache)
    touch(pets)
    load(pets, cache=cache)

    (entry,) = cache.iterdir()
    assert {path.name for path in entry.iterdir()} == {"pixels", "journal", "lock"}


def flip(content):
    content[len(content) // 2] ^= 1
    return content


PIXEL_DAMAGE = (
    flip,
    lambda content: content[:-1],
    lambda content: content[:40],
    lambda content: b"",
    lambda c: c + b"x",
)
JOURNAL_DAMAGE = (flip, lambda content: content[:40], lambda content: b"")


@pytest.mark.parametrize(
    ("name", "damage"), [*(("pixels", how) for how in PIXEL_DAMAGE), *(("journal", how) for how in JOURNAL_DAMAGE)]
)
def test_a_damaged_cache_is_rebuilt_and_never_trusted(pets, cache, name, damage):
    whole = load(pets, cache=cache)
    (entry,) = cache.iterdir()
    good = {path.name: path.read_bytes() for path in entry.iterdir()}
    (entry / name).write_bytes(damage(bytearray(good[name])))

    again, rebuilt = decoded_again(pets, cache)

    assert again
    assert rebuilt.fingerprint == whole.fingerprint
    assert {path.name: path.read_bytes() for path in entry.iterdir()} == good


@pytest.mark.parametrize(
    "line", [b"[]", b"7", b'{"failed": 3}', b'{"failed": [0], "seal": 1}', b'{"failed": [1e9]}', b"\xff"]
)
def test_a_journal_that_says_something_else_is_never_trusted(pets, cache, line):
    whole = load(pets, cache=cache)
    (entry,) = cache.iterdir()
    (entry / "journal").write_bytes(line + b"\n")

    again, rebuilt = decoded_again(pets, cache)

    assert again
    assert rebuilt.fingerprint == whole.fingerprint


def test_a_file_that_failed_and_was_mended_in_secret_is_noticed(pets, cache):
    bad = pets / "cat/003.png"
    content = bad.read_bytes()
    bad.write_bytes(bytes(len(content)))
    os.utime(bad, ns=(1, 1))
    load(pets, skip_bad=True, cache=cache)
    bad.write_bytes(content)
    os.utime(bad, ns=(1, 1))

    again, dataset = decoded_again(pets, cache)

    assert again
    assert 3 in shades(dataset.train) + shades(dataset.test)


def test_a_cache_that_cannot_be_written_is_noted_and_no_more(pets, tmp_path):
    (tmp_path / "file").write_bytes(b"")
    progress = Listener()

    dataset = load(pets, progress=progress, cache=tmp_path / "file" / "cache")

    assert len(dataset.train) == 24
    assert "not kept for next time" in progress.notes[0]


def no_room(monkeypatch):
    usage = type(shutil.disk_usage("/"))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**12, 10**12, 1000))


def full_later(monkeypatch):
    def append(*_):
        raise StorageError("Cannot write it: the disk is full.")

    monkeypatch.setattr(chunks.ChunkFile, "append", append)


@pytest.mark.parametrize("fill", [no_room, full_later])
def test_a_full_disk_is_noted_and_no_more(pets, cache, monkeypatch, fill):
    fill(monkeypatch)
    (pets / "cat/003.png").write_bytes(b"")
    progress = Listener()
    dataset = load(pets, skip_bad=True, progress=progress, cache=cache)

    assert len(dataset.train) + len(dataset.test) == 29
    assert "not kept for next time" in progress.notes[0]
    for part in (dataset.train, dataset.test):
        assert part.files == tuple(
            f"{dataset.class_names[c]}/{s:03}.png"
            for s, c, _ in zip(shades(part), part.labels, part.files, strict=True)
        )


@pytest.mark.parametrize("fill", [no_room, full_later])
def test_a_full_disk_ends_it_where_the_images_do_not_fit_into_memory_either(pets, cache, monkeypatch, fill):
    fill(monkeypatch)
    monkeypatch.setattr(pixels, "LARGE", 50_000)

    with pytest.raises(StorageError, match=r"The 30 images take 0\.0 GB, too much to go on in memory"):
        load(pets, cache=cache)


def test_the_cache_folder_is_where_the_environment_says(pets, tmp_path, monkeypatch):
    monkeypatch.setenv("TINYSIGHT_CACHE_DIR", str(tmp_path / "chosen"))

    load(pets)

    assert len(list((tmp_path / "chosen" / "folders").iterdir())) == 1
