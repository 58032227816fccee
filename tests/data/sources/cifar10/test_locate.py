import dataclasses
import errno
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tinysight._util.errors import DataError, DownloadError, StorageError
from tinysight.data.cache import cache_folder
from tinysight.data.sources import cifar10
from tinysight.data.sources.cifar10 import binary_layout, official, python_layout
from tinysight.data.sources.cifar10.download import Archive

BINARY, PICKLED, ARCHIVE = "cifar-10-batches-bin", "cifar-10-batches-py", "cifar-10-binary.tar.gz"


def assert_synthetic(dataset):
    """Check the images of the fixtures: the first image of file i has label i and first pixel i."""
    assert dataset.train.pixels.shape == (50_000, 3, 32, 32)
    assert dataset.test.pixels.shape == (10_000, 3, 32, 32)
    assert dataset.train.labels[::10_000].tolist() == [0, 1, 2, 3, 4]
    assert dataset.train.pixels[::10_000, 0, 0, 0].tolist() == [0, 1, 2, 3, 4]
    assert (dataset.test.labels[0], dataset.test.pixels[0, 0, 0, 0]) == (5, 5)
    assert dataset.train.pixels.sum() + dataset.test.pixels.sum() == 15
    assert dataset.class_names[3] == "cat"


def make_complete(folder):
    """Create six files of the right names and sizes, which is all that `find` checks."""
    folder.mkdir(parents=True)
    for name in binary_layout.FILES if folder.name == BINARY else python_layout.FILES:
        with (folder / name).open("wb") as file:
            file.truncate(binary_layout.FILE_BYTES)
    return folder


def delete(path):
    path.unlink()


def truncate(path):
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)


def test_the_binary_layout_is_read(binary_folder):
    dataset = cifar10.load(binary_folder)
    assert_synthetic(dataset)
    assert dataset.name == "cifar10"
    assert dataset.source == f"CIFAR-10, binary layout in {binary_folder}"


def test_records_are_red_green_and_blue_planes(binary_folder):
    image = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    with (binary_folder / "data_batch_2.bin").open("r+b") as file:
        file.seek(9_999 * 3073)
        file.write(bytes([7, *image[..., 0].flat, *image[..., 1].flat, *image[..., 2].flat]))
    train = cifar10.load(binary_folder).train
    np.testing.assert_array_equal(train.pixels[19_999].transpose(1, 2, 0), image)
    assert train.labels[19_999] == 7


def test_class_names_are_read_from_the_folder(binary_folder):
    names = [f"kind-{number}" for number in range(10)]
    (binary_folder / "batches.meta.txt").write_text("\n".join(names) + "\n\n")
    assert cifar10.load(binary_folder).class_names == tuple(names)


@pytest.mark.parametrize("text", ["", "cat\n" * 10, "one\ntwo\n"])
def test_other_than_ten_class_names_are_an_error(binary_folder, text):
    (binary_folder / "batches.meta.txt").write_text(text)
    with pytest.raises(DataError, match=r"batches.meta.txt: expected ten different class names"):
        cifar10.load(binary_folder)


def test_unreadable_class_names_are_an_error(binary_folder):
    (binary_folder / "batches.meta.txt").mkdir()
    with pytest.raises(DataError, match=r"batches.meta.txt: cannot be read \(Is a directory"):
        cifar10.load(binary_folder)


@pytest.mark.parametrize("layout", [BINARY, PICKLED])
def test_a_data_dir_is_a_layout_or_its_parent(tmp_path, layout):
    folder = make_complete(tmp_path / layout)
    expected = cifar10.Location("binary" if layout == BINARY else "pickled", folder)
    assert cifar10.find(tmp_path) == cifar10.find(folder) == expected


def test_the_environment_variable_names_a_data_dir(binary_folder, monkeypatch):
    monkeypatch.setenv("TINYSIGHT_DATA_DIR", str(binary_folder.parent))
    assert cifar10.find() == cifar10.Location("binary", binary_folder)


def test_the_argument_overrides_the_environment(binary_folder, tmp_path, monkeypatch):
    monkeypatch.setenv("TINYSIGHT_DATA_DIR", str(binary_folder))
    assert cifar10.find(tmp_path) is None


@pytest.fixture(params=["data_dir", "TINYSIGHT_DATA_DIR"])
def named_by(request):
    """The option or variable that names the folder."""
    return request.param


def load_from(folder, named_by, monkeypatch):
    """Load from `folder`, named by the option or the variable."""
    monkeypatch.setenv("TINYSIGHT_DATA_DIR", str(folder) if named_by == "TINYSIGHT_DATA_DIR" else "")
    return cifar10.load(None if named_by == "TINYSIGHT_DATA_DIR" else folder)


def advice(named_by):
    return f"Set {named_by} to a complete copy, or unset it and run `tinysight data download`."


def test_a_data_dir_without_images_is_an_error_and_no_other_folder_is_searched(isolated, named_by, monkeypatch):
    make_complete(cache_folder() / BINARY)
    empty = isolated / "empty"
    with pytest.raises(DataError) as caught:
        load_from(empty, named_by, monkeypatch)
    assert str(caught.value) == (f"{empty}: no CIFAR-10 ({BINARY}, {PICKLED} or {ARCHIVE}). {advice(named_by)}")


@pytest.mark.parametrize("layout", [BINARY, PICKLED])
def test_an_incomplete_data_dir_is_an_error_and_no_other_folder_is_searched(isolated, named_by, layout, monkeypatch):
    make_complete(cache_folder() / BINARY)
    incomplete = make_complete(isolated / "mine" / layout)
    first, *_, last = sorted(incomplete.iterdir())
    for file in (first, last):
        delete(file)
    with pytest.raises(DataError) as caught:
        load_from(isolated / "mine", named_by, monkeypatch)
    assert (
        str(caught.value)
        == f"{incomplete}: incomplete CIFAR-10 (missing {first.name}, {last.name}). {advice(named_by)}"
    )


@pytest.mark.parametrize(("layout", "expected"), [(BINARY, "30,730,000"), (PICKLED, "30,720,000 or more")])
def test_a_data_dir_with_a_truncated_file_is_an_error(tmp_path, layout, expected):
    folder = make_complete(tmp_path / layout)
    file = sorted(folder.iterdir())[3]
    truncate(file)
    problem = rf"{file.name} has 15,365,000 bytes instead of {expected}\)\."
    with pytest.raises(DataError, match=rf"{folder}: incomplete CIFAR-10 \({problem}"):
        cifar10.load(folder)


def test_a_complete_layout_is_preferred_to_an_incomplete_one(tmp_path):
    delete(make_complete(tmp_path / BINARY) / "test_batch.bin")
    complete = make_complete(tmp_path / PICKLED)
    assert cifar10.find(tmp_path) == cifar10.Location("pickled", complete)


def test_default_folders_are_searched_in_order(isolated):
    keras = isolated / "home" / ".keras" / "datasets"
    folders = [
        isolated / "cache" / BINARY,
        keras / PICKLED,
        keras / "cifar-10-batches-py-target" / PICKLED,
        isolated / "data" / PICKLED,
    ]
    for folder in reversed(folders):
        make_complete(folder)
        location = cifar10.find()
        assert location is not None
        assert location.path == folder


@pytest.mark.parametrize("damage", [delete, truncate])
@pytest.mark.parametrize("folder", [Path("home", ".keras", "datasets", PICKLED), Path("cache", BINARY)])
def test_an_incomplete_copy_is_skipped(isolated, folder, damage):
    incomplete, complete = make_complete(isolated / folder), make_complete(isolated / "data" / PICKLED)
    damage(max(incomplete.iterdir()))
    assert cifar10.find() == cifar10.Location("pickled", complete)


def test_a_truncated_archive_does_not_prevent_the_download(isolated, published_site):
    (isolated / "data").mkdir()
    (isolated / "data" / ARCHIVE).write_bytes(published_site.content[:1000])
    assert cifar10.find() is None
    assert_synthetic(cifar10.load())


def test_a_failed_download_names_the_searched_folders(isolated, monkeypatch):
    unreachable = Archive("http://example.org/cifar-10-binary.tar.gz", 1, "")
    monkeypatch.setattr(official, "ARCHIVE", unreachable)
    with pytest.raises(DownloadError) as caught:
        cifar10.load()
    for text in ("cache", "home/.keras/datasets", "/data,", "example.org", "data_dir", "TINYSIGHT_DATA_DIR"):
        assert text in str(caught.value)


@pytest.fixture
def published_site(site, archive_file, monkeypatch):
    """A site with the synthetic archive, patched in as the official one."""
    site.content = archive_file.read_bytes()
    monkeypatch.setattr(official, "ARCHIVE", site.archive())
    return site


def test_images_are_downloaded_once(isolated, published_site):
    assert_synthetic(cifar10.load())
    assert_synthetic(cifar10.load())
    assert len(published_site.ranges) == 1
    assert sorted(path.name for path in cache_folder().iterdir()) == [BINARY, f"{ARCHIVE}.lock"]


def test_an_archive_in_the_data_dir_is_read_in_place(tmp_path, published_site, archive_file):
    (tmp_path / ARCHIVE).hardlink_to(archive_file)
    before = sorted(tmp_path.rglob("*"))
    assert_synthetic(cifar10.load(tmp_path))
    assert sorted(tmp_path.rglob("*")) == before


def assert_installed_once(site):
    assert [path.stat().st_size for path in (cache_folder() / BINARY).iterdir()] == [3073] * 6
    assert sorted(path.name for path in cache_folder().iterdir()) == [BINARY, f"{ARCHIVE}.lock"]
    assert len(site.ranges) == 1


INSTALL = """
import sys
from tinysight.data.sources.cifar10 import binary_layout, official
from tinysight.data.sources.cifar10.download import Archive
from tinysight._util.progress import SilentProgress

class PrintNotes(SilentProgress):
    def note(self, message):
        print(message, flush=True)

binary_layout.FILE_BYTES = 3073
print(official.download(PrintNotes(), Archive(sys.argv[1], int(sys.argv[2]), sys.argv[3])))
"""


def test_of_two_processes_one_downloads_and_the_other_waits(isolated, small_site):
    archive = small_site.archive()
    command = [sys.executable, "-c", INSTALL, archive.url, str(archive.size), archive.sha256]
    small_site.hold.clear()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as first:
        assert small_site.arrived.wait(60)
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as second:
            assert second.stdout.readline().startswith("Waiting for another process")
            small_site.hold.set()
            assert first.stdout.read() == second.stdout.read() == f"{cache_folder() / BINARY}\n"
    assert_installed_once(small_site)


def test_a_full_disk_leaves_no_partial_folder_and_keeps_the_download(isolated, small_site, monkeypatch):
    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(StorageError, match="the disk is full"):
            official.download(archive=small_site.archive())
    assert cifar10.find() is None
    official.download(archive=small_site.archive())
    assert_installed_once(small_site)


def test_a_complete_cache_is_not_downloaded_again(isolated, small_site):
    first = official.download(archive=small_site.archive())
    assert official.download(archive=small_site.archive()) == first
    assert_installed_once(small_site)


def test_leftovers_of_a_killed_process_are_removed(isolated, small_site):
    leftover = cache_folder() / f".{BINARY}.part" / "data_batch_1.bin"
    leftover.parent.mkdir(parents=True)
    leftover.touch()
    official.download(archive=small_site.archive())
    assert_installed_once(small_site)


@pytest.mark.parametrize("damage", [delete, truncate])
def test_an_incomplete_cache_is_replaced(isolated, small_site, damage):
    folder = official.download(archive=small_site.archive())
    damage(folder / "test_batch.bin")
    small_site.ranges.clear()
    official.download(archive=small_site.archive())
    assert_installed_once(small_site)


@pytest.fixture(scope="session")
def pickled_batch():
    """A batch in the format of Python 2, with uniform gray images and labels 0 to 9 in turn."""
    pixels = np.repeat(np.arange(10_000) % 251, 3072).astype(np.uint8).tobytes()
    labels = b"".join(b"K" + bytes([number % 10]) for number in range(10_000))
    return (
        b"\x80\x02}q\x01(U\x06labelsq\x02]q\x03(" + labels + b"eU\x04dataq\x04"
        b"cnumpy.core.multiarray\n_reconstruct\nq\x05cnumpy\nndarray\nq\x06K\x00\x85U\x01b\x87Rq\x07"
        b"(K\x01M\x10'M\x00\x0c\x86cnumpy\ndtype\nq\x08U\x02u1K\x00K\x01\x87Rq\t"
        b"(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89"
        b"T\x00\xc0\xd4\x01" + pixels + b"tbu."
    )


@pytest.fixture
def pickled_layout(tmp_path, pickled_batch):
    """Six files with the same batch."""
    folder = tmp_path / "synthetic" / PICKLED
    folder.mkdir(parents=True)
    (folder / "data_batch_1").write_bytes(pickled_batch)
    for name in ("data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5", "test_batch"):
        (folder / name).symlink_to(folder / "data_batch_1")
    return folder


def damage(path, *replacement):
    path.write_bytes(path.read_bytes().replace(*replacement, 1))


def test_the_pickled_layout_is_read(pickled_layout):
    dataset = cifar10.load(pickled_layout)
    for part, count in ((dataset.train, 50_000), (dataset.test, 10_000)):
        assert part.labels.tolist() == [number % 10 for number in range(count)]
        assert (part.pixels == (np.arange(count) % 10_000 % 251)[:, None, None, None]).all()
    assert dataset.source == f"CIFAR-10, pickled layout in {pickled_layout}"


def test_class_names_of_the_pickled_layout_are_read(pickled_layout):
    names = [f"kind-{number}" for number in range(10)]
    content = b"".join(b"U\x06" + name.encode() for name in names)
    (pickled_layout / "batches.meta").write_bytes(b"\x80\x02}U\x0blabel_names](" + content + b"es.")
    assert cifar10.load(pickled_layout).class_names == tuple(names)


def test_missing_class_names_of_the_pickled_layout_are_an_error(pickled_layout):
    (pickled_layout / "batches.meta").write_bytes(b"\x80\x02}U\x0blabel_namesNs.")
    with pytest.raises(DataError, match=r"batches.meta: no class names in it"):
        cifar10.load(pickled_layout)


@pytest.mark.parametrize("replacement", [(b"u1", b"i1"), (b"labels", b"Labels"), (b"K\x07K\x08", b"NK\x08K\x00")])
def test_a_pickle_of_something_else_is_an_error(pickled_layout, replacement):
    damage(pickled_layout / "data_batch_1", *replacement)
    with pytest.raises(DataError, match="data_batch_1: not a batch of 10,000 images and labels"):
        cifar10.load(pickled_layout)


def test_a_pickled_label_of_200_is_an_error(pickled_layout):
    damage(pickled_layout / "data_batch_1", b"K\x07K\x08", b"K\xc8K\x08")
    with pytest.raises(DataError, match=r"data_batch_1: label 200 of image 7 is not in 0\.\.9"):
        cifar10.load(pickled_layout)


def test_images_are_official_unless_a_pixel_differs(published_layout):
    dataset = cifar10.load(published_layout)
    assert dataset.is_official is None
    assert cifar10.verify(dataset).is_official is True
    assert cifar10.verify(dataclasses.replace(dataset, class_names=("cat",) * 10)).is_official is False
    dataset.test.pixels[9_999, 2, 31, 31] += 1
    altered = cifar10.verify(dataset)
    assert altered.is_official is False
    assert any("differ from the official CIFAR-10" in note for note in altered.notes)


@pytest.fixture(scope="module")
def real():
    folder = Path(os.environ.get("TINYSIGHT_DATA_DIR", "nowhere"))
    if not (folder / BINARY).is_dir():
        pytest.skip(f"TINYSIGHT_DATA_DIR names no folder with {BINARY}")
    return folder


@pytest.mark.data
def test_real_images_are_the_same_in_both_layouts(real):
    if not (real / PICKLED).is_dir():
        pytest.skip(f"TINYSIGHT_DATA_DIR names no folder with {PICKLED}")
    binary = cifar10.read(cifar10.Location("binary", real / BINARY))
    pickled = cifar10.read(cifar10.Location("pickled", real / PICKLED))
    assert binary.fingerprint == pickled.fingerprint
    assert cifar10.verify(binary).is_official == cifar10.verify(pickled).is_official


@pytest.mark.data
def test_real_images_are_balanced_and_the_first_test_image_is_a_cat(real):
    dataset = cifar10.load(real)
    assert dataset.train.class_counts(10) == [5000] * 10
    assert dataset.test.class_counts(10) == [1000] * 10
    assert dataset.class_names[dataset.test.labels[0]] == "cat"
    assert " ".join(dataset.class_names) == "airplane automobile bird cat deer dog frog horse ship truck"
