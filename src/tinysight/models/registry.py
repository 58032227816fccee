"""Builds networks from the `[model]` table of a recipe."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from tinysight.errors import RecipeError
from tinysight.models import notebook
from tinysight.models.fast import fast
from tinysight.models.sequential import sequential
from tinysight.recipes.schema import Model

NOTEBOOK: dict[str, Callable[[int, int], nn.Sequential]] = {
    "simple": notebook.simple,
    "deep": notebook.deep,
    "strided": notebook.strided,
    "early-stopping": notebook.early_stopping,
}


def build(model: Model, classes: int, image_size: int) -> nn.Sequential:
    """Build a network with fresh weights from torch's global generator.

    Args:
        model: the architecture and its widths.
        classes: number of classes.
        image_size: height and width of the input images, in pixels.

    Returns:
        A network from normalized images (n, 3, image_size, image_size) to logits (n, classes).

    Raises:
        RecipeError: the images are too small, or the recipe leaves the widths to a time budget that was not given.
    """
    if model.architecture == "fast":
        if model.stem is None or model.widths is None:
            raise RecipeError(
                "Recipe: it does not fix the width of the network. Set a time budget in minutes, or model.stem and "
                "model.widths."
            )
        return fast(model.stem, model.widths, classes, image_size)
    if model.layers is not None:
        return sequential(model.layers, classes, image_size)
    return NOTEBOOK[model.architecture](classes, image_size)


def takes(model: Model, image_size: int) -> bool:
    """Whether images of this height and width, in pixels, are large enough for the network."""
    try:
        with torch.device("meta"):  # shapes only, no memory
            build(model, classes=2, image_size=image_size)
    except RecipeError:
        return False
    return True
