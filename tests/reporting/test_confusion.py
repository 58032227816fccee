import logging
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image

from tinysight.reporting.confusion import confusion
from tinysight.reporting.style import save

COUNTS = [[80, 15, 5], [30, 170, 0], [0, 1, 9]]
NAMES = ["cat", "dog", "a cat that looks like a dog"]


def many(classes):
    """A confusion matrix in which row r takes r % for the next class."""
    counts = np.diag(np.arange(1000, 1000 - 10 * classes, -10))
    counts[np.arange(classes), (np.arange(classes) + 1) % classes] = 10 * np.arange(classes)
    return counts


@pytest.fixture
def colours(drawn):
    """Draw a matrix and look up the colour in the middle of each cell: (classes, classes, 3)."""

    def look(figure, classes):
        picture = drawn(figure).astype(int)
        centres = np.arange(classes) + 0.5
        places = [(column, row) for row in centres for column in centres]
        across, up = figure.axes[0].transData.transform(places).round().astype(int).T
        return picture[len(picture) - 1 - up, across].reshape(classes, classes, 3)

    return look


def cells(figure):
    """What is written in which cell."""
    places = {text.get_position(): text.get_text() for text in figure.axes[0].texts}
    return {(int(y), int(x)): text for (x, y), text in places.items()}


def test_writes_the_counts_into_the_cells_true_class_down_predicted_class_across():
    assert cells(confusion(COUNTS, NAMES, False, "title")) == {
        (0, 0): "80",
        (0, 1): "15",
        (0, 2): "5",
        (1, 0): "30",
        (1, 1): "170",
        (2, 1): "1",
        (2, 2): "9",
    }


def test_writes_rates_in_per_cent_of_the_true_class():
    written = cells(confusion(COUNTS, NAMES, True, "title"))

    assert (written[0, 1], written[1, 0], written[1, 1], written[2, 2]) == ("15.0", "15.0", "85.0", "90.0")


def test_says_what_it_shows(words):
    text = words(confusion(COUNTS, NAMES, True, "simple on shapes, n = 310", note="built-in shapes, not photographs"))

    for expected in (
        "simple on shapes, n = 310",
        "built-in shapes, not photographs",
        "true class",
        "predicted class",
        "mistakes, % of the true class",
        "Most often: cat taken for dog (15.0 %), dog taken for cat (15.0 %)",
    ):
        assert expected in text


def test_says_so_when_there_are_no_mistakes(words):
    assert "No mistakes." in words(confusion(np.diag([3, 4]), ["a", "b"], False, "title"))


def test_mistakes_are_orange_and_darker_the_more_there_are_right_answers_are_blue(colours):
    found = colours(confusion(many(30), [str(n) for n in range(30)], True, "title"), 30)
    mistakes = found[np.arange(30), (np.arange(30) + 1) % 30]
    right = found[np.arange(30), np.arange(30)]

    assert (np.diff(mistakes.sum(axis=1)) < 0).all()
    assert (mistakes[:, 0] > mistakes[:, 2]).all()
    assert (right[:, 2] > right[:, 0]).all()


def test_the_same_rate_has_the_same_colour_whatever_the_size_of_the_class(colours):
    counts = many(30)
    counts[8] = counts[7, [-1, *range(29)]] * 3  # the mistakes of row 7, three times as many

    rates = colours(confusion(counts, [str(n) for n in range(30)], True, "title"), 30)

    assert (rates[7, 8] == rates[8, 9]).all()
    assert (rates[7, 7] == rates[8, 8]).all()


def test_a_class_without_images_is_grey_and_says_so(colours, words):
    counts = many(30)
    counts[3] = 0
    figure = confusion(counts, [f"class {n}" for n in range(30)], True, "title")

    row = colours(figure, 30)[3]

    assert (row == row[0, 0]).all()
    assert row[0, 0] < 230
    assert "class 3 (no images)" in words(figure)


def test_the_single_mistake_of_a_good_classifier_does_not_look_grave(colours):
    counts = np.diag([1000] * 30)
    counts[4, 5] = 1

    cell = colours(confusion(counts, [str(n) for n in range(30)], True, "title"), 30)[4, 5]

    assert cell.min() > 200


@pytest.mark.parametrize(("classes", "numbers"), [(2, True), (20, True), (21, False), (100, False)])
def test_numbers_are_written_as_long_as_cells_have_room_for_them(classes, numbers):
    assert bool(cells(confusion(many(classes), [str(n) for n in range(classes)], False, "title"))) == numbers


@pytest.mark.parametrize("classes", [2, 10, 40, 100])
@pytest.mark.parametrize("name", ["cat {}", "Cavalier King Charles Spaniel {}"])
def test_names_neither_touch_each_other_nor_leave_the_picture(drawn, classes, name):
    figure = confusion(many(classes), [name.format(n) for n in range(classes)], True, "title")
    height, width, _ = drawn(figure).shape
    axes = figure.axes[0]

    down = [label.get_window_extent() for label in axes.get_yticklabels()]
    across = [label.get_window_extent() for label in axes.get_xticklabels()]

    assert down[0].y0 > down[-1].y0  # the first class is at the top, as in a printed matrix
    assert across[0].x0 < across[-1].x0
    assert min(box.x0 for box in down) >= 0
    assert min(box.y0 for box in across) >= 0
    assert max(box.x1 for box in across) <= width
    assert max(box.y1 for box in down) <= height
    assert not any(a.overlaps(b) for a, b in pairwise(down))
    if axes.get_xticklabels()[0].get_rotation() != 45:  # the boxes of slanted words overlap, the words do not
        assert not any(a.overlaps(b) for a, b in pairwise(across))


def test_odd_class_names_are_drawn_without_a_warning(tmp_path, caplog):
    names = ["$\\frac{$", "two\nlines", "half a pair \ud800", "\N{PILE OF POO}\u200d", "x" * 500, ""]

    with caplog.at_level(logging.WARNING):
        save(confusion(many(6), names, True, "$title_{$", note="note\x00"), tmp_path / "odd.png")

    assert caplog.text == ""
    with Image.open(tmp_path / "odd.png") as picture:
        assert picture.width == 1200
