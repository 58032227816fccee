"""What images are called in lists, and lists of them: read with distrust, written so that they are read back."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinysight.data.dataset import Part
from tinysight.data.names import as_list, names_of, read_names, read_rows, require_known
from tinysight.errors import DataError

PIXELS = np.zeros((2, 3, 8, 8), dtype=np.uint8)
LABELS = np.zeros(2, dtype=np.int64)


def test_an_image_is_called_by_its_file_or_by_its_split_and_number():
    assert names_of(Part(PIXELS, LABELS), "test") == ("test/0", "test/1")
    assert names_of(Part(PIXELS, LABELS, ("cat/1.png", "dog/2.png")), "test") == ("cat/1.png", "dog/2.png")


@given(names=st.lists(st.text("abc/#,\"' é-1", min_size=1).filter(lambda name: name.strip()), min_size=1, unique=True))
def test_what_is_written_is_read_back(names, tmp_path_factory):
    path = tmp_path_factory.mktemp("lists") / "list.csv"
    path.write_text(as_list(names), encoding="utf-8")
    assert read_names(path) == tuple(names)


def test_more_columns_are_written_beside_them(tmp_path):
    path = tmp_path / "list.csv"
    path.write_text(as_list(["a,b.png", "c.png"], label=["cat", "dog"], quality=[0.5, 0.25]), encoding="utf-8")
    assert read_rows(path)[0] == {"image": "a,b.png", "label": "cat", "quality": "0.5"}


def test_other_columns_comments_above_and_a_byte_order_mark_are_no_obstacle(tmp_path):
    path = tmp_path / "list.csv"
    path.write_text("# made by hand\nquality,image\n0.1,train/3\n0.2,train/1\n", encoding="utf-8-sig")
    assert read_names(path) == ("train/3", "train/1")
    assert read_rows(path)[0] == {"quality": "0.1", "image": "train/3"}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is no list of images: its first line must name columns, one of them 'image'"),
        (b"file\na.png\n", "is no list of images"),
        (b"image,label\n", "names no images"),
        (b"image\na.png\nb.png\na.png\n", "names a.png more than once"),
        (b"\xff\xfe\x00", "cannot be read as a list of images"),
    ],
)
def test_what_is_no_list_is_refused(tmp_path, content, said):
    path = tmp_path / "list.csv"
    path.write_bytes(content)
    with pytest.raises(DataError, match=said):
        read_names(path)


def test_a_list_that_is_not_there_is_named(tmp_path):
    with pytest.raises(DataError, match=r"none\.csv cannot be read"):
        read_names(tmp_path / "none.csv")


def test_unknown_images_are_named_but_not_all_of_them(tmp_path):
    with pytest.raises(DataError, match=r"does not have: a, b, c and 2 more"):
        require_known(list("abcde"), frozenset({"x"}), tmp_path, "photos")
