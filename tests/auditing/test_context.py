"""The input of audit sections: the pool of all images and the predictions."""

from dataclasses import replace

import numpy as np
import pytest

from tinysight._util.errors import DataError
from tinysight.auditing.context import AuditContext
from tinysight.data.dataset import Split
from tinysight.data.splits import split_dataset
from tinysight.runs.run import Run


@pytest.fixture
def context(trained):
    return AuditContext.from_run(Run(trained))


def test_the_pool_holds_all_splits_one_after_the_other(context):
    train, test = context.dataset.train, context.dataset.test
    assert np.array_equal(context.pool.pixels, np.concatenate([train.pixels, test.pixels]))
    assert np.array_equal(context.pool.labels, np.concatenate([train.labels, test.labels]))
    assert context.names == (*(f"train/{i}" for i in range(100)), *(f"test/{i}" for i in range(30)))
    assert context.splits.tolist() == ["train"] * 100 + ["test"] * 30


def test_the_pool_keeps_file_names_and_a_validation_split(context):
    parts = [
        Split(context.pool.pixels[:2], context.pool.labels[:2], (f"{name}0.png", f"{name}1.png")) for name in "abc"
    ]
    dataset = replace(context.dataset, train=parts[0], validation=parts[1], test=parts[2])
    other = replace(context, dataset=dataset)
    assert other.names == other.pool.files == ("a0.png", "a1.png", "b0.png", "b1.png", "c0.png", "c1.png")
    assert other.splits.tolist() == ["train"] * 2 + ["validation"] * 2 + ["test"] * 2


def test_members_are_the_images_that_the_run_trained_on(context):
    run = context.run
    indices = split_dataset(context.dataset, run.recipe().data, run.environment().seed).train_indices
    assert np.flatnonzero(context.is_member).tolist() == sorted(indices)
    assert context.is_member.shape == (130,)
    assert context.is_member.sum() == 90


def test_predictions_are_those_of_the_classifier_on_the_test_images(context):
    test = context.dataset.test
    expected = context.run.classifier().probabilities(test.pixels).argmax(1)
    assert context.predicted.tolist() == expected.tolist()
    assert context.correct.tolist() == (expected == test.labels).tolist()


def test_a_section_without_its_input_is_a_programming_error(context, tmp_path):
    with pytest.raises(ValueError, match="no groups file"):
        context.require_groups_file()
    with pytest.raises(ValueError, match="no shadow models"):
        context.require_shadow_models()
    given = replace(context, groups_file=tmp_path, shadow_models="models")
    assert (given.require_groups_file(), given.require_shadow_models()) == (tmp_path, "models")


def test_a_dataset_without_test_images_is_refused(finished_run):
    run = Run(finished_run)
    dataset = AuditContext.from_run(run).dataset.without_test()
    environment = run.environment()
    record = environment.dataset.model_copy(update={"fingerprint": dataset.fingerprint})
    run.write_environment(environment.model_copy(update={"dataset": record}))
    with pytest.raises(DataError) as error:
        AuditContext.from_run(run, dataset)
    assert str(error.value) == (
        f"{dataset.source}: has no test images, which audits and unlearning need. Train with `tinysight.train`, which "
        "sets some of the images aside."
    )
