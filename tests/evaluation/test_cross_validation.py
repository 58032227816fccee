"""Cross-validation: folds, pooled metrics, files."""

import csv
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, balanced_accuracy_score, confusion_matrix

import tinysight as ts
from tinysight._util.errors import DataError, RunError
from tinysight.data.dataset import Split
from tinysight.evaluation.confidence_intervals import balanced_interval, wilson_interval
from tinysight.evaluation.cross_validation import CrossValidation, fold_indices


@pytest.fixture(scope="module")
def validated(photos, tmp_path_factory):
    """A cross-validation of 40 images in 4 folds, and its folder."""
    out = tmp_path_factory.mktemp("cv") / "folds"
    return ts.cross_validate("early-stopping", photos, folds=4, out=out, epochs=1, seed=3), out


def rows_of(out):
    with (out / "out_of_fold.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_every_image_is_predicted_once_by_a_run_that_was_not_trained_on_it(validated, photos):
    result, out = validated
    rows = rows_of(out)
    assert sorted(row["image"] for row in rows) == sorted(
        p.relative_to(photos).as_posix() for p in photos.rglob("*.png")
    )
    assert all(row["image"].split("/")[0] == row["label"] for row in rows)
    assert [fold.run for fold in result.folds] == ["fold-1", "fold-2", "fold-3", "fold-4"]
    assert [fold.n for fold in result.folds] == [10, 10, 10, 10]
    for number, fold in enumerate(result.folds, 1):
        labels = [row["label"] for row in rows if row["fold"] == str(number)]
        assert labels.count("cat") == labels.count("dog") == 5
        run = ts.Run.open(out / fold.run)
        assert run.summary().status == "finished"
        assert run.metrics().accuracy == fold.accuracy
        assert run.environment().seed == 3


def test_the_pooled_metrics_equal_those_of_scikit_learn(validated):
    result, out = validated
    truth, predicted = zip(*((row["label"], row["predicted"]) for row in rows_of(out)), strict=True)
    assert result.n == 40
    assert result.accuracy == pytest.approx(accuracy_score(truth, predicted))
    assert result.balanced_accuracy == pytest.approx(balanced_accuracy_score(truth, predicted))
    assert np.array_equal(result.confusion_matrix, confusion_matrix(truth, predicted, labels=result.class_names))
    assert result.accuracy_ci95 == wilson_interval(round(40 * result.accuracy), 40)
    assert result.method.startswith("95% intervals: for the accuracy, the Wilson score on the pooled predictions")
    assert not result.grouped


def test_the_record_is_checked_when_it_is_read(validated, tmp_path):
    result, out = validated
    assert CrossValidation.open(out) == result
    text = (out / "cv.json").read_text()
    (tmp_path / "cv.json").write_text(text.replace('"n": 40', '"n": 41'))
    with pytest.raises(RunError, match="modified after it was written"):
        CrossValidation.open(tmp_path)


def test_an_existing_folder_is_refused(validated, photos):
    with pytest.raises(RunError, match="already exists"):
        ts.cross_validate("early-stopping", photos, folds=2, out=validated[1], epochs=1)


def test_the_test_split_of_the_user_is_left_alone(tmp_path):
    out = tmp_path / "cv"
    result = ts.cross_validate("early-stopping", "shapes:train=100,test=30", folds=2, out=out, epochs=1)
    assert result.n == 100
    assert {row["image"] for row in rows_of(out)} == {f"train/{number}" for number in range(100)}


def images(labels, groups=()):
    return Split(np.zeros((len(labels), 3, 8, 8), np.uint8), np.array(labels, dtype=np.int64), (), tuple(groups))


@given(sizes=st.lists(st.integers(1, 4), min_size=12, max_size=24), folds=st.integers(2, 5), seed=st.integers(0, 2**62))
def test_folds_divide_the_images_and_keep_groups_whole(sizes, folds, seed):
    groups = [f"group {number}" for number, size in enumerate(sizes) for _ in range(size)]
    labels = [number % 2 for number, size in enumerate(sizes) for _ in range(size)]
    parts = fold_indices(images(labels, groups), folds, seed, ("cat", "dog"))
    assert len(parts) == folds
    assert sorted(np.concatenate(parts).tolist()) == list(range(len(labels)))
    of_group = [{groups[index] for index in part} for part in parts]
    assert sum(map(len, of_group)) == len(sizes)


@pytest.mark.parametrize(
    ("labels", "groups", "folds", "problem"),
    [
        ([0, 0, 0, 1, 1], (), 3, "Class dog: 2 images, but 3 folds need 3. Choose fewer folds."),
        ([0, 0, 0, 1, 1, 1], "abcddd", 3, "Class dog: 1 group, but 3 folds need 3. Choose fewer folds."),
        ([0, 1] * 9, (), 1, "1 folds: out of range. Choose 2 to 50."),
        ([0, 1] * 9, (), 51, "51 folds: out of range. Choose 2 to 50."),
    ],
)
def test_impossible_folds_are_refused(labels, groups, folds, problem):
    with pytest.raises(DataError) as error:
        fold_indices(images(labels, groups), folds, 0, ("cat", "dog"))
    assert str(error.value) == problem


def test_the_interval_of_the_balanced_accuracy_covers_it_in_about_95_percent_of_draws():
    random, recalls, totals = np.random.default_rng(0), np.array([0.95, 0.6, 0.8]), np.array([200, 20, 60])
    intervals = [balanced_interval(random.binomial(totals, recalls), totals) for _ in range(800)]
    coverage = np.mean([low <= recalls.mean() <= high for low, high in intervals])
    assert 0.93 <= coverage <= 0.985


def test_the_interval_of_one_class_is_that_of_wilson():
    assert balanced_interval(np.array([6]), np.array([6])) == pytest.approx(wilson_interval(6, 6))


def test_the_command_prints_both_accuracies_with_intervals(tinysight, photos, tmp_path):
    out = tmp_path / "cv"
    command = ["train", "early-stopping", "--data", photos, "--epochs", 1, "--folds", 2, "--out", out]
    outcome = tinysight(*command)
    assert outcome.code == 0
    result = CrossValidation.open(out)
    low, high = result.balanced_accuracy_ci95
    lines = " ".join(outcome.out.split())
    assert f"balanced accuracy: {result.balanced_accuracy:.1%} (95% interval {low:.1%} to {high:.1%}, n = 40)" in lines
    assert " ".join(result.method.split()) in lines
    assert tinysight(*command[:-2], "--out", tmp_path / "other", "--workers", 2).refusal() == (
        "--folds: cannot be combined with --resume, --workers, --launcher or --log. Remove them."
    )


def test_a_split_by_time_has_no_folds(photos, tmp_path):
    dataset = replace(ts.load_dataset(photos), has_drawn_test=True)
    for part in ("train", "test"):
        split = getattr(dataset, part)
        dataset = replace(dataset, **{part: replace(split, times=tuple(map(str, range(len(split)))))})
    with pytest.raises(
        DataError, match=r"^folds: mix older and newer images, but the split is by time\. Remove one of"
    ):
        ts.cross_validate("early-stopping", dataset, out=tmp_path / "cv", overrides=["data.split=time"])
