"""Occlusion maps of predictions.

Source: Zeiler and Fergus, "Visualizing and Understanding Convolutional Networks" (ECCV 2014), implemented with captum.
Occlusion works for any network, because it only needs predictions. Grad-CAM misses the decisive pixels in networks of
this size (docs/experiments/explanation-methods.md).
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tinysight.data.dataset import Labels, Pixels
from tinysight.models.classifier import Classifier, batch_size

# Side and stride of the occluding patch, in pixels of 32 x 32 images.
PATCH_SIZE, PATCH_STRIDE = 5, 2
_PATCHES_PER_BATCH = 8  # patches evaluated at once, each on all images of a chunk

OcclusionMaps = NDArray[np.float32]


@torch.no_grad()
def occlusion_maps(classifier: Classifier, pixels: Pixels, classes: Labels) -> OcclusionMaps:
    """Return occlusion maps, (n, height, width), 0..1: the decrease of the log-odds where the image is covered.

    Covered pixels get the mean color of the image.

    Args:
        classifier: the classifier to explain.
        pixels: uint8, (n, 3, height, width).
        classes: (n,), the class or label to explain for each image.

    Returns:
        Maps with a maximum of 1, or all 0 where no patch decreases the log-odds.
    """
    from captum.attr import Occlusion

    patch, step = (max(1, round(length * classifier.image_size / 32)) for length in (PATCH_SIZE, PATCH_STRIDE))
    method = Occlusion(lambda images, target: _log_odds(classifier, images, target))
    maps = [torch.empty(0, *pixels.shape[2:])]
    chunk = max(1, batch_size(classifier.image_size) // _PATCHES_PER_BATCH)
    for start in range(0, len(pixels), chunk):
        images = torch.from_numpy(pixels[start : start + chunk]).float()
        target = torch.from_numpy(np.asarray(classes[start : start + chunk], dtype=np.int64))
        decrease = method.attribute(
            images,
            sliding_window_shapes=(3, patch, patch),
            strides=(3, step, step),
            baselines=images.mean((2, 3), keepdim=True).expand_as(images),
            additional_forward_args=(target,),
            perturbations_per_eval=_PATCHES_PER_BATCH,
        )
        maps.append(_normalize(decrease.mean(1).clamp_min(0)))
    heat: OcclusionMaps = torch.cat(maps).float().numpy()
    return heat


def _log_odds(classifier: Classifier, images: Tensor, target: Tensor) -> Tensor:
    """Return the log-odds of the target class, (n,), for images (n, 3, height, width), 0..255.

    With several labels per image, each logit is already the log-odds of its label.
    """
    normalized = classifier.spec.normalization(images).contiguous(memory_format=torch.channels_last)
    logits: Tensor = classifier.network.eval()(normalized)
    target_logit = logits.gather(1, target[:, None]).squeeze(1)
    if classifier.task == "multi-label":
        return target_logit
    return target_logit - logits.scatter(1, target[:, None], -torch.inf).logsumexp(1)


def _normalize(maps: Tensor) -> Tensor:
    maximum = maps.amax((1, 2), keepdim=True)
    return maps / torch.where(maximum > 0, maximum, 1.0)
