"""A name leads to a shipped recipe, a path to a file of one's own, and anything else to a sentence."""

import pytest

from tinysight.errors import RecipeError
from tinysight.recipes import shelf


def test_a_shipped_name_is_found_from_anywhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "architecture" in shelf.read_text(shelf.locate("deep"))


def test_a_path_is_taken_as_it_is(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.toml").write_text("name = 'mine'")
    for name in ("mine.toml", "./mine.toml", str(tmp_path / "mine.toml")):
        assert shelf.read_text(shelf.locate(name)) == "name = 'mine'"


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("depe", "There is no recipe 'depe'. Did you mean 'deep'?"),
        ("resnet", "Known: deep, deep-augmented, early-stopping, fast, fast-73, fast-85, fast-90, fast-94, simple,"),
        ("", "There is no recipe ''. Known: deep"),
        ("mine.toml", "There is no recipe file mine.toml; `tinysight recipes list` shows the shipped recipes."),
        ("folder/mine", "There is no recipe file folder/mine"),
        ("folder", "folder is a folder, not a recipe"),
        ("long" * 100, "There is no recipe"),
        ("../recipes/deep", "There is no recipe file"),
    ],
)
def test_what_is_not_there_is_answered_with_what_is(tmp_path, monkeypatch, name, advice):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    with pytest.raises(RecipeError) as caught:
        shelf.locate(name)
    assert advice in str(caught.value)


def test_a_file_that_is_no_text_is_refused(tmp_path):
    (tmp_path / "picture.toml").write_bytes(b"\x89PNG\r\n\x1a\n\xff")
    with pytest.raises(RecipeError, match=r"picture\.toml is not a text, so it is no recipe"):
        shelf.read_text(tmp_path / "picture.toml")


def test_a_file_of_ten_megabytes_is_refused_unread(tmp_path):
    with (tmp_path / "large.toml").open("wb") as file:
        file.truncate(10_000_000)
    with pytest.raises(RecipeError, match=r"large\.toml is too large for a recipe \(10,000,000 bytes\)"):
        shelf.read_text(tmp_path / "large.toml")


def test_a_file_that_is_gone_is_named(tmp_path):
    with pytest.raises(RecipeError, match=r"gone\.toml cannot be read \(No such file or directory\)"):
        shelf.read_text(tmp_path / "gone.toml")


def test_the_mark_that_some_editors_begin_a_text_with_is_passed_over(tmp_path):
    (tmp_path / "mine.toml").write_bytes(b"\xef\xbb\xbfname = 'mine'\r\n")
    assert shelf.read_text(tmp_path / "mine.toml") == "name = 'mine'\n"
