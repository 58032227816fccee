"""Folders, files and tables as other tools leave them: the error says what they are and what to do instead."""

import os
import shutil
from pathlib import Path

import pytest
from PIL import Image

from tinysight._util.errors import DataError
from tinysight.data.load import load


@pytest.fixture
def refusal(tmp_path):
    """Return a function that loads `spec`, by default the folder, and returns the message without the path."""

    def refusal(spec=tmp_path):
        with pytest.raises(DataError) as error:
            load(spec, 8)
        return str(error.value).replace(f"{tmp_path}", "DIR")

    return refusal


@pytest.fixture
def table(tmp_path, pic):
    """Return a function that writes five images of each color to DIR/images and a table of them."""

    def table(header="image,label", line="images/{file},{label}"):
        (tmp_path / "images").mkdir()
        lines = [header]
        for label in ("red", "blue"):
            for seed in range(5):
                pic(label, seed).save(tmp_path / "images" / f"{label}{seed}.png")
                lines.append(line.format(file=f"{label}{seed}.png", label=label))
        path = tmp_path / "table.csv"
        path.write_text("\n".join(lines), encoding="utf-8")
        return path

    return table


@pytest.mark.parametrize(
    ("images", "annotations"), [("images", "labels"), ("images", "annotations"), ("JPEGImages", "Annotations")]
)
@pytest.mark.parametrize("split", [".", "train"])
def test_object_detection_layouts_are_refused(tmp_path, pic, refusal, images, annotations, split):
    for folder in (images, annotations):
        (tmp_path / split / folder).mkdir(parents=True)
    pic("red").save(tmp_path / split / images / "1.png")
    (tmp_path / split / annotations / "1.txt").write_text("0 0.5 0.5 1 1")
    message = refusal()
    assert f"the folders {images} and {annotations} seem to be images and annotations of objects in them" in message
    assert "every image needs one class. Rename the folders if they are classes. Use the layout" in message


def test_masks_are_not_a_class(folder, tmp_path, refusal):
    (folder(tmp_path, 5, ("red", "blue")) / "red").rename(tmp_path / "images")
    (tmp_path / "blue").rename(tmp_path / "masks")
    assert "the folders images and masks seem to be" in refusal()


def test_masks_beside_other_classes_are_a_class(folder, tmp_path):
    (folder(tmp_path, 5) / "red").rename(tmp_path / "masks")
    assert load(tmp_path, 8).class_names == ("blue", "green", "masks")


@pytest.mark.parametrize(
    ("files", "hint"),
    [
        (["1.png", "2.png"], "Sort its 2 images into one folder per class, or list the images with their labels in a"),
        (["1.png"], "Sort its image into one folder per class"),
        (["train.zip", "test.ZIP", "notes.txt"], "Unpack test.ZIP, train.zip."),
        (["a.tar.gz", "b.7z", "c.rar", "d.zip"], "Unpack a.tar.gz, b.7z, c.rar, and 1 more."),
        (["X.npy", "y.npy"], "There are only other files: .npy 2."),
        (["1.png", "labels.csv"], "If labels.csv lists images with labels, use it instead of the folder."),
        ([".DS_Store"], "at least two are needed. Use the layout"),
        (
            ["data_batch_1", "test_batch"],
            "contains files of CIFAR-10 instead of class folders. Use the dataset cifar10,",
        ),
        (["data_batch_1.bin"], "contains files of CIFAR-10 instead of class folders."),
    ],
)
def test_a_folder_without_classes_says_what_it_contains(tmp_path, refusal, files, hint):
    for name in files:
        (tmp_path / name).write_bytes(b"")
    assert hint in refusal()


def test_a_table_beside_a_single_folder_is_named(tmp_path, pic, refusal):
    (tmp_path / "pictures").mkdir()
    pic("red").save(tmp_path / "pictures" / "1.png")
    (tmp_path / "metadata.csv").write_text("image,label\n")
    assert "only the class folder pictures, but at least two are needed. If metadata.csv lists images" in refusal()


@pytest.mark.parametrize(
    ("name", "fix"),
    [
        ("pets.tar.gz", "Unpack it, and pass the folder or CSV file."),
        ("pets.7z", "Unpack it, and pass the folder or CSV file."),
        ("mnist.npz", "In Python, load the arrays and pass them as (X, y)."),
        (
            "train.parquet",
            "Save the table as CSV, or pass it as a DataFrame in Python, with the columns image and label.",
        ),
        ("Labels.XLSX", "Save the table as CSV,"),
        ("1.jpg", "Pass the folder that contains the class folders."),
        ("noname", "Pass the folder that contains the class folders."),
    ],
)
@pytest.mark.parametrize("kind", [str, Path])
def test_a_file_of_another_kind_is_refused_with_the_way_to_use_it(tmp_path, refusal, name, fix, kind):
    (tmp_path / name).write_bytes(b"content")
    assert refusal(kind(tmp_path / name)).startswith(f"DIR/{name}: not a folder, zip file or CSV file. {fix}")


@pytest.mark.parametrize("url", ["https://example.org/pets.zip", "s3://bucket/labels.csv", "hf://datasets/pets"])
def test_a_url_is_refused(refusal, url):
    assert refusal(url) == f"{url}: a URL. Download the images, and pass the folder or file."


@pytest.mark.parametrize(
    ("header", "fix"),
    [
        ("file_name,label", "Rename 'file_name' to 'image'."),
        ("Filename,class", "Rename 'Filename' to 'image'. Rename 'class' to 'label'."),
        ("image,target", "Rename 'target' to 'label'."),
    ],
)
def test_columns_of_other_names_are_refused_with_the_new_name(table, refusal, header, fix):
    assert refusal(table(header)).endswith(fix)


def test_two_columns_of_other_names_are_both_named(table, refusal):
    message = refusal(table("filename,path,label", "{file},images/{file},{label}"))
    assert message.endswith("Rename 'filename' or 'path' to 'image'.")


def test_urls_in_a_table_are_refused(table, refusal):
    message = refusal(table(line="https://example.org/{file},{label}"))
    assert "line 2: the image 'https://example.org/red0.png' is a URL. Download it and write its path here" in message


def test_backslashes_in_a_table_separate_folders(table, tmp_path):
    expected = load(table(), 8).fingerprint
    path = tmp_path / "table.csv"
    path.write_text(path.read_text().replace("images/", "images\\"))
    assert load(path, 8).fingerprint == expected


@pytest.mark.skipif(os.name == "nt", reason="a backslash separates folders")
def test_a_file_name_with_a_backslash_is_kept(table, tmp_path):
    path = table()
    (tmp_path / "images" / "red0.png").rename(tmp_path / "images\\red0.png")
    path.write_text(path.read_text().replace("images/red0", "images\\red0"))
    dataset = load(path, 8)
    assert "images\\red0.png" in [*dataset.train.files, *dataset.test.files]


@pytest.mark.parametrize("broken", range(5))
def test_skipped_images_never_leave_a_class_without_test_images(folder, tmp_path, broken):
    folder(tmp_path, 5, ("red", "blue"))
    (tmp_path / "red" / f"{broken}.png").write_bytes(b"<html>")
    dataset = load(tmp_path, 8, skip_unreadable=True)
    assert len(dataset.train) + len(dataset.test) == 9
    assert sorted(dataset.test.labels.tolist()) == [0, 1]
    assert dataset.notes[0].startswith("1 of 10 image files in")
    (finding,) = dataset.report.skipped
    assert (finding.count, finding.names) == (1, (f"red/{broken}.png",))


def test_readable_images_of_a_class_that_are_too_few_are_refused(folder, tmp_path):
    folder(tmp_path, 5, ("red", "blue"))
    for number in range(3):
        (tmp_path / "red" / f"{number}.png").write_bytes(b"<html>")
    with pytest.raises(DataError, match="Class red: 2 usable images, but 3 are needed"):
        load(tmp_path, 8, skip_unreadable=True)


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege")
def test_a_link_to_a_missing_file_is_called_so(folder, tmp_path, refusal):
    (folder(tmp_path, 5) / "red" / "gone.png").symlink_to(tmp_path / "nowhere.png")
    assert "gone.png: a link to a missing file. Restore the file or remove the link." in refusal()


@pytest.mark.parametrize(
    "names", [("images_part_1", "images_part_2"), ("Fold1", "fold2", "fold 3"), ("batch-01", "batch-02")]
)
def test_parts_of_a_dataset_are_suspicious_classes(tmp_path, names):
    for name in names:
        (tmp_path / name).mkdir()
        for number in range(5):
            Image.new("L", (8, 8), number).save(tmp_path / name / f"{number}.png")
    notes = " ".join(load(tmp_path, 8).report.notes())
    assert f"{len(names)} classes that may be parts of the dataset, not classes" in notes


def test_numbered_classes_are_not_suspicious(folder, tmp_path):
    for color, name in (("red", "class_1"), ("green", "class_2"), ("blue", "3")):
        (folder(tmp_path, 5, (color,)) / color).rename(tmp_path / name)
    assert load(tmp_path, 8).report.notes() == ()


@pytest.mark.parametrize("name", ["runs", "first"])
@pytest.mark.parametrize("has_splits", [False, True])
def test_runs_beside_the_class_folders_are_no_class(folder, tmp_path, finished_run, name, has_splits):
    for split in ("train", "test") if has_splits else (".",):
        folder(tmp_path / "data" / split, 5)
    (tmp_path / "data" / name).mkdir()
    shutil.copytree(finished_run, tmp_path / "data" / name / ("run" if name == "runs" else "."), dirs_exist_ok=True)
    dataset = load(tmp_path / "data", 8)
    assert dataset.class_names == ("blue", "green", "red")
    assert f"Not used: 1 folder with runs of tinysight: {name}." in dataset.report.notes()


def test_a_run_is_no_dataset(finished_run, refusal):
    assert "a run, not a folder of images. Use the layout" in refusal(finished_run)


def test_class_folders_beside_annotations_are_named(folder, tmp_path, refusal):
    folder(tmp_path / "Images", 5)
    (tmp_path / "Annotation").mkdir()
    assert "If Images contains the class folders, use that folder. Rename" in refusal()
