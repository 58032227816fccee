"""Selection: trainings with new seeds separate the best trial from a lucky one."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from tinysight._util.errors import TrainingError
from tinysight.recipes import loading
from tinysight.tuning.results import format_best_recipe, summarize
from tinysight.tuning.selection import select_best
from tinysight.tuning.trial import Trial


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


def baseline_and(*challengers):
    """Return trials of a search: the baseline with accuracy 0.5, and challengers with the given accuracies."""
    return [Trial(number, "finished", {}, accuracy) for number, accuracy in enumerate([0.5, *challengers])]


def reseeded_trial(number, reseed_of, seed, accuracy, state="finished"):
    return Trial(number, state, {}, accuracy, reseed_of=reseed_of, reseed_number=seed)


ACCURACY = st.integers(0, 1024).map(lambda number: number / 1024)  # sums of these are exact
PAIRS = st.lists(st.tuples(ACCURACY, ACCURACY), min_size=1, max_size=8)


def reseed_pairs(pairs, challenger=1):
    """Return the trainings of the baseline and a challenger that give these pairs of accuracies."""
    return [
        reseeded_trial(2 * seed + position, number, seed, pair[position])
        for seed, pair in enumerate(pairs, 1)
        for position, number in enumerate((0, challenger))
    ]


@given(PAIRS)
def test_evidence_equals_a_paired_t_test_for_any_accuracies(pairs):
    trials = baseline_and(0.9)
    selection = select_best(trials, reseed_pairs(pairs), trials[0])
    baseline, challenger = np.array(pairs).T
    assert selection.pairs == tuple(pairs)
    assert selection.gain == pytest.approx((challenger - baseline).mean(), abs=1e-12)
    if len(pairs) < 3:
        assert selection.gain_interval is None
    elif np.ptp(challenger - baseline) < 1e-9:
        assert selection.gain_interval == pytest.approx((selection.gain,) * 2, abs=1e-9)
    else:
        expected = stats.ttest_rel(challenger, baseline).confidence_interval()
        assert selection.gain_interval == pytest.approx((expected.low, expected.high), abs=1e-9)


@given(
    st.lists(ACCURACY, min_size=8, max_size=8),
    st.lists(st.lists(ACCURACY, min_size=1, max_size=8), min_size=1, max_size=4),
)
def test_selected_trial_has_the_largest_mean_gain_and_a_positive_one(baseline, accuracies_of):
    trials = baseline_and(*[0.9] * len(accuracies_of))
    reseeded = [reseeded_trial(seed, 0, seed, accuracy) for seed, accuracy in enumerate(baseline, 1)]
    means = {}
    for number, accuracies in enumerate(accuracies_of, 1):
        reseeded += [reseeded_trial(0, number, seed, accuracy) for seed, accuracy in enumerate(accuracies, 1)]
        means[number] = np.mean(accuracies) - np.mean(baseline[: len(accuracies)])
    selection = select_best(trials, reseeded, trials[0])
    eligible = [number for number, accuracies in enumerate(accuracies_of, 1) if len(accuracies) >= 2] or list(means)
    best = max(eligible, key=lambda number: means[number])
    assert selection.gain == pytest.approx(means[best], abs=1e-12)
    assert selection.challenger.number in eligible
    assert selection.chosen == (selection.challenger if selection.gain > 0 else trials[0])
    rejected = {number for number in means if len(accuracies_of[number - 1]) >= 3 and means[number] <= 1e-12}
    assert selection.n_rejected == len(rejected - {selection.challenger.number})


def test_selection_by_hand():
    """Trial 2 has the best search result but one lucky pair; trial 1 gains 0.03 on average, trial 3 loses."""
    trials = baseline_and(0.60, 0.80, 0.70)
    gains = {1: (0.02, 0.04), 2: (0.30,), 3: (-0.01, -0.02, 0.01)}
    reseeded = [reseeded_trial(seed, 0, seed, 0.5) for seed in (1, 2, 3)]
    reseeded += [
        reseeded_trial(0, number, seed, 0.5 + gain)
        for number, values in gains.items()
        for seed, gain in enumerate(values, 1)
    ]
    selection = select_best(trials, reseeded, trials[0])
    assert (selection.best.number, selection.challenger.number, selection.chosen.number) == (2, 1, 1)
    assert selection.gain == pytest.approx(0.03)
    assert (selection.n_trials, selection.n_rejected) == (4, 1)


@pytest.mark.parametrize("state", ["running", "waiting", "lost", "stopped", "pruned"])
def test_unfinished_trainings_with_new_seeds_are_no_evidence(state):
    trials = baseline_and(0.9)
    reseeded = [reseeded_trial(0, 0, 1, 0.5), reseeded_trial(1, 1, 1, 0.9, state)]
    selection = select_best(trials, reseeded, trials[0])
    assert (selection.pairs, selection.challenger, selection.chosen.number) == ((), None, 1)


def test_equal_accuracies_favor_the_baseline_and_the_older_trial():
    trials = baseline_and(0.5, 0.5)
    assert select_best(trials, [], trials[0]).chosen.number == 0
    trials = baseline_and(0.9, 0.9)
    assert select_best(trials, [], trials[0]).chosen.number == 1
    assert select_best(trials, reseed_pairs([(0.6, 0.6)] * 2), trials[0]).chosen.number == 0
