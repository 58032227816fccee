"""The generator of the reference pages lists every command, option and recipe."""

import importlib.util
from pathlib import Path

import pytest

from tinysight.recipes import catalog

GENERATOR = Path(__file__).parent.parent / "docs" / "generate_reference.py"


@pytest.fixture(scope="module")
def generator():
    spec = importlib.util.spec_from_file_location("generate_reference", GENERATOR)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_command_line_page_has_options_choices_defaults_and_an_example(generator):
    page = generator.cli_page()
    train = page.partition("## `tinysight train`")[2].partition("\n## ")[0]
    assert "```\ntinysight train RECIPE [OPTIONS]\n```" in train
    assert "```\ntinysight train fast --data shapes --minutes 1\n```" in train
    assert "| <code>--precision auto&#124;fp32&#124;bf16</code> | `auto` |" in train
    assert "| `--resume` |  |" in train
    for command in ("recipes list", "data info", "import", "doctor"):
        assert f"## `tinysight {command}`" in page
    assert page.count("\nExample:\n") == page.count("\n## `tinysight ")


def test_the_recipe_page_has_every_recipe_in_the_order_of_use_and_every_layer(generator):
    page = generator.recipes_page()
    rows = [line.split("`")[1] for line in page.partition("## Built-in")[2].splitlines() if line.startswith("| `")]
    assert rows[: len(catalog.list_recipes())] == catalog.recipes_in_order_of_use()
    for layer in ("Conv2d", "Dense", "Residual"):
        assert f"### {layer}\n" in page
