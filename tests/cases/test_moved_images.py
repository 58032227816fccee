"""Case B3: the images of a run have moved."""

import shutil
from pathlib import Path

import pytest


@pytest.fixture
def moved(tinysight, photos):
    """A run on the folder `pictures`, which has moved to `elsewhere/photos`."""
    shutil.copytree(photos, "pictures")
    command = ("train", "early-stopping", "--data", "pictures", "--epochs", 1, "--precision", "fp32", "--out", "run")
    assert tinysight(*command).code == 0
    Path("elsewhere").mkdir()
    shutil.move("pictures", "elsewhere/photos")
    return Path.cwd() / "pictures"


@pytest.mark.parametrize("command", ["evaluate", "audit", "report"])
def test_missing_images_are_named_with_the_way_out(tinysight, moved, command):
    message = tinysight(command, "run").refusal()
    assert message == f"{moved}: not there, but run was trained on it. Set --data if it has moved."


def test_commands_take_the_new_place(tinysight, moved):
    place = ("--data", "elsewhere/photos")
    evaluated = tinysight("evaluate", "run", *place)
    assert evaluated.code == 0
    assert Path("run/metrics.json").exists()  # the same images, so these are the results of the run
    for command in (("report", "run"), ("explain", "run", "elsewhere/photos/cat/00.png"), ("audit", "run")):
        minutes = ("--minutes", 0.05) if command[0] == "audit" else ()
        outcome = tinysight(*command, *place, *minutes)
        assert outcome.code == 0, outcome.err


def test_other_images_are_refused(tinysight, moved):
    Path("elsewhere/photos/cat/00.png").unlink()
    message = tinysight("audit", "run", "--data", "elsewhere/photos").refusal()
    assert "not the images that run was trained on" in message
