import os

import pytest

from tinysight._util.errors import DataError
from tinysight.data.sources.folder import scan_folder


def lay_out(folder, *files):
    for file in files:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_bytes(b"")
    return folder


def test_class_folders_without_splits_are_training_images(tmp_path):
    lay_out(tmp_path, "dog/b.png", "dog/a.JPG", "cat/c.jpeg", "cat/d.webp", "cat/e.Bmp", "cat/f.gif")

    listing = scan_folder(tmp_path)

    assert listing.class_names == ("cat", "dog")
    assert list(listing.splits) == ["train"]
    assert listing.splits["train"].files == (
        "cat/c.jpeg",
        "cat/d.webp",
        "cat/e.Bmp",
        "cat/f.gif",
        "dog/a.JPG",
        "dog/b.png",
    )
    assert listing.splits["train"].labels == (0, 0, 0, 0, 1, 1)


@pytest.mark.parametrize("validation", ["val", "validation", "Val"])
def test_splits_are_recognized_by_folder_name(tmp_path, validation):
    lay_out(tmp_path, "test/dog/1.png", f"{validation}/cat/2.png", "train/cat/3.png", "train/dog/4.png")

    splits = scan_folder(tmp_path).splits

    assert list(splits) == ["train", "validation", "test"]
    assert splits["train"].files == ("train/cat/3.png", "train/dog/4.png")
    assert splits["validation"].files == (f"{validation}/cat/2.png",)
    assert splits["test"].labels == (1,)


def test_a_class_may_be_called_train(tmp_path):
    lay_out(tmp_path, "bus/1.png", "train/2.png", "car/3.png")

    assert scan_folder(tmp_path).class_names == ("bus", "car", "train")


def test_images_in_subfolders_belong_to_the_class_and_are_sorted(tmp_path):
    lay_out(tmp_path, "cat/young/small/1.png", "cat/a.png", "cat/z.png", "dog/1.png")

    assert scan_folder(tmp_path).splits["train"].files == (
        "cat/a.png",
        "cat/young/small/1.png",
        "cat/z.png",
        "dog/1.png",
    )


def test_hidden_and_other_files_are_ignored(tmp_path):
    lay_out(tmp_path, "cat/1.png", "dog/1.png", ".git/x.png", "cat/._1.png", "cat/.thumbs/1.png", "cat/n.txt")
    lay_out(tmp_path, "sheet.png")

    assert scan_folder(tmp_path).splits["train"].files == ("cat/1.png", "dog/1.png")


def test_class_folders_may_be_links_and_loops_are_not_followed(tmp_path):
    store = lay_out(tmp_path / "store", "cats/1.png")
    data = lay_out(tmp_path / "data", "dog/1.png", "dog/more/2.png")
    (data / "cat").symlink_to(store / "cats")
    (data / "dog" / "up").symlink_to(data)
    (data / "dog" / "more" / "self").symlink_to(data / "dog")
    (data / "nowhere").symlink_to(data / "nowhere")

    assert scan_folder(data).splits["train"].files == ("cat/1.png", "dog/1.png", "dog/more/2.png")


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ([], "contains no class folders, but at least two are needed"),
        (["1.png", "2.png"], "contains no class folders, but at least two are needed"),
        (["cat/1.png"], "contains only the class folder cat, but at least two are needed"),
        (["train/cat/1.png"], "train: contains only the class folder cat"),
        (["cat/1.png", "dog/read.txt"], "dog: contains no images"),
        (["cat/1.png", "dog/.hidden.png"], "dog: contains no images"),
        (["train/cat/1.png", "train/dog/1.png", "test/bird/1.png"], "test/bird: the class is missing from train"),
        (["train/cat/1.png", "train/dog/1.png", "val/bird/1.png"], "val/bird: the class is missing from train"),
        (["train/cat/1.png", "train/dog/1.png", "test/cat/1.txt"], "test/cat: contains no images"),
        (["train/cat/1.png", "train/dog/1.png", "test/1.png"], "test: contains no class folders"),
        (["train/cat/1.png", "train/dog/1.png", "more/cat/1.png"], "more: not one of train, test and val"),
        (["train/a/1.png", "val/a/1.png", "validation/a/1.png"], "contains both val and validation"),
        (["test/cat/1.png", "test/dog/1.png"], "no train folder"),
        (["train/1.png", "test/1.png"], "train: contains no class folders"),
    ],
)
def test_another_layout_is_rejected_with_the_reason(tmp_path, files, message):
    lay_out(tmp_path, *files)
    with pytest.raises(DataError, match=message):
        scan_folder(tmp_path)


def test_errors_describe_the_expected_layout(tmp_path):
    with pytest.raises(DataError, match=r"DIR/train/CLASS/\*\.jpg"):
        scan_folder(tmp_path)


def test_a_missing_folder_and_a_file_are_rejected(tmp_path):
    (tmp_path / "images.zip").write_bytes(b"")
    with pytest.raises(DataError, match=r"images\.zip: cannot be read as a folder \(Not a directory"):
        scan_folder(tmp_path / "images.zip")
    with pytest.raises(DataError, match=r"nowhere: cannot be read as a folder \(No such file"):
        scan_folder(tmp_path / "nowhere")


@pytest.mark.parametrize("place", ["", "cat"])
def test_a_folder_without_read_permission_is_an_error(tmp_path, monkeypatch, place):
    lay_out(tmp_path, "cat/1.png", "dog/1.png")
    scandir, listdir = os.scandir, os.listdir

    def deny(real):
        def call(path):
            if os.fspath(path) == str(tmp_path / place):
                raise PermissionError(13, "Permission denied", str(path))
            return real(path)

        return call

    # chmod does not restrict root.
    monkeypatch.setattr(os, "scandir", deny(scandir))
    monkeypatch.setattr(os, "listdir", deny(listdir))
    with pytest.raises(DataError, match=r"cannot be read as a folder \(Permission denied\)"):
        scan_folder(tmp_path)


@pytest.mark.parametrize("name", [b"cat/\xff.png", b"\xff/1.png"])
def test_a_file_name_that_is_not_utf8_is_rejected(tmp_path, name):
    lay_out(tmp_path, "cat/1.png", "dog/1.png")
    try:
        lay_out(tmp_path, os.fsdecode(name))
    except OSError:
        pytest.skip("this file system accepts only UTF-8 names")
    with pytest.raises(DataError, match=r"\\xff.*: the name is not valid UTF-8"):
        scan_folder(tmp_path)


def test_a_dataset_folder_name_that_is_not_utf8_is_rejected(tmp_path):
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    try:
        lay_out(folder, "cat/1.png", "dog/1.png")
    except OSError:
        pytest.skip("this file system accepts only UTF-8 names")
    with pytest.raises(DataError, match=r"caf\\xe9: the name is not valid UTF-8\. Rename it"):
        scan_folder(folder)
