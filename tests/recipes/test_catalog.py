"""Lookup of built-in recipes and recipe files."""

import pytest

from tinysight._util.errors import RecipeError
from tinysight.recipes import catalog
from tinysight.recipes.layers import Conv2d, Rescaling
from tinysight.recipes.loading import dump_recipe, load_recipe
from tinysight.recipes.schema import ModelSection, Recipe


def test_a_built_in_name_works_from_any_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "architecture" in catalog.read_recipe(catalog.find_recipe("deep"))


def test_a_path_to_a_file_is_accepted(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.toml").write_text("name = 'mine'")
    for name in ("mine.toml", "./mine.toml", str(tmp_path / "mine.toml")):
        assert catalog.read_recipe(catalog.find_recipe(name)) == "name = 'mine'"


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("depe", "Unknown recipe 'depe'. Did you mean 'deep'?"),
        (
            "vgg",
            "Known: auto, deep, deep-augmented, early-stopping, fast, fast-73, fast-85, fast-90, fast-94, finetune, "
            "probe, resnet-9, simple,",
        ),
        ("", "Unknown recipe ''. Known: auto, deep"),
        ("mine.toml", "mine.toml: no such recipe file. List the built-in recipes with `tinysight recipes list`."),
        ("folder/mine", "folder/mine: no such recipe file."),
        ("folder", "folder: a folder, not a recipe. The recipe of a run is its file recipe.toml."),
        ("long" * 100, "Unknown recipe"),
        ("../recipes/deep", "../recipes/deep: no such recipe file."),
    ],
)
def test_an_unknown_recipe_is_rejected_with_the_fix(tmp_path, monkeypatch, name, advice):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    with pytest.raises(RecipeError) as caught:
        catalog.find_recipe(name)
    assert advice in str(caught.value)


def test_a_binary_file_is_rejected(tmp_path):
    (tmp_path / "image.toml").write_bytes(b"\x89PNG\r\n\x1a\n\xff")
    with pytest.raises(RecipeError, match=r"image\.toml: not a text file\. A recipe is a TOML file\."):
        catalog.read_recipe(tmp_path / "image.toml")


def test_a_large_file_is_rejected_unread(tmp_path):
    with (tmp_path / "large.toml").open("wb") as file:
        file.truncate(10_000_000)
    with pytest.raises(RecipeError, match=r"large\.toml: 10,000,000 bytes, too large for a recipe"):
        catalog.read_recipe(tmp_path / "large.toml")


def test_a_missing_file_is_an_error(tmp_path):
    with pytest.raises(RecipeError, match=r"gone\.toml: cannot be read \(No such file or directory\)"):
        catalog.read_recipe(tmp_path / "gone.toml")


def test_a_byte_order_mark_is_skipped(tmp_path):
    (tmp_path / "mine.toml").write_bytes(b"\xef\xbb\xbfname = 'mine'\r\n")
    assert catalog.read_recipe(tmp_path / "mine.toml") == "name = 'mine'\n"


def test_a_recipe_of_the_most_layers_that_the_schema_takes_can_be_read(tmp_path):
    widest = Rescaling(scale=(-1.2345678901234567e-300,) * 3, offset=(-1.2345678901234567e-300,) * 3)
    longest = Conv2d(
        channels=65_536, kernel=(64, 64), stride=(64, 64), dilation=(64, 64), padding="valid", groups=65_536, bias=False
    )
    for layer in (widest, longest):
        model = ModelSection(architecture="layers", layers=[layer] * 1000)
        (tmp_path / "deep.toml").write_text(dump_recipe(Recipe(name="deep", model=model)))
        assert load_recipe(str(tmp_path / "deep.toml")).model == model


@pytest.mark.parametrize("text", ["a." * 501 + "a = 1", "\n".join(["a = [", *["["] * 20_000])])
def test_a_recipe_of_nothing_but_nested_keys_is_rejected(tmp_path, text):
    (tmp_path / "nested.toml").write_text(text)
    with pytest.raises(RecipeError, match=r"nested\.toml: too many dots and brackets for a recipe\. Simplify it"):
        catalog.read_recipe(tmp_path / "nested.toml")
