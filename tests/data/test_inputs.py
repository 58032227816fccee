"""File names, globs and folders expand to sorted image files."""

import pytest

from tinysight._util.errors import InputError
from tinysight.data.image_io.formats import FORMAT_NAMES
from tinysight.data.inputs import expand_inputs


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The working directory, with images, other files and hidden files."""
    monkeypatch.chdir(tmp_path)
    for name in ("b.png", "a.JPG", "deep/er/c.webp", "notes.txt", ".hidden.png", ".cache/d.png", "noext", "x[1].gif"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "folder.png").mkdir()
    return tmp_path


def names(text):
    expanded = expand_inputs(text)
    assert all(name == str(path) for name, path in expanded)
    return [name for name, _ in expanded]


def test_standard_input_has_no_file():
    assert expand_inputs("-") == [("-", None)]


def test_a_folder_is_searched_for_visible_images(folder):
    assert names(str(folder)) == [str(folder / name) for name in ("a.JPG", "b.png", "deep/er/c.webp", "x[1].gif")]
    assert names("deep") == ["deep/er/c.webp"]


def test_a_folder_inside_a_hidden_folder_is_searched(folder):
    assert names(".cache") == [".cache/d.png"]


def test_a_glob_matches_files_of_any_suffix_but_no_folders(folder):
    assert names("*") == ["a.JPG", "b.png", "noext", "notes.txt", "x[1].gif"]
    assert names("*.png") == ["b.png"]
    assert names("**/*.webp") == ["deep/er/c.webp"]


def test_an_existing_file_with_brackets_is_no_glob(folder):
    assert names("x[1].gif") == ["x[1].gif"]


@pytest.mark.parametrize("name", ["missing.png", "x" * 5000, "notes.txt"])
def test_other_names_are_kept_for_the_reader_to_refuse(folder, name):
    assert names(name) == [name]


@pytest.mark.parametrize("name", ["*.bmp", "empty", "y[1].gif"])
def test_a_folder_or_glob_without_images_is_refused(folder, name):
    (folder / "empty").mkdir()
    with pytest.raises(InputError) as refusal:
        expand_inputs(name)
    assert str(refusal.value) == f"{name}: no images found. Supported formats are {FORMAT_NAMES}."
