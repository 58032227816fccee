"""Exact unlearning: the retrained run never uses the images, and its record is correct."""

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
    """A run, its retraining without two images, and their names."""
    folder = tmp_path_factory.mktemp("forgotten")
    run, out = Run(shutil.copytree(trained, folder / "before")), folder / "run"
    train_indices = Subject.of(run).images.learn
    names = [f"train/{train_indices[0]}", f"train/{train_indices[5]}"]
    forget(run, names, out)
    return run, Run(out), names


def test_only_the_named_images_are_removed_from_training(forgotten):
    run, retrained, names = forgotten
    before, after = Subject.of(run), Subject.of(retrained)
    removed = {before.names[index] for index in np.flatnonzero(before.members & ~after.members)}
    assert removed == set(names)
    assert not (after.members & ~before.members).any()
    assert np.array_equal(before.images.validation.labels, after.images.validation.labels)


def test_the_weights_equal_those_of_training_with_an_exclude_file(forgotten, tmp_path):
    _, after, names = forgotten
    exclude_file = tmp_path / "out.csv"
    exclude_file.write_text("image\n" + "\n".join(names))
    recipe = loading.load("early-stopping", ["training.epochs=2", f"data.exclude={exclude_file}"])
    train(Plan(recipe, load("shapes:train=100,test=30"), "shapes:train=100,test=30", 0, "fp32"), tmp_path / "run")
    assert Run(tmp_path / "run").weights_seal() == after.weights_seal()


def test_the_record_is_correct(forgotten):
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
    text = (after.path / "forgetting.txt").read_text()
    assert proof.weights_after in text
    assert "The model was retrained from scratch without 2 images: 88 training images instead of 90." in text
    assert text.strip() == "\n".join(in_words(proof))


def test_the_run_keeps_its_own_copy_of_the_exclude_file(forgotten):
    _, after, names = forgotten
    assert (after.path / "excluded.csv").read_text().splitlines()[2:] == names
    assert evaluate(after, "validation")["n"] == 10


def test_forgetting_again_keeps_earlier_images_excluded(forgotten, tmp_path):
    _, after, names = forgotten
    context = Subject.of(after)
    third = context.names[context.images.learn[0]]
    forget(after, [third], tmp_path / "again")
    again = Subject.of(Run(tmp_path / "again"))
    removed = {again.names[index] for index in np.flatnonzero(Subject.of(forgotten[0]).members & ~again.members)}
    assert removed == {*names, third}


@pytest.mark.parametrize("names", [["test/3"], ["train/100"], ["cat.png"]])
def test_images_that_the_run_did_not_use_are_refused(trained, tmp_path, names):
    with pytest.raises(DataError, match="not a training or validation image of"):
        forget(Run(trained), names, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_an_empty_list_is_refused(trained, tmp_path):
    with pytest.raises(DataError, match="No images to forget"):
        forget(Run(trained), [], tmp_path / "run")


def test_images_that_are_already_excluded_are_refused(forgotten, tmp_path):
    with pytest.raises(DataError, match="not a training or validation image of"):
        forget(forgotten[1], forgotten[2][:1], tmp_path / "run")
