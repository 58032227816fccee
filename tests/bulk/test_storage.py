"""Globs select the same files as Python's glob module."""

import glob
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("pyarrow")

from tinysight._util.errors import InputError
from tinysight.bulk.storage import RemotePath

NAMES = [
    "a.png",
    "b.png",
    "ab.png",
    "a-b.jpg",
    "a[1].png",
    "sub/a.png",
    "sub/b.jpg",
    "sub/deep/a.png",
    "sub/deep/ab.gif",
]


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tree")
    for name in NAMES:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


@given(
    st.lists(
        st.sampled_from(["a", "b", "*", "?", "[ab]", "[!a]", "[a-c]", "sub", "deep", "/", "**/", ".png", ".", "-"]),
        min_size=1,
        max_size=6,
    ).map("".join)
)
def test_glob_equals_pythons_glob(tree, pattern):
    path = f"{tree}/{pattern}"
    if (
        pattern.strip("/") != pattern
        or not glob.has_magic(pattern)
        or "//" in pattern
        or has_attached_double_star(pattern)
    ):
        return
    expected = {match for match in glob.glob(path, recursive=True) if os.path.isfile(match)}
    assert matches(path) == expected


def matches(path):
    try:
        return {info.path for info in RemotePath.parse(path).glob()}
    except InputError:  # the directory above the first wildcard does not exist
        return set()


def has_attached_double_star(pattern):
    """Return whether ** is attached to a name, where Python's glob treats it as *."""
    return any("**" in part and part != "**" for part in pattern.split("/"))


def test_existing_name_with_wildcard_characters_is_literal(tree):
    assert [info.base_name for info in RemotePath.parse(f"{tree}/a[1].png").glob()] == ["a[1].png"]


def test_relative_path_is_made_absolute(tree, monkeypatch):
    monkeypatch.chdir(tree)
    assert str(RemotePath.parse("sub/a.png")) == str(tree / "sub" / "a.png")
    assert RemotePath.parse(f"file://{tree}/sub/a.png").path == RemotePath.parse("sub/a.png").path
