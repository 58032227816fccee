"""Tables whose images may have several labels: both layouts, splits, and rows that are wrong."""

import csv

import numpy as np
import pytest
from PIL import Image

from tinysight._util.errors import DataError
from tinysight.data.load import load
from tinysight.data.splits import split_dataset
from tinysight.recipes.schema import DataSection

NAMES = ("boat", "cat", "dog")


def labels_of(number):
    """Return the labels of image `number`: the binary digits of the number modulo 8."""
    return [name for bit, name in enumerate(NAMES) if number >> bit & 1]


@pytest.fixture
def write(tmp_path):
    """Return a function that writes 40 images of shades 0 to 195 and a table with the given header and cells."""
    (tmp_path / "images").mkdir()
    for number in range(40):
        Image.new("L", (8, 8), 5 * number).save(tmp_path / "images" / f"{number}.png")

    def write(header, cells, count=40):
        path = tmp_path / "table.csv"
        with path.open("w", encoding="utf-8", newline="") as file:
            rows = ([f"images/{number}.png", *map(str, cells(number))] for number in range(count))
            csv.writer(file).writerows([["image", *header], *rows])
        return path

    return write


def check_labels(dataset):
    """Check the labels of every image, which its shade identifies; return the number of images."""
    numbers = [int(shade) // 5 for split in dataset.splits.values() for shade in split.pixels[:, 0, 0, 0]]
    rows = [row for split in dataset.splits.values() for row in split.labels.tolist()]
    assert rows == [[int(name in labels_of(number)) for name in dataset.class_names] for number in numbers]
    return len(rows)


def flags(number):
    return [int(name in labels_of(number)) for name in NAMES]


@pytest.mark.parametrize(
    ("header", "cells"),
    [
        (["labels"], lambda n: ["|".join(labels_of(n))]),
        ([" Labels "], lambda n: [" | ".join(labels_of(n))]),
        (["labels"], lambda n: ["|".join(labels_of(n) * 2)]),
        (["labels"], lambda n: ["|" + "||".join(labels_of(n)) + "|"]),
        (NAMES, flags),
        (NAMES, lambda n: [f" {flag}.0 " for flag in flags(n)]),
        (NAMES, lambda n: [bool(flag) for flag in flags(n)]),
    ],
)
def test_every_layout_gives_the_same_labels(write, header, cells):
    dataset = load(write(header, cells), 8)
    assert (dataset.task, dataset.class_names) == ("multi-label", NAMES)
    assert check_labels(dataset) == 40
    assert dataset.report.notes()[0] == "Several labels per image: boat, cat, dog. 5 of 40 images have none."


def test_columns_of_labels_keep_their_order(write):
    dataset = load(write(NAMES[::-1], lambda n: flags(n)[::-1]), 8)
    assert dataset.class_names == NAMES[::-1]
    assert check_labels(dataset) == 40


def test_lists_in_a_frame_are_labels(write, monkeypatch, tmp_path):
    pandas = pytest.importorskip("pandas")
    write(["labels"], lambda n: [""])
    monkeypatch.chdir(tmp_path)
    images = [f"images/{n}.png" for n in range(40)]
    dataset = load(pandas.DataFrame({"image": images, "labels": [labels_of(n) for n in range(40)]}), 8)
    assert check_labels(dataset) == 40


def test_the_splits_have_a_fair_share_of_every_label(write):
    dataset = load(write(["labels"], lambda n: ["|".join(labels_of(n))]), 8)
    assert 6 <= len(dataset.test) <= 10
    assert all(3 <= count <= 5 for count in dataset.test.class_counts(3))  # of 20
    split = split_dataset(dataset, DataSection(image_size=8, validation_fraction=0.25), seed=0)
    assert all(3 <= count <= 5 for count in split.validation.class_counts(3))  # of 16
    assert len(split.train_indices) + len(split.validation) == len(dataset.train)
    again = split_dataset(dataset, DataSection(image_size=8, validation_fraction=0.25), seed=0)
    np.testing.assert_array_equal(again.train_indices, split.train_indices)


def test_groups_stay_whole(write):
    path = write(["labels", "group"], lambda n: ["|".join(labels_of(n)), f"scene {n // 2}"])
    dataset = load(path, 8)
    assert not set(dataset.train.groups) & set(dataset.test.groups)
    assert all(dataset.test.class_counts(3))


def joined(number):
    return "|".join(labels_of(number))


@pytest.mark.parametrize(
    ("header", "cells", "message"),
    [
        (["label", "labels"], lambda n: ["cat", "dog"], "a column 'label' and a column 'labels'. Remove one."),
        (["labels"], lambda n: [""], "no labels. List images of at least two labels."),
        (["labels"], lambda n: ["cat" * (n % 2)], "only the label 'cat'. List images of at least two labels."),
        (["labels"], lambda n: ["cat;dog"], "line 2 has ';' in the label 'cat;dog', and no row has '|'."),
        (["labels"], lambda n: ["cat, dog" if n == 3 else "cat"], "line 5 has ',' in the label 'cat, dog'"),
        (["labels"], lambda n: ["['cat', 'dog']"], "line 2: the labels ['cat', 'dog'] are a list."),
        (["cat", "dog"], lambda n: [n % 2, "" if n == 1 else 1], "line 3: the label 'dog' is neither 0 nor 1, but ''"),
        (["cat", "dog"], lambda n: [n % 2, 2 if n == 1 else 1], "line 3: the label 'dog' is neither 0 nor 1, but '2'"),
        (["cat", "author"], lambda n: [n % 2, "Ann"], "the column 'author' has no 0 or 1. Without a column 'label'"),
        (["cat", "cat"], lambda n: [n % 2, 1], "two columns 'cat'. Remove one."),
        (["cat", ""], lambda n: [n % 2, 1], "a column without a name. Name or remove it."),
        (["cat", "a|b"], lambda n: [n % 2, 1], "the column 'a|b' has '|', which separates labels. Rename it."),
        (["cat", "dog"], lambda n: [n % 2, 0], "no training image of 'dog'. Add some or remove the label."),
        (["cats", "dogs"], lambda n: ["yes", "no"], "no column 'label'."),
        (
            ["labels", "split"],
            lambda n: ["cat|dog|cow" if n == 0 else "cat|dog", "test" if n == 0 else "train"],
            "no training image of 'cow'. Add some or remove the label.",
        ),
        (["labels", "split"], lambda n: [joined(n), ""], "line 2: no split"),
        (["labels"], lambda n: ["cat|dog" if n else "cow|cat"], "Class cow: 1 usable image, but 3 are needed"),
    ],
)
def test_a_wrong_table_is_one_clear_sentence(write, header, cells, message):
    with pytest.raises(DataError) as error:
        load(write(header, cells), 8)
    assert message in str(error.value)


def test_a_column_label_with_separators_is_noted(write):
    dataset = load(write(["label"], lambda n: [("cat|dog", "boat")[n % 2]]), 8)
    assert dataset.task == "multi-class"
    note = "The label 'cat|dog' is read as one class. If it means several labels, rename the column label to labels."
    assert note in dataset.report.notes()


def test_a_label_that_the_validation_split_takes_is_an_error(write):
    rows = write(
        ["labels", "split"], lambda n: [joined(n) + ("|rare" if n == 31 else ""), "test" if n < 8 else "train"]
    )
    dataset = load(rows, 8)
    with pytest.raises(DataError, match="Class rare: too few images to split"):
        split_dataset(dataset, DataSection(image_size=8), seed=0)


def test_equal_images_with_other_labels_are_suspicious(write, tmp_path):
    path = write(["labels"], lambda n: [joined(n)])
    (tmp_path / "images" / "9.png").write_bytes((tmp_path / "images" / "8.png").read_bytes())
    found = load(path, 8).report.suspicious
    assert "images/8.png (no label) = images/9.png (boat)" in next(f for f in found if "one label" in f.reason).names
