"""Shadow models: the same recipe trained on random halves of all images there are, to see what training on one changes.

Each image is learned by half of them and unknown to the others. What the ones that know it say of it, beside what the
others say, tells how much a model gives away of having seen it (membership); what those that do not know it say,
tells whether its label is likely to be right (labels).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from tinysight.data.dataset import Dataset, Labels, Part
from tinysight.models.classifier import Classifier
from tinysight.progress import SILENT, Progress
from tinysight.recipes.schema import Recipe
from tinysight.training.fitting import fit
from tinysight.training.images import Images, taken
from tinysight.training.precision import Precision
from tinysight.training.randomness import derive
from tinysight.training.trainer import Trainer

VALIDATION = 1000  # images that a shadow is held against after each epoch, if only to stop early

Logits = NDArray[np.float32]


@dataclass(frozen=True)
class Shadow:
    """One of them.

    Attributes:
        knows: bool, (n,), which images it was trained on.
        logits: float32, (n, classes), what it says of all of them.
    """

    knows: NDArray[np.bool_]
    logits: Logits


@dataclass(frozen=True)
class Shadows:
    """All there are, as arrays: `knows` is (k, n), `logits` (k, n, classes), `labels` (n,)."""

    knows: NDArray[np.bool_]
    logits: Logits
    labels: Labels

    @classmethod
    def of(cls, shadows: Iterable[Shadow], labels: Labels) -> Shadows:
        """Put shadows together."""
        every = list(shadows)
        return cls(np.stack([one.knows for one in every]), np.stack([one.logits for one in every]), labels)

    def __len__(self) -> int:
        return len(self.knows)

    def strangers_probabilities(self) -> NDArray[np.float64]:
        """Return (n, classes): the mean probabilities of those shadows that do not know each image."""
        unknown = ~self.knows[:, :, None]
        total: NDArray[np.float64] = (softmax(self.logits.astype(np.float64), axis=2) * unknown).sum(0)
        means: NDArray[np.float64] = total / unknown.sum(0)
        return means


def halves(n: int, number: int, seed: int) -> NDArray[np.bool_]:
    """Return which of `n` images shadow `number` is trained on: half of them, and an odd one on the other half.

    So after every second shadow, each image is known to half of them.
    """
    order = np.random.default_rng(derive(seed, "shadows", number // 2)).permutation(n)
    knows = np.zeros(n, dtype=bool)
    knows[order[: n // 2]] = True
    return knows if number % 2 == 0 else ~knows


def train_shadow(
    recipe: Recipe,
    dataset: Dataset,
    pool: Part,
    number: int,
    seed: int,
    precision: Precision,
    progress: Progress = SILENT,
) -> Shadow:
    """Train shadow `number` by `recipe` on its half of `pool`, and ask it about all images."""
    knows = halves(len(pool), number, seed)
    learn = np.flatnonzero(knows)
    images = Images(pool, learn, taken(pool, np.flatnonzero(~knows)[:VALIDATION]))
    trainer = Trainer(recipe, dataset, images, derive(seed, "shadow training", number), precision)
    classifier = fit(trainer, progress)
    return Shadow(knows, logits_of(classifier, pool))


def logits_of(classifier: Classifier, part: Part) -> Logits:
    """Return float32 (n, classes): what a classifier says of images, in single precision throughout."""
    found: Logits = replace(classifier, doubt=None).logits(part.pixels).numpy()
    return found
