"""Out-of-distribution (OOD) detection: how well a classifier tells OOD images from test images."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch.nn.functional as F
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from tinysight.data.dataset import Pixels
from tinysight.data.sources import shapes
from tinysight.models.classifier import Classifier
from tinysight.runs.audit_results import OodDetection
from tinysight.training.seeding import derive_seed


def ood_score(classifier: Classifier, pixels: Pixels) -> NDArray[np.float32]:
    """Return the OOD scores, (n,), of uint8 images (n, 3, height, width); higher means more likely OOD.

    Without an OOD detector, it is the energy score: Liu et al., "Energy-based Out-of-distribution Detection" (NeurIPS
    2020). For several labels per image: Wang et al., "Can multi-label classification networks know what they don't
    know?" (NeurIPS 2021), whose joint energy is the sum of the energies of the labels. Images without labels have high
    energy scores, too.
    """
    if classifier.detector is not None:
        return classifier.outputs(pixels).ood_scores
    logits = classifier.logits(pixels)
    energy = F.softplus(logits).sum(1) if classifier.task == "multi-label" else logits.logsumexp(1)
    scores: NDArray[np.float32] = -energy.numpy()
    return scores


def measure_ood_detection(classifier: Classifier, pixels: Pixels, dataset_name: str, seed: int = 0) -> OodDetection:
    """Return the AUROC of the OOD score for noise, textures and `shapes` as OOD images, and the share that is marked.

    Args:
        classifier: the classifier to evaluate.
        pixels: in-distribution test images, uint8 (n, 3, height, width).
        dataset_name: dataset of the test images; `shapes` are not OOD for a classifier of `shapes`.
        seed: seed of the OOD images.
    """
    in_distribution, threshold = ood_score(classifier, pixels), classifier.ood_threshold
    auroc, marked = {}, {}
    for name, make in OOD_GENERATORS.items():
        if name != dataset_name:
            ood = ood_score(classifier, make(pixels, derive_seed(seed, f"strangers {name}")))
            is_ood = np.concatenate([np.zeros(len(in_distribution)), np.ones(len(ood))])
            auroc[name] = float(roc_auc_score(is_ood, np.concatenate([in_distribution, ood])))
            if threshold is not None:
                marked[name] = float((ood > threshold).mean())
    return OodDetection(len(pixels), auroc, marked)


def _noise(pixels: Pixels, seed: int) -> Pixels:
    """Return as many images of independent uniform values."""
    return np.random.default_rng(seed).integers(0, 256, pixels.shape, dtype=np.uint8)


def _textures(pixels: Pixels, seed: int) -> Pixels:
    """Return phase-randomized images: random phases are added to the Fourier spectrum of each image.

    All channels of an image get the same phases, which keeps the correlations between colors. Source: Galerne, Gousseau
    and Morel, "Random Phase Textures: Theory and Synthesis" (IEEE Transactions on Image Processing 20, 2011).
    """
    random = np.random.default_rng(seed)
    noise = random.standard_normal((len(pixels), 1, *pixels.shape[2:]))
    phases = np.angle(np.fft.rfft2(noise))  # phases of a real image, so that the result is real
    phases[..., 0, 0] = 0.0  # keeps the mean
    shifted = np.fft.irfft2(np.fft.rfft2(pixels) * np.exp(1j * phases), s=pixels.shape[2:])
    textures: Pixels = np.clip(np.rint(shifted), 0, 255).astype(np.uint8)
    return textures


def _shapes(pixels: Pixels, seed: int) -> Pixels:
    return shapes.render_shapes(len(pixels), seed, pixels.shape[-1], split=1).pixels


OOD_GENERATORS: dict[str, Callable[[Pixels, int], Pixels]] = {"noise": _noise, "textures": _textures, "shapes": _shapes}
