"""Shadow models: the recipe of a run, trained on random halves of all images.

Half of the shadow models train on each image. Membership inference compares their predictions with those of the other
half. The other half also gives out-of-fold predictions, which label errors are found with.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from tinysight._util.progress import SILENT, Progress
from tinysight.data.dataset import Dataset, Labels, Split
from tinysight.data.splits import TrainSplit, subset
from tinysight.models.classifier import Classifier
from tinysight.models.network import NetworkFactory
from tinysight.recipes.schema import Recipe
from tinysight.training.methods import build_trainer
from tinysight.training.precision import Precision
from tinysight.training.seeding import derive_seed
from tinysight.training.trainer import fit

MAX_VALIDATION = 1000  # at most so many held-out images validate a shadow model (early stopping needs some)

Logits = NDArray[np.float32]


@dataclass(frozen=True)
class ShadowModel:
    """The predictions of one shadow model.

    Attributes:
        in_mask: bool, (n,), which images it was trained on.
        logits: float32, (n, classes), its logits of all images.
    """

    in_mask: NDArray[np.bool_]
    logits: Logits


@dataclass(frozen=True)
class ShadowModels:
    """The predictions of k shadow models: `in_mask` (k, n), `logits` (k, n, classes), `labels` (n,)."""

    in_mask: NDArray[np.bool_]
    logits: Logits
    labels: Labels

    @classmethod
    def stack(cls, shadows: Iterable[ShadowModel], labels: Labels) -> ShadowModels:
        """Stack the predictions of shadow models."""
        models = list(shadows)
        return cls(np.stack([model.in_mask for model in models]), np.stack([model.logits for model in models]), labels)

    def __len__(self) -> int:
        return len(self.in_mask)

    def out_of_fold_probabilities(self) -> NDArray[np.float64]:
        """Return the mean probabilities of the models that were not trained on each image, (n, classes)."""
        held_out = ~self.in_mask[:, :, None]
        total: NDArray[np.float64] = (softmax(self.logits.astype(np.float64), axis=2) * held_out).sum(0)
        means: NDArray[np.float64] = total / held_out.sum(0)
        return means


def training_half(n: int, number: int, seed: int) -> NDArray[np.bool_]:
    """Return which of `n` images shadow model `number` is trained on, bool (n,).

    An even number draws a random half and the next odd number takes its complement. So after every second model, each
    image is in the training half of exactly half of the models.
    """
    order = np.random.default_rng(derive_seed(seed, "shadows", number // 2)).permutation(n)
    in_mask = np.zeros(n, dtype=bool)
    in_mask[order[: n // 2]] = True
    return in_mask if number % 2 == 0 else ~in_mask


def train_shadow_model(
    recipe: Recipe,
    dataset: Dataset,
    pool: Split,
    number: int,
    seed: int,
    precision: Precision,
    progress: Progress = SILENT,
    network: NetworkFactory | None = None,
) -> ShadowModel:
    """Train shadow model `number` on its half of `pool` and predict the whole pool.

    `network` builds the network if it is the user's own.
    """
    in_mask = training_half(len(pool), number, seed)
    validation = subset(pool, np.flatnonzero(~in_mask)[:MAX_VALIDATION])
    images = TrainSplit(pool, np.flatnonzero(in_mask), validation)
    trainer = build_trainer(
        recipe, dataset, images, derive_seed(seed, "shadow training", number), precision, network=network
    )
    classifier = fit(trainer, progress)
    return ShadowModel(in_mask, float32_logits(classifier, pool))


def float32_logits(classifier: Classifier, part: Split) -> Logits:
    """Return the logits of images, computed in float32 throughout, float32 (n, classes)."""
    logits: Logits = classifier.with_spec(bf16_margin=None).logits(part.pixels).numpy()
    return logits
