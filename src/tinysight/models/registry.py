"""Which architectures there are, by name."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from tinysight.errors import RecipeError, nearest
from tinysight.models import notebook

ARCHITECTURES: dict[str, Callable[[int, int], nn.Sequential]] = {
    "simple": notebook.simple,
    "deep": notebook.deep,
    "strided": notebook.strided,
    "early-stopping": notebook.early_stopping,
}


def build(architecture: str, classes: int, image_size: int) -> nn.Sequential:
    """Build a network with fresh weights from torch's global generator.

    Args:
        architecture: a name in `ARCHITECTURES`.
        classes: how many logits it returns.
        image_size: height and width of the images it takes, in pixels.

    Returns:
        A network from normalised images (n, 3, image_size, image_size) to logits (n, classes).

    Raises:
        RecipeError: there is no such architecture, or the images are too small for it.
    """
    if architecture not in ARCHITECTURES:
        raise RecipeError(f"There is no architecture {architecture!r}.{nearest(architecture, ARCHITECTURES)}")
    return ARCHITECTURES[architecture](classes, image_size)
