"""Affine maps compared with Keras' `ImageDataGenerator`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats

from tinysight.augmentation.affine import AffineParameters, apply_affine
from tinysight.augmentation.transforms.geometry import Affine

N = 60
TOLERANCE = 1e-2  # of 255


def random_parameters(height: int, width: int, fill: str) -> AffineParameters:
    """Strong random maps; each parameter is neutral in 30% of them.

    With constant fill no parameter is neutral: without rotation, points lie exactly on the image edge, where Keras'
    result depends on rounding. `test_affine.py` covers that case.
    """
    random = np.random.default_rng(height * 100 + width)
    neutral_rate = 0.0 if fill == "constant" else 0.3

    def draw(low: float, high: float, neutral: float = 0.0) -> torch.Tensor:
        values = np.where(random.random(N) < neutral_rate, neutral, random.uniform(low, high, N))
        return torch.from_numpy(values).float()

    return AffineParameters(
        theta=draw(-180, 180),
        tx=draw(-width, width),
        ty=draw(-height, height),
        shear=draw(-50, 50),
        zx=draw(0.3, 2.5, neutral=1.0),
        zy=draw(0.3, 2.5, neutral=1.0),
        flip=torch.from_numpy(random.random(N) < 0.5),
    )


def for_keras(parameters: AffineParameters, index: int) -> dict[str, float]:
    values = {name: getattr(parameters, name)[index].item() for name in ("theta", "tx", "ty", "shear", "zx", "zy")}
    return values | {"flip_horizontal": bool(parameters.flip[index])}


def noise(height: int, width: int) -> torch.Tensor:
    return torch.rand(N, 3, height, width, generator=torch.Generator().manual_seed(0)) * 255


@pytest.mark.parametrize("fill", ["nearest", "reflect", "constant"])
@pytest.mark.parametrize("size", [32, 31, 5])
def test_maps_equal_those_of_keras(keras_transform: Callable[..., np.ndarray], size: int, fill: Any) -> None:
    images, parameters = noise(size, size), random_parameters(size, size, fill)
    ours = apply_affine(images, parameters, fill, fill_value=77.0).numpy()
    for index, image in enumerate(images.numpy()):
        expected = keras_transform(image, for_keras(parameters, index), fill, 77.0)
        np.testing.assert_allclose(ours[index], expected, atol=TOLERANCE)


@pytest.mark.parametrize("fill", ["nearest", "reflect", "constant"])
@pytest.mark.parametrize(("height", "width"), [(20, 33), (31, 16)])
def test_maps_of_non_square_images_equal_those_of_keras_after_correcting_the_center(
    keras_transform: Callable[..., np.ndarray], height: int, width: int, fill: Any
) -> None:
    images, parameters = noise(height, width), random_parameters(height, width, fill)
    ours = apply_affine(images, parameters, fill, fill_value=77.0).numpy()
    for index, image in enumerate(images.numpy()):
        corrected = correct_center(for_keras(parameters, index), height, width)
        expected = keras_transform(image, corrected, fill, 77.0)
        np.testing.assert_allclose(ours[index], expected, atol=TOLERANCE)


def correct_center(parameters: dict[str, float], height: int, width: int) -> dict[str, float]:
    """Add the shift that compensates a Keras bug: it swaps x and y of the center."""
    theta, shear = np.deg2rad(parameters["theta"]), np.deg2rad(parameters["shear"])
    rotation = np.array([[np.cos(theta), -np.sin(theta)], [np.sin(theta), np.cos(theta)]])
    shearing = np.array([[1, -np.sin(shear)], [0, np.cos(shear)]])
    linear = rotation @ shearing @ np.diag([parameters["zx"], parameters["zy"]])
    error = np.array([width - height, height - width]) / 2
    tx, ty = np.linalg.solve(rotation, (np.eye(2) - linear) @ error)
    return parameters | {"tx": parameters["tx"] + tx, "ty": parameters["ty"] + ty}


def test_draws_have_the_distribution_of_keras(keras_generator: Callable[..., Any]) -> None:
    n, names = 1500, ("theta", "tx", "ty", "shear", "zx", "zy")
    keras = keras_generator(
        rotation_range=40, width_shift_range=0.2, height_shift_range=0.2, shear_range=0.2, zoom_range=0.2
    )
    state = np.random.get_state()
    theirs = [keras.get_random_transform((32, 32, 3), seed=seed) for seed in range(n)]
    np.random.set_state(state)
    config = Affine(rotation=40, width_shift=0.2, height_shift=0.2, shear=0.2, zoom=0.2)
    ours = config.sample(n, 32, 32, torch.Generator().manual_seed(0))
    for name in names:
        test = stats.ks_2samp(getattr(ours, name).numpy(), [parameters[name] for parameters in theirs])
        assert test.pvalue > 0.001, name
