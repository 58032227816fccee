"""Explanations: each pixel of the occlusion map by hand, and the words of each row."""

from dataclasses import replace

import numpy as np
import pytest
from matplotlib import colormaps
from PIL import Image

from tinysight.reporting import style
from tinysight.reporting.evaluation_plots import scale_to_box
from tinysight.reporting.explanation_plot import Explanation, overlay_map, plot_explanations

INFERNO = colormaps["inferno"]


def explanation(**changes):
    random = np.random.default_rng(0)
    values = {
        "name": "cat.png",
        "pixels": random.integers(0, 256, (3, 32, 32), dtype=np.uint8),
        "occlusion_map": random.random((4, 4)).astype(np.float32),
        "top_classes": [("cat", 0.875), ("Cavalier King Charles Spaniel", 0.1), ("dog", 0.025)],
        "unsure": False,
        "neighbors": [(random.integers(0, 256, (3, 32, 32), dtype=np.uint8), name) for name in ("cat", "a long class")],
    }
    return Explanation(**values | changes)


@pytest.mark.parametrize(("value", "alpha"), [(0.0, 0.25), (0.5, 0.435), (1.0, 0.62)])
def test_the_map_is_blended_over_the_image(value, alpha):
    image = np.full((2, 2, 3), (10, 100, 250), np.uint8)
    expected = (1 - alpha) * image[0, 0] + alpha * 255 * np.array(INFERNO(value)[:3])
    mixed = overlay_map(image, np.full((2, 2), value, np.float32))
    assert mixed.dtype == np.uint8
    np.testing.assert_allclose(mixed, np.broadcast_to(expected, (2, 2, 3)), atol=0.51)


def test_each_cell_of_the_map_covers_its_region_of_the_image():
    values = np.array([[0.0, 1.0, 0.5], [1.0, 0.0, 0.25]], np.float32)
    image = np.zeros((4, 9, 3), np.uint8)
    small = overlay_map(np.zeros((2, 3, 3), np.uint8), values)
    np.testing.assert_array_equal(overlay_map(image, values), small.repeat(2, axis=0).repeat(3, axis=1))


def test_a_map_larger_than_the_image_is_sampled_from_its_upper_left():
    values = np.arange(16, dtype=np.float32).reshape(4, 4) / 15
    image = np.zeros((2, 2, 3), np.uint8)
    np.testing.assert_array_equal(overlay_map(image, values), overlay_map(image, values[::2, ::2]))


@pytest.mark.parametrize(
    ("size", "scaled"),
    [
        ((32, 32), (192, 192)),
        ((96, 50), (192, 100)),
        ((97, 50), (97, 50)),
        ((192, 10), (192, 10)),
        ((1, 1), (192, 192)),
    ],
)
def test_small_images_are_enlarged_by_a_whole_factor(size, scaled):
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    factor = scaled[0] // size[0]
    np.testing.assert_array_equal(scale_to_box(image, 192), image.repeat(factor, axis=0).repeat(factor, axis=1))


@pytest.mark.parametrize(
    ("size", "scaled"), [((193, 193), (192, 192)), ((384, 200), (192, 100)), ((100, 800), (24, 192))]
)
def test_large_images_are_reduced_like_in_pillow(size, scaled):
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    reference = Image.fromarray(image)
    reference.thumbnail((192, 192))
    reduced = scale_to_box(image, 192)
    assert reduced.shape == (*scaled, 3)
    np.testing.assert_array_equal(reduced, np.asarray(reference))


@pytest.mark.parametrize("rows", [1, 2, 5])
def test_each_row_is_264_dots_high(rows):
    figure = plot_explanations([explanation()] * rows, "title", note="note")
    assert figure.get_size_inches()[1] == pytest.approx(2.64 * rows + 0.1 + 0.25 + 0.29 * title_lines(figure))
    assert figure.get_size_inches()[0] == 12


def title_lines(figure):
    """Return the number of lines above the rows: the title, the note and the legend."""
    return next(number for number, text in enumerate(figure.texts) if text.get_text() == "cat.png")


def test_images_are_placed_from_left_to_right():
    row = explanation()
    figure = plot_explanations([row], "title")
    image, overlay, first, second = figure.images
    assert [part.ox for part in figure.images] == [26, 232, 658, 768]
    assert [part.oy for part in figure.images] == [72, 72, 168, 168]  # all end at 264 dots
    enlarged = row.pixels.transpose(1, 2, 0).repeat(6, axis=0).repeat(6, axis=1)
    np.testing.assert_array_equal(image.get_array(), enlarged)
    np.testing.assert_array_equal(overlay.get_array(), overlay_map(enlarged, row.occlusion_map))
    for part, (pixels, _) in zip((first, second), row.neighbors, strict=True):
        np.testing.assert_array_equal(part.get_array(), pixels.transpose(1, 2, 0).repeat(3, axis=0).repeat(3, axis=1))


def test_the_first_row_is_at_the_top():
    figure = plot_explanations([explanation(neighbors=[])] * 3, "title")
    assert [part.oy for part in figure.images] == [600, 600, 336, 336, 72, 72]


@pytest.mark.parametrize(("unsure", "heading"), [(True, "unsure:"), (False, "prediction:")])
def test_the_words_of_a_row(unsure, heading):
    figure = plot_explanations([explanation(unsure=unsure, label="dog", name="x" * 30)], "title")
    written = [text.get_text() for text in figure.texts]
    expected = [
        "x" * 12 + "…" + "x" * 11,
        "label: dog",
        heading,
        "87.5%  cat",
        "10.0%  Cavalier…Spaniel",
        "2.5%  dog",
        "cat",
        "a lon…class",
    ]
    assert written[-8:] == expected


@pytest.mark.parametrize(("predicted", "heading"), [(("cat", "dog"), "labels:"), ((), "no label:")])
def test_the_words_of_a_row_of_several_labels(predicted, heading):
    row = explanation(predicted_labels=predicted, explained="dog", label="dog, Cavalier King Charles Spaniel")
    (pixels, _), _ = row.neighbors
    figure = plot_explanations([replace(row, neighbors=[(pixels, "cat, a long class")])], "title")
    written = [text.get_text() for text in figure.texts]
    top = ["87.5%  cat", "10.0%  Cavalier…Spaniel", "2.5%  dog"]
    assert written[-9:] == ["cat.png", "labels: dog,…les Spaniel", "map of: dog", heading, *top, "cat", "a lon…class"]
    colors = {text.get_text(): text.get_color() for text in figure.texts}
    assert [colors[line] == style.INK for line in top] == [name in predicted for name, _ in row.top_classes]


def test_an_unknown_label_is_left_out(words):
    assert "label:" not in words(plot_explanations([explanation()], "title"))


def test_without_images_only_the_legend_is_drawn(words, drawn):
    figure = plot_explanations([], "title")
    assert drawn(figure).size
    assert "Each row: the image" in words(figure)
