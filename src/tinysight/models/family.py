"""Network families: the interface, and the family of a user's own network."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn

from tinysight._util.errors import ModelError, RecipeError
from tinysight.models.network import NetworkFactory
from tinysight.models.portable import PortableLayers, portable_layers
from tinysight.models.pretrained import PretrainedWeights
from tinysight.recipes.schema import ModelSection


class Family(ABC):
    """A family of networks, which the `[model]` section of a recipe configures.

    A network is any `nn.Module` that maps normalized images (n, 3, height, width) to logits (n, classes), with a method
    `features` that returns the embedding (n, d) before its last linear layer. `models.network.Network` is one.

    To add a family, add a file to `models/families/` that lists its instances in `FAMILIES`.
    `tests/models/test_family.py` checks every registered family.
    """

    name: str
    """The value of `model.architecture`."""

    has_channels: ClassVar[bool] = False
    """Whether `model.channels` sets the widths of the network."""

    has_standard_layers: ClassVar[bool] = True
    """Whether `to_portable` has a result for every network of the family."""

    is_frozen: ClassVar[bool] = False
    """Whether only the last layer can be trained."""

    pretrained: ClassVar[PretrainedWeights | None] = None
    """Published weights of the network, or None if there are none."""

    @abstractmethod
    def build(self, model: ModelSection, num_classes: int, image_size: int) -> nn.Module:
        """Return a network with fresh weights from torch's global generator.

        Raises:
            RecipeError: the images are too small, or `model` lacks a value.
        """

    def initialize(self, network: nn.Module, image_size: int, sample: Callable[[int], Tensor]) -> None:  # noqa: B027
        """Initialize the weights that depend on the training images; the default leaves the network unchanged.

        Args:
            network: a network of this family.
            image_size: height and width of the training images, in pixels.
            sample: returns up to that many normalized training images, (n, 3, image_size, image_size).
        """

    def load_pretrained(self, network: nn.Module) -> None:
        """Load the weights of `pretrained` into a network of this family, except those of its last layer.

        Raises:
            InputError, DownloadError: the weights are not on this machine, and cannot be downloaded.
            ModelError: the file is not the published one, or this family has no pretrained weights.
        """
        if self.pretrained is None:
            raise ModelError(f"architecture {self.name}: has no pretrained weights. Train it from scratch.")
        self.load_tensors(network, self.pretrained.source.read())

    def load_tensors(self, network: nn.Module, tensors: Mapping[str, Tensor]) -> None:
        """Load tensors, named as in the file of `pretrained`, into all layers of a network but the last one."""
        raise NotImplementedError(self.name)  # only for families with `pretrained`

    def supports(self, model: ModelSection, image_size: int) -> bool:
        """Whether `build` accepts images of this height and width, in pixels."""
        try:
            with torch.device("meta"):  # shapes only, no memory
                self.build(model, num_classes=2, image_size=image_size)
        except RecipeError:
            return False
        return True

    def to_portable(self, model: ModelSection, network: nn.Module) -> PortableLayers:
        """Return the network as standard layers, for export.

        Raises:
            ModelError: a module has no equivalent among the standard layers.
        """
        return portable_layers(network)


class CustomFamily(Family):
    """The family of a user's own network, built by a function `factory(num_classes, image_size)`.

    Files name it "custom" and never the function, so that opening a run runs no code that a file chose.
    """

    name = "custom"
    has_standard_layers = False

    def __init__(self, factory: NetworkFactory | None = None) -> None:
        self.factory = factory

    def build(self, model: ModelSection, num_classes: int, image_size: int) -> nn.Module:
        """Call the factory; without one, raise RecipeError."""
        if self.factory is None:
            raise RecipeError(
                "model.architecture custom: the network is built by your own code. Pass network=factory, a function of "
                "(num_classes, image_size)."
            )
        return self.factory(num_classes, image_size)
