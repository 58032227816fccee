"""From a recipe's `[model]` table to a network."""

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
        model: which, and how wide.
        classes: how many logits it returns.
        image_size: height and width of the images it takes, in pixels.

    Returns:
        A network from normalised images (n, 3, image_size, image_size) to logits (n, classes).

    Raises:
        RecipeError: the images are too small for it, or its widths were left to a time that nobody gave.
    """
    if model.architecture == "fast":
        if model.stem is None or model.widths is None:
            raise RecipeError(
                "The recipe leaves the widths of the network to the time there is: give model.stem and model.widths "
                "in a recipe of your own, or say to `train` or `recipes show` how long by --minutes."
            )
        return fast(model.stem, model.widths, classes, image_size)
    if model.layers is not None:
        return sequential(model.layers, classes, image_size)
    return NOTEBOOK[model.architecture](classes, image_size)


def takes(model: Model, image_size: int) -> bool:
    """Return whether images of this height and width, in pixels, are large enough for the network."""
    try:
        with torch.device("meta"):  # shapes without memory
            build(model, classes=2, image_size=image_size)
    except RecipeError:
        return False
    return True
