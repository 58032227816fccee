"""What predicts: a network, the names of its classes, and how images are made ready for it."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tinysight.data.dataset import Pixels
from tinysight.data.looks import WHOLE, Looks
from tinysight.data.pixels import gathered, portions
from tinysight.machine import native_bf16
from tinysight.memory import keep_freed_memory
from tinysight.models import views
from tinysight.models.views import PLAIN, View
from tinysight.recipes.schema import Model

PIXELS = 2**19  # at once, 512 images of 32 x 32: enough to keep two cores busy, and never more memory for large images


def batch_size(image_size: int) -> int:
    """Return how many images of this height and width, in pixels, to predict at once."""
    return max(1, PIXELS // image_size**2)


@dataclass(frozen=True)
class Normalisation:
    """What makes 0..255 pixels into what the network was trained on: (pixel - mean) / std, a channel at a time."""

    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (255.0, 255.0, 255.0)

    @classmethod
    def standardising(cls, portions: Iterable[Pixels]) -> Normalisation:
        """Return the normalisation that gives images mean 0 and standard deviation 1, channel by channel.

        Args:
            portions: uint8, (any number, 3, height, width) each; together they are all the images.
        """
        counts, levels = np.zeros((3, 256), dtype=np.int64), np.arange(256)
        for pixels in portions:
            counts += [np.bincount(channel.reshape(-1), minlength=256) for channel in pixels.transpose(1, 0, 2, 3)]
        means = [float(np.average(levels, weights=count)) for count in counts]
        spreads = [
            float(np.sqrt(np.average((levels - mean) ** 2, weights=count)))
            for mean, count in zip(means, counts, strict=True)
        ]
        red, green, blue = means
        std = tuple(max(spread, 1.0) for spread in spreads)  # images of one grey level have none
        return cls((red, green, blue), (std[0], std[1], std[2]))

    def __call__(self, images: Tensor) -> Tensor:
        """Normalise float images (n, 3, height, width) of 0..255."""
        scale = 1 / images.new_tensor(self.std).view(3, 1, 1)
        offset = images.new_tensor(self.mean).view(3, 1, 1) * -scale
        return (images * scale).add_(offset)


RAW = Normalisation(std=(1.0, 1.0, 1.0))
"""What leaves 0..255 as they are, for networks that rescale by themselves."""


@dataclass(frozen=True)
class Classifier:
    """Takes plain images of 0..255, gives probabilities.

    Attributes:
        model: what the network was built from.
        network: from normalised images to logits.
        class_names: in the order of the logits.
        image_size: height and width it takes, in pixels.
        normalisation: applied to every image before the network.
        temperature: what logits are divided by before the softmax (Guo et al. 2017); 1 leaves them.
        unsure_below: the probability of its first choice, 0..1, below which it is unsure; above 1 if it always is.
        doubt: the lead up to which an answer found in bfloat16 is found again in float32, or None if bfloat16 was not
            tried here; answers of larger leads were the same in both (`Trainer.calibrate` measures it).
        looks: what of a large picture it should be shown, one after the other.
        tta_shift: pixels by which test-time augmentation moves images; 0 if the training did not crop moved ones.
        remarks: what a reader must know before trusting it, such as that it learned from made-up images.
    """

    model: Model
    network: nn.Sequential
    class_names: tuple[str, ...]
    image_size: int
    normalisation: Normalisation
    temperature: float = 1.0
    unsure_below: float = 0.5
    doubt: float | None = None
    tta_shift: int = 0
    remarks: tuple[str, ...] = ()
    looks: Looks = WHOLE

    @torch.inference_mode()
    def logits(self, pixels: Pixels, view: View = PLAIN) -> Tensor:
        """Return float32 logits (n, classes) for one view of uint8 images (n, 3, image_size, image_size).

        Where the processor has bfloat16 and the answer is clear, they come from that.
        """
        keep_freed_memory()
        if self.in_float32:
            return self._logits(self.network, pixels, view)
        with torch.autocast("cpu", torch.bfloat16):
            logits = self._logits(self.in_bf16, pixels, view)
        unclear = ~(lead(logits) > (self.doubt or 0.0))  # what is not a number is unclear
        if unclear.any():
            logits[unclear] = self._logits(self.network, gathered(pixels, unclear.numpy()), view)
        return logits

    def probabilities(self, pixels: Pixels, tta: bool = False) -> NDArray[np.float32]:
        """Return probabilities (n, classes) for uint8 images (n, 3, image_size, image_size).

        `tta` averages the logits of several views of each image (test-time augmentation).
        """
        shown = views.tta(self.tta_shift) if tta else {PLAIN: 1.0}
        logits = torch.stack([weight * self.logits(pixels, view) for view, weight in shown.items()]).sum(0)
        found: NDArray[np.float32] = (logits / self.temperature).softmax(1).numpy()
        return found

    @property
    def in_float32(self) -> bool:
        """Whether bfloat16 was not tried, or this processor does not have it."""
        return self.doubt is None or not native_bf16()

    @cached_property
    def in_bf16(self) -> nn.Sequential:
        """The network for bfloat16, with weights that autocast would otherwise convert for every batch."""
        network: nn.Sequential = copy.deepcopy(self.network)
        for layer in network.modules():
            if isinstance(layer, nn.Conv2d | nn.Linear):
                layer.to(torch.bfloat16)
        return network

    def _logits(self, network: nn.Sequential, pixels: Pixels, view: View) -> Tensor:
        if network.training:
            network.eval()  # of many layers it takes as long as one of them does for one image
        found = [torch.empty(0, len(self.class_names))]
        for batch in portions(pixels, batch_size(self.image_size)):
            images = self.normalisation(view(torch.from_numpy(batch).float())).contiguous(
                memory_format=torch.channels_last
            )
            found.append(network(images).float())
        return torch.cat(found)


def likeliest(probabilities: NDArray[np.floating[Any]], count: int) -> NDArray[np.intp]:
    """Return the indices of the `count` largest of probabilities (classes,), the largest first, equal ones in order."""
    return np.argsort(-probabilities, kind="stable")[:count]


def lead(logits: Tensor) -> Tensor:
    """Return (n,): by how much the largest of logits (n, classes) exceeds the second largest."""
    first, second = logits.topk(2, dim=1).values.unbind(1)
    return first - second


def overrated(rough: Tensor, exact: Tensor) -> float | None:
    """Return by how much the lead of an answer in `rough` logits exceeds its lead in `exact` ones, at most.

    Both are (n, classes), and an answer that another class beats in `exact` has a lead below 0 there. None if that is
    not a number.
    """
    answers = rough.argmax(1, keepdim=True)
    others = exact.scatter(1, answers, -math.inf).amax(1)
    most = float((lead(rough) - (exact.gather(1, answers).squeeze(1) - others)).amax())
    return max(0.0, most) if math.isfinite(most) else None
