"""Tables of image files: columns, splits, groups, and rows that are wrong."""

import os
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tinysight._util.errors import DataError
from tinysight.data.dataset import IN_MEMORY
from tinysight.data.load import load
from tinysight.data.sources import table as table_source
from tinysight.data.splits import split_dataset, train_validation_split
from tinysight.recipes.schema import DataSection

CLASSES = ("cat", "dog")


@pytest.fixture
def images(tmp_path):
    """Twenty gray images 0.png to 19.png of shades 0 to 190."""
    folder = tmp_path / "images"
    folder.mkdir()
    for number in range(20):
        Image.new("L", (8, 8), 10 * number).save(folder / f"{number}.png")
    return folder


def rows(count=20, **columns):
    """Return lines of a table with even numbers as cats, and further columns as functions of the number."""
    header = ",".join(["image", "label", *columns])
    cells = ([f"images/{n}.png", CLASSES[n % 2], *(str(value(n)) for value in columns.values())] for n in range(count))
    return "\n".join([header, *(",".join(line) for line in cells)])


@pytest.fixture
def write(images):
    def write(text, name="pets.csv", encoding="utf-8"):
        path = images.parent / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode(encoding))
        return path

    return write


class Frame:
    """What tinysight uses of a pandas DataFrame."""

    def __init__(self, **columns):
        self.values = columns
        self.columns = list(columns)

    def __getitem__(self, name):
        return iter(self.values[name])


def numbers(split):
    return [int(shade) // 10 for shade in split.pixels[:, 0, 0, 0]]


def test_each_image_keeps_its_label_and_file(write):
    dataset = load(write(rows()), 8)
    assert dataset.class_names == CLASSES
    assert dataset.name == "pets.csv"
    for split in dataset.splits.values():
        assert [n % 2 for n in numbers(split)] == split.labels.tolist()
        assert [f"images/{n}.png" for n in numbers(split)] == list(split.files)
    assert sorted(numbers(dataset.train) + numbers(dataset.test)) == [*range(20)]
    assert Counter(dataset.test.labels.tolist()) == {0: 2, 1: 2}
    assert dataset.notes == (
        "The table has no test split. 4 images, a fifth of each class, were chosen at random as the test split. "
        "The choice is always the same.",
    )


def test_paths_are_relative_to_the_table_or_absolute(write, images, monkeypatch):
    expected = load(write(rows()), 8).fingerprint
    monkeypatch.chdir("/")
    nested = images.parent / "tables"
    nested.mkdir()
    assert load(write(rows().replace("images/", "../images/"), "tables/pets.csv"), 8).fingerprint == expected
    assert load(write(rows().replace("images/", f"{images}/")), 8).fingerprint == expected


def test_a_changed_image_with_an_absolute_path_is_decoded_again(write, images):
    table = write(rows().replace("images/", f"{images}/"))
    before = load(table, 8)
    Image.new("L", (8, 8), 255).save(images / "3.png")
    after = load(table, 8)
    assert 255 in [*after.train.pixels[:, 0, 0, 0], *after.test.pixels[:, 0, 0, 0]]
    assert after.fingerprint != before.fingerprint


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("train", "validation", "test"), ("train", "validation", "test")),
        (("Training", "VAL", "eval"), ("train", "validation", "test")),
        (("train_set", "dev", "test_set"), ("train", "validation", "test")),
        (("train", "valid", "testing"), ("train", "validation", "test")),
        (("train", "train", "test"), ("train", "test")),
    ],
)
def test_splits_are_recognized_by_alias(write, names, expected):
    dataset = load(write(rows(split=lambda n: names[n // 2 % 3])), 8)
    assert tuple(dataset.splits) == expected
    position = {"train": 0, "validation": 1, "test": 2}
    for name, split in dataset.splits.items():
        assert all(names[n // 2 % 3] == names[position[name]] for n in numbers(split))
    assert sum(map(len, dataset.splits.values())) == 20
    assert dataset.notes == ()


@pytest.mark.parametrize("words", [("False", "True"), ("0", "1"), ("0.0", "1.0"), ("FALSE", "true")])
def test_a_mark_of_validation_images_splits_the_table(write, words):
    dataset = load(write(rows(is_valid=lambda n: words[n % 10 > 7])), 8)
    assert sorted(numbers(dataset.validation)) == [8, 9, 18, 19]
    assert sorted(numbers(dataset.train) + numbers(dataset.test)) == [n for n in range(20) if n % 10 < 8]
    assert len(dataset.test) == 4  # a fifth of each class of the others
    assert dataset.report.remarks == ("Images are split by columns of 0 and 1: validation by 'is_valid'.",)


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({"is_val": 0, "Is_Test": 1}, {"validation": 0, "test": 1, "train": 2}),
        ({"is_train": 2, "is_valid": 0, "is_test": 1}, {"validation": 0, "test": 1, "train": 2}),
        ({"is_training_image": 0}, {"train": 0, "test": 1}),
    ],
)
def test_marks_of_several_splits_are_read(write, columns, expected):
    period = len(expected)
    marks = {name: lambda n, rest=rest: int(n // 2 % period == rest) for name, rest in columns.items()}
    splits = load(write(rows(**marks)), 8).splits
    assert {name: {n // 2 % period for n in numbers(split)} for name, split in splits.items()} == {
        name: {rest} for name, rest in expected.items()
    }


def test_marks_of_splits_are_no_labels(write, images):
    lines = [f"images/{n}.png,{n % 2},{int(n % 3 == 0)},{int(n >= 16)}" for n in range(20)]
    dataset = load(write("\n".join(["image,round,red,is_test", *lines])), 8)
    assert dataset.class_names == ("round", "red")
    assert sorted(numbers(dataset.test)) == [16, 17, 18, 19]


def test_a_column_of_splits_replaces_marks_and_valid_marks_nothing(write):
    splits = {"split": lambda n: ("train", "test")[n // 2 % 2], "is_valid": lambda n: 1, "valid": lambda n: "True"}
    dataset = load(write(rows(**splits)), 8)
    assert tuple(dataset.splits) == ("train", "test")
    assert dataset.notes == ("Columns of the table that are not used: 'is_valid', 'valid'.",)


@pytest.mark.parametrize(
    ("header", "cells", "message"),
    [
        ("is_valid,is_test", "1,1", "line 2: 'is_valid' and 'is_test' are more than one split"),
        ("is_train,is_valid", "0,0", "line 2: 'is_train' and 'is_valid' are all 0"),
        ("is_valid", "maybe", "line 2: 'is_valid' is neither 0 nor 1, but 'maybe'"),
        ("is_valid", "", "line 2: 'is_valid' is neither 0 nor 1, but ''"),
        ("is_val,is_valid", "0,0", "the columns 'is_val' and 'is_valid' mean the same split. Remove one."),
    ],
)
def test_a_wrong_mark_of_a_split_is_an_error(write, header, cells, message):
    with pytest.raises(DataError, match=message):
        load(write(f"image,label,{header}\nimages/0.png,cat,{cells}\n"))


def test_groups_stay_whole_between_train_validation_and_test(write):
    dataset = load(write(rows(group=lambda n: f"scene {n // 4}")), 8)
    for split in dataset.splits.values():
        assert [f"scene {n // 4}" for n in numbers(split)] == list(split.groups)
    assert len(dataset.test) == 4
    train, validation = train_validation_split(dataset, "stratified", 0.25)
    groups = [
        {dataset.train.groups[index] for index in train},
        {dataset.train.groups[index] for index in validation},
        set(dataset.test.groups),
    ]
    assert sum(map(len, groups)) == len(set().union(*groups)) == 5
    assert all(groups)
    assert "4 images, whole groups, together about a fifth, were chosen" in dataset.notes[0]


def test_groups_are_part_of_the_fingerprint(write):
    splits = {"split": lambda n: ("train", "test")[n // 2 % 2]}
    tables = [rows(**splits), rows(**splits, group=lambda n: n), rows(**splits, group=lambda n: n // 2)]
    assert len({load(write(text), 8).fingerprint for text in tables}) == 3


def test_a_split_through_a_group_is_refused(write):
    dataset = load(write(rows(split=lambda n: ("train", "test")[n > 15], group=lambda n: "test" if n > 15 else "a")), 8)
    with pytest.raises(DataError, match="Group a: the split last-20% would put its images on both sides"):
        train_validation_split(dataset, "last-20%")


def test_a_group_in_two_splits_is_an_error(write):
    text = rows(split=lambda n: ("train", "test")[n > 9], group=lambda n: f"scene {n // 4}")
    with pytest.raises(DataError, match=r"group 'scene 2' is in train \(line 10\) and test \(line 12\). Put each"):
        load(write(text), 8)


def test_a_class_of_too_few_groups_is_an_error(write):
    with pytest.raises(DataError, match="Class cat: 2 usable groups, but 3 are needed"):
        load(write(rows(group=lambda n: n % 4)), 8)


def test_columns_may_have_any_order_case_and_spaces(write):
    expected = load(write(rows()), 8).fingerprint
    lines = [f" {CLASSES[n % 2]} , {n} , images/{n}.png " for n in range(20)]
    dataset = load(write("\n".join(["LABEL, Id ,Image", *lines, "", ""])), 8)
    assert dataset.fingerprint == expected
    assert dataset.notes[0] == "Columns of the table that are not used: ' Id '."


def test_quotes_byte_order_marks_and_windows_line_ends_are_read(write):
    expected = load(write(rows()), 8).fingerprint
    quoted = "\r\n".join(",".join(f'"{cell}"' for cell in line.split(",")) for line in rows().splitlines())
    assert load(write(quoted, encoding="utf-8-sig"), 8).fingerprint == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no column 'image'. The first line names the columns."),
        ("image\na.png", "no column 'label'"),
        (
            "image;label\na.png;cat",
            "no column 'image'. The first line names the columns. Separate the columns with comm",
        ),
        ("imge,label\na.png,cat", "no column 'image'. The first line names the columns. Did you mean 'imge'?"),
        ("image,label,Label\na.png,cat,cat", "two columns 'label'. Remove one."),
        ("image,label\n", "no images listed"),
        ("image,label\na.png,cat\nb.png,cat", "only the label 'cat'"),
        ("image,label\n,cat", "line 2: no image"),
        ("image,label\na.png, ", "line 2: no label"),
        ("image,label\n\n\na.png", "line 4: 1 values for 2 columns"),
        ("image,label\na,b.png,cat", "line 2: 3 values for 2 columns"),
        ("image,label,split\na.png,cat,trian", "line 2: unknown split 'trian'. Did you mean 'train'?"),
        ("image,label,split\na.png,cat,", "line 2: no split"),
        ("image,label,group\na.png,cat,", "line 2: no group"),
        ("image,label\na.png,cat\n./a.png,dog", "line 3: the image './a.png' is also on line 2"),
        ("image,label\na\0.png,cat", "line 2: the image path contains a null character"),
        ('image,label\n"a.png,cat', "line 2 is not valid CSV (unexpected end of data)"),
        ("image,label\n" + "a" * 200_000 + ",cat", "line 2 is not valid CSV (field larger than field limit"),
        (b"image,label\n\xff\xfe.png,cat", "not a text file in UTF-8"),
        (b"\x89PNG\r\n\x1a\n", "not a text file in UTF-8"),
        ("image,label,split\na.png,cat,train\nb.png,dog,test", "no training image of 'dog'"),
        (
            "image,label\n" + "x,\n" * 30,
            "30 of 30 rows are wrong. Correct or remove:\nline 2: no label\nline 3: no label",
        ),
        ("image,label\n" + "x,\n" * 30, "line 11: no label\nand 20 more"),
    ],
)
def test_a_wrong_table_is_an_error_that_names_the_line(write, text, message):
    with pytest.raises(DataError) as error:
        load(write(text), 8)
    assert message in str(error.value)
    assert "pets.csv: " in str(error.value)


def test_missing_images_are_listed_or_skipped(write, images):
    (images / "3.png").unlink()
    with pytest.raises(DataError, match=r"1 of 20 image files cannot be read.*\n.*3.png: no such file"):
        load(write(rows()), 8)
    dataset = load(write(rows()), 8, skip_unreadable=True)
    assert len(dataset.train) + len(dataset.test) == 19
    assert [n % 2 for n in numbers(dataset.train)] == dataset.train.labels.tolist()


def test_a_missing_table_is_an_error(tmp_path):
    with pytest.raises(DataError, match=r"none.csv: cannot be read \(No such file or directory\)"):
        load(tmp_path / "none.csv")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no named pipes")
def test_a_pipe_is_refused_instead_of_waiting_for_it(tmp_path):
    os.mkfifo(tmp_path / "pipe.csv")
    with pytest.raises(DataError, match="not a regular file"):
        load(tmp_path / "pipe.csv")


def test_a_huge_table_is_refused_before_it_is_read(tmp_path):
    path = tmp_path / "huge.csv"
    with path.open("wb") as file:
        file.truncate(table_source.MAX_TABLE_BYTES + 1)
    with pytest.raises(DataError, match="larger than 268,435,456 bytes"):
        load(path)


def test_a_folder_with_the_suffix_is_a_folder(images, tmp_path):
    (tmp_path / "pets.csv").mkdir()
    with pytest.raises(DataError, match="contains no class folders"):
        load(tmp_path / "pets.csv")


def test_a_frame_gives_the_same_dataset_as_a_file(write, images, monkeypatch):
    columns = {
        "image": [f"images/{n}.png" for n in range(20)],
        "label": [CLASSES[n % 2] for n in range(20)],
        "group": [n // 2 for n in range(20)],
    }
    expected = load(write(rows(group=lambda n: n // 2)), 8)
    monkeypatch.chdir(images.parent)
    dataset = load(Frame(**columns), 8)
    assert dataset.fingerprint == expected.fingerprint
    assert (dataset.argument, dataset.source) == (IN_MEMORY, "image files listed in a DataFrame")


class MissingValue:
    """Like pandas.NA, which has no truth value."""

    def __ne__(self, other):
        return self

    def __bool__(self):
        raise TypeError("boolean value of NA is ambiguous")


@pytest.mark.parametrize("missing", [None, float("nan"), np.datetime64("NaT"), MissingValue(), ""])
def test_missing_values_of_a_frame_are_an_error(missing):
    with pytest.raises(DataError, match=r"DataFrame: a row is wrong\. Correct or remove:\nrow 1: no label"):
        load(Frame(image=["a.png", "b.png"], label=["cat", missing]))


def test_a_frame_without_a_column_is_an_error():
    with pytest.raises(DataError, match=r"DataFrame: no column 'image'\. .* Known: path, label"):
        load(Frame(path=["a.png"], label=["cat"]))


def test_pandas_frames_are_read(images, monkeypatch):
    pandas = pytest.importorskip("pandas")
    monkeypatch.chdir(images.parent)
    frame = pandas.DataFrame({"image": [f"images/{n}.png" for n in range(20)], "label": [n % 2 for n in range(20)]})
    dataset = load(frame[frame.image != "images/7.png"], 8)
    assert dataset.class_names == ("0", "1")
    assert len(dataset.train) + len(dataset.test) == 19
    frame.loc[3, "label"] = pandas.NA
    with pytest.raises(DataError, match="row 3: no label"):
        load(frame, 8)


def test_marks_of_a_pandas_frame_are_read(images, monkeypatch):
    pandas = pytest.importorskip("pandas")
    monkeypatch.chdir(images.parent)
    names = [f"images/{n}.png" for n in range(20)]
    frame = pandas.DataFrame({"image": names, "label": [CLASSES[n % 2] for n in range(20)]})
    for values in (frame.index >= 16, pandas.array(frame.index >= 16, dtype="boolean"), (frame.index >= 16) * 1.0):
        frame["is_test"] = values
        assert sorted(numbers(load(frame, 8).test)) == [16, 17, 18, 19]


@given(st.text(max_size=200))
def test_any_text_is_a_table_or_a_data_error(tmp_path_factory, text):
    path = tmp_path_factory.getbasetemp() / "any.csv"
    path.write_bytes(b"image,label\n" + text.encode("utf-8", "replace"))
    try:
        table = table_source.read_csv(path)
    except DataError:
        return
    assert all(row.image and row.label for row in table.rows)


def test_validation_images_keep_their_files_and_groups(write):
    dataset = load(write(rows(group=lambda n: f"scene {n // 4}")), 8)
    split = split_dataset(dataset, DataSection(image_size=8, validation_fraction=0.25), seed=0)
    assert [f"scene {n // 4}" for n in numbers(split.validation)] == list(split.validation.groups)
    assert [f"images/{n}.png" for n in numbers(split.validation)] == list(split.validation.files)
    trained = {split.train.groups[index] for index in split.train_indices}
    assert not trained & set(split.validation.groups)
