"""Exact unlearning: the retrained run never uses the images, and its record is correct."""

import shutil

import numpy as np
import pytest

from tinysight._util.errors import DataError
from tinysight.auditing.context import AuditContext
from tinysight.auditing.unlearning import forget, report_lines
from tinysight.data.load import load
from tinysight.evaluation.evaluate import evaluate
from tinysight.recipes import loading
from tinysight.runs.artifacts import RunArtifacts
from tinysight.runs.run import Run
from tinysight.training.request import TrainConfig
from tinysight.training.session import Session


@pytest.fixture(scope="module")
def forgotten(trained, tmp_path_factory):
    """A run, its retraining without two images, and their names."""
    folder = tmp_path_factory.mktemp("forgotten")
    run, out = Run(shutil.copytree(trained, folder / "before")), folder / "run"
    train_indices = AuditContext.from_run(run).train_split.train_indices
    names = [f"train/{train_indices[0]}", f"train/{train_indices[5]}"]
    forget(run, names, out)
    return run, Run(out), names


def test_only_the_named_images_are_removed_from_training(forgotten):
    run, retrained, names = forgotten
    before, after = AuditContext.from_run(run), AuditContext.from_run(retrained)
    removed = {before.names[index] for index in np.flatnonzero(before.is_member & ~after.is_member)}
    assert removed == set(names)
    assert not (after.is_member & ~before.is_member).any()
    assert np.array_equal(before.train_split.validation.labels, after.train_split.validation.labels)


def test_the_weights_equal_those_of_training_with_an_exclude_file(forgotten, tmp_path):
    _, after, names = forgotten
    exclude_file = tmp_path / "out.csv"
    exclude_file.write_text("image\n" + "\n".join(names))
    recipe = loading.load_recipe("early-stopping", ["training.epochs=2", f"data.exclude_file={exclude_file}"])
    argument = "shapes:train=100,test=30"
    Session(TrainConfig(recipe, load(argument), argument, tmp_path / "run")).run()
    assert Run(tmp_path / "run").weights_checksum() == after.weights_checksum()


def test_the_record_is_correct(forgotten):
    before, after, names = forgotten
    proof = RunArtifacts(after).unlearning()
    assert proof.forgotten == tuple(names)
    assert (proof.weights_sha256_before, proof.weights_sha256_after) == (
        before.weights_checksum(),
        after.weights_checksum(),
    )
    assert proof.images_sha256_before != proof.images_sha256_after
    assert (proof.n_train_before, proof.n_train_after) == (90, 88)
    assert proof.accuracy_before == evaluate(before).accuracy
    assert proof.accuracy_after == evaluate(after).accuracy
    low, high = proof.difference[1]
    assert low <= proof.difference[0] <= high
    text = (after.path / "unlearning.txt").read_text()
    assert proof.weights_sha256_after in text
    assert "The model was retrained from scratch without 2 images: 88 training images instead of 90." in text
    assert text.strip() == "\n".join(report_lines(proof))


def test_the_run_keeps_its_own_copy_of_the_exclude_file(forgotten):
    _, after, names = forgotten
    assert (after.path / "excluded.csv").read_text().splitlines()[2:] == names
    assert evaluate(after, split="validation").n == 10


def test_forgetting_again_keeps_earlier_images_excluded(forgotten, tmp_path):
    _, after, names = forgotten
    context = AuditContext.from_run(after)
    third = context.names[context.train_split.train_indices[0]]
    forget(after, [third], tmp_path / "again")
    again = AuditContext.from_run(Run(tmp_path / "again"))
    removed = {
        again.names[index] for index in np.flatnonzero(AuditContext.from_run(forgotten[0]).is_member & ~again.is_member)
    }
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
