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


def save_keras_2(model, path, architecture=None):
    """Write a whole-model file in the layout of Keras 2: models inside the model have one group each.

    `architecture` is the model's in the format of Keras 2; by default, it stays in that of Keras 3.
    """
    import h5py

    with h5py.File(path, "w") as file:
        file.attrs["keras_version"], file.attrs["backend"] = b"2.15.0", b"tensorflow"
        file.attrs["model_config"] = (architecture or model.to_json()).encode()
        root = file.create_group("model_weights")
        root.attrs["layer_names"] = [layer.name.encode() for layer in model.layers]
        for layer in model.layers:
            group, inner = root.create_group(layer.name), getattr(layer, "layers", [layer])
            arrays = [(f"{part.name}/{weight.name}:0", weight) for part in inner for weight in part.weights]
            arrays = [(name, weight) for name, weight in arrays if "seed" not in weight.path]
            arrays.sort(key=lambda entry: not entry[1].trainable)  # Keras 2 lists the trainable ones first
            group.attrs["weight_names"] = [name.encode() for name, _ in arrays]
            for name, weight in arrays:
                group.create_dataset(name, data=np.asarray(weight.numpy()))
    return path


@pytest.fixture
def pic():
    """`pic(c)`: a noisy image of 48x40 pixels of the color c; another seed gives other noise."""
    return make_pic


@pytest.fixture
def folder():
    """`folder(root, n)`: write n images of each of three colors, root/{red,green,blue}/0.png to n-1.png."""
    return make_folder
