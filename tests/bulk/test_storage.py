"""Globs select the same files as Python's glob module."""

import fnmatch
import glob
import os

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

pytest.importorskip("pyarrow")

from tinysight._util.errors import InputError
from tinysight.bulk.storage import RemotePath, glob_to_regex

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
        or "." in pattern.split("/")  # the folder itself, not a name
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


@given(
    pattern=st.text(st.sampled_from("ab-![]*?.^\\&|~"), max_size=8),
    name=st.text(st.sampled_from("ab-![].^\\&|~\n"), min_size=1, max_size=5),
)
@example(pattern="[!]", name="[!]")
@example(pattern="[b-a]", name="b")
@example(pattern="[!b-a]", name="b")
@example(pattern="[a--]", name="a")
@example(pattern="[]a]", name="]")
@example(pattern="[a-]", name="-")
@example(pattern="[^a]", name="a")
def test_glob_within_a_name_equals_fnmatch(pattern, name):
    assert bool(glob_to_regex(pattern).fullmatch(name)) == fnmatch.fnmatchcase(name, pattern)


@pytest.mark.parametrize("pattern", ["sub[!x]a.png", "sub[+-9]a.png", "sub?a.png", "sub*a.png"])
def test_only_two_stars_match_a_slash(pattern):
    assert glob_to_regex(pattern).fullmatch("sub/a.png") is None
    assert glob_to_regex("sub**a.png").fullmatch("sub/a.png")


@pytest.mark.parametrize(
    ("argument", "shown"),
    [("/data/a.png", "/data/a.png"), ("/data/../b", "/b"), ("/data//x/", "/data/x"), ("file:///data/a", "/data/a")],
)
def test_paths_are_shown_normalized_and_local(argument, shown):
    place = RemotePath.parse(argument)
    assert (str(place), place.is_local) == (shown, True)
    assert str(place.join("c.png")) == f"{shown}/c.png"


def test_read_returns_at_most_the_given_bytes(tmp_path):
    (tmp_path / "a").write_bytes(b"0123456789")
    place = RemotePath.parse(str(tmp_path / "a"))
    assert (place.read(4), place.read(10), place.read(100)) == (b"0123", b"0123456789", b"0123456789")
    with pytest.raises(FileNotFoundError):
        RemotePath.parse(str(tmp_path / "b")).read(1)
