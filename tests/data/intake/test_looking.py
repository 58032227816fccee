"""What a classifier looks at: cut and scaled as Pillow does it in single steps."""

import numpy as np
import pytest
from PIL import Image

from tinysight.data.intake import read_image, read_looks, to_looks, to_pixels
from tinysight.data.intake.looking import look_at
from tinysight.data.looks import CLOSER, WHOLE, Look

SIZE = (32, 32)


def noise(width, height):
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8))


def squared(picture, box):
    return np.asarray(picture.resize(SIZE, Image.Resampling.LANCZOS, box)).transpose(2, 0, 1)


@pytest.mark.parametrize(
    ("look", "box"),
    [
        (Look(), (40, 0, 120, 80)),
        (Look(place=0.0), (0, 0, 80, 80)),
        (Look(place=1.0), (80, 0, 160, 80)),
        (Look(closer=0.125), (50, 10, 110, 70)),
        (Look(closer=0.25, place=0.0), (40, 20, 80, 60)),
    ],
)
def test_a_look_is_a_square_of_the_picture(look, box):
    picture = noise(160, 80)
    assert np.array_equal(look_at(picture, SIZE, (look,))[0], squared(picture, box))


@pytest.mark.parametrize(("side", "closer"), [(32, False), (42, False), (43, True), (400, True)])
def test_a_closer_look_needs_the_pixels_for_it(side, closer):
    first, second = look_at(noise(side, 2 * side), SIZE, (Look(), Look(closer=0.125)))
    assert (not np.array_equal(first, second)) == closer


def test_the_first_look_is_what_training_sees(tmp_path):
    noise(100, 90).save(tmp_path / "a.png")
    first, *others = read_looks(tmp_path / "a.png", SIZE, CLOSER)
    assert np.array_equal(first, read_image(tmp_path / "a.png", SIZE))
    assert not any(np.array_equal(first, other) for other in others)


@pytest.mark.parametrize("form", ["paths", "pictures", "arrays", "array"])
def test_pictures_in_memory_are_looked_at_as_files_are(form, tmp_path):
    picture = noise(100, 90)
    picture.save(tmp_path / "a.png")
    array = np.asarray(picture)
    images = {"paths": [tmp_path / "a.png"], "pictures": [picture], "arrays": [array], "array": array[None]}[form]
    assert np.array_equal(to_looks(images, 32, CLOSER)[0], read_looks(tmp_path / "a.png", SIZE, CLOSER))
    assert np.array_equal(to_pixels(images, 32), to_looks(images, 32, WHOLE)[:, 0])
