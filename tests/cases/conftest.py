"""Images and folders of the cases."""

import zlib

import numpy as np
import pytest
from PIL import Image

RGB = {"red": (200, 40, 40), "green": (40, 200, 40), "blue": (40, 40, 200)}


def make_pic(color, seed=0):
    random = np.random.default_rng([zlib.crc32(color.encode()), seed])
    pixels = np.clip(np.array(RGB[color]) + random.normal(0, 30, (40, 48, 3)), 0, 255)
    return Image.fromarray(pixels.astype(np.uint8))


def make_folder(root, n, colors=tuple(RGB), suffix=".png"):
    for color in colors:
        (root / color).mkdir(parents=True, exist_ok=True)
        for number in range(n):
            make_pic(color, zlib.crc32(str(root / str(number)).encode())).save(root / color / f"{number}{suffix}")
    return root


@pytest.fixture
def pic():
    """`pic(c)`: a noisy image of 48x40 pixels of the color c; another seed gives other noise."""
    return make_pic


@pytest.fixture
def folder():
    """`folder(root, n)`: write n images of each of three colors, root/{red,green,blue}/0.png to n-1.png."""
    return make_folder
