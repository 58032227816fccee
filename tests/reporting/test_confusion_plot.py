import logging
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image

from tinysight.reporting.evaluation_plots import confusion_panel, plot_confusion_matrix
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


@pytest.mark.parametrize(("classes", "side"), [(2, 3.0), (4, 3.0), (5, 3.6), (10, 7.2), (14, 9.9)])
def test_the_matrix_grows_with_the_classes_up_to_a_limit(classes, side):
    names = [str(n) for n in range(classes)]
    figure = plot_confusion_matrix(many(classes), names, False, "title")
    lines = len(figure.texts)
    assert figure.get_size_inches().tolist() == pytest.approx([12, 0.8 + side + 1.7 + 0.25 + 0.29 * lines])


@pytest.mark.parametrize(
    ("classes", "name", "width"),
    [(2, "a", 7.7), (10, "a", 0.25 + 7.2 + 0.11 + 0.9), (10, "x" * 40, 0.25 + 7.2 + 0.11 * 22 + 0.9)],
)
def test_the_panel_is_as_wide_as_the_matrix_and_its_names(classes, name, width):
    _, figure = confusion_panel(many(classes), [name] * classes)
    side = max(0.72 * classes, 3.0)
    assert figure.get_size_inches().tolist() == pytest.approx([width, 0.8 + side + 1.7])


def test_the_panel_shows_counts_and_returns_the_mistakes_in_words():
    mistakes, figure = confusion_panel(COUNTS, NAMES)
    assert mistakes == (
        "Most frequent mistakes: dog predicted as cat (30), cat predicted as dog (15), cat predicted as "
        "a cat that…like a dog (5)."
    )
    assert cells(figure)[1, 1] == "170"
    assert confusion_panel(np.diag([3, 4]), ["a", "b"])[0] == "No mistakes."


@pytest.mark.parametrize(("classes", "vectors"), [(40, True), (41, False)])
def test_more_than_40_classes_are_drawn_as_an_image(classes, vectors):
    _, figure = confusion_panel(many(classes), [str(n) for n in range(classes)])
    correct, wrong = figure.axes[0].collections[1:3]
    assert bool(correct.get_rasterized()) == bool(wrong.get_rasterized()) == (not vectors)


@pytest.mark.parametrize("rates", [False, True])
def test_each_color_scale_starts_at_0_and_ends_at_its_largest_value(rates):
    figure = plot_confusion_matrix(COUNTS, NAMES, rates, "title")
    correct, wrong = figure.axes[0].collections[1:3]
    assert correct.get_clim() == (0, 100 if rates else 200)
    assert wrong.get_clim() == (0, 15 if rates else 30)


def test_the_scale_of_mistakes_is_at_least_a_twentieth_of_the_diagonal():
    figure = plot_confusion_matrix([[99, 1], [0, 60]], ["a", "b"], False, "title")
    assert figure.axes[0].collections[2].get_clim() == (0, 5)


@pytest.mark.parametrize(
    ("names", "rotation"), [(["a"] * 10, 0), (["x" * 6] * 10, 0), (["x" * 7] * 10, 45), (["x" * 7] * 30, 90)]
)
def test_long_names_of_columns_are_slanted_or_upright(names, rotation):
    figure = plot_confusion_matrix(many(len(names)), names, False, "title")
    assert {label.get_rotation() for label in figure.axes[0].get_xticklabels()} == {rotation}


def test_thousands_are_separated_and_keys_are_labeled(words):
    figure = plot_confusion_matrix([[12345, 1], [0, 60]], ["a", "b"], False, "title")
    assert cells(figure)[0, 0] == "12,345"
    assert "correct, images" in words(figure)
    assert "mistakes, images" in words(figure)
