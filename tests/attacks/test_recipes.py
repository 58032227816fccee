"""An untrusted recipe can only set bounded numbers and choose listed names."""

import tracemalloc

import pytest

from tinysight._util.errors import RecipeError
from tinysight.recipes.catalog import MAX_RECIPE_BYTES
from tinysight.recipes.loading import load_recipe, parse_recipe


@pytest.mark.parametrize(
    "name", ["../../etc/cron.d/x", "/etc/passwd", "..", ".", "-rf", "a/b", "a\n", "a b", "a\0", "A"]
)
def test_a_name_cannot_escape_the_run_folder(name):
    with pytest.raises(RecipeError, match="Use lowercase letters, digits, dots and dashes"):
        parse_recipe(f"name = {name!r}".replace("'", '"').replace("\\x00", "\\u0000"), "mine.toml")


@pytest.mark.parametrize(
    "settings",
    [
        "data.image_size = 1000000",
        "model.architecture = '../../model'",
        "model.architecture = 'os.system'",
        "model.url = 'https://example.org/weights'",
        "include = '/etc/passwd'",
        "training.epochs = 1e999",
        "training.epochs = 100001",
        "training.batch_size = 1000001",
        "augmentation.cutout = 513",
        "data.image_size = 512\naugmentation.crop_padding = 512",
        "optimizer.epsilon = 0",
        "optimizer.rho = 1",
        "augmentation.rotation = 1e300",
    ],
)
def test_unknown_keys_and_out_of_bound_values_are_rejected(settings):
    with pytest.raises(RecipeError):
        parse_recipe(f"name = 'mine'\n{settings}", "mine.toml")


@pytest.mark.parametrize(
    "key",
    [
        "training.epochs",
        "training.batch_size",
        "data.image_size",
        "augmentation.crop_padding",
        "augmentation.cutout",
        "augmentation.rotation",
        "optimizer.learning_rate",
    ],
)
@pytest.mark.parametrize("digits", [20, 400, 4000])
def test_a_huge_integer_is_rejected_with_a_short_message(key, digits):
    with pytest.raises(RecipeError, match=key) as caught:
        parse_recipe("name = 'mine'", "mine.toml", [f"{key}={'9' * digits}"])
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    "text",
    [
        "a." * (MAX_RECIPE_BYTES // 2 - 10) + "a = 1",
        "a = " + "[" * (MAX_RECIPE_BYTES - 10),
        "a = " + "{b = " * (MAX_RECIPE_BYTES // 5 - 10),
        "a = " + "[[" * 300 + "]]" * 300,
        "x = 1" + "0" * (MAX_RECIPE_BYTES - 10),
        "\n".join(f"[s{number}]" for number in range(MAX_RECIPE_BYTES // 9)),
        "\n".join(f"x{number}." + "a." * 990 + "a = 1" for number in range(20)),
        "\n".join(f"x{number}." + "a." * 495 + "a = 1" for number in range(40)),
        "\n".join(f"x{number} = " + "{b = " * 190 + "1" + "}" * 190 for number in range(100)),
        "\n".join(["a = ["] + ["["] * 19_000),
        "\n".join(f"[s{number}]" for number in range(19_000)),
        "\n".join(f"key{number} = 1" for number in range(MAX_RECIPE_BYTES // 14)),
    ],
)
def test_pathological_toml_of_maximum_size_needs_little_memory(tmp_path, text):
    path = tmp_path / "bomb.toml"
    path.write_text(text)
    tracemalloc.start()
    with pytest.raises(RecipeError) as caught:
        load_recipe(str(path))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 150 * 2**20
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("name", ["/dev/zero", "/dev/stdin", "/proc/self/mem", "/"])
def test_devices_are_not_read(name):
    with pytest.raises(RecipeError):
        load_recipe(name)
