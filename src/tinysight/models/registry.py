"""Builds networks from the `[model]` table of a recipe."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from tinysight._util.errors import RecipeError
from tinysight.models import cnn
from tinysight.models.fast import build_fast
from tinysight.models.sequential import build_sequential
from tinysight.recipes.schema import ModelSection

CNN_BUILDERS: dict[str, Callable[[int, int], nn.Sequential]] = {
    "simple": cnn.build_simple,
    "deep": cnn.build_deep,
    "strided": cnn.build_strided,
    "early-stopping": cnn.build_early_stopping,
}


def build_network(model: ModelSection, num_classes: int, image_size: int) -> nn.Sequential:
    """Build a network with fresh weights from torch's global generator.

    Args:
        model: the architecture and its widths.
        num_classes: number of classes.
        image_size: height and width of the input images, in pixels.

    Returns:
        A network from normalized images (n, 3, image_size, image_size) to logits (n, classes).

    Raises:
        RecipeError: the images are too small, or the recipe leaves the widths to a time budget that was not given.
    """
    if model.architecture == "fast":
        if model.stem_stride is None or model.channels is None:
            raise RecipeError(
                "Recipe: it does not fix the width of the network. Set a time budget in minutes, or model.stem_stride "
                "and model.channels."
            )
        return build_fast(model.stem_stride, model.channels, num_classes, image_size)
    if model.layers is not None:
        return build_sequential(model.layers, num_classes, image_size)
    return CNN_BUILDERS[model.architecture](num_classes, image_size)


def supports_image_size(model: ModelSection, image_size: int) -> bool:
    """Whether images of this height and width, in pixels, are large enough for the network."""
    try:
        with torch.device("meta"):  # shapes only, no memory
            build_network(model, num_classes=2, image_size=image_size)
    except RecipeError:
        return False
    return True
