"""The plots of a search show every trial at its number and accuracy."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinysight.reporting import style
from tinysight.tuning.plots import plot_history, plot_importance
from tinysight.tuning.selection import Selection
from tinysight.tuning.trial import Trial


def trial(number, accuracy, state="finished", epochs=2):
    return Trial(number, state, {}, score=accuracy, epochs=epochs)


def history(trials, baseline=None):
    best = max((trial for trial in trials if trial.state == "finished"), key=lambda trial: trial.score)
    selection = Selection(best, best, baseline, (), None, len(trials))
    figure = plot_history(trials, selection, "Tuning deep on shapes")
    (axes,) = figure.axes
    return figure, axes


def markers(axes):
    """Return the markers of an axes as (number, accuracy, shape, whether filled)."""
    return [
        (line.get_xdata()[0], line.get_ydata()[0], line.get_marker(), line.get_markerfacecolor() != style.PAPER)
        for line in axes.lines
        if line.get_marker() != "None"
    ]


def texts(figure):
    """Return all texts of a figure, joined."""
    return " ".join(text.get_text() for text in [*figure.texts, *(text for axes in figure.axes for text in axes.texts)])


def step(axes):
    """Return the points of the line of the best accuracy so far."""
    (line,) = (line for line in axes.lines if line.get_drawstyle() == "steps-post")
    return list(line.get_xdata()), list(line.get_ydata())


def test_finished_trials_are_filled_and_pruned_ones_open():
    trials = [trial(0, 0.5), trial(1, 0.45, "pruned"), trial(2, 0.6), trial(3, 0.55, "stopped")]
    figure, axes = history(trials, trials[0])
    assert markers(axes) == [(0, 0.5, "o", True), (1, 0.45, "o", False), (2, 0.6, "o", True), (3, 0.55, "o", False)]
    assert "Triangles" not in texts(figure)


def test_failed_and_lost_trials_are_only_counted():
    trials = [trial(0, 0.5), trial(1, 0.0, "failed"), trial(2, 0.0, "lost", epochs=0), trial(3, 0.3, "failed")]
    figure, axes = history(trials)
    assert [marker[:2] for marker in markers(axes)] == [(0, 0.5)]
    assert "3 failed or were lost." in texts(figure)


def test_outliers_are_triangles_at_the_lower_end_of_the_axis():
    trials = [trial(0, 0.80), trial(1, 0.82), trial(2, 0.78), trial(3, 0.1), trial(4, 0.81)]
    figure, axes = history(trials, trials[0])
    floor = 0.80 - 3 * (0.82 - 0.80)  # the median minus three times the distance to the best
    assert axes.get_ylim()[0] == pytest.approx(floor)
    assert markers(axes)[3] == (3, pytest.approx(floor), "v", True)
    assert "Triangles: below the axis." in " ".join(texts(figure).split())


@settings(max_examples=25)
@given(
    st.lists(
        st.tuples(st.floats(0.01, 1), st.sampled_from(["finished", "pruned", "stopped"])), min_size=1, max_size=12
    ).filter(lambda trials: any(state == "finished" for _, state in trials))
)
def test_line_is_the_best_finished_accuracy_so_far(results):
    trials = [trial(number, accuracy, state) for number, (accuracy, state) in enumerate(results)]
    numbers, best = step(history(trials)[1])
    finished = [accuracy if state == "finished" else -np.inf for accuracy, state in results]
    expected = np.maximum.accumulate(finished)
    assert numbers == list(range(len(trials)))
    np.testing.assert_array_equal(best, np.where(np.isinf(expected), np.nan, expected))


def test_best_and_baseline_are_labeled_with_their_accuracies():
    trials = [trial(0, 0.512), trial(1, 0.6789)]
    figure, axes = history(trials, trials[0])
    labels = {text.get_text(): text for text in axes.texts}
    assert set(labels) == {"best trial\n67.9%", "baseline\n51.2%"}
    assert (labels["best trial\n67.9%"].get_va(), labels["baseline\n51.2%"].get_va()) == ("bottom", "top")
    assert "baseline" not in texts(history(trials)[0])
    assert "Tuning deep on shapes" in texts(figure)


def test_importance_is_sorted_and_labeled():
    shares = {"optimizer.learning_rate": 0.61, "training.batch_size": 0.09, "optimizer.rho": 0.3}
    figure = plot_importance(shares, 14, "Tuning deep on shapes")
    (axes,) = figure.axes
    assert [bar.get_width() for bar in axes.patches] == [0.09, 0.3, 0.61]  # from the bottom
    assert [label.get_text() for label in axes.get_yticklabels()] == [
        "training.batch_size",
        "optimizer.rho",
        "optimizer.learning_rate",
    ]
    assert [text.get_text() for text in axes.texts] == ["9.0%", "30.0%", "61.0%"]
    assert axes.get_xlim()[1] > max(shares.values())
    assert "14 finished trials" in texts(figure)
    assert "hyperparameter importance" in texts(figure)


def test_height_of_the_importance_plot_grows_with_the_number_of_bars():
    heights = [
        plot_importance({f"key.{number}": 1 / count for number in range(count)}, 10, "title").get_figheight()
        for count in (1, 5, 9)
    ]
    assert np.diff(heights) == pytest.approx([heights[1] - heights[0]] * 2)
    assert heights[0] < heights[1]
