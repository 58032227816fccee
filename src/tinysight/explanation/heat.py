"""Where in a picture a classifier found what it said: how much less it speaks for a class where the picture is covered.

Occlusion (Zeiler and Fergus, "Visualizing and Understanding Convolutional Networks", ECCV 2014), as captum implements
it. It asks the classifier and does not look into it, so it is the same for every network. Grad-CAM, which does look
into it, points beside what decides in networks as small as these (docs/experiments.md).
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tinysight.data.dataset import Labels, Pixels
from tinysight.models.classifier import Classifier, batch_size

# Pixels of images of 32 x 32: the side of what is covered at once, and how far it moves on.
PATCH, STEP = 5, 2
_TOGETHER = 8  # patches that are tried at once, each of them on all images of a part

Heat = NDArray[np.float32]


@torch.no_grad()
def heat_maps(classifier: Classifier, pixels: Pixels, classes: Labels) -> Heat:
    """Return (n, height, width), 0..1: how much each place of each image spoke for a class.

    What is covered becomes the mean colour of the image; what counts is by how much the odds of the class fall.

    Args:
        classifier: that is to be explained.
        pixels: uint8, (n, 3, height, width).
        classes: (n,), of each image the class in question.

    Returns:
        Maps that reach 1 at their hottest place, or are 0 throughout where nothing spoke for the class.
    """
    from captum.attr import Occlusion

    patch, step = (max(1, round(length * classifier.image_size / 32)) for length in (PATCH, STEP))
    method = Occlusion(lambda images, target: _log_odds(classifier, images, target))
    found = [torch.empty(0, *pixels.shape[2:])]
    at_once = max(1, batch_size(classifier.image_size) // _TOGETHER)
    for start in range(0, len(pixels), at_once):
        images = torch.from_numpy(pixels[start : start + at_once]).float()
        target = torch.from_numpy(np.asarray(classes[start : start + at_once], dtype=np.int64))
        fallen = method.attribute(
            images,
            sliding_window_shapes=(3, patch, patch),
            strides=(3, step, step),
            baselines=images.mean((2, 3), keepdim=True).expand_as(images),
            additional_forward_args=(target,),
            perturbations_per_eval=_TOGETHER,
        )
        found.append(_stretched(fallen.mean(1).clamp_min(0)))
    heat: Heat = torch.cat(found).float().numpy()
    return heat


def _log_odds(classifier: Classifier, images: Tensor, target: Tensor) -> Tensor:
    """Return (n,): the logarithm of the odds of the target class, of images (n, 3, height, width) of 0..255."""
    shown = classifier.normalisation(images).contiguous(memory_format=torch.channels_last)
    logits: Tensor = classifier.network.eval()(shown)
    own = logits.gather(1, target[:, None])
    others = logits.scatter(1, target[:, None], -torch.inf).logsumexp(1)
    return own.squeeze(1) - others


def _stretched(maps: Tensor) -> Tensor:
    most = maps.amax((1, 2), keepdim=True)
    return maps / torch.where(most > 0, most, 1.0)
