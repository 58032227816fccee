"""Forgetting: trained anew without the images, and what can be shown for it is true."""

import shutil

import numpy as np
import pytest

from tinysight.audit.forgetting import forget, in_words
from tinysight.audit.subject import Subject
from tinysight.data.load import load
from tinysight.errors import DataError
from tinysight.evaluation.evaluate import evaluate
from tinysight.recipes import loading
from tinysight.runs.evidence import Evidence
from tinysight.runs.run import Run
from tinysight.training.train import Plan, train


@pytest.fixture(scope="module")
def forgotten(trained, tmp_path_factory):
    """A run, and one that was trained without two of its images."""
    folder = tmp_path_factory.mktemp("forgotten")
    run, out = Run(shutil.copytree(trained, folder / "before")), folder / "run"
    learned = Subject.of(run).images.learn
    names = [f"train/{learned[0]}", f"train/{learned[5]}"]
    forget(run, names, out)
    return run, Run(out), names


def test_it_learned_from_all_others_and_not_from_those(forgotten):
    before, after, names = forgotten
    first, second = Subject.of(before), Subject.of(after)
    gone = {first.names[index] for index in np.flatnonzero(first.members & ~second.members)}
    assert gone == set(names)
    assert not (second.members & ~first.members).any()
    assert np.array_equal(first.images.validation.labels, second.images.validation.labels)


def test_it_is_what_training_without_them_gives(forgotten, tmp_path):
    """An independent way there: a recipe that excludes them."""
    _, after, names = forgotten
    listed = tmp_path / "out.csv"
    listed.write_text("image\n" + "\n".join(names))
    recipe = loading.load("early-stopping", ["training.epochs=2", f"data.exclude={listed}"])
    train(Plan(recipe, load("shapes:train=100,test=30"), "shapes:train=100,test=30", 0, "fp32"), tmp_path / "run")
    assert Run(tmp_path / "run").weights_seal() == after.weights_seal()


def test_what_is_shown_is_true(forgotten):
    before, after, names = forgotten
    proof = Evidence(after).forgetting()
    assert proof.forgotten == tuple(names)
    assert (proof.weights_before, proof.weights_after) == (before.weights_seal(), after.weights_seal())
    assert proof.images_before != proof.images_after
    assert (proof.learned_before, proof.learned_after) == (90, 88)
    assert proof.accuracy_before == evaluate(before)["accuracy"]
    assert proof.accuracy_after == evaluate(after)["accuracy"]
    low, high = proof.difference[1]
    assert low <= proof.difference[0] <= high
    words = (after.path / "forgetting.txt").read_text()
    assert proof.weights_after in words
    assert "2 images were left out of a training made anew" in words
    assert words.strip() == "\n".join(in_words(proof))


def test_the_run_is_its_own_witness_when_the_list_is_gone(forgotten):
    _, after, names = forgotten
    assert (after.path / "excluded.csv").read_text().splitlines()[2:] == names
    assert evaluate(after, "validation")["n"] == 10


def test_what_was_forgotten_before_stays_forgotten(forgotten, tmp_path):
    _, after, names = forgotten
    subject = Subject.of(after)
    third = subject.names[subject.images.learn[0]]
    forget(after, [third], tmp_path / "again")
    again = Subject.of(Run(tmp_path / "again"))
    left_out = {again.names[index] for index in np.flatnonzero(Subject.of(forgotten[0]).members & ~again.members)}
    assert left_out == {*names, third}


@pytest.mark.parametrize("names", [["test/3"], ["train/100"], ["cat.png"]])
def test_what_had_no_part_cannot_be_forgotten(trained, tmp_path, names):
    with pytest.raises(DataError, match="no image that"):
        forget(Run(trained), names, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_nothing_named_is_nothing_forgotten(trained, tmp_path):
    with pytest.raises(DataError, match="Nothing to forget"):
        forget(Run(trained), [], tmp_path / "run")


def test_what_is_forgotten_already_cannot_be_forgotten_again(forgotten, tmp_path):
    with pytest.raises(DataError, match="no image that"):
        forget(forgotten[1], forgotten[2][:1], tmp_path / "run")
