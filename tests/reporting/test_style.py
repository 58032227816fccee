import errno
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import matplotlib.style
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from PIL import Image

from tinysight.errors import StorageError
from tinysight.reporting import style
from tinysight.reporting.confusion import confusion
from tinysight.reporting.curves import curves

# Machado, Oliveira & Fernandes, "A Physiologically-based Model for Simulation of Color Vision Deficiency",
# 2009, full severity, on linear RGB.
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


def linear(colour):
    rgb = np.array(to_rgb(colour))
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def lab(linear_rgb):
    """CIELAB (D65) of a linear sRGB colour."""
    to_xyz = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    x, y, z = np.cbrt(to_xyz @ np.clip(linear_rgb, 0, 1) / [0.9505, 1, 1.089])
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("eyes", SEEN)
def test_training_and_validation_are_told_apart_by_every_kind_of_eye(eyes):
    training, validation = (lab(SEEN[eyes] @ linear(c)) for c in (style.TRAINING, style.VALIDATION))

    assert np.linalg.norm(training - validation) > 30  # a difference of 2 to 3 is just noticeable


@pytest.mark.parametrize("grey", [0.0, 0.1, 0.25, 0.5, 0.75, 1.0])
def test_writing_on_any_background_has_a_readable_contrast(grey):
    behind, letters = (linear(c)[0] for c in ((grey,) * 3, style.readable_on((grey,) * 3)))

    assert (max(behind, letters) + 0.05) / (min(behind, letters) + 0.05) >= 3.9


def test_a_saved_figure_is_a_png_1200_pixels_wide(tmp_path):
    path = tmp_path / "plots" / "empty.png"

    style.save(style.page(3, "A title"), path)

    with Image.open(path) as picture:
        picture.load()
        assert (picture.format, picture.width) == ("PNG", 1200)
        assert picture.height > 300


def test_title_and_notes_are_all_shown_however_long(words, drawn):
    title, note = "A title of many words " * 20, "built-in shapes, not photographs"

    figure = style.page(1, title, note, "")
    picture = drawn(figure)

    assert words(figure).replace("\n", " ").split() == f"{title} {note}".split()
    assert (picture[:, 1190:] == 255).all()  # nothing runs into the right edge
    assert (picture[-100:] == 255).all()  # nor into the room asked for


@pytest.mark.parametrize("reason", [errno.ENOSPC, errno.EROFS])
def test_a_full_or_read_only_disk_leaves_the_old_picture_and_no_half_of_a_new_one(tmp_path, monkeypatch, reason):
    path = tmp_path / "plot.png"
    path.write_bytes(b"the old picture")

    def fail(descriptor):
        raise OSError(reason, "no")

    monkeypatch.setattr("os.fsync", fail)

    with pytest.raises(StorageError, match=r"plot\.png"):
        style.save(style.page(1, "new"), path)
    assert [file.read_bytes() for file in tmp_path.iterdir()] == [b"the old picture"]


def test_plots_drawn_at_the_same_time_do_not_disturb_each_other(history, png):
    def draw(epochs):
        return png(curves(history(epochs), f"{epochs} epochs"))

    with ThreadPoolExecutor(4) as pool:
        at_once = list(pool.map(draw, range(1, 5)))

    assert at_once == [draw(epochs) for epochs in range(1, 5)]


def test_plots_stay_dark_on_light_in_a_program_that_prefers_light_on_dark(history, png):
    def draw():
        return png(curves(history(3), "title")), png(confusion([[3, 1], [2, 4]], "ab", True, "title"))

    usual = draw()

    with matplotlib.style.context(["dark_background", {"font.size": 30, "figure.autolayout": True}]):
        assert draw() == usual


def test_drawing_leaves_pyplot_and_its_global_state_alone():
    program = (
        "import sys, tinysight.reporting.curves, tinysight.reporting.confusion, tinysight.reporting.mistakes;"
        "sys.exit('matplotlib.pyplot' in sys.modules)"
    )

    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
