"""The commands `data`, `preview`, `summary` and `doctor`."""

import hashlib
import re
import shutil
from pathlib import Path

import pytest
from PIL import Image

from tinysight.recipes import catalog

SHAPES = ("--data", "shapes:train=20,test=10")


def test_info_prints_counts_fingerprint_and_source(tinysight):
    outcome = tinysight("data", "info", *SHAPES)
    assert outcome.code == 0
    assert "shapes: 10 classes, 32x32 RGB" in outcome.out
    row = next(line for line in outcome.out.splitlines() if "circle" in line)
    assert [cell for cell in row.split() if cell.isdigit()] == ["2", "0", "1"]
    fingerprint = next(line.split()[1] for line in outcome.out.splitlines() if line.startswith("fingerprint: "))
    assert len(fingerprint) == len(hashlib.sha256().hexdigest())
    assert "official:    unknown (no checksum published)" in outcome.out
    assert "note:        These are synthetic images" in outcome.out
    assert tinysight("data", "info", *SHAPES).out == outcome.out


def test_class_names_that_resemble_markup_are_printed_literally(tinysight, photos):
    Path("pets").mkdir()
    for name, target in (("[red]", "cat"), (":dog:", "dog")):
        Path("pets", name).symlink_to(photos / target)
    outcome = tinysight("data", "info", "--data", "pets")
    assert "[red]" in outcome.out
    assert ":dog:" in outcome.out


def test_control_characters_in_class_and_file_names_are_escaped(tinysight, photos):
    shutil.copytree(photos, "pets")
    Path("pets/cat").rename("pets/\x1b[2Jcat")
    Path("pets/dog").rename("pets/a\ndog")
    Path("pets/\x1b[2Jcat/\x1b]0;pwned\x07\n.png").touch()
    pets = ("--data", "pets", "--skip-unreadable")
    info, shown = tinysight("data", "info", *pets), tinysight("data", "show", 0, *pets)
    previewed = tinysight("preview", "deep", *pets, "--images", 1, "--copies", 1)
    for outcome in (info, shown, previewed):
        assert outcome.code == 0
        assert all(line.isprintable() for line in (outcome.out + outcome.err).split("\n"))
    assert r"\x1b[2Jcat" in info.out
    assert r"a\ndog" in info.out


def test_skipped_images_are_reported_once(tinysight, photos):
    shutil.copytree(photos, "pets")
    Path("pets/cat/99.png").touch()
    pets = ("--data", "pets", "--skip-unreadable")
    for command in (("data", "info"), ("data", "show", 0), ("preview", "deep", "--images", 1, "--copies", 1)):
        outcome = tinysight(*command, *pets)
        assert (outcome.out + outcome.err).count("1 of 41 image files in") == 1


def test_help_lists_the_defects_of_shapes(tinysight):
    (example,) = re.findall(r"shapes:\S+", tinysight("data", "info", "--help").out)
    expected = "label errors 5.0%, spurious backgrounds 50.0%, near-duplicates 10.0%."
    assert f"Defects were injected on purpose: {expected}" in tinysight("data", "info", "--data", example).out


def test_show_saves_one_image_with_its_label(tinysight):
    outcome = tinysight("data", "show", 16, *SHAPES)
    assert outcome.out.startswith("train image 16: ")
    with Image.open("train-16.png") as image:
        assert min(image.size) >= 320
    assert tinysight("data", "show", 3, *SHAPES, "--test", "--out", "a/b.png").out.endswith("file: a/b.png\n")
    assert Path("a/b.png").is_file()


@pytest.mark.parametrize("index", [20, 10**12])
def test_an_index_out_of_range_is_an_error(tinysight, index):
    outcome = tinysight("data", "show", index, *SHAPES)
    assert f"no train image {index}. Choose an index from 0 to 19." in outcome.refusal()
    assert list(Path().iterdir()) == []


def test_preview_writes_a_grid_and_on_request_the_copies(tinysight):
    outcome = tinysight("preview", "deep-augmented", *SHAPES)
    assert (outcome.code, outcome.out) == (0, "file:   preview.png\n")
    assert [path.name for path in Path().iterdir()] == ["preview.png"]
    with Image.open("preview.png") as image:
        assert image.width > image.height
    options = ("--images", 2, "--copies", 3, "--files", "copies", "--out", "other.png")
    outcome = tinysight("preview", "deep-augmented", *SHAPES, *options)
    assert outcome.out == "file:   other.png\ncopies: 6 in copies\n"
    assert len(list(Path("copies").glob("*.jpg"))) == 6


def test_preview_of_an_invalid_augmentation_is_an_error(tinysight):
    outcome = tinysight("preview", "deep", *SHAPES, "--set", "augmentation.crop_padding=40")
    assert "crop_padding is 40, but it must be less than data.image_size, which is 32" in outcome.refusal()
    assert list(Path().iterdir()) == []


def test_preview_to_an_unwritable_path_is_an_error(tinysight):
    Path("file").touch()
    assert "Cannot write file/x.png" in tinysight("preview", "deep", *SHAPES, "--out", "file/x.png").refusal(1)


# From Keras' summary in the notebooks: layer, output shape, parameters.
DEEP = [
    ("Conv2D", "32, 32, 32", "896"),
    ("Activation (relu)", "32, 32, 32", "0"),
    ("Conv2D", "32, 32, 32", "9,248"),
    ("Activation (relu)", "32, 32, 32", "0"),
    ("MaxPooling2D", "16, 16, 32", "0"),
    ("Dropout", "16, 16, 32", "0"),
    ("Conv2D", "16, 16, 64", "18,496"),
    ("Activation (relu)", "16, 16, 64", "0"),
    ("Conv2D", "14, 14, 64", "36,928"),
    ("Activation (relu)", "14, 14, 64", "0"),
    ("MaxPooling2D", "7, 7, 64", "0"),
    ("Dropout", "7, 7, 64", "0"),
    ("Flatten", "3136", "0"),
    ("Dense", "512", "1,606,144"),
    ("Activation (relu)", "512", "0"),
    ("Dropout", "512", "0"),
    ("Dense", "10", "5,130"),
    ("Activation (softmax)", "10", "0"),
]


def test_summary_matches_the_table_of_the_notebook(tinysight):
    out = tinysight("summary", "deep").out
    rows = [tuple(cell.strip() for cell in line.split("│")[1:-1]) for line in out.splitlines() if "│" in line]
    assert rows == [(layer, f"(n, {shape})", parameters) for layer, shape, parameters in DEEP]
    assert out.endswith("parameters: 1,676,842\n")


@pytest.mark.parametrize(
    ("recipe", "parameters"),
    [("simple", "4,200,842"), ("strided", "202,282"), ("early-stopping", "225,610"), ("deep-augmented", "1,676,842")],
)
def test_summary_matches_the_parameter_counts_of_the_notebooks(tinysight, recipe, parameters):
    assert tinysight("summary", recipe).out.endswith(f"parameters: {parameters}\n")


def test_summary_of_a_run_equals_the_summary_of_its_recipe(tinysight, finished_run):
    of_run = tinysight("summary", finished_run).out.splitlines()
    of_recipe = tinysight("summary", "early-stopping").out.splitlines()
    assert of_run[1:] == of_recipe[1:]


def test_summary_of_an_unknown_recipe_or_run_is_an_error(tinysight):
    assert tinysight("summary", "depe").refusal() == "Unknown recipe 'depe'. Did you mean 'deep'?"
    assert "summary.json: missing" in tinysight("summary", ".").refusal()


def test_summary_accepts_the_number_of_classes(tinysight):
    assert "(n, 3)" in tinysight("summary", "strided", "--classes", 3).out
    assert tinysight("summary", "strided", "--classes", 1).code == 2


def test_doctor_prints_results_and_advice(tinysight, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(
        "tinysight._util.optional_deps.requirements", lambda: {"": ["torch"], "color": ["no-such-package"]}
    )
    outcome = tinysight("doctor", "--data-dir", catalog.RECIPE_DIR)
    assert outcome.code == 0
    for text in ("python", "torch", "processor", "threads", "CIFAR-10", "cache"):
        assert text in outcome.out
    assert f"not in {catalog.RECIPE_DIR}" in outcome.out
    assert "pip install 'tinysight[color]'" in outcome.out
