"""`tinysight predict` with files, globs, folders, standard input and test images."""

import csv
import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tinysight.runs.run import Run


@pytest.fixture
def predict(tinysight, finished_run, photos):
    """Return a function that predicts with the finished run next to the folder `photos`."""
    shutil.copytree(photos, "photos")

    def run(*arguments, stdin=b""):
        return tinysight("predict", finished_run, *arguments, stdin=stdin)

    return run


def names(outcome):
    return [line.partition(": ")[0] for line in outcome.out.splitlines()]


def test_line_has_three_most_probable_classes(predict):
    outcome = predict("photos/cat/00.png")
    assert outcome.code == 0
    name, _, text = outcome.out.strip().partition(": ")
    assert name == "photos/cat/00.png"
    assert text.startswith("unsure: ")
    probabilities = [float(choice.split()[1].removesuffix("%")) for choice in text.removeprefix("unsure: ").split(", ")]
    assert len(probabilities) == 3
    assert probabilities == sorted(probabilities, reverse=True)


def test_a_second_line_has_the_prediction_set(predict, finished_run):
    run = Run.open(finished_run)
    highest = json.loads(predict("photos/cat/00.png", "--json", "--top", 3).out)["predictions"][0]["top"]
    first, second, third = (choice["probability"] for choice in highest)
    for threshold, count in ((second, 2), ((second + third) / 2, 2), (third, 3), (first, 1), (1.0, 1), (0.0, 10)):
        run.write_classifier(run.classifier().with_spec(set_threshold=threshold))
        (line, *others) = predict("photos/cat/00.png").out.splitlines()
        names = [choice["class"] for choice in highest[:count]]
        texts = {2: f"{names[0]} or {names[-1]}", 3: ", ".join(names[:2]) + f" or {names[-1]}"}
        assert others == ([f"    {texts[count]} (95%)"] if count in texts else [])
        assert len(line) <= 80
        (prediction,) = json.loads(predict("photos/cat/00.png", "--json").out)["predictions"]
        assert len(prediction["prediction_set"]) == count
        assert prediction["prediction_set"][:3] == names


@pytest.mark.parametrize(("unsure", "unlike"), [(False, True), (True, True), (True, False)])
def test_line_says_unlike_the_training_images(tinysight, detecting, photos, tmp_path, unsure, unlike):
    run = Run.open(shutil.copytree(detecting, tmp_path / "run"))
    (before,) = json.loads(tinysight("predict", run.path, photos / "cat" / "00.png", "--json").out)["predictions"]
    limits = {"abstain_below": 2 * unsure, "ood_threshold": -1e6 if unlike else 1e6}
    limits["set_threshold"] = before["top"][2]["probability"]
    run.write_classifier(run.classifier().with_spec(**limits))
    outcome = tinysight("predict", run.path, photos / "cat" / "00.png", "--top", 1)
    line, *others = outcome.out.splitlines()
    expected = ", ".join(["unsure"] * unsure + ["unlike the training images"] * unlike)
    assert re.fullmatch(rf"{photos}/cat/00\.png: {expected}: \w+ \d+\.\d%", line)
    assert len(others) == (not unlike)  # the coverage of sets holds for images like the training images
    (prediction,) = json.loads(tinysight("predict", run.path, photos / "cat" / "00.png", "--json").out)["predictions"]
    assert prediction["unlike_training"] is unlike


def test_json_says_null_without_a_detector(predict):
    (prediction,) = json.loads(predict("photos/cat/00.png", "--json").out)["predictions"]
    assert prediction["unlike_training"] is None


def test_json_document_has_contract_keys(predict, finished_run):
    outcome = predict("photos/cat/00.png", "--test-index", 16, "--json", "--top", 10)
    assert (outcome.code, outcome.err) == (0, "")
    document = json.loads(outcome.out)
    assert set(document) == {"format", "model", "notes", "predictions"}
    assert (document["format"], document["model"]) == (1, str(finished_run))
    file, test_image = document["predictions"]
    assert set(file) == {"input", "top", "unsure", "prediction_set", "unlike_training"}
    assert set(test_image) == {"input", "top", "unsure", "prediction_set", "unlike_training", "label"}
    assert (file["input"], test_image["input"]) == ("photos/cat/00.png", "test[16]")
    classes = [choice["class"] for choice in sorted(test_image["top"], key=lambda choice: choice["index"])]
    assert classes == json.loads((finished_run / "model.json").read_text())["class_names"]
    assert test_image["label"] in classes
    for prediction in (file, test_image):
        assert [set(choice) for choice in prediction["top"]] == [{"class", "index", "probability"}] * 10
        assert sum(choice["probability"] for choice in prediction["top"]) == pytest.approx(1, abs=1e-5)
        threshold = json.loads((finished_run / "model.json").read_text())["abstain_below"]
        assert prediction["unsure"] == (prediction["top"][0]["probability"] < threshold)


def test_top_is_limited_by_number_of_classes(predict):
    (prediction,) = json.loads(predict("photos/cat/00.png", "--json", "--top", 99).out)["predictions"]
    assert len(prediction["top"]) == 10


def test_predictions_are_in_the_order_given(predict):
    image = Path("photos/dog/05.png").read_bytes()
    outcome = predict("photos/dog/03.png", "-", "photos/cat/1[01].png", "photos/cat/02.png", "photos/dog", stdin=image)
    assert outcome.code == 0
    dogs = [f"photos/dog/{number:02}.png" for number in range(20)]
    assert names(outcome) == [
        *("photos/dog/03.png", "-", "photos/cat/10.png", "photos/cat/11.png", "photos/cat/02.png"),
        *dogs,
    ]
    lines = outcome.out.splitlines()
    assert lines[1].removeprefix("-: ") == lines[5 + 5].removeprefix("photos/dog/05.png: ")


def test_folder_is_searched_for_image_files_only(predict):
    Path("photos/notes.txt").write_text("not an image")
    Path("photos/deep/er").mkdir(parents=True)
    shutil.move("photos/cat/00.png", "photos/deep/er/A.PNG")
    shutil.copy("photos/cat/01.png", "photos/cat/._01.png")
    outcome = predict("photos")
    assert (outcome.code, len(names(outcome))) == (0, 40)
    assert "photos/deep/er/A.PNG" in names(outcome)


def test_unreadable_images_are_named_and_others_predicted(predict):
    Path("text.jpg").write_text("not an image")
    Path("empty.png").touch()
    Path("short.png").write_bytes(Path("photos/cat/00.png").read_bytes()[:500])
    outcome = predict("text.jpg", "photos/cat/00.png", "missing.png", "empty.png", "short.png", "photos/cat/01.png")
    assert outcome.code == 2
    assert names(outcome) == ["photos/cat/00.png", "photos/cat/01.png"]
    for line, name in zip(outcome.err.splitlines(), ("text.jpg", "missing.png", "empty.png", "short.png"), strict=True):
        assert line.startswith(f"error: {name}: ")


def test_json_output_with_missing_image(predict):
    outcome = predict("missing.png", "photos/cat/00.png", "--json")
    assert outcome.code == 2
    assert [prediction["input"] for prediction in json.loads(outcome.out)["predictions"]] == ["photos/cat/00.png"]
    assert outcome.err == "error: missing.png: no such file. Check the path.\n"


@pytest.mark.parametrize(
    ("arguments", "advice"),
    [
        ([], "predict: no images. Pass files, globs, folders, - for standard input, or --test-index."),
        (["*.gif"], "*.gif: no images found"),
        (["empty"], "empty: no images found. Supported formats are JPEG, PNG, WebP, BMP, GIF, TIFF"),
        (["--test-index", "30"], "test index 30: not in the test set. Use an index from 0 to 29."),
        (["--test-index=-1"], "test index -1: not in the test set. Use an index from 0 to 29."),
        (["-"], "Image: empty file."),
        (["long" * 100], "cannot be read (File name too long)"),
        ([""], ": a folder. Pass an image file."),
    ],
)
def test_invalid_inputs_are_rejected(predict, arguments, advice):
    Path("empty").mkdir()
    outcome = predict(*arguments)
    assert advice in outcome.refusal()
    assert outcome.out == ""


def test_undecodable_and_markup_file_names_are_printed_verbatim(predict):
    for name in (b"caf\xe9.png", b"[red]x.png", b"[bold", b":cat:.png"):
        shutil.copy(b"photos/cat/00.png", name)
    outcome = predict("[[]red]*.png", ":cat:.png", "[bold", os.fsdecode(b"caf\xe9.png"))
    assert names(outcome) == ["[red]x.png", ":cat:.png", "[bold", r"caf\udce9.png"]


def test_undecodable_file_name_roundtrips_through_json(photos, finished_run, tmp_path):
    """Runs in a new process whose standard output accepts only UTF-8."""
    name = os.fsdecode(b"caf\xe9.png")
    shutil.copy(photos / "cat" / "00.png", tmp_path / name)
    command = [sys.executable, "-m", "tinysight", "predict", "run", name, "--json"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, check=True)
    assert json.loads(result.stdout)["predictions"][0]["input"] == name


def test_damaged_run_is_rejected(predict, finished_run):
    path = finished_run / "model.json"
    path.write_text(path.read_text().replace("circle", "square", 1))
    assert "model.json: modified after it was written" in predict("photos").refusal()


def test_csv_output_has_all_images_and_counts(predict):
    Path("photos/cat/bad.jpg").write_text("not an image")
    outcome = predict("photos", "--output", "out.csv", "--top", 1)
    assert outcome.code == 0
    with open("out.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 41
    (failed,) = [row for row in rows if row["error"]]
    assert failed["input"] == "photos/cat/bad.jpg"
    counts = Counter("unsure" if row["unsure"] == "true" else row["class"] for row in rows if not row["error"])
    text = ", ".join(f"{name} {count}" for name, count in counts.most_common())
    assert outcome.out.splitlines() == [f"41 images: {text}, unreadable 1", "file: out.csv"]


def test_images_are_sorted_into_folders(predict):
    outcome = predict("photos/cat", "--sort-into", "sorted")
    assert outcome.code == 0
    assert len(list(Path("sorted").rglob("*.png"))) == len(list(Path("photos/cat").iterdir())) == 20
    assert outcome.out.splitlines()[-1] == "folder: sorted"
    assert predict("photos/cat", "--sort-into", "sorted").refusal() == "sorted: is not empty. Choose a new folder."


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--output", "out.csv", "--json"], "--output and --json: cannot be combined. Choose one of them."),
        (
            ["--sort-into", "new", "--test-index", 1],
            "--sort-into: copies image files only. Leave out --test-index and standard input (-).",
        ),
        (["--engine", "ray"], "--engine and --workers: need Parquet output. Add --output OUT.parquet."),
        (
            ["--output", "o.csv", "--workers", 2],
            "--engine and --workers: need Parquet output. Add --output OUT.parquet.",
        ),
    ],
)
def test_options_that_exclude_each_other(predict, options, message):
    assert predict("photos", *options).refusal() == message
