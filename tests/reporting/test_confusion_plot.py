import logging
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image

from tinysight.reporting.evaluation_plots import plot_confusion_matrix
from tinysight.reporting.style import save

COUNTS = [[80, 15, 5], [30, 170, 0], [0, 1, 9]]
NAMES = ["cat", "dog", "a cat that looks like a dog"]


def many(classes):
    """A confusion matrix in which row r has about r% mistakes, all for the next class."""
    counts = np.diag(np.arange(1000, 1000 - 10 * classes, -10))
    counts[np.arange(classes), (np.arange(classes) + 1) % classes] = 10 * np.arange(classes)
    return counts


@pytest.fixture
def colors(drawn):
    """Return a function that reads the color at the center of each cell, (classes, classes, 3)."""

    def read(figure, classes):
        rendered = drawn(figure).astype(int)
        centers = np.arange(classes) + 0.5
        points = [(column, row) for row in centers for column in centers]
        x, y = figure.axes[0].transData.transform(points).round().astype(int).T
        return rendered[len(rendered) - 1 - y, x].reshape(classes, classes, 3)

    return read


def cells(figure):
    """Return the text of each cell by (row, column)."""
    texts = {text.get_position(): text.get_text() for text in figure.axes[0].texts}
    return {(int(y), int(x)): text for (x, y), text in texts.items()}


def test_cells_hold_counts_with_true_classes_as_rows():
    assert cells(plot_confusion_matrix(COUNTS, NAMES, False, "title")) == {
        (0, 0): "80",
        (0, 1): "15",
        (0, 2): "5",
        (1, 0): "30",
        (1, 1): "170",
        (2, 1): "1",
        (2, 2): "9",
    }


def test_rates_are_percentages_of_the_true_class():
    written = cells(plot_confusion_matrix(COUNTS, NAMES, True, "title"))

    assert (written[0, 1], written[1, 0], written[1, 1], written[2, 2]) == ("15.0", "15.0", "85.0", "90.0")


def test_title_note_labels_and_most_frequent_mistakes_are_shown(words):
    text = words(
        plot_confusion_matrix(COUNTS, NAMES, True, "simple on shapes, n = 310", note="built-in shapes, not photographs")
    )

    for expected in (
        "simple on shapes, n = 310",
        "built-in shapes, not photographs",
        "true class",
        "predicted class",
        "mistakes, % of the true class",
        "Most frequent mistakes: cat predicted as dog (15.0%), dog predicted as cat (15.0%)",
    ):
        assert expected in text


def test_a_matrix_without_mistakes_is_labeled(words):
    assert "No mistakes." in words(plot_confusion_matrix(np.diag([3, 4]), ["a", "b"], False, "title"))


def test_mistakes_are_orange_and_correct_predictions_are_blue(colors):
    cell_colors = colors(plot_confusion_matrix(many(30), [str(n) for n in range(30)], True, "title"), 30)
    mistakes = cell_colors[np.arange(30), (np.arange(30) + 1) % 30]
    correct = cell_colors[np.arange(30), np.arange(30)]

    assert (np.diff(mistakes.sum(axis=1)) < 0).all()
    assert (mistakes[:, 0] > mistakes[:, 2]).all()
    assert (correct[:, 2] > correct[:, 0]).all()


def test_equal_rates_have_equal_colors_for_classes_of_any_size(colors):
    counts = many(30)
    counts[8] = counts[7, [-1, *range(29)]] * 3  # the mistakes of row 7, three times as many

    rates = colors(plot_confusion_matrix(counts, [str(n) for n in range(30)], True, "title"), 30)

    assert (rates[7, 8] == rates[8, 9]).all()
    assert (rates[7, 7] == rates[8, 8]).all()


def test_a_class_without_images_is_gray_and_labeled(colors, words):
    counts = many(30)
    counts[3] = 0
    figure = plot_confusion_matrix(counts, [f"class {n}" for n in range(30)], True, "title")

    row = colors(figure, 30)[3]

    assert (row == row[0, 0]).all()
    assert row[0, 0] < 230
    assert "class 3 (no images)" in words(figure)


def test_a_single_mistake_of_a_good_classifier_is_pale(colors):
    counts = np.diag([1000] * 30)
    counts[4, 5] = 1

    cell = colors(plot_confusion_matrix(counts, [str(n) for n in range(30)], True, "title"), 30)[4, 5]

    assert cell.min() > 200


@pytest.mark.parametrize(("classes", "numbers"), [(2, True), (20, True), (21, False), (100, False)])
def test_numbers_are_shown_for_up_to_20_classes(classes, numbers):
    assert (
        bool(cells(plot_confusion_matrix(many(classes), [str(n) for n in range(classes)], False, "title"))) == numbers
    )


@pytest.mark.parametrize("classes", [2, 10, 40, 100])
@pytest.mark.parametrize("name", ["cat {}", "Cavalier King Charles Spaniel {}"])
def test_class_names_do_not_overlap_and_stay_inside_the_figure(drawn, classes, name):
    figure = plot_confusion_matrix(many(classes), [name.format(n) for n in range(classes)], True, "title")
    height, width, _ = drawn(figure).shape
    axes = figure.axes[0]

    down = [label.get_window_extent() for label in axes.get_yticklabels()]
    across = [label.get_window_extent() for label in axes.get_xticklabels()]

    assert down[0].y0 > down[-1].y0  # the first class is at the top
    assert across[0].x0 < across[-1].x0
    assert min(box.x0 for box in down) >= 0
    assert min(box.y0 for box in across) >= 0
    assert max(box.x1 for box in across) <= width
    assert max(box.y1 for box in down) <= height
    assert not any(a.overlaps(b) for a, b in pairwise(down))
    if axes.get_xticklabels()[0].get_rotation() != 45:  # the boxes of slanted text overlap, the text does not
        assert not any(a.overlaps(b) for a, b in pairwise(across))


def test_unusual_class_names_are_drawn_without_warnings(tmp_path, caplog):
    names = ["$\\frac{$", "two\nlines", "half a pair \ud800", "\N{PILE OF POO}\u200d", "x" * 500, ""]

    with caplog.at_level(logging.WARNING):
        save(plot_confusion_matrix(many(6), names, True, "$title_{$", note="note\x00"), tmp_path / "odd.png")

    assert caplog.text == ""
    with Image.open(tmp_path / "odd.png") as image:
        assert image.width == 1200
