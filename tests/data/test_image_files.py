import os
import shutil
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from tinysight._util.errors import DataError, StorageError
from tinysight._util.progress import SilentProgress
from tinysight.data import chunk_store, pixel_cache, pixels
from tinysight.data.sources.folder import load_folder


def paint(folder, shades):
    """Write a gray PNG of the given shade for each name."""
    for name, shade in shades.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (8, 8), shade).save(folder / name)


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache"


@pytest.fixture
def pets(tmp_path):
    """Twenty cat images of shades 0 to 19 and ten dog images of shades 100 to 109, without splits."""
    folder = tmp_path / "pets"
    paint(folder, {f"cat/{shade:03}.png": shade for shade in range(20)})
    paint(folder, {f"dog/{shade:03}.png": shade for shade in range(100, 110)})
    return folder


@pytest.fixture
def pets_with_splits(tmp_path):
    folder = tmp_path / "pets_with_splits"
    paint(folder, {"train/cat/1.png": 1, "train/cat/2.png": 2, "train/dog/3.png": 3, "train/dog/4.png": 4})
    paint(folder, {"test/cat/5.png": 5, "test/dog/6.png": 6, "val/cat/7.png": 7})
    return folder


class Listener(SilentProgress):
    def __init__(self):
        self.notes = []
        self.decoded = 0

    def advance(self, amount, **figures):
        self.decoded += amount

    def note(self, message):
        self.notes.append(message)


def shades(part):
    return part.pixels[:, 0, 0, 0].tolist()


def sorted_rows(part):
    """Return the sorted (shade, label, file) triples of a split."""
    return sorted(zip(shades(part), part.labels.tolist(), part.files, strict=True))


def test_split_folders_become_splits(pets_with_splits, cache):
    dataset = load_folder(pets_with_splits, (5, 7), cache=cache)

    assert dataset.name == "pets_with_splits"
    assert str(pets_with_splits) in dataset.source
    assert dataset.class_names == ("cat", "dog")
    assert dataset.image_size == (5, 7)
    assert dataset.notes == ()
    assert dataset.is_official is None
    assert sorted_rows(dataset.train) == [
        (1, 0, "train/cat/1.png"),
        (2, 0, "train/cat/2.png"),
        (3, 1, "train/dog/3.png"),
        (4, 1, "train/dog/4.png"),
    ]
    assert dataset.train.labels.dtype == np.int64
    assert sorted_rows(dataset.test) == [(5, 0, "test/cat/5.png"), (6, 1, "test/dog/6.png")]
    assert sorted_rows(dataset.validation) == [(7, 0, "val/cat/7.png")]


def test_without_a_test_folder_a_fifth_of_each_class_becomes_the_test_split(pets, cache):
    dataset = load_folder(pets, cache=cache)

    assert Counter(dataset.test.labels.tolist()) == {0: 4, 1: 2}
    assert Counter(dataset.train.labels.tolist()) == {0: 16, 1: 8}
    assert sorted(shades(dataset.train) + shades(dataset.test)) == [*range(20), *range(100, 110)]
    assert len(dataset.notes) == 1
    assert "6 images, a fifth of each class, were chosen at random as the test split" in dataset.notes[0]


def test_pixels_labels_and_files_are_aligned(pets, cache):
    dataset = load_folder(pets, cache=cache)

    for part in (dataset.train, dataset.test):
        for shade, label, file in zip(shades(part), part.labels, part.files, strict=True):
            assert file == f"{dataset.class_names[label]}/{shade:03}.png"


def test_images_are_shuffled(pets, cache):
    paint(pets, {f"{name}/more {shade:03}.png": shade for name in ("cat", "dog") for shade in range(40)})
    dataset = load_folder(pets, cache=cache)

    for part in (dataset.train, dataset.test):
        changes = np.count_nonzero(np.diff(part.labels))  # sorted by class it would be 1
        assert changes > 0.25 * len(part)


def test_a_folder_always_gives_the_same_dataset(pets, tmp_path):
    first, second = load_folder(pets, cache=tmp_path / "a"), load_folder(pets, cache=tmp_path / "b")

    assert first.fingerprint == second.fingerprint


@pytest.mark.parametrize(("count", "images"), [(1, "1 usable image"), (2, "2 usable images")])
def test_a_class_with_too_few_images_is_rejected_with_the_required_number(pets, cache, count, images):
    paint(pets, {f"fox/{shade}.png": shade for shade in range(count)})
    with pytest.raises(DataError) as caught:
        load_folder(pets, cache=cache)
    assert str(caught.value) == (
        f"Class fox: {images}, but 3 are needed, one each for train, validation and test. "
        "Add images or remove the class."
    )


def test_unreadable_images_do_not_count(pets, cache):
    paint(pets, {f"fox/{shade}.png": shade for shade in range(3)})
    (pets / "fox/0.png").write_bytes(b"")
    with pytest.raises(DataError, match="Class fox: 2 usable images, but 3 are needed"):
        load_folder(pets, skip_unreadable=True, cache=cache)


def test_three_images_per_class_are_enough(pets, cache):
    paint(pets, {f"fox/{shade}.png": shade for shade in range(3)})
    dataset = load_folder(pets, cache=cache)
    assert (dataset.train.class_counts(3)[2], dataset.test.class_counts(3)[2]) == (2, 1)


def test_two_images_per_class_are_enough_with_a_validation_folder(pets_with_splits, cache):
    shutil.rmtree(pets_with_splits / "test")
    dataset = load_folder(pets_with_splits, cache=cache)
    assert (dataset.train.class_counts(2), dataset.test.class_counts(2)) == ([1, 1], [1, 1])
    (pets_with_splits / "train/cat/1.png").unlink()
    with pytest.raises(DataError, match="Class cat: 1 usable image, but 2 are needed, one each for train and test"):
        load_folder(pets_with_splits, cache=cache)


def test_unreadable_files_are_listed_with_the_fix(pets, cache):
    (pets / "cat/003.png").write_bytes(b"")
    (pets / "dog/100.png").write_text("woof")
    with pytest.raises(DataError) as caught:
        load_folder(pets, cache=cache)

    message = str(caught.value)
    assert "pets: 2 of 30 image files cannot be read." in message
    assert "skip_unreadable=True" in message
    assert "cat/003.png: empty file" in message
    assert "dog/100.png: not a JPEG" in message


def test_at_most_ten_unreadable_files_are_listed(pets, cache):
    for shade in range(13):
        (pets / f"cat/{shade:03}.png").write_bytes(b"")
    with pytest.raises(DataError) as caught:
        load_folder(pets, cache=cache)

    assert "cat/009.png" in str(caught.value)
    assert "cat/010.png" not in str(caught.value)
    assert str(caught.value).endswith("and 3 more")


@pytest.mark.parametrize("times", [1, 2])
def test_skipped_files_are_noted_and_the_rest_stays_aligned(pets, cache, times):
    (pets / "cat/003.png").write_bytes(b"")
    (pets / "dog/100.png").unlink()
    (pets / "dog/100.png").symlink_to("nowhere")
    for _ in range(times):  # the second time from the cache
        dataset = load_folder(pets, skip_unreadable=True, cache=cache)

    note = dataset.notes[0]
    assert "2 of 30 image files" in note
    assert "cannot be read and are skipped: cat/003.png, dog/100.png." in note
    assert len(dataset.train) + len(dataset.test) == 28
    for part in (dataset.train, dataset.test):
        for shade, label, file in zip(shades(part), part.labels, part.files, strict=True):
            assert file == f"{dataset.class_names[label]}/{shade:03}.png"


def test_the_note_on_skipped_files_stays_on_one_line(pets, cache):
    (pets / "cat/a\n\x1b[2J.png").write_bytes(b"")
    note = load_folder(pets, skip_unreadable=True, cache=cache).notes[0]
    assert note.isprintable()
    assert r"'cat/a\n\x1b[2J.png'" in note


def test_a_class_without_readable_images_is_rejected(pets_with_splits, cache):
    (pets_with_splits / "test/dog/6.png").write_bytes(b"")
    with pytest.raises(DataError, match="Class dog: none of its test images can be read"):
        load_folder(pets_with_splits, skip_unreadable=True, cache=cache)


def load_again(folder, cache, **options):
    progress = Listener()
    dataset = load_folder(folder, progress=progress, cache=cache, **options)
    return progress.decoded > 0, dataset


def test_the_second_load_decodes_nothing(pets, cache):
    first = load_folder(pets, cache=cache)

    decoded, second = load_again(pets, cache)

    assert not decoded
    assert second.fingerprint == first.fingerprint


def test_skipping_unreadable_files_reuses_the_cache_of_the_failed_load(pets, cache):
    (pets / "cat/003.png").write_bytes(b"")
    with pytest.raises(DataError):
        load_folder(pets, cache=cache)

    assert not load_again(pets, cache, skip_unreadable=True)[0]


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
def test_any_change_in_the_folder_invalidates_the_cache(pets, cache, change):
    load_folder(pets, cache=cache)
    change(pets)

    assert load_again(pets, cache)[0]


def test_another_image_size_or_decoder_version_invalidates_the_cache(pets, cache, monkeypatch):
    load_folder(pets, cache=cache)

    assert load_again(pets, cache, image_size=(16, 16))[0]
    monkeypatch.setattr(pixel_cache.image_file, "DECODER_VERSION", -1)
    assert load_again(pets, cache)[0]


def test_the_cache_has_one_entry_per_folder_and_size(pets, cache):
    load_folder(pets, cache=cache)
    touch(pets)
    load_folder(pets, cache=cache)

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
def test_a_damaged_cache_is_rebuilt(pets, cache, name, damage):
    whole = load_folder(pets, cache=cache)
    (entry,) = cache.iterdir()
    good = {path.name: path.read_bytes() for path in entry.iterdir()}
    (entry / name).write_bytes(damage(bytearray(good[name])))

    decoded, rebuilt = load_again(pets, cache)

    assert decoded
    assert rebuilt.fingerprint == whole.fingerprint
    assert {path.name: path.read_bytes() for path in entry.iterdir()} == good


@pytest.mark.parametrize(
    "line", [b"[]", b"7", b'{"failed": 3}', b'{"failed": [0], "checksum": 1}', b'{"failed": [1e9]}', b"\xff"]
)
def test_a_malformed_journal_is_rebuilt(pets, cache, line):
    whole = load_folder(pets, cache=cache)
    (entry,) = cache.iterdir()
    (entry / "journal").write_bytes(line + b"\n")

    decoded, rebuilt = load_again(pets, cache)

    assert decoded
    assert rebuilt.fingerprint == whole.fingerprint


def test_a_repaired_file_with_an_old_modification_time_is_decoded(pets, cache):
    bad = pets / "cat/003.png"
    content = bad.read_bytes()
    bad.write_bytes(bytes(len(content)))
    os.utime(bad, ns=(1, 1))
    load_folder(pets, skip_unreadable=True, cache=cache)
    bad.write_bytes(content)
    os.utime(bad, ns=(1, 1))

    decoded, dataset = load_again(pets, cache)

    assert decoded
    assert 3 in shades(dataset.train) + shades(dataset.test)


def test_a_read_only_cache_is_only_noted(pets, tmp_path):
    (tmp_path / "file").write_bytes(b"")
    progress = Listener()

    dataset = load_folder(pets, progress=progress, cache=tmp_path / "file" / "cache")

    assert len(dataset.train) == 24
    assert "The decoded images are not cached for the next run." in progress.notes[0]


def too_little_space(monkeypatch):
    usage = type(shutil.disk_usage("/"))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**12, 10**12, 1000))


def full_on_write(monkeypatch):
    def append(*_):
        raise StorageError("Cannot write it: the disk is full.")

    monkeypatch.setattr(chunk_store.ChunkStore, "append", append)


@pytest.mark.parametrize("fill", [too_little_space, full_on_write])
def test_a_full_disk_is_only_noted(pets, cache, monkeypatch, fill):
    fill(monkeypatch)
    (pets / "cat/003.png").write_bytes(b"")
    progress = Listener()
    dataset = load_folder(pets, skip_unreadable=True, progress=progress, cache=cache)

    assert len(dataset.train) + len(dataset.test) == 29
    assert "The decoded images are not cached for the next run." in progress.notes[0]
    for part in (dataset.train, dataset.test):
        assert part.files == tuple(
            f"{dataset.class_names[c]}/{s:03}.png"
            for s, c, _ in zip(shades(part), part.labels, part.files, strict=True)
        )


@pytest.mark.parametrize("fill", [too_little_space, full_on_write])
def test_a_full_disk_is_an_error_if_the_images_do_not_fit_into_memory(pets, cache, monkeypatch, fill):
    fill(monkeypatch)
    monkeypatch.setattr(pixels, "MAX_IN_MEMORY_BYTES", 50_000)

    with pytest.raises(StorageError, match=r"The 30 images need 0\.0 GB, too much for memory"):
        load_folder(pets, cache=cache)


def test_the_cache_folder_is_set_by_the_environment(pets, tmp_path, monkeypatch):
    monkeypatch.setenv("TINYSIGHT_CACHE_DIR", str(tmp_path / "chosen"))

    load_folder(pets)

    assert len(list((tmp_path / "chosen" / "folders").iterdir())) == 1
