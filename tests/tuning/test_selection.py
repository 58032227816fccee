"""Selection: trainings with new seeds separate the best trial from a lucky one."""

import numpy as np
import pytest
from scipy import stats

from tinysight._util.errors import TrainingError
from tinysight.recipes import loading
from tinysight.tuning.results import format_best_recipe, summarize
from tinysight.tuning.selection import select_best


@pytest.fixture
def reseed(study, ended):
    """Return a function that adds trainings with new seeds; a string is the error of a failed one."""

    def make(*accuracies):
        for accuracy in accuracies:
            task = study.next_reseeded()
            task.finish(ended(0, "failed", accuracy) if isinstance(accuracy, str) else ended(accuracy))

    return make


def select(study):
    return select_best(study.trials(), study.reseeded_trials(), study.baseline)


def summary(study):
    return " ".join(summarize(study, select(study)))


def test_no_finished_trial_raises(study, ended):
    study.next_trial().finish(ended(0, "failed", "The loss became nan."))
    with pytest.raises(TrainingError, match=r"no trial has finished\. .* First error: The loss became nan\."):
        select(study)


def test_without_new_seeds_the_best_trial_is_selected_with_a_caveat(study, search):
    search(0.5, 0.7, 0.6)
    selection = select(study)
    assert (selection.chosen.number, selection.gain, selection.gain_interval) == (1, None, None)
    assert "validation accuracy 70.0% after 2 epochs (baseline 50.0%)" in summary(study)
    assert "the gain may be due to chance" in summary(study)


def test_gain_and_interval_equal_a_paired_t_test(study, search, reseed):
    search(0.5, 0.7)
    baseline, best = np.array([0.52, 0.55, 0.5, 0.53]), np.array([0.6, 0.66, 0.61, 0.57])
    reseed(*np.stack([baseline, best], 1).ravel())
    selection, expected = select(study), stats.ttest_rel(best, baseline).confidence_interval()
    assert selection.chosen.number == 1
    assert selection.gain == pytest.approx((best - baseline).mean())
    assert selection.gain_interval == pytest.approx((expected.low, expected.high))
    assert "with the same 4 new seeds: trial 1 61.0%, baseline 52.5%, difference +8.50 percentage points" in summary(
        study
    )


def test_lucky_trial_is_not_selected(study, search, reseed):
    search(0.5, 0.7)
    reseed(0.55, 0.5, 0.55, 0.52)
    selection = select(study)
    assert (selection.chosen.number, selection.challenger.number, selection.gain_interval) == (0, 1, None)
    assert "No better values were found" in summary(study)
    recipe = loading.parse_recipe(format_best_recipe(study, selection, "shapes"), "best.toml")
    assert recipe == study.record.recipe.model_copy(update={"name": "early-stopping-tuned"})


def test_next_challenger_follows_a_rejected_one(study, search, reseed):
    search(0.5, 0.7, 0.6, 0.4)
    reseed(0.5, 0.4, 0.5, 0.5, 0.5, 0.4)  # three pairs without a gain
    assert [select(study).chosen.number, select(study).n_rejected] == [0, 0]
    reseed(0.55, 0.55)  # the baseline already has these seeds
    assert [(trial.reseed_of, trial.reseed_number) for trial in study.reseeded_trials()][6:] == [(2, 1), (2, 2)]
    selection = select(study)
    assert (selection.chosen.number, selection.challenger.number, selection.n_rejected) == (2, 2, 1)
    assert "1 other beat the baseline in the search, but not with new seeds" in summary(study)
    reseed(0.2)
    assert study.next_reseeded() is None  # no challenger is left


def test_incomplete_pair_is_ignored(study, search, reseed):
    search(0.5, 0.7)
    reseed(0.5, 0.6, 0.9)
    assert select(study).pairs == ((0.5, 0.6),)
    assert "with 1 new seed:" in summary(study)


def test_diverged_training_counts_as_accuracy_zero(study, search, reseed):
    search(0.5, 0.7)
    reseed(0.5, 0.6, 0.5, "The loss became nan.")
    assert select(study).pairs == ((0.5, 0.6), (0.5, 0.0))
    assert select(study).chosen.number == 0


def test_failed_baseline_does_not_end_the_study(study, ended):
    study.next_trial().finish(ended(0, "failed", "The loss became nan."))
    study.next_trial().finish(ended(0.4))
    assert select(study).chosen.number == 1
    assert "(the baseline never finished)" in summary(study)


def test_challenger_with_the_largest_gain_is_selected(study, search, reseed):
    search(0.5, 0.7)
    reseed(0.5, 0.6, 0.5, 0.6)
    search(0.8)
    reseed(0.52, 0.54, 0.5)  # the baseline already has the first two seeds
    reseeded = [(trial.reseed_of, trial.reseed_number) for trial in study.reseeded_trials()]
    assert reseeded == [(0, 1), (1, 1), (0, 2), (1, 2), (2, 1), (2, 2), (0, 3)]
    selection = select(study)
    assert (selection.best.number, selection.chosen.number) == (2, 1)


def test_shortened_trials_are_mentioned(study, search, record, tmp_path, ended):
    from tinysight.tuning.study import Study

    short = Study.create(tmp_path / "short", record.model_copy(update={"epochs": 1}))
    with short.join():
        task = short.next_trial()
        assert short.trial_recipe(task.values).training.epochs == 1
        task.finish(ended(0.5))
    assert "after 1 epoch of 2" in summary(short)
    assert loading.parse_recipe(format_best_recipe(short, select(short), "shapes"), "best.toml").training.epochs == 2
