"""Out-of-distribution (OOD) detection: a score for images that are unlike the training images.

The score is that of Park, Jung and Teoh, "Nearest Neighbor Guidance for Out-of-Distribution Detection" (ICCV 2023). See
docs/adr/0115-mark-images-unlike-the-training-images.md for a comparison with other scores.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor

from tinysight._util.errors import ModelError
from tinysight._util.formatting import percent
from tinysight.data.labels import Task
from tinysight.models.conformal import COVERAGE, IMAGES_NEEDED, coverage_lower_bound, coverage_rank

MAX_STORED = 256  # training images
MIN_STORED = 10  # training images, if there are that many
MAX_STORED_VALUES = 2**18  # 512 KiB; fewer images are stored if an embedding has more than 1,024 values
_TINY = 1e-12  # added to the length of an embedding, so that it is never 0
MAX_LOGIT = 80.0  # above the mean; exp(89) overflows


def count_stored(n_train: int, width: int) -> int:
    """Return the number of training images to store, for embeddings (n, width)."""
    return min(n_train, MAX_STORED, max(MIN_STORED, MAX_STORED_VALUES // width))


@dataclass(frozen=True)
class OodDetector:
    """Scores images by their similarity to stored training images, and by the energy of their logits.

    Attributes:
        features: float16, (m, d), the embeddings of training images, scaled to length 1.
        energies: float32, (m,), the energies of these images; see `energy`.
        task: the task of the classifier.
    """

    features: Tensor
    energies: Tensor
    task: Task = "multi-class"

    @classmethod
    def fit(cls, features: Tensor, logits: Tensor, task: Task) -> OodDetector:
        """Return the detector that stores these training images.

        Args:
            features: (m, d), embeddings.
            logits: (m, classes), without temperature.
            task: the task of the classifier.
        """
        return cls(F.normalize(features.float()).half(), energy(logits.float(), task), task)

    @cached_property
    def bank(self) -> Tensor:
        """The stored embeddings, each multiplied by the energy of its image: float32, (d, m)."""
        return (self.features.float() * self.energies.unsqueeze(1)).T.contiguous()

    def scores(self, features: Tensor, logits: Tensor) -> Tensor:
        """Return the OOD scores (n,) of images; higher means less like the training images.

        The score is minus the product of the image's energy and its similarity to the nearest stored image, where the
        similarity is the cosine of the embeddings times the energy of the stored image. It is computed outside of
        autocast. Each operation takes as long as 1% of the forward pass of a small network, so there are few.

        Args:
            features: (n, d), embeddings.
            logits: (n, classes), without temperature.

        Raises:
            ModelError: the stored embeddings have a different width.
        """
        width = len(self.bank)
        if features.shape[1] != width:
            raise ModelError(
                f"OOD detector: stores embeddings of {width} values, but the network's have {features.shape[1]}. "
                "Restore the run from a copy or train again."
            )
        rows = features.float()
        nearest = (rows @ self.bank).amax(1)  # times the lengths of the rows
        lengths = torch.linalg.vector_norm(rows, dim=1).add_(_TINY)
        return nearest.div_(lengths).mul_(energy(logits.float(), self.task)).neg_()


def energy(logits: Tensor, task: Task) -> Tensor:
    """Return the energies (n,) of logits (n, classes): positive, and high if one logit is far above the others.

    It is the log-sum-exp of the logits (Liu et al., "Energy-based Out-of-distribution Detection", NeurIPS 2020) minus
    their mean. The softmax does not depend on the mean. Subtracting it makes the energy positive: it is at least
    log(classes), and at most about 80. With several labels per image, the energy is always 1, because an image without
    any label can still be like the training images.
    """
    if task == "multi-label":
        return torch.ones(len(logits))
    # The clamp prevents overflows, and takes half the time of `logsumexp`.
    return (logits - logits.mean(1, keepdim=True)).clamp_max_(MAX_LOGIT).exp_().sum(1).log_()


def fit_ood_threshold(scores: Tensor) -> float | None:
    """Return the score above which an image is unlike the training images; None for fewer than 19 scores.

    If these images and a new one are exchangeable, the new one exceeds it with a probability of at most 5%.

    Args:
        scores: (n,), the scores of images that were not trained on.
    """
    n = len(scores)
    if n < IMAGES_NEEDED or not bool(scores.isfinite().all()):
        return None
    return float(scores.sort().values[coverage_rank(n) - 1])


def describe_ood(threshold: float | None, n: int) -> str:
    """Return the rate of false alarms, or the reason why no image is marked, as sentences.

    Args:
        threshold: of `fit_ood_threshold`.
        n: number of validation images.
    """
    if threshold is None and n < IMAGES_NEEDED:
        return (
            f"No image is marked as unlike the training images: {n:,} validation images are too few; at least "
            f"{IMAGES_NEEDED} are needed."
        )
    if threshold is None:
        return "No image is marked as unlike the training images: the network has no usable embeddings."
    return (
        f'The mark "unlike the training images" was calibrated on {n:,} validation images. On average, it is wrong for '
        f"{percent(1 - COVERAGE)} of new images of the same kind, and for at most "
        f"{percent(1 - coverage_lower_bound(n))} with 95% confidence."
    )
