from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.fixture
def images() -> torch.Tensor:
    """Random noise, so that any shift of pixels is detected."""
    return torch.rand(8, 3, 12, 12, generator=torch.Generator().manual_seed(1)) * 255


@pytest.fixture(scope="session")
def keras_generator() -> Callable[..., Any]:
    """Keras' `ImageDataGenerator`, which the notebooks use; skips the test if Keras is missing."""
    pytest.importorskip("scipy", reason="Keras' ImageDataGenerator needs scipy")
    os.environ.setdefault("KERAS_BACKEND", "torch")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pytest.importorskip("keras", reason="the extra 'keras' is not installed")
        from keras.src.legacy.preprocessing.image import ImageDataGenerator
    return ImageDataGenerator


@pytest.fixture(scope="session")
def keras_transform(keras_generator: Callable[..., Any]) -> Callable[..., np.ndarray]:
    """Keras' `apply_transform` for one image of shape (3, height, width)."""

    def transform(image: np.ndarray, parameters: dict[str, float], fill: str, value: float) -> np.ndarray:
        keras = keras_generator(fill_mode=fill, cval=value, data_format="channels_last")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # Keras calls a renamed scipy function
            return keras.apply_transform(image.transpose(1, 2, 0), parameters).transpose(2, 0, 1)

    return transform
