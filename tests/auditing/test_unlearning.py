"""Exact unlearning: the retrained run never uses the images, and its record is correct."""

import hashlib
import shutil
from dataclasses import replace

import numpy as np
import pytest

from tinysight._util.errors import DataError
from tinysight.auditing.context import AuditContext
from tinysight.auditing.unlearning import build_report, forget, report_lines
from tinysight.data.load import load
from tinysight.evaluation.evaluate import evaluate
from tinysight.evaluation.significance import difference_interval
from tinysight.recipes import loading
from tinysight.runs.artifacts import RunArtifacts
from tinysight.runs.audit_results import TrueClassProbability, UnlearningReport
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


def mean_true_class_probability(run, pixels, labels):
    return run.classifier().probabilities(pixels)[np.arange(len(labels)), labels].mean()


def test_certainty_is_measured_on_forgotten_images_and_on_test_images_of_their_classes(forgotten):
    before, after, names = forgotten
    context = AuditContext.from_run(before)
    train, test = context.dataset.train, context.dataset.test
    indices = [int(name.removeprefix("train/")) for name in names]
    unseen = np.isin(test.labels, train.labels[indices])
    measured = RunArtifacts(after).unlearning().true_class_probability
    for run, on_forgotten, on_unseen in (
        (before, measured.forgotten_before, measured.unseen_before),
        (after, measured.forgotten_after, measured.unseen_after),
    ):
        expected = mean_true_class_probability(run, train.pixels[indices], train.labels[indices])
        assert on_forgotten == pytest.approx(expected)
        expected = mean_true_class_probability(run, test.pixels[unseen], test.labels[unseen])
        assert on_unseen == pytest.approx(expected)
    assert 0 < unseen.sum() < len(test)


def test_the_certainty_is_0_without_test_images_of_the_forgotten_classes(forgotten):
    before, after, names = forgotten
    first, second = AuditContext.from_run(before), AuditContext.from_run(after)
    forgotten_labels = first.dataset.train.labels[[int(name.removeprefix("train/")) for name in names]]
    test = first.dataset.test
    kept = ~np.isin(test.labels, forgotten_labels)
    test = replace(test, pixels=test.pixels[kept], labels=test.labels[kept])
    others = [replace(context, dataset=replace(context.dataset, test=test)) for context in (first, second)]
    report = build_report(*others, names)
    assert (report.true_class_probability.unseen_before, report.true_class_probability.unseen_after) == (0.0, 0.0)
    assert report.n_test == kept.sum()


def test_fingerprints_are_the_sha256_of_labels_and_pixels(forgotten):
    before, after, _ = forgotten
    record = RunArtifacts(after).unlearning()
    for run, fingerprint in ((before, record.images_sha256_before), (after, record.images_sha256_after)):
        split = AuditContext.from_run(run).train_split
        labels, pixels = split.train.labels[split.train_indices], split.train.pixels[split.train_indices]
        assert hashlib.sha256(labels.astype("<i8").tobytes() + pixels.tobytes()).hexdigest() == fingerprint


def test_the_difference_is_accuracy_after_minus_accuracy_before(forgotten):
    before, after, _ = forgotten
    record = RunArtifacts(after).unlearning()
    correct_before, correct_after = (AuditContext.from_run(run).correct for run in (before, after))
    assert record.difference[0] == pytest.approx(correct_after.mean() - correct_before.mean())
    assert record.difference[1] == pytest.approx(difference_interval(correct_after, correct_before))
    assert record.n_test == 30


def test_the_text_states_all_figures():
    report = UnlearningReport(
        forgotten=("train/1",),
        weights_sha256_before="aa",
        weights_sha256_after="bb",
        images_sha256_before="cc",
        images_sha256_after="dd",
        n_train_before=45_000,
        n_train_after=44_999,
        n_test=10_000,
        accuracy_before=0.9,
        accuracy_after=0.8985,
        difference=(-0.0015, (-0.004, 0.001)),
        true_class_probability=TrueClassProbability(0.99, 0.7654, 0.8, 0.81),
    )
    assert report_lines(report) == [
        "The model was retrained from scratch without 1 image: 44,999 training images instead of 45,000.",
        "SHA-256 of the training images: cc before, dd after.",
        "SHA-256 of the weights: aa before, bb after.",
        "Test accuracy (n = 10,000): 90.0% before, 89.8% after; difference -0.15 percentage points "
        "(95% CI -0.40 to +0.10).",
        "Mean probability of the true class on the forgotten images: 0.990 before, 0.765 after. On test images of the "
        "same classes, which neither model was trained on: 0.800 before, 0.810 after.",
    ]
    several = report.model_copy(update={"forgotten": tuple(f"train/{number}" for number in range(1200))})
    assert "without 1,200 images: 44,999" in report_lines(several)[0]


def test_messages_of_refused_names_are_complete(trained, tmp_path):
    with pytest.raises(DataError) as error:
        forget(Run(trained), ["train/1", "test/3", "cat.png"], tmp_path / "run")
    assert str(error.value) == (
        f"test/3: not a training or validation image of {trained}. Name images as its dataset does, such as train/0."
    )
    with pytest.raises(DataError) as error:
        forget(Run(trained), [], tmp_path / "run")
    assert str(error.value) == "No images to forget. Pass the ids of images, such as train/17."
