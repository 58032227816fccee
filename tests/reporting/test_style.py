import errno
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from xml.etree import ElementTree

import matplotlib.style
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from PIL import Image

from tinysight._util.errors import StorageError
from tinysight.reporting import style
from tinysight.reporting.evaluation_plots import confusion_panel, plot_confusion_matrix
from tinysight.reporting.learning_curves import plot_learning_curves

# Machado, Oliveira & Fernandes, "A Physiologically-based Model for Simulation of Color Vision Deficiency",
# 2009, severity 1.0, on linear RGB.
SEEN = {
    "normal": np.eye(3),
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}


def linear(color):
    rgb = np.array(to_rgb(color))
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def lab(linear_rgb):
    """Return CIELAB (D65) of a linear sRGB color."""
    to_xyz = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    x, y, z = np.cbrt(to_xyz @ np.clip(linear_rgb, 0, 1) / [0.9505, 1, 1.089])
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("vision", SEEN)
def test_line_colors_are_distinguishable_with_color_blindness(vision):
    training, validation = (lab(SEEN[vision] @ linear(c)) for c in (style.TRAINING, style.VALIDATION))

    assert np.linalg.norm(training - validation) > 30  # a difference of 2 to 3 is just noticeable


@pytest.mark.parametrize("gray", [0.0, 0.1, 0.25, 0.5, 0.75, 1.0])
def test_text_on_any_background_has_sufficient_contrast(gray):
    background, text = (linear(c)[0] for c in ((gray,) * 3, style.text_color_on((gray,) * 3)))

    assert (max(background, text) + 0.05) / (min(background, text) + 0.05) >= 3.9


def test_a_saved_figure_is_a_png_1200_pixels_wide(tmp_path):
    path = tmp_path / "plots" / "empty.png"

    style.save(style.new_figure(3, "A title"), path)

    with Image.open(path) as image:
        image.load()
        assert (image.format, image.width) == ("PNG", 1200)
        assert image.height > 300


def test_long_titles_and_notes_are_wrapped(words, drawn):
    title, note = "A title of many words " * 20, "built-in shapes, not photographs"

    figure = style.new_figure(1, title, note, "")
    rendered = drawn(figure)

    assert words(figure).replace("\n", " ").split() == f"{title} {note}".split()
    assert (rendered[:, 1190:] == 255).all()  # no text at the right edge
    assert (rendered[-100:] == 255).all()  # no text in the plot area


@pytest.mark.parametrize("reason", [errno.ENOSPC, errno.EROFS])
def test_a_failed_save_keeps_the_old_file(tmp_path, monkeypatch, reason):
    path = tmp_path / "plot.png"
    path.write_bytes(b"the old image")

    def fail(descriptor):
        raise OSError(reason, "no")

    monkeypatch.setattr("os.fsync", fail)

    with pytest.raises(StorageError, match=r"plot\.png"):
        style.save(style.new_figure(1, "new"), path)
    assert [file.read_bytes() for file in tmp_path.iterdir()] == [b"the old image"]


def test_plots_can_be_drawn_in_parallel_threads(history, png):
    def draw(epochs):
        return png(plot_learning_curves(history(epochs), f"{epochs} epochs"))

    with ThreadPoolExecutor(4) as pool:
        parallel = list(pool.map(draw, range(1, 5)))

    assert parallel == [draw(epochs) for epochs in range(1, 5)]


def test_plots_do_not_depend_on_the_matplotlib_style(history, png):
    def draw():
        return png(plot_learning_curves(history(3), "title")), png(
            plot_confusion_matrix([[3, 1], [2, 4]], "ab", True, "title")
        )

    expected = draw()

    with matplotlib.style.context(["dark_background", {"font.size": 30, "figure.autolayout": True}]):
        assert draw() == expected


def test_drawing_does_not_import_pyplot():
    program = (
        "import sys, tinysight.reporting.learning_curves, tinysight.reporting.evaluation_plots;"
        "import tinysight.reporting.evaluation_plots;"
        "sys.exit('matplotlib.pyplot' in sys.modules)"
    )

    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_svg_is_text_in_the_colors_and_the_font_of_the_page(history):
    svg = style.to_svg(plot_learning_curves(history(3), "a title"), "Loss by epoch")

    assert svg.startswith('<svg viewBox="0 0 864 ')
    assert 'role="img" aria-label="Loss by epoch"' in svg
    assert "a title</text>" in svg
    assert "var(--training)" in svg
    assert "var(--validation)" in svg
    assert "DejaVu" not in svg
    assert not re.search(r"#[0-9a-f]{6}\b", svg)


def test_svg_refers_to_nothing_outside(history):
    svg = style.to_svg(plot_learning_curves(history(3), "title"), "label")

    assert not re.search(r"url\(|<style|<!|<\?|https?://", svg.replace("http://www.w3.org", ""))
    ids = re.findall(r' id="([^"]+)"', svg)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'href="#([^"]+)"', svg)) == set(ids)


def test_equal_figures_give_equal_svgs(history):
    first, second = (style.to_svg(plot_learning_curves(history(3), "title"), "label") for _ in range(2))

    assert first == second


def test_names_in_an_svg_are_escaped():
    evil = '"><script>alert(1)</script>'
    _, figure = confusion_panel([[3, 1], [2, 4]], [evil[:20], "#222222"])

    svg = style.to_svg(figure, evil)

    ElementTree.fromstring(svg.replace("xlink:href", "href"))  # noqa: S314 (made here)
    assert "<script" not in svg
    assert ">#222222<" in svg  # text is not taken for a color


def test_svg_does_not_change_the_settings_of_matplotlib(history):
    before = dict(matplotlib.rcParams)

    style.to_svg(plot_learning_curves(history(1), "title"), "label")

    assert dict(matplotlib.rcParams) == before


@pytest.mark.parametrize(
    ("title", "lines"), [("x" * 84, 1), ("x" * 42 + " " + "y" * 41, 1), ("x" * 42 + " " + "y" * 42, 2)]
)
def test_a_title_has_at_most_84_characters_a_line(title, lines):
    assert len(style.new_figure(1, title).texts) == lines


@pytest.mark.parametrize(("note", "lines"), [("", 0), ("x" * 118, 1), ("x" * 59 + " " + "y" * 59, 2)])
def test_a_note_has_at_most_118_characters_a_line(note, lines):
    assert len(style.new_figure(1, "title", note).texts) == 1 + lines


@pytest.mark.parametrize("notes", [(), ("a note",), ("", "one", "two")])
def test_each_line_of_text_adds_0_29_inches_to_the_height(notes):
    lines = 1 + sum(bool(note) for note in notes)
    figure = style.new_figure(2.5, "title", *notes)
    height = 2.5 + 0.25 + 0.29 * lines
    assert figure.get_size_inches().tolist() == pytest.approx([12, height])
    assert figure.dpi == 100
    positions = [text.get_position() for text in figure.texts]
    assert [(x * 12, (1 - y) * height) for x, y in positions] == [
        (pytest.approx(0.25), pytest.approx(0.29 * (number + 1))) for number in range(lines)
    ]
    assert [text.get_fontsize() for text in figure.texts] == [17.0, *[12.0] * (lines - 1)]


def test_axes_are_placed_in_inches():
    figure = style.new_panel(8, 5)
    box = style.add_axes(figure, 1, 0.5, 4, 2).get_position()
    assert [box.x0, box.y0, box.width, box.height] == pytest.approx([1 / 8, 0.1, 0.5, 0.4])


def test_lines_of_text_are_19_dots_apart():
    figure = style.new_panel(4, 2)
    style.write_lines(figure, 40, 150, [("first", style.INK), ("second", style.MUTED)], size=9)
    assert [text.get_position() for text in figure.texts] == [
        (pytest.approx(0.1), pytest.approx(0.75)),
        (pytest.approx(0.1), pytest.approx(0.655)),
    ]
    assert [text.get_color() for text in figure.texts] == [style.INK, style.MUTED]
    assert {text.get_fontsize() for text in figure.texts} == {9}


@pytest.mark.parametrize(("gray", "color"), [(0, style.LIGHT), (100, style.LIGHT), (130, style.INK), (255, style.INK)])
def test_text_is_light_on_dark_and_dark_on_light(gray, color):
    assert style.text_color_on((gray / 255,) * 3) == color


@pytest.mark.parametrize(
    "color", ["#ff0000", "#00ff00", "#0000ff", "#0072b2", "#d55e00", "#808080", "#777777", "#050505"]
)
def test_the_text_color_has_the_higher_contrast_of_the_two(color):
    def contrast(text):
        bright, dark = sorted((linear(c) @ [0.2126, 0.7152, 0.0722] for c in (text, color)), reverse=True)
        return (bright + 0.05) / (dark + 0.05)

    assert style.text_color_on(color) == max((style.INK, style.LIGHT), key=contrast)


@pytest.mark.parametrize(("size", "box"), [((12, 5), "864 360"), ((5.5, 4.25), "396 306")])
def test_the_view_box_of_an_svg_is_in_points(size, box):
    svg = style.to_svg(style.new_panel(*size), 'a "label" & more')
    assert svg.startswith(f'<svg viewBox="0 0 {box}" role="img" aria-label="a &quot;label&quot; &amp; more">')
    assert svg.endswith("</svg>")


def test_only_the_left_and_bottom_spines_are_drawn():
    axes = style.add_axes(style.new_panel(4, 4), 1, 1, 2, 2)
    style.label_axes(axes, "heading", "x label", "y label")
    assert {name: spine.get_visible() for name, spine in axes.spines.items()} == {
        "left": True,
        "bottom": True,
        "top": False,
        "right": False,
    }
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("x label", "y label")
    assert [text.get_text() for text in axes.texts] == ["heading"]
    assert axes.get_axisbelow() is True
