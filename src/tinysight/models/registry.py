"""Registry of the network families, by the value of `model.architecture`."""

from __future__ import annotations

import importlib
import pkgutil

from torch import nn

from tinysight._util.errors import RecipeError, did_you_mean
from tinysight.models import families
from tinysight.models.family import CustomFamily, Family
from tinysight.models.network import NetworkFactory
from tinysight.recipes.schema import ModelSection


def _discover() -> dict[str, Family]:
    """Return the families that the modules of `models.families` list, by name."""
    names = [info.name for info in pkgutil.iter_modules(families.__path__)]
    modules = [importlib.import_module(f"{families.__name__}.{name}") for name in names]
    return {family.name: family for module in modules for family in module.FAMILIES}


FAMILIES: dict[str, Family] = _discover()


def family_of(model: ModelSection, network: NetworkFactory | None = None) -> Family:
    """Return the family of a recipe's network; `network` builds a network of architecture "custom".

    Raises:
        RecipeError: the architecture is unknown, `network` is given for another one than "custom", or `model.channels`
            for one with fixed widths.
    """
    if model.architecture == "custom":
        return CustomFamily(network)
    if network is not None:
        raise RecipeError(
            f"model.architecture: it is {model.architecture}, but network is given. Use custom, or omit network."
        )
    family = FAMILIES.get(model.architecture)
    if family is None:
        suggestion = did_you_mean(model.architecture, [*FAMILIES, "custom"])
        raise RecipeError(f"model.architecture: {model.architecture!r} is not a network family.{suggestion}")
    if model.channels is not None and not family.has_channels:
        raise RecipeError(f"model.channels: the widths of architecture {family.name} are fixed. Remove it.")
    return family


def build_network(
    model: ModelSection, num_classes: int, image_size: int, network: NetworkFactory | None = None
) -> nn.Module:
    """Build a network with fresh weights from torch's global generator.

    Args:
        model: the architecture and its channels.
        num_classes: number of classes.
        image_size: height and width of the input images, in pixels.
        network: builds the network if the architecture is "custom".

    Returns:
        A network from normalized images (n, 3, image_size, image_size) to logits (n, classes).

    Raises:
        RecipeError: the images are too small, or the recipe leaves the channels to a time budget that was not given.
    """
    return family_of(model, network).build(model, num_classes, image_size)


def supports_image_size(model: ModelSection, image_size: int) -> bool:
    """Whether images of this height and width, in pixels, are large enough for the network."""
    return family_of(model).supports(model, image_size)
