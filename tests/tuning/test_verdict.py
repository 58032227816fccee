"""The best of many is told from the luckiest of many by trainings with fresh seeds."""

import numpy as np
import pytest
from scipy import stats

from tinysight.errors import TrainingError
from tinysight.recipes import loading
from tinysight.tuning.results import best_text, in_words
from tinysight.tuning.verdict import judge


@pytest.fixture
def again(study, ended):
    """Return a function that makes trainings with fresh seeds as accurate as told; a text fails with it."""

    def make(*accuracies):
        for accuracy in accuracies:
            task = study.train_again()
            task.finish(ended(0, "failed", accuracy) if isinstance(accuracy, str) else ended(accuracy))

    return make


def said(study):
    return " ".join(in_words(study, judge(study)))


def test_without_an_ended_trial_there_is_no_verdict(study, ended):
    study.search().finish(ended(0, "failed", "The loss became nan."))
    with pytest.raises(TrainingError, match=r"No trial has come to its end; .* The loss became nan\."):
        judge(study)


def test_without_fresh_seeds_the_best_of_the_search_is_taken_and_called_lucky(study, search):
    search(0.5, 0.7, 0.6)
    verdict = judge(study)
    assert (verdict.chosen.number, verdict.gain, verdict.interval) == (1, None, None)
    assert "validation accuracy 0.7000 after 2 epochs, where the recipe as it was has 0.5000" in said(study)
    assert "may be luck" in said(study)


def test_a_gain_is_that_of_pairs_and_its_interval_students(study, search, again):
    search(0.5, 0.7)
    start, best = np.array([0.52, 0.55, 0.5, 0.53]), np.array([0.6, 0.66, 0.61, 0.57])
    again(*np.stack([start, best], 1).ravel())
    verdict, expected = judge(study), stats.ttest_rel(best, start).confidence_interval()
    assert verdict.chosen.number == 1
    assert verdict.gain == pytest.approx((best - start).mean())
    assert verdict.interval == pytest.approx((expected.low, expected.high))
    assert "with 4 fresh seeds, each for both: 0.6100 and 0.5250, a difference of +0.0850" in said(study)


def test_what_was_only_lucky_is_not_taken(study, search, again):
    search(0.5, 0.7)
    again(0.55, 0.5, 0.55, 0.52)
    verdict = judge(study)
    assert (verdict.chosen.number, verdict.rival.number, verdict.interval) == (0, 1, None)
    assert "Nothing better was found" in said(study)
    recipe = loading.parse(best_text(study, verdict, "shapes"), "best.toml")
    assert recipe == study.record.recipe.model_copy(update={"name": "early-stopping-tuned"})


def test_a_rival_that_is_refuted_makes_room_for_the_next(study, search, again):
    search(0.5, 0.7, 0.6, 0.4)
    again(0.5, 0.4, 0.5, 0.5, 0.5, 0.4)  # three pairs without a gain
    assert [judge(study).chosen.number, judge(study).refuted] == [0, 0]
    again(0.55, 0.55)  # the start has had these seeds: the next best is trained with two of them
    assert [(one.of, one.fresh) for one in study.fresh()][6:] == [(2, 1), (2, 2)]
    verdict = judge(study)
    assert (verdict.chosen.number, verdict.rival.number, verdict.refuted) == (2, 2, 1)
    assert "1 other came further in the search, but not with fresh seeds" in said(study)
    again(0.2)
    assert study.train_again() is None  # nobody is left who came further than the start


def test_a_half_pair_counts_for_nothing(study, search, again):
    search(0.5, 0.7)
    again(0.5, 0.6, 0.9)
    assert judge(study).pairs == ((0.5, 0.6),)
    assert "with one fresh seed:" in said(study)


def test_a_training_that_diverges_with_a_fresh_seed_speaks_against_its_recipe(study, search, again):
    search(0.5, 0.7)
    again(0.5, 0.6, 0.5, "The loss became nan.")
    assert judge(study).pairs == ((0.5, 0.6), (0.5, 0.0))
    assert judge(study).chosen.number == 0


def test_a_start_that_fails_does_not_end_the_study(study, ended):
    study.search().finish(ended(0, "failed", "The loss became nan."))
    study.search().finish(ended(0.4))
    assert judge(study).chosen.number == 1
    assert "the recipe as it was never came to its end" in said(study)


def test_of_several_that_were_trained_again_the_one_that_gained_most_is_taken(study, search, again):
    search(0.5, 0.7)
    again(0.5, 0.6, 0.5, 0.6)
    search(0.8)
    again(0.52, 0.54, 0.5)  # the start's first two seeds are known: only the new best is trained with them
    fresh = [(one.of, one.fresh) for one in study.fresh()]
    assert fresh == [(0, 1), (1, 1), (0, 2), (1, 2), (2, 1), (2, 2), (0, 3)]
    verdict = judge(study)
    assert (verdict.best.number, verdict.chosen.number) == (2, 1)


def test_short_trials_are_told_as_such(study, search, record, tmp_path, ended):
    from tinysight.tuning.study import Study

    short = Study.begin(tmp_path / "short", record.model_copy(update={"epochs": 1}))
    with short.joined():
        task = short.search()
        assert short.trial_recipe(task.values).training.epochs == 1
        task.finish(ended(0.5))
    assert "after 1 epoch of 2" in said(short)
    assert loading.parse(best_text(short, judge(short), "shapes"), "best.toml").training.epochs == 2
