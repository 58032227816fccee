import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.transforms import Bbox

from tinysight.data.dataset import Split
from tinysight.reporting.evaluation_plots import most_confident_mistakes, plot_mistakes

NAMES = ["cat", "dog"]


def part(labels, size=(32, 32), files=()):
    pixels = np.random.default_rng(0).integers(0, 256, (len(labels), 3, *size), dtype=np.uint8)
    return Split(pixels, np.array(labels), files)


def p_dog(*confidences):
    return np.array([[1 - confidence, confidence] for confidence in confidences])


def contains(rendered, block):
    """Return whether `block` occurs in `rendered`, pixel by pixel."""
    height, width = block.shape[:2]
    starts = np.argwhere((rendered[: 1 - height, : 1 - width] == block[0, 0]).all(axis=2))
    return any((rendered[y : y + height, x : x + width] == block).all() for y, x in starts)


def test_mistakes_are_sorted_by_confidence_without_correct_predictions():
    probabilities = p_dog(0.6, 0.9, 0.99, 0.8, 0.3)
    labels = np.array([0, 0, 1, 0, 0])

    assert most_confident_mistakes(probabilities, labels, 2).tolist() == [1, 3]
    assert most_confident_mistakes(probabilities, labels, 9).tolist() == [1, 3, 0]


def test_mistakes_of_equal_confidence_keep_their_order():
    assert most_confident_mistakes(p_dog(*[0.75] * 50), np.zeros(50, dtype=int), 5).tolist() == [0, 1, 2, 3, 4]


@given(seed=st.integers(0, 2**32 - 1), n=st.integers(0, 60), k=st.integers(0, 30))
@settings(deadline=None)
def test_the_k_most_confident_mistakes_are_returned(seed, n, k):
    random = np.random.default_rng(seed)
    probabilities, labels = random.dirichlet(np.ones(3), size=n), random.integers(0, 3, n)
    wrong = [i for i in range(n) if probabilities[i].argmax() != labels[i]]

    chosen = most_confident_mistakes(probabilities, labels, k).tolist()

    omitted = set(wrong) - set(chosen)
    assert set(chosen) <= set(wrong)
    assert len(chosen) == len(set(chosen)) == min(k, len(wrong))
    assert all(probabilities[i].max() <= probabilities[j].max() for i in omitted for j in chosen)


def test_captions_hold_true_class_prediction_confidence_and_index(words):
    figure = plot_mistakes(part([0, 1, 0, 1]), p_dog(0.9, 0.9, 0.87, 0.003), NAMES, "title")

    assert "true: cat\npred: dog 90.0%\nimage 0" in words(figure)
    assert "true: cat\npred: dog 87.0%\nimage 2" in words(figure)
    assert "true: dog\npred: cat 99.7%\nimage 3" in words(figure)
    assert "image 1" not in words(figure)
    assert words(figure).index("image 3") < words(figure).index("image 0") < words(figure).index("image 2")


def test_captions_hold_file_names_without_directories(words):
    images = part([0, 0], files=("/data/test/cat/tom.jpg", "/data/test/cat/felix.jpg"))

    text = words(plot_mistakes(images, p_dog(0.9, 0.8), NAMES, "title"))

    assert "tom.jpg" in text
    assert "felix.jpg" in text
    assert "/data" not in text


def test_small_images_are_enlarged_without_interpolation(drawn):
    images = part([0] * 7)

    rendered = drawn(plot_mistakes(images, p_dog(*np.linspace(0.6, 0.9, 7)), NAMES, "title"))

    for pixels in images.pixels:
        assert contains(rendered, np.kron(pixels.transpose(1, 2, 0), np.ones((6, 6, 1), dtype=np.uint8)))


@pytest.mark.parametrize("size", [(1, 1), (8, 8), (48, 20), (64, 96), (300, 200)])
def test_images_of_any_size_fit_their_cell(drawn, size):
    figure = plot_mistakes(part([0] * 25, size), p_dog(*np.linspace(0.6, 0.9, 25)), NAMES, "title")
    height, width, _ = drawn(figure).shape

    boxes = [Bbox.from_bounds(i.ox, i.oy, *i.get_array().shape[1::-1]) for i in figure.images]

    assert len(boxes) == 20
    assert not any(a.overlaps(b) for a in boxes for b in boxes if a is not b)
    assert all(100 <= max(box.width, box.height) <= 200 for box in boxes)
    assert all(box.x0 >= 0 and box.y0 >= 0 and box.x1 <= width and box.y1 <= height for box in boxes)


def test_long_names_do_not_overlap_the_next_image(drawn):
    names = ["Cavalier King Charles Spaniel", "Soft-coated Wheaten Terrier"]
    images = part([0] * 5, files=("IMG_20240131_holiday_with_the_dogs_0001.jpeg",) * 5)
    figure = plot_mistakes(images, p_dog(*[1.0] * 5), names, "title")
    width = drawn(figure).shape[1]

    boxes = [text.get_window_extent() for text in figure.texts]

    assert not any(a.overlaps(b) for a in boxes for b in boxes if a is not b)
    assert max(box.x1 for box in boxes) <= width


def test_title_note_and_number_of_mistakes_are_shown(words):
    figure = plot_mistakes(part([0] * 30), p_dog(*[0.9] * 30), NAMES, "a title", note="built-in shapes")

    for expected in ("a title", "built-in shapes", "30 mistakes in 30 images; the 20 most confident are shown."):
        assert expected in words(figure)


def test_a_figure_without_mistakes_is_labeled(words, drawn):
    figure = plot_mistakes(part([1, 1]), p_dog(0.9, 0.8), NAMES, "title")

    assert "No mistakes in 2 images." in words(figure)
    assert drawn(figure).size


@pytest.mark.parametrize(("mistakes", "rows"), [(0, 0), (1, 1), (5, 1), (6, 2), (20, 4), (21, 4)])
def test_five_images_are_in_a_row_of_280_dots(mistakes, rows):
    figure = plot_mistakes(part([0] * mistakes + [1]), p_dog(*[0.9] * (mistakes + 1)), NAMES, "title")
    shown = min(mistakes, 20)
    lines = len(figure.texts) - 3 * shown
    assert len(figure.images) == shown
    assert figure.get_size_inches().tolist() == pytest.approx([12, 2.8 * rows + 0.1 + 0.25 + 0.29 * lines])


def test_images_are_234_dots_apart_and_end_at_the_top_of_their_row():
    figure = plot_mistakes(part([0] * 6), p_dog(*[0.9] * 6), NAMES, "title")
    assert [image.ox for image in figure.images] == [26, 260, 494, 728, 962, 26]
    assert [image.oy for image in figure.images] == [368] * 5 + [88]  # 560 and 280, less 192


@pytest.mark.parametrize(("n", "text"), [(1000, "No mistakes in 1,000 images.")])
def test_a_figure_without_mistakes_states_the_number_of_images(words, n, text):
    assert text in words(plot_mistakes(part([1] * n, (1, 1)), p_dog(*[0.9] * n), NAMES, "title"))
