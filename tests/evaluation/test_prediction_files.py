"""Predictions as a CSV table, and images sorted into folders."""

import csv

import pytest

from tinysight._util.errors import InputError
from tinysight.evaluation.predict import UnreadableImage
from tinysight.evaluation.prediction_files import ImageSorter, write_csv


def prediction(name, *choices, unsure=False, unlike=None):
    top = [{"class": name, "index": index, "probability": share} for index, (name, share) in enumerate(choices)]
    names = [label for label, _ in choices]
    return {"input": str(name), "top": top, "unsure": unsure, "prediction_set": names, "unlike_training": unlike}


def rows(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_csv_has_a_row_per_image_in_order(tmp_path):
    results = [
        prediction('a "quoted", name.png', ("cat", 0.75), ("dog", 0.25)),
        UnreadableImage("b.png", "b.png: no such file. Check the path."),
        prediction("c.png", ("dog", 0.5), ("cat", 0.5), unsure=True, unlike=True),
    ]
    path = tmp_path / "new" / "out.csv"
    write_csv(results, path, top=2)
    assert rows(path) == [
        {
            "input": 'a "quoted", name.png',
            "unlike_training": "",
            "unsure": "false",
            "prediction_set": "cat|dog",
            "class": "cat",
            "probability": "0.750000",
            "class_2": "dog",
            "probability_2": "0.250000",
            "error": "",
        },
        {
            "input": "b.png",
            "unlike_training": "",
            "unsure": "",
            "prediction_set": "",
            "class": "",
            "probability": "",
            "class_2": "",
            "probability_2": "",
            "error": "b.png: no such file. Check the path.",
        },
        {
            "input": "c.png",
            "unlike_training": "true",
            "unsure": "true",
            "prediction_set": "dog|cat",
            "class": "dog",
            "probability": "0.500000",
            "class_2": "cat",
            "probability_2": "0.500000",
            "error": "",
        },
    ]


def test_csv_with_fewer_classes_than_columns(tmp_path):
    write_csv([prediction("a.png", ("cat", 1.0))], tmp_path / "out.csv", top=3)
    (row,) = rows(tmp_path / "out.csv")
    assert [row[f"class{suffix}"] for suffix in ("", "_2", "_3")] == ["cat", "", ""]


def test_failure_keeps_the_previous_csv_file(tmp_path):
    def interrupted():
        yield prediction("a.png", ("cat", 1.0))
        raise KeyboardInterrupt

    path = tmp_path / "out.csv"
    path.write_text("previous")
    with pytest.raises(KeyboardInterrupt):
        write_csv(interrupted(), path, top=1)
    assert path.read_text() == "previous"
    assert list(tmp_path.iterdir()) == [path]


@pytest.fixture
def images(tmp_path):
    """Two different files of the same name, and a third."""
    paths = [tmp_path / "first" / "x.png", tmp_path / "second" / "x.png", tmp_path / "y.png"]
    for number, path in enumerate(paths):
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(bytes([number]))
    return paths


def test_images_are_copied_into_a_folder_per_class(tmp_path, images):
    results = [
        prediction(images[0], ("cat", 1.0)),
        prediction(images[1], ("cat", 1.0)),
        prediction(images[2], ("cat", 0.4), unsure=True),
        UnreadableImage("z.png", "z.png: empty file."),
    ]
    assert list(ImageSorter(tmp_path / "sorted").copy(results)) == results
    copies = {
        str(path.relative_to(tmp_path / "sorted")): path.read_bytes()
        for path in (tmp_path / "sorted").rglob("*")
        if path.is_file()
    }
    assert copies == {"cat/x.png": b"\0", "cat/x-2.png": b"\1", "unsure/y.png": b"\2"}
    assert all(path.exists() for path in images)


@pytest.mark.parametrize(
    ("name", "folder"),
    [
        ("../../etc", "_.._etc-0"),
        ("a/b", "a_b-0"),
        ("..", "-0"),
        ("unsure", "unsure-0"),
        ("night\n", "night_-0"),
        ("New York", "New York"),
        ("кошка", "кошка"),
    ],
)
def test_class_name_cannot_leave_the_folder(tmp_path, images, name, folder):
    list(ImageSorter(tmp_path / "sorted").copy([prediction(images[2], (name, 1.0))]))
    assert [path.relative_to(tmp_path / "sorted").as_posix() for path in (tmp_path / "sorted").rglob("*.png")] == [
        f"{folder}/y.png"
    ]


def test_folder_with_files_is_refused(tmp_path):
    (tmp_path / "sorted").mkdir()
    ImageSorter(tmp_path / "sorted")
    (tmp_path / "sorted" / "old.png").touch()
    with pytest.raises(InputError, match=r"sorted: is not empty\. Choose a new folder\."):
        ImageSorter(tmp_path / "sorted")
