"""What a classifier has learned from that looks alike to it: the training images nearest in its last features."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from tinysight.data.pixels import Pixels, portions
from tinysight.models.classifier import Classifier, batch_size
from tinysight.progress import SILENT, Progress


@dataclass(frozen=True)
class Neighbours:
    """The nearest training images of some images, the nearest first.

    Attributes:
        indices: int64, (n, k), into the training images.
        similarity: float32, (n, k), cosine of the angle between features, -1..1.
    """

    indices: NDArray[np.int64]
    similarity: NDArray[np.float32]


@dataclass(frozen=True)
class Memory:
    """The features of all images that were learned from, (n, features), ready to be searched."""

    classifier: Classifier
    features: Tensor

    def nearest(self, pixels: Pixels, count: int = 5) -> Neighbours:
        """Return the `count` nearest of them to each of uint8 images (n, 3, height, width)."""
        similarity = features(self.classifier, pixels) @ self.features.T
        most, indices = similarity.topk(min(count, len(self.features)), dim=1)
        return Neighbours(indices.numpy(), most.numpy())


@torch.inference_mode()
def features(classifier: Classifier, pixels: Pixels, progress: Progress = SILENT) -> Tensor:
    """Return (n, features), of length 1: what the last layer of the network decides by.

    In bfloat16 where answers come from that, too: it takes half the time, and likeness is not a matter of digits.
    """
    network = classifier.network if classifier.in_float32 else classifier.in_bf16
    before, last = network.eval()[:-1], network[-1]
    found = [torch.empty(0, last.in_features if isinstance(last, nn.Linear) else 0)]
    progress.start("remembering", len(pixels), "images")
    for part in portions(pixels, batch_size(classifier.image_size)):
        images = classifier.normalisation(torch.from_numpy(part).float()).contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16, enabled=not classifier.in_float32):
            found.append(F.normalize(before(images).float()))
        progress.advance(len(images))
    progress.finish()
    return torch.cat(found)
