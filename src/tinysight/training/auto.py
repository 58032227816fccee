"""Automatic choice of the training method and of the image size, for a dataset and a time budget.

A probe is cross-validated at every image size that the time allows, and the size with the smallest loss is chosen. If
enough time is left, the network is then fine-tuned, starting from the probe. The probe is kept if no later epoch has a
smaller validation loss. Without pretrained weights, a network is trained from scratch.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from tinysight._util.errors import RecipeError
from tinysight._util.formatting import percent, percent_interval
from tinysight._util.progress import Progress
from tinysight._util.timing import Deadline
from tinysight.data.dataset import Dataset, Pixels
from tinysight.data.pixels import take
from tinysight.data.splits import TrainSplit, split_dataset, stratified_folds
from tinysight.models.classifier import iter_batches
from tinysight.models.fusion import fused
from tinysight.models.network import embed
from tinysight.models.registry import build_network
from tinysight.recipes import loading
from tinysight.recipes.schema import Recipe
from tinysight.training.backbone import Backbone, RunBackbone, find_backbone
from tinysight.training.finetune import MAX_HEAD_IMAGES
from tinysight.training.head import HeadProblem
from tinysight.training.objective import OBJECTIVES
from tinysight.training.precision import Precision, autocast
from tinysight.training.seeding import derive_seed

SIZES = (96, 128, 160, 192, 224)  # height and width of the network's input, in pixels
SAMPLE = 300  # number of training images on which the sizes are compared
N_FOLDS = 3  # of the cross-validation that compares the sizes
PILOT_SHARE = 0.3  # fraction of the time after which no larger size is tried
FEATURE_SHARE = 0.4  # fraction of the time that computing the features of all images may take
SCRATCH_SIZE = 64  # image size in pixels when training from scratch
MIN_EPOCHS = 3.0  # of fine-tuning; if fewer fit, the next best size is considered
MIN_STEPS = 100  # of fine-tuning; fewer have little effect (docs/experiments/few-images.md)
_TIMED_IMAGES = 16


@dataclass(frozen=True)
class SizeScore:
    """A probe of a sample of the training images at one input size.

    Attributes:
        size: height and width of the network's input, in pixels.
        seconds_per_image: time to compute the features of one image.
        loss: mean loss on the held-out images in cross-validation, in nats.
        n_correct: number of correct predictions on the held-out images.
        n: number of images.
    """

    size: int
    seconds_per_image: float
    loss: float
    n_correct: float
    n: int

    def describe(self) -> str:
        """Return the accuracy, the size and the 95% interval as text."""
        from scipy.stats import binomtest  # imported here because it is slow to import, and only `auto` needs it

        interval = binomtest(round(self.n_correct), self.n).proportion_ci(method="wilson")
        return (
            f"{percent(self.n_correct / self.n)} at {self.size}x{self.size} "
            f"(95% interval {percent_interval((interval.low, interval.high))})"
        )


def choose(
    recipe: Recipe, dataset: Dataset, deadline: Deadline, precision: Precision, seed: int, progress: Progress
) -> Recipe:
    """Return the recipe with a method, and with the input size as `model.input_size`.

    Args:
        recipe: a recipe with the method "auto" and a time budget.
        dataset: the images, loaded at the largest of the sizes unless their size is fixed.
        deadline: the end of the time budget.
        precision: the precision in which the features are computed.
        seed: seed of the training.
        progress: receives the accuracies and the choice as notes.
    """
    split = split_dataset(dataset, recipe.data, seed)
    scores = _try_sizes(recipe, dataset, split, deadline, precision, seed)
    best = min(scores, key=lambda score: score.loss)
    figures = ", ".join(score.describe() for score in scores)
    progress.note(f"Probe, cross-validated on {best.n:,} training images: {figures}.")
    smallest = scores[0].size
    seconds_per_pixel = _step_seconds(_with(recipe, "finetune", smallest), dataset) / smallest**2
    for score in sorted(scores, key=lambda score: (score.loss, score.size)):
        seconds = deadline.remaining() - _probe_images(split) * score.seconds_per_image
        steps = max(0, round(seconds / (seconds_per_pixel * score.size**2)))
        epochs = steps * recipe.training.batch_size / len(split.train_indices)
        if steps < MIN_STEPS:  # a few steps at a smaller size gain less than the larger size does
            break
        if epochs >= MIN_EPOCHS or score.size == smallest:
            progress.note(
                f"Chosen: fine-tuning at {score.size}x{score.size}, about {steps:,} steps ({epochs:,.1f} epochs). It "
                "starts from the probe. If no epoch has a smaller validation loss, the probe is kept."
            )
            return _with(recipe, "finetune", score.size)
    progress.note(
        f"Chosen: probe at {best.size}x{best.size}. The time allows only about {steps:,} steps of fine-tuning, and at "
        f"least {MIN_STEPS} are needed. For fine-tuning, increase training.minutes."
    )
    return _with(recipe, "probe", best.size)


def _probe_images(split: TrainSplit) -> int:
    """Return the number of images whose features the first epoch of fine-tuning computes, and validates."""
    return min(len(split.train_indices), MAX_HEAD_IMAGES) + 2 * len(split.validation)


def as_probe(recipe: Recipe) -> Recipe:
    """Return the recipe with the method "probe". It determines the precision in which the features are computed."""
    return _with(recipe, "probe", _sizes(recipe)[0])


def from_scratch(recipe: Recipe, image_size: int, reason: str, progress: Progress) -> Recipe:
    """Return the recipe `fast` with the time budget and the data settings of `recipe`.

    It replaces `recipe` if the pretrained weights are not available; `reason` says why.
    """
    fast = loading.load_recipe("fast")
    data = recipe.data.model_copy(update={"image_size": image_size, "normalization": fast.data.normalization})
    training = fast.training.model_copy(update={"minutes": recipe.training.minutes})
    progress.note(f"Chosen: from scratch, without pretrained weights. This needs far more images. {reason}")
    return fast.model_copy(update={"data": data, "training": training})


def _try_sizes(
    recipe: Recipe, dataset: Dataset, split: TrainSplit, deadline: Deadline, precision: Precision, seed: int
) -> list[SizeScore]:
    """Return a score for each size that the time allows, at least one. The smallest size comes first."""
    random = np.random.default_rng(derive_seed(seed, "auto sample"))
    rows = np.sort(random.permutation(split.train_indices)[:SAMPLE])
    pixels, labels = take(split.train.pixels, rows), split.train.labels[rows]
    groups = [split.train.groups[row] for row in rows] if split.train.groups else range(len(rows))
    parts = [part for part in stratified_folds(labels, groups, N_FOLDS, seed) if len(part)]
    n_images = len(split.train_indices) + len(split.validation)
    start, scores, objective = time.perf_counter(), list[SizeScore](), OBJECTIVES[dataset.task]

    budget = deadline.remaining()
    for size in _sizes(recipe):
        network = _backbone_network(_with(recipe, "probe", size), dataset)
        begin = time.perf_counter()
        features = _features(network, pixels, recipe, size, precision)
        seconds = (time.perf_counter() - begin) / len(rows)
        if scores and seconds * min(n_images, MAX_HEAD_IMAGES) > FEATURE_SHARE * budget:
            break
        problem = HeadProblem(features, torch.from_numpy(labels), None, len(dataset.class_names))
        logits, loss = problem.held_out_logits(parts)
        scores.append(SizeScore(size, seconds, loss, objective.count_correct(logits, problem.labels), len(rows)))
        if time.perf_counter() - start > PILOT_SHARE * budget:
            break
    return scores


def _sizes(recipe: Recipe) -> tuple[int, ...]:
    """Return the input sizes to compare, up to that of the recipe. A run is a backbone at its own size only."""
    largest = recipe.model.input_size or recipe.data.image_size
    if isinstance(_backbone(recipe), RunBackbone):
        return (largest,)
    return tuple(size for size in SIZES if size <= largest) or (largest,)


def _backbone(recipe: Recipe) -> Backbone:
    if recipe.model.backbone is None:
        raise RecipeError("training.method auto: needs model.backbone. Set it, for example to efficientnet-lite0.")
    return find_backbone(recipe.model.backbone)


def _backbone_network(recipe: Recipe, dataset: Dataset) -> nn.Module:
    network = build_network(recipe.model, len(dataset.class_names), dataset.image_size[0])
    _backbone(recipe).load_into(network, dataset.class_names)
    return network


@torch.inference_mode()
def _features(network: nn.Module, pixels: Pixels, recipe: Recipe, size: int, precision: Precision) -> Tensor:
    body, rows = fused(network), []
    normalization = _backbone(recipe).normalization
    for batch in iter_batches(pixels, size):
        images = torch.from_numpy(batch).float().contiguous(memory_format=torch.channels_last)
        with autocast(precision):
            rows.append(embed(body, normalization(images)).float())
    return torch.cat(rows)


def _step_seconds(recipe: Recipe, dataset: Dataset) -> float:
    """Return the estimated time of a training step, in seconds, measured on a few images."""
    network = _backbone_network(recipe, dataset)
    side = dataset.image_size[0]
    images = torch.zeros(_TIMED_IMAGES, 3, side, side).contiguous(memory_format=torch.channels_last)
    times = []
    for _ in range(2):  # the first pass over a new shape is slower
        begin = time.perf_counter()
        network(images).square().mean().backward()
        times.append(time.perf_counter() - begin)
    return min(times) / _TIMED_IMAGES * recipe.training.batch_size


def _with(recipe: Recipe, method: str, size: int) -> Recipe:
    """Return the recipe with this method and input size. A probe has no time limit, since it cannot be shortened."""
    values = recipe.model_dump(exclude_unset=True)
    values["training"] |= {"method": method} | ({"minutes": None, "epochs": 1} if method == "probe" else {})
    values["model"] |= {"input_size": None if size == recipe.data.image_size else size}
    return Recipe.model_validate(values)
