"""Cases A1, B2 and B16: folders as they come."""

import os
import shutil
import unicodedata
from collections import Counter
from pathlib import Path

import pytest

import tinysight as ts
from tinysight._util.errors import DataError

NFC, NFD = (unicodedata.normalize(form, "café") for form in ("NFC", "NFD"))
COLORS = ("blue", "green", "red")


def counts(split, dataset):
    return dict(zip(dataset.class_names, split.class_counts(len(dataset.class_names)), strict=True))


def refusal(path):
    with pytest.raises(DataError) as error:
        ts.load_dataset(path)
    return str(error.value)


@pytest.mark.parametrize(
    ("train", "test"),
    [
        ("Training", "Testing"),
        ("train", "test"),
        ("TRAIN", "Eval"),
        ("train_set", "test_set"),
        ("train-set", "Test Set"),
        ("TrainData", "evaluation"),
        ("training_images", "test_images"),
        ("train2017", "test2017"),
        ("seg_train", "seg_test"),
    ],
)
def test_split_folders_are_recognized_by_alias(folder, tmp_path, train, test):
    folder(tmp_path / train, 4), folder(tmp_path / test, 2)
    dataset = ts.load_dataset(tmp_path)
    assert dataset.class_names == COLORS
    assert counts(dataset.train, dataset) == dict.fromkeys(COLORS, 4)
    assert counts(dataset.test, dataset) == dict.fromkeys(COLORS, 2)
    assert {Path(file).parts[0] for file in dataset.test.files} == {test}
    assert not dataset.has_drawn_test
    renamed = [f"{name} is {split}" for name, split in ((train, "train"), (test, "test")) if name.lower() != split]
    assert dataset.report.remarks == ((f"Split folders: {', '.join(renamed)}.",) if renamed else ())


@pytest.mark.parametrize("name", ["valid", "Val", "validation", "dev", "VALID_SET", "val_images"])
def test_validation_folders_are_recognized_by_alias(folder, tmp_path, name):
    folder(tmp_path / "train", 4), folder(tmp_path / name, 2)
    dataset = ts.load_dataset(tmp_path)
    assert counts(dataset.validation, dataset) == dict.fromkeys(COLORS, 2)
    assert dataset.has_drawn_test


@pytest.mark.parametrize("names", [("bus", "train", "car"), ("test", "protest"), ("eval", "medieval", "dev")])
def test_a_class_may_have_the_name_of_a_split(folder, tmp_path, pic, names):
    for name in names:
        (tmp_path / name).mkdir()
        for number in range(4):
            pic("red", number).save(tmp_path / name / f"{number}.png")
    assert ts.load_dataset(tmp_path).class_names == tuple(sorted(names))


@pytest.mark.parametrize("names", [("Fold A", "Fold B"), ("seg_learn", "hold-out", "final")])
def test_unknown_split_folders_are_refused(folder, tmp_path, names):
    for name in names:
        folder(tmp_path / name, 3)
    assert refusal(tmp_path) == (
        f"{tmp_path}: the folders {', '.join(sorted(names))} contain no images, only folders of the same names: blue, "
        "green, red. Rename split folders to train, val and test, or put the images of each class into one folder."
    )


def test_an_unknown_split_that_lacks_a_class_is_refused(folder, tmp_path):
    folder(tmp_path / "A", 3), folder(tmp_path / "B", 3, ("red",))
    assert "the folders A, B contain no images, only folders of the same names" in refusal(tmp_path)


@pytest.mark.parametrize("splits", [("train",), ("train", "test"), ("Training", "Testing", "Valid")])
def test_splits_inside_of_the_class_folders_are_refused(folder, tmp_path, pic, splits):
    for color in COLORS:
        for split in splits:
            (tmp_path / color / split).mkdir(parents=True)
            pic(color).save(tmp_path / color / split / "0.png")
    listed = ", ".join(sorted(name.lower() for name in splits))
    assert refusal(tmp_path) == (
        f"{tmp_path}: the folders blue, green, red contain no images, only folders of the same names: {listed}. "
        "Put the split folders outside: DIR/train/CLASS/*.jpg and DIR/test/CLASS/*.jpg."
    )


def test_images_below_class_folders_are_used_and_counted_by_folder(folder, tmp_path):
    folder(tmp_path, 4)
    for color, number in (("red", 2), ("blue", 1)):
        folder(tmp_path / color / "more", number, (color,))
    dataset = ts.load_dataset(tmp_path)
    assert Counter(dataset.train.labels.tolist() + dataset.test.labels.tolist()) == {0: 5, 1: 4, 2: 6}
    assert dataset.report.remarks == (
        "3 images are in a subfolder of a class folder and used: blue/more/blue 1, red/more/red 2.",
    )


def test_one_common_folder_in_every_class_is_used(folder, tmp_path):
    folder(tmp_path, 4)
    for color in COLORS:
        (tmp_path / color).rename(tmp_path / "images")
        (tmp_path / color).mkdir()
        (tmp_path / "images").rename(tmp_path / color / "images")
    dataset = ts.load_dataset(tmp_path)
    assert dataset.class_names == COLORS
    assert dataset.report.remarks[0].startswith("12 images are in a subfolder of a class folder and used:")


@pytest.mark.parametrize("wrapper", ["flowers", "a/b/c", "archive/Training", "Training/data"])
def test_wrapping_folders_are_entered_with_a_note(folder, tmp_path, wrapper):
    folder(tmp_path / wrapper, 4)
    (tmp_path / "__MACOSX/._x").mkdir(parents=True)
    (tmp_path / "README.txt").write_text("Flowers")
    dataset = ts.load_dataset(tmp_path)
    assert dataset.class_names == COLORS
    assert all(file.startswith(f"{wrapper}/") for file in dataset.train.files)
    if wrapper == "flowers":
        assert dataset.report.remarks == ("The images are in flowers, the only folder there.",)
        assert [finding.describe() for finding in dataset.report.skipped] == [
            "1 file of kinds that are not read: .txt 1."
        ]


def test_a_wrapping_folder_around_splits_and_one_in_each_split(folder, tmp_path):
    folder(tmp_path / "data/train/train", 4), folder(tmp_path / "data/test/test", 2)
    dataset = ts.load_dataset(tmp_path)
    assert counts(dataset.test, dataset) == dict.fromkeys(COLORS, 2)
    assert len(dataset.report.remarks) == 3


def test_a_test_split_of_one_class_is_no_wrapping_folder(folder, tmp_path):
    folder(tmp_path / "train", 4), folder(tmp_path / "test/red", 2, ("red", "blue"))
    dataset = ts.load_dataset(tmp_path)
    assert counts(dataset.test, dataset) == {"blue": 0, "green": 0, "red": 4}


def test_files_of_macos_and_windows_are_ignored(folder, tmp_path):
    folder(tmp_path, 5)
    for name in (
        ".DS_Store",
        "red/.DS_Store",
        "red/._0.png",
        "blue/Thumbs.db",
        "blue/desktop.ini",
        "__MACOSX/red/0.png",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    for name in (".ipynb_checkpoints", "red/.ipynb_checkpoints", "green/@eaDir"):
        shutil.copytree(tmp_path / "blue", tmp_path / name)
    dataset = ts.load_dataset(tmp_path)
    assert (dataset.class_names, dataset.report.used) == (COLORS, 15)
    assert dataset.report.notes() == ()
    assert [(finding.noun, finding.count) for finding in dataset.report.ignored] == [("file", 5), ("folder", 4)]


def test_links_are_read_once(folder, tmp_path):
    data = folder(tmp_path / "data", 4)
    (data / "all").symlink_to(data)
    (data / "parent").symlink_to(tmp_path)
    (data / "crimson").symlink_to(data / "red")
    (data / "red/up").symlink_to(data)
    dataset = ts.load_dataset(data)
    assert (dataset.class_names, dataset.report.used) == (COLORS, 12)
    assert [finding.describe() for finding in dataset.report.skipped] == [
        "3 links to a folder that is read already: all, crimson, parent.",
        "1 link to a folder below a class folder: red/up.",
    ]


def test_class_names_are_compared_in_one_unicode_form(folder, tmp_path, pic):
    for split, name, number in (("train", NFC, 4), ("test", NFD, 2), ("train", "tea", 4), ("test", "tea", 2)):
        (tmp_path / split / name).mkdir(parents=True)
        for index in range(number):
            pic("red" if name == "tea" else "blue", index).save(tmp_path / split / name / f"{index}.png")
    dataset = ts.load_dataset(tmp_path)
    assert dataset.class_names == (NFC, "tea")
    assert counts(dataset.test, dataset) == {NFC: 2, "tea": 2}


def test_two_folders_of_the_same_name_in_two_unicode_forms_are_one_class(tmp_path, pic):
    for name in (NFC, NFD, "tea"):
        (tmp_path / name).mkdir()
        for index in range(5 if name == "tea" else 3):
            pic("red", index + 10 * len(name)).save(tmp_path / name / f"{index}.png")
    if len(os.listdir(tmp_path)) < 3:
        pytest.skip("this file system compares names in one Unicode form")
    dataset = ts.load_dataset(tmp_path)
    assert counts(dataset.train, dataset)[NFC] + counts(dataset.test, dataset)[NFC] == 6
    assert [finding.describe() for finding in dataset.report.suspicious] == [
        f"1 class whose folders differ only by Unicode form, and are merged: {NFC}."
    ]


def test_class_names_of_another_case_in_another_split_are_the_same(folder, tmp_path):
    folder(tmp_path / "train", 4), folder(tmp_path / "test", 2)
    (tmp_path / "test/red").rename(tmp_path / "test/Red")
    dataset = ts.load_dataset(tmp_path)
    assert counts(dataset.test, dataset) == dict.fromkeys(COLORS, 2)
    assert [finding.describe() for finding in dataset.report.suspicious] == [
        "1 folder whose names differ from train only by case: test/Red is red."
    ]


def test_a_class_that_train_lacks_is_still_refused(folder, tmp_path):
    folder(tmp_path / "train", 4), folder(tmp_path / "test", 2)
    (tmp_path / "test/red").rename(tmp_path / "test/pink")
    assert refusal(tmp_path) == (
        f"{tmp_path / 'test/pink'}: the class is missing from train. Rename it or add it to train."
    )


def test_a_folder_without_images_next_to_the_splits_is_skipped(folder, tmp_path):
    folder(tmp_path / "train", 4), folder(tmp_path / "test", 2)
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts/run.py").write_text("pass")
    dataset = ts.load_dataset(tmp_path)
    assert [finding.describe() for finding in dataset.report.skipped] == [
        "1 folder without images next to the split folders: scripts."
    ]
    folder(tmp_path / "more", 1)
    assert refusal(tmp_path).startswith(f"{tmp_path / 'more'}: not one of train, test and val. Move it out")


def test_training_prints_how_the_folder_was_read(folder, tmp_path, tinysight):
    folder(tmp_path / "J/Training", 5), folder(tmp_path / "J/Testing", 2)
    (tmp_path / "J/Training/red/notes.txt").write_text("n")
    outcome = tinysight("train", "early-stopping", "--epochs", 1, "--data", tmp_path / "J", "--out", "run")
    assert outcome.code == 0
    assert "Split folders: Training is train, Testing is test." in outcome.err
    assert "Not used: 1 file of kinds that are not read: .txt 1." in outcome.err
    assert ts.Run.open("run").classifier().class_names == COLORS


@pytest.mark.parametrize("names", [("cats_train", "cats_test"), ("Train cats", "Test cats"), ("x-training", "x-valid")])
def test_classes_that_are_splits_of_one_class_are_refused(tmp_path, pic, names):
    for name in (*names, "dogs"):
        (tmp_path / name).mkdir()
        pic("red").save(tmp_path / name / "0.png")
    assert refusal(tmp_path) == (
        f"{tmp_path}: the folders {' and '.join(sorted(names))} seem to be splits of one class. "
        "Use the layout DIR/train/CLASS/*.jpg and DIR/test/CLASS/*.jpg."
    )


def test_class_names_may_contain_the_name_of_a_split(tmp_path, pic):
    for name in ("bullet train", "test tube", "dev board", "test board"):
        (tmp_path / name).mkdir()
        for number in range(5):
            pic("red", number + 10 * len(name) + (name[0] == "d")).save(tmp_path / name / f"{number}.png")
    assert ts.load_dataset(tmp_path).class_names == ("bullet train", "dev board", "test board", "test tube")


def test_prediction_of_a_folder_counts_what_it_does_not_use(folder, tmp_path, finished_run, tinysight):
    data = folder(tmp_path / "new", 2, ("red",))
    (data / "notes.txt").write_text("n")
    (data / "red/Thumbs.db").write_bytes(b"x")
    (data / "red/loop").symlink_to(data)
    outcome = tinysight("predict", finished_run, data)
    assert outcome.code == 0
    assert [outcome.out.count(f"{number}.png") for number in (0, 1)] == [1, 1]
    assert f"{data}: Not used: 1 file of kinds that are not read: .txt 1." in outcome.err
    assert f"{data}: Not used: 1 link to a folder, which is not followed: {data / 'red/loop'}." in outcome.err


def test_skipped_unreadable_images_are_in_the_report_and_noted_once(folder, tmp_path):
    folder(tmp_path, 6)
    (tmp_path / "red/0.png").write_bytes(b"damaged")
    report = ts.load_dataset(tmp_path, skip_unreadable=True).report
    assert [finding.describe() for finding in report.skipped] == ["1 file that cannot be read: red/0.png."]
    assert (report.used, report.notes(), report.lines()) == (17, (), (("used", "17 images"),))
