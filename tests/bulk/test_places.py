"""Patterns mean what they mean to Python's own glob."""

import glob
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("pyarrow")

from tinysight.bulk.places import Place
from tinysight.errors import InputError

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
def test_a_pattern_finds_what_glob_finds(tree, pattern):
    wanted = f"{tree}/{pattern}"
    if pattern.strip("/") != pattern or not glob.has_magic(pattern) or "//" in pattern or any_star_glued(pattern):
        return
    expected = {path for path in glob.glob(wanted, recursive=True) if os.path.isfile(path)}
    assert found(wanted) == expected


def found(wanted):
    try:
        return {info.path for info in Place.of(wanted).matches()}
    except InputError:  # what is above the pattern is not there either
        return set()


def any_star_glued(pattern):
    """Return whether ** is glued to a name, which glob takes for * and nobody means."""
    return any("**" in part and part != "**" for part in pattern.split("/"))


def test_a_name_with_signs_of_a_pattern_is_found_as_it_is(tree):
    assert [info.base_name for info in Place.of(f"{tree}/a[1].png").matches()] == ["a[1].png"]


def test_a_relative_path_is_made_absolute(tree, monkeypatch):
    monkeypatch.chdir(tree)
    assert str(Place.of("sub/a.png")) == str(tree / "sub" / "a.png")
    assert Place.of(f"file://{tree}/sub/a.png").path == Place.of("sub/a.png").path
