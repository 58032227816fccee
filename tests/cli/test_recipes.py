"""`tinysight recipes`: list, show, copy, check."""

import tomllib
from pathlib import Path

import pytest

from tinysight.recipes import catalog, loading


def test_every_built_in_recipe_is_listed_on_one_line_in_the_order_of_use(tinysight):
    outcome = tinysight("recipes", "list")
    assert outcome.code == 0
    lines = outcome.out.splitlines()
    names = [line.split()[0] for line in lines]
    assert sorted(names) == catalog.list_recipes()
    assert names[:6] == ["auto", "fast", "fast-73", "fast-85", "fast-90", "fast-94"]
    assert names[-7:-5] == ["simple", "strided"]
    assert all(line.split(maxsplit=1)[1] == loading.load_recipe(line.split()[0]).description for line in lines)


def test_show_prints_the_recipe_file(tinysight):
    assert tinysight("recipes", "show", "deep").out == (catalog.RECIPE_DIR / "deep.toml").read_text(encoding="utf-8")


def test_a_copy_is_identical_and_valid(tinysight):
    outcome = tinysight("recipes", "copy", "deep-augmented", "mine.toml")
    assert outcome.out == "file: mine.toml\n"
    assert outcome.next == "edit it, then tinysight train mine.toml"
    assert Path("mine.toml").read_text() == (catalog.RECIPE_DIR / "deep-augmented.toml").read_text()
    assert tinysight("recipes", "check", "mine.toml").out == tinysight("recipes", "check", "deep-augmented").out
    tinysight("recipes", "copy", "deep")
    assert Path("deep.toml").is_file()


@pytest.mark.parametrize("target", ["mine.toml", "folder", "dangling"])
def test_copy_never_overwrites(tinysight, target):
    Path("mine.toml").write_text("mine")
    Path("folder").mkdir()
    Path("dangling").symlink_to("nowhere")
    assert f"{target}: already exists" in tinysight("recipes", "copy", "deep", target).refusal()
    assert Path("mine.toml").read_text() == "mine"
    assert not Path("nowhere").exists()


def test_show_with_minutes_prints_the_resolved_recipe(tinysight, monkeypatch):
    monkeypatch.setattr("tinysight.training.precision.native_bf16", lambda: False)
    monkeypatch.setattr("tinysight.training.forecast.step_seconds", lambda *_: [0.01])
    outcome = tinysight("recipes", "show", "fast", "--minutes", "5")
    values = tomllib.loads(outcome.out)
    assert values["training"]["minutes"] == 5
    assert values["model"]["channels"]
    assert outcome.out.startswith(f"# stem stride {values['model']['stem_stride']}, ")
    assert " epochs at " in outcome.out.splitlines()[0]


def test_minutes_only_limit_a_recipe_with_a_fixed_network(tinysight):
    values = tomllib.loads(tinysight("recipes", "show", "deep", "--minutes", "2.5").out)
    assert (values["name"], values["training"]["minutes"]) == ("deep", 2.5)


def test_check_prints_all_values_with_overrides(tinysight):
    outcome = tinysight("recipes", "check", "deep", "--set", "training.epochs=3", "--set", "optimizer.name=adam")
    values = tomllib.loads(outcome.out)
    assert (values["training"]["epochs"], values["training"]["batch_size"]) == (3, 128)
    assert values["optimizer"]["name"] == "adam"


def test_check_reports_errors_in_a_user_recipe(tinysight):
    Path("mine.toml").write_text("name = 'mine'\n[training]\nepoch = 3\n")
    expected = "mine.toml: unknown key 'training.epoch'. Did you mean 'epochs'?"
    assert tinysight("recipes", "check", "mine.toml").refusal() == expected
    assert tinysight("train", "mine.toml").refusal() == expected


@pytest.mark.parametrize("command", ["show", "copy", "check"])
def test_an_unknown_recipe_gets_a_suggestion(tinysight, command):
    outcome = tinysight("recipes", command, "simpel")
    assert outcome.refusal() == "Unknown recipe 'simpel'. Did you mean 'simple'?"
    assert list(Path().iterdir()) == []
