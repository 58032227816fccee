import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.transforms import Bbox

from tinysight.data.dataset import Part
from tinysight.reporting.mistakes import mistakes_sheet, most_confident_mistakes

NAMES = ["cat", "dog"]


def part(labels, size=(32, 32), files=()):
    pixels = np.random.default_rng(0).integers(0, 256, (len(labels), 3, *size), dtype=np.uint8)
    return Part(pixels, np.array(labels), files)


def said_dog(*confidences):
    return np.array([[1 - confidence, confidence] for confidence in confidences])


def holds(picture, block):
    """Whether `block` is somewhere in `picture`, dot by dot."""
    height, width = block.shape[:2]
    starts = np.argwhere((picture[: 1 - height, : 1 - width] == block[0, 0]).all(axis=2))
    return any((picture[y : y + height, x : x + width] == block).all() for y, x in starts)


def test_the_surest_mistakes_come_first_and_right_answers_never():
    probabilities = said_dog(0.6, 0.9, 0.99, 0.8, 0.3)
    labels = np.array([0, 0, 1, 0, 0])

    assert most_confident_mistakes(probabilities, labels, 2).tolist() == [1, 3]
    assert most_confident_mistakes(probabilities, labels, 9).tolist() == [1, 3, 0]


def test_equally_sure_mistakes_keep_their_order():
    assert most_confident_mistakes(said_dog(*[0.75] * 50), np.zeros(50, dtype=int), 5).tolist() == [0, 1, 2, 3, 4]


@given(seed=st.integers(0, 2**32 - 1), n=st.integers(0, 60), k=st.integers(0, 30))
@settings(deadline=None)
def test_no_mistake_left_out_is_surer_than_one_that_was_chosen(seed, n, k):
    random = np.random.default_rng(seed)
    probabilities, labels = random.dirichlet(np.ones(3), size=n), random.integers(0, 3, n)
    wrong = [i for i in range(n) if probabilities[i].argmax() != labels[i]]

    chosen = most_confident_mistakes(probabilities, labels, k).tolist()

    left_out = set(wrong) - set(chosen)
    assert set(chosen) <= set(wrong)
    assert len(chosen) == len(set(chosen)) == min(k, len(wrong))
    assert all(probabilities[i].max() <= probabilities[j].max() for i in left_out for j in chosen)


def test_each_picture_says_what_it_is_what_was_said_how_surely_and_where_to_find_it(words):
    figure = mistakes_sheet(part([0, 1, 0, 1]), said_dog(0.9, 0.9, 0.87, 0.003), NAMES, "title")

    assert "cat,\nsaid dog 90 %\nimage 0" in words(figure)
    assert "cat,\nsaid dog 87 %\nimage 2" in words(figure)
    assert "dog,\nsaid cat 99.7 %\nimage 3" in words(figure)
    assert "image 1" not in words(figure)
    assert words(figure).index("image 3") < words(figure).index("image 0") < words(figure).index("image 2")


def test_pictures_from_files_are_named_by_their_files(words):
    images = part([0, 0], files=("/data/test/cat/tom.jpg", "/data/test/cat/felix.jpg"))

    text = words(mistakes_sheet(images, said_dog(0.9, 0.8), NAMES, "title"))

    assert "tom.jpg" in text
    assert "felix.jpg" in text
    assert "/data" not in text


def test_pictures_are_enlarged_to_squares_of_dots_without_blurring(drawn):
    images = part([0] * 7)

    picture = drawn(mistakes_sheet(images, said_dog(*np.linspace(0.6, 0.9, 7)), NAMES, "title"))

    for pixels in images.pixels:
        assert holds(picture, np.kron(pixels.transpose(1, 2, 0), np.ones((6, 6, 1), dtype=np.uint8)))


@pytest.mark.parametrize("size", [(1, 1), (8, 8), (48, 20), (64, 96), (300, 200)])
def test_pictures_of_any_size_fit_their_place(drawn, size):
    figure = mistakes_sheet(part([0] * 25, size), said_dog(*np.linspace(0.6, 0.9, 25)), NAMES, "title")
    height, width, _ = drawn(figure).shape

    boxes = [Bbox.from_bounds(i.ox, i.oy, *i.get_array().shape[1::-1]) for i in figure.images]

    assert len(boxes) == 20
    assert not any(a.overlaps(b) for a in boxes for b in boxes if a is not b)
    assert all(100 <= max(box.width, box.height) <= 200 for box in boxes)
    assert all(box.x0 >= 0 and box.y0 >= 0 and box.x1 <= width and box.y1 <= height for box in boxes)


def test_long_names_do_not_run_into_the_next_picture(drawn):
    names = ["Cavalier King Charles Spaniel", "Soft-coated Wheaten Terrier"]
    images = part([0] * 5, files=("IMG_20240131_holiday_with_the_dogs_0001.jpeg",) * 5)
    figure = mistakes_sheet(images, said_dog(*[1.0] * 5), names, "title")
    width = drawn(figure).shape[1]

    boxes = [text.get_window_extent() for text in figure.texts]

    assert not any(a.overlaps(b) for a in boxes for b in boxes if a is not b)
    assert max(box.x1 for box in boxes) <= width


def test_says_title_note_and_how_many_mistakes_there_are(words):
    figure = mistakes_sheet(part([0] * 30), said_dog(*[0.9] * 30), NAMES, "a title", note="built-in shapes")

    for expected in ("a title", "built-in shapes", "Mistakes: 30. Shown: the 20 that the classifier was surest of."):
        assert expected in words(figure)


def test_a_classifier_without_mistakes_gets_a_sheet_that_says_so(words, drawn):
    figure = mistakes_sheet(part([1, 1]), said_dog(0.9, 0.8), NAMES, "title")

    assert "No mistakes: every image was classified correctly." in words(figure)
    assert drawn(figure).size
