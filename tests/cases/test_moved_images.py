"""Case B3: the images of a run have moved."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from tinysight.runs.artifacts import RunArtifacts
from tinysight.runs.run import Run


@pytest.fixture
def moved(tinysight, photos):
    """A run on the folder `pictures`, which has moved to `elsewhere/photos`."""
    shutil.copytree(photos, "pictures")
    command = ("train", "early-stopping", "--data", "pictures", "--epochs", 1, "--precision", "fp32", "--out", "run")
    assert tinysight(*command).code == 0
    Path("elsewhere").mkdir()
    shutil.move("pictures", "elsewhere/photos")
    return Path.cwd() / "pictures"


@pytest.mark.parametrize(
    ("command", "arguments"),
    [
        ("evaluate", []),
        ("audit", []),
        ("report", []),
        ("explain", ["elsewhere/photos/cat/00.png"]),
        ("predict", ["--test-index", 0]),
        ("forget", ["cat/00.png"]),
    ],
)
def test_missing_images_are_named_with_the_way_out(tinysight, moved, command, arguments):
    message = tinysight(command, "run", *arguments).refusal()
    assert message == f"{moved}: does not exist, but run was trained on it. Set --data if it has moved."


def test_commands_take_the_new_place(tinysight, moved):
    place = ("--data", "elsewhere/photos")
    evaluated = tinysight("evaluate", "run", *place)
    assert evaluated.code == 0
    assert Path("run/metrics.json").exists()
    assert ": these are the images of the run\n" in evaluated.out
    for command in (("report", "run"), ("explain", "run", "elsewhere/photos/cat/00.png"), ("audit", "run")):
        minutes = ("--minutes", 0.05) if command[0] == "audit" else ()
        outcome = tinysight(*command, *place, *minutes)
        assert outcome.code == 0, outcome.err


def test_test_images_are_predicted_and_explained_at_the_new_place(tinysight, moved):
    place, index = ("--data", "elsewhere/photos"), ("--test-index", 3)
    name = files_of("test")[3]
    (predicted,) = json.loads(tinysight("predict", "run", *index, *place, "--json").out)["predictions"]
    (by_file,) = json.loads(tinysight("predict", "run", f"elsewhere/photos/{name}", "--json").out)["predictions"]
    assert (predicted["input"], predicted["label"]) == ("test[3]", name.partition("/")[0])
    assert predicted["top"] == by_file["top"]
    assert tinysight("explain", "run", *index, *place).code == 0
    assert tinysight("predict", "run", f"elsewhere/photos/{name}", *place).refusal() == (
        "--data: needs --test-index. To predict all images of a folder, pass the folder as IMAGE."
    )
    Path("elsewhere/photos", files_of("train")[0]).unlink()
    for command in ("predict", "explain"):
        assert tinysight(command, "run", *index, *place).refusal() == (
            f"image files in {Path.cwd() / 'elsewhere/photos'}: some images of run are missing, but all are needed. "
            "Restore them."
        )


def test_other_images_are_refused(tinysight, moved):
    for path in Path("elsewhere/photos").rglob("*.png"):
        ImageOps.invert(Image.open(path)).save(path)
    message = tinysight("audit", "run", "--data", "elsewhere/photos").refusal()
    assert "not the images that run was trained on" in message


def files_of(use, run="run"):
    """Return the files that a run used for "train", "validation" or "test"."""
    index = Run.open(run).image_index()
    return [name for name, is_used in zip(index.names, index.used_for(use), strict=True) if is_used]


@pytest.fixture
def grown(moved):
    """The moved folder with two images more, and all files renamed."""
    folder = Path("elsewhere/photos")
    for number, path in enumerate(sorted(folder.rglob("*.png"))):
        path.rename(path.with_name(f"renamed {997 * number % 1000:03}.png"))
    for kind, color in (("cat", "navy"), ("dog", "teal")):
        Image.new("RGB", (40, 40), color).save(folder / kind / f"{color}.png")
    return folder


def test_added_images_are_named_and_not_used(tinysight, grown):
    place = ("--data", grown)
    evaluated = tinysight("evaluate", "run", *place)
    assert evaluated.code == 0
    assert "images differ: 2 new (" in evaluated.err
    assert "navy.png" in evaluated.err
    assert "To measure them, evaluate with --split new." in evaluated.err
    assert Run.open("run").metrics().n == len(files_of("test"))  # nothing is missing, so these are results of the run
    assert Path("run/predictions.npz").exists()
    outcome = tinysight("audit", "run", "--minutes", 0.05, *place)
    assert outcome.code == 0, outcome.err
    assert "images differ: 2 new (" in outcome.err
    assert "renamed" not in str(RunArtifacts(Run.open("run")).audit().sections)


def test_added_images_are_evaluated_on_request(tinysight, grown):
    evaluated = tinysight("evaluate", "run", "--data", grown, "--split", "new")
    assert evaluated.code == 0
    assert "only the 2 images that are new to run are evaluated" in evaluated.err
    assert "(n = 2)" in evaluated.out
    assert "files: none" in evaluated.out
    assert not Path("run/metrics.json").exists()
    Path(grown, "cat/navy.png").unlink(), Path(grown, "dog/teal.png").unlink()
    assert (
        "has no images that are new to run" in tinysight("evaluate", "run", "--data", grown, "--split", "new").refusal()
    )


def test_missing_images_are_named_and_the_others_used(tinysight, moved):
    folder = Path("elsewhere/photos")
    missing = [files_of(use)[0] for use in ("train", "validation", "test")]
    for name in missing:
        (folder / name).unlink()
    evaluated = tinysight("evaluate", "run", "--data", folder)
    assert evaluated.code == 0
    assert "images differ: 3 missing (" in evaluated.err
    assert all(name in evaluated.err for name in missing)
    assert f"(n = {len(files_of('test')) - 1})" in evaluated.out
    assert not Path("run/metrics.json").exists()
    outcome = tinysight("audit", "run", "--minutes", 0.05, "--data", folder)
    assert outcome.code == 0, outcome.err
    assert (
        "some images of run are missing, but all are needed"
        in tinysight("forget", "run", files_of("train")[1], "--data", folder).refusal()
    )


def test_report_shows_the_mistakes_that_are_left(tinysight, moved):
    folder = Path("elsewhere/photos")
    assert tinysight("evaluate", "run", "--data", folder).code == 0
    missing = files_of("test")[0]
    (folder / missing).unlink()
    assert tinysight("report", "run", "--data", folder).code == 0
    probabilities, labels = Run.open("run").predictions()
    wrong = np.flatnonzero(probabilities.argmax(1) != labels)
    page = Path("run/report.html").read_text()
    assert all(Path(files_of("test")[row]).name in page for row in wrong[:20])


def test_images_that_the_run_was_trained_on_are_not_measured(tinysight, moved):
    other = Path("other")
    for kind in ("cat", "dog"):
        (other / kind).mkdir(parents=True)
        for number in range(10):
            Image.effect_noise((40, 40), 50).convert("RGB").save(other / kind / f"{number}.png")
    trained = next(name for name in files_of("train") if name.startswith("cat"))
    shutil.copy(Path("elsewhere/photos", trained), other / "cat/copy.png")
    evaluated = tinysight("evaluate", "run", "--data", other)
    assert evaluated.code == 0
    assert "1 images are not evaluated, since run was trained or validated on them" in evaluated.err
    assert "(n = 20)" in evaluated.out


def test_few_new_images_are_measured_whole_in_any_layout(tinysight, moved):
    for number, (layout, classes) in enumerate([("", ("cat", "dog")), ("test", ("cat", "dog")), ("val", ("cat",))]):
        for kind in classes:
            Path(f"other{number}", layout, kind).mkdir(parents=True)
            Image.effect_noise((40, 40), 50).convert("RGB").save(Path(f"other{number}", layout, kind, "0.png"))
        evaluated = tinysight("evaluate", "run", "--data", f"other{number}")
        assert evaluated.code == 0, evaluated.err
        assert f"(n = {len(classes)})" in evaluated.out


def test_a_new_class_and_the_last_images_of_a_class_do_not_matter(tinysight, moved):
    folder = Path("elsewhere/photos")
    (folder / "fox").mkdir()
    Image.new("RGB", (40, 40), "navy").save(folder / "fox/new.png")
    evaluated = tinysight("evaluate", "run", "--data", folder)
    assert evaluated.code == 0, evaluated.err
    assert "images differ: 1 new (fox/new.png)" in evaluated.err
    assert Path("run/metrics.json").exists()


def test_run_is_resumed_on_its_images_among_others_only(tinysight, photos):
    shutil.copytree(photos, "pictures")
    recipe = ("train", "early-stopping", "--data", "pictures", "--precision", "fp32", "--epochs", 2, "--out", "run")
    assert tinysight(*recipe).code == 0
    run = Run.open("run")
    run.write_summary(run.summary().model_copy(update={"status": "interrupted"}))
    name = files_of("train")[0]
    shutil.move(Path("pictures", name), "gone.png")
    refusal = tinysight(*recipe, "--resume").refusal()
    assert "the run was started on other images" in refusal
    assert f"images differ: 1 missing ({name})" in refusal
    shutil.move("gone.png", Path("pictures", name).with_name("renamed.png"))
    Image.new("RGB", (40, 40), "navy").save("pictures/cat/new.png")
    resumed = tinysight(*recipe, "--resume")
    assert resumed.code == 0, resumed.err
    assert "images differ: 1 new (cat/new.png)" in resumed.err
