"""Nearest training images in the feature space of a classifier."""

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
    """The nearest training images of n images, sorted by similarity.

    Attributes:
        indices: int64, (n, k), into the training images.
        similarities: float32, (n, k), cosine similarity of the features, -1..1.
    """

    indices: NDArray[np.int64]
    similarity: NDArray[np.float32]


@dataclass(frozen=True)
class Memory:
    """Searchable features of all training images, (n, features)."""

    classifier: Classifier
    features: Tensor

    def nearest(self, pixels: Pixels, count: int = 5) -> Neighbours:
        """Return the `count` nearest training images of each of uint8 images (n, 3, height, width)."""
        similarity = features(self.classifier, pixels) @ self.features.T
        values, indices = similarity.topk(min(count, len(self.features)), dim=1)
        return Neighbours(indices.numpy(), values.numpy())


@torch.inference_mode()
def features(classifier: Classifier, pixels: Pixels, progress: Progress = SILENT) -> Tensor:
    """Return the inputs of the last layer of the network, (n, features), normalized to length 1.

    They are computed in bfloat16 if the classifier predicts in bfloat16, which takes half the time.
    """
    network = classifier.network if classifier.in_float32 else classifier.in_bf16
    body, head = network.eval()[:-1], network[-1]
    rows = [torch.empty(0, head.in_features if isinstance(head, nn.Linear) else 0)]
    progress.start("indexing", len(pixels), "images")
    for chunk in portions(pixels, batch_size(classifier.image_size)):
        images = classifier.normalisation(torch.from_numpy(chunk).float()).contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16, enabled=not classifier.in_float32):
            rows.append(F.normalize(body(images).float()))
        progress.advance(len(images))
    progress.finish()
    return torch.cat(rows)
