"""Image IDs, and CSV lists of them: validation and round trip."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinysight._util.errors import DataError
from tinysight.data.dataset import Dataset, Split
from tinysight.data.image_ids import all_image_ids, check_ids, image_ids, read_image_ids, read_rows, to_csv

PIXELS = np.zeros((2, 3, 8, 8), dtype=np.uint8)
LABELS = np.zeros(2, dtype=np.int64)


def test_id_is_the_file_or_the_split_and_index():
    assert image_ids(Split(PIXELS, LABELS), "test") == ("test/0", "test/1")
    assert image_ids(Split(PIXELS, LABELS, ("cat/1.png", "dog/2.png")), "test") == ("cat/1.png", "dog/2.png")


@given(names=st.lists(st.text("abc/#,\"' é-1", min_size=1).filter(lambda name: name.strip()), min_size=1, unique=True))
def test_lists_round_trip(names, tmp_path_factory):
    path = tmp_path_factory.mktemp("lists") / "list.csv"
    path.write_text(to_csv(names), encoding="utf-8")
    assert read_image_ids(path) == tuple(names)


def test_additional_columns_are_written(tmp_path):
    path = tmp_path / "list.csv"
    path.write_text(to_csv(["a,b.png", "c.png"], label=["cat", "dog"], quality=[0.5, 0.25]), encoding="utf-8")
    assert read_rows(path)[0] == {"image": "a,b.png", "label": "cat", "quality": "0.5"}


def test_other_columns_comments_and_a_byte_order_mark_are_accepted(tmp_path):
    path = tmp_path / "list.csv"
    path.write_text("# made by hand\nquality,image\n0.1,train/3\n0.2,train/1\n", encoding="utf-8-sig")
    assert read_image_ids(path) == ("train/3", "train/1")
    assert read_rows(path)[0] == {"quality": "0.1", "image": "train/3"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no column 'image'. Name the columns in the first line."),
        (b"file\na.png\n", "no column 'image'"),
        (b"image,label\n", "no images listed"),
        (b"image\na.png\nb.png\na.png\n", "duplicate images a.png. Keep one line for each."),
        (b"\xff\xfe\x00", "cannot be read as a CSV file"),
    ],
)
def test_an_invalid_list_is_an_error(tmp_path, content, message):
    path = tmp_path / "list.csv"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_image_ids(path)


def test_a_missing_list_is_an_error(tmp_path):
    with pytest.raises(DataError, match=r"none\.csv: cannot be read"):
        read_image_ids(tmp_path / "none.csv")


def test_at_most_three_unknown_images_are_listed(tmp_path):
    with pytest.raises(DataError, match=r"images not in photos: a, b, c and 2 more"):
        check_ids(list("abcde"), frozenset({"x"}), tmp_path, "photos")


@pytest.mark.parametrize(
    ("n", "text"), [(1, "a"), (3, "a, b, c"), (4, "a, b, c and 1 more"), (26, "a, b, c and 23 more")]
)
def test_unknown_images_are_listed_or_counted(tmp_path, n, text):
    names = [chr(ord("a") + number) for number in range(n)]
    with pytest.raises(DataError) as refusal:
        check_ids(["known", *names], frozenset({"known"}), tmp_path, "pets")
    assert str(refusal.value) == f"{tmp_path}: images not in pets: {text}. Remove these lines."


def test_known_images_are_accepted(tmp_path):
    check_ids([], frozenset(), tmp_path, "pets")
    check_ids(["x", "y"], frozenset({"x", "y", "z"}), tmp_path, "pets")


def test_the_images_of_all_splits_have_an_id():
    named, unnamed = Split(PIXELS, LABELS, ("cat/1.png", "dog/2.png")), Split(PIXELS, LABELS)
    dataset = Dataset("pets", named, unnamed, ("cat", "dog"), "here", validation=unnamed)
    assert all_image_ids(dataset) == {
        *("cat/1.png", "dog/2.png"),
        *("validation/0", "validation/1", "test/0", "test/1"),
    }


def test_columns_of_another_length_are_refused():
    with pytest.raises(ValueError, match="argument 2 is shorter"):
        to_csv(["a", "b"], label=["cat"])
