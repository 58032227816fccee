"""Images of none of the classes: whether a classifier is less sure of them than of its own.

A softmax spreads certainty over the classes it has, whatever it is shown; how certain it is all the same, is the only
hint it gives. The score is that of Liu et al., "Energy-based Out-of-distribution Detection" (NeurIPS 2020).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from tinysight.data import shapes
from tinysight.data.dataset import Pixels
from tinysight.models.classifier import Classifier
from tinysight.runs.findings import Strangeness
from tinysight.training.randomness import derive


def strangeness(classifier: Classifier, pixels: Pixels) -> NDArray[np.float32]:
    """Return (n,): the energy of uint8 images (n, 3, height, width), higher for those like nothing it has learned."""
    scores: NDArray[np.float32] = -torch.logsumexp(classifier.logits(pixels), 1).numpy()
    return scores


def measure_strangeness(classifier: Classifier, pixels: Pixels, dataset_name: str, seed: int = 0) -> Strangeness:
    """Return how well the score tells noise, textures and `shapes` from images of the classes.

    Args:
        classifier: what is asked.
        pixels: uint8, (n, 3, height, width), images of its classes that it did not learn from.
        dataset_name: whose; `shapes` are no strangers to a classifier of shapes.
        seed: what strange images are drawn with.
    """
    own = strangeness(classifier, pixels)
    auroc = {}
    for name, make in STRANGERS.items():
        if name != dataset_name:
            strange = strangeness(classifier, make(pixels, derive(seed, f"strangers {name}")))
            truth = np.concatenate([np.zeros(len(own)), np.ones(len(strange))])
            auroc[name] = float(roc_auc_score(truth, np.concatenate([own, strange])))
    return Strangeness(len(pixels), auroc)


def _noise(pixels: Pixels, seed: int) -> Pixels:
    """Return as many images, every value of which is drawn anew."""
    return np.random.default_rng(seed).integers(0, 256, pixels.shape, dtype=np.uint8)


def _textures(pixels: Pixels, seed: int) -> Pixels:
    """Return the images with their patterns kept and their places lost: each frequency moved by a phase of its own.

    All channels of an image are moved alike, so that its colours stay together (Galerne, Gousseau and Morel, "Random
    Phase Textures", IEEE Transactions on Image Processing 20, 2011).
    """
    random = np.random.default_rng(seed)
    noise = random.standard_normal((len(pixels), 1, *pixels.shape[2:]))
    phases = np.angle(np.fft.rfft2(noise))  # of a real image, so that the result is one as well
    phases[..., 0, 0] = 0.0  # the mean stays
    moved = np.fft.irfft2(np.fft.rfft2(pixels) * np.exp(1j * phases), s=pixels.shape[2:])
    textures: Pixels = np.clip(np.rint(moved), 0, 255).astype(np.uint8)
    return textures


def _shapes(pixels: Pixels, seed: int) -> Pixels:
    return shapes.draw(len(pixels), seed, pixels.shape[-1], split=1).pixels


STRANGERS: dict[str, Callable[[Pixels, int], Pixels]] = {"noise": _noise, "textures": _textures, "shapes": _shapes}
