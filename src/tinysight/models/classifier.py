"""What predicts: a network, the names of its classes, and how images are made ready for it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tinysight.data.dataset import Pixels
from tinysight.memory import keep_freed_memory

PIXELS = 2**19  # at once, 512 images of 32 x 32: enough to keep two cores busy, and never more memory for large images


def batch_size(image_size: int) -> int:
    """Return how many images of this height and width, in pixels, to predict at once."""
    return max(1, PIXELS // image_size**2)


@dataclass(frozen=True)
class Normalisation:
    """What makes 0..255 pixels into what the network was trained on: (pixel - mean) / std, a channel at a time."""

    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (255.0, 255.0, 255.0)

    def __call__(self, images: Tensor) -> Tensor:
        """Normalise float images (n, 3, height, width) of 0..255."""
        scale = 1 / images.new_tensor(self.std).view(3, 1, 1)
        offset = images.new_tensor(self.mean).view(3, 1, 1) * -scale
        return (images * scale).add_(offset)


@dataclass(frozen=True)
class Classifier:
    """Takes plain images of 0..255, gives probabilities.

    Attributes:
        architecture: its name in the registry.
        network: from normalised images to logits.
        class_names: in the order of the logits.
        image_size: height and width it takes, in pixels.
        normalisation: applied to every image before the network.
        temperature: what logits are divided by before the softmax (Guo et al. 2017); 1 leaves them.
        remarks: what a reader must know before trusting it, such as that it learned from made-up images.
    """

    architecture: str
    network: nn.Sequential
    class_names: tuple[str, ...]
    image_size: int
    normalisation: Normalisation
    temperature: float = 1.0
    remarks: tuple[str, ...] = ()

    @torch.inference_mode()
    def logits(self, pixels: Pixels, mirrored: bool = False) -> Tensor:
        """Return float32 logits (n, classes) for uint8 images (n, 3, image_size, image_size).

        `mirrored` shows the network every image flipped left to right.
        """
        keep_freed_memory()
        self.network.eval()
        batches = torch.from_numpy(pixels).split(batch_size(self.image_size))
        found = [self._logits_of(batch, mirrored) for batch in batches]
        return torch.cat(found) if found else torch.empty(0, len(self.class_names))

    def probabilities(self, pixels: Pixels, tta: bool = False) -> NDArray[np.float32]:
        """Return probabilities (n, classes) for uint8 images (n, 3, image_size, image_size).

        `tta` averages the logits of each image and its mirror image (test-time augmentation).
        """
        logits = self.logits(pixels)
        if tta:
            logits = (logits + self.logits(pixels, mirrored=True)) / 2
        found: NDArray[np.float32] = (logits / self.temperature).softmax(1).numpy()
        return found

    def _logits_of(self, batch: Tensor, mirrored: bool) -> Tensor:
        images = batch.float().contiguous(memory_format=torch.channels_last)
        images = self.normalisation(images.flip(3) if mirrored else images)
        logits: Tensor = self.network(images).float()
        return logits
