"""Learning-rate schedules: constant, linear and cosine decay, each with an optional warm-up."""

from __future__ import annotations

import math

from tinysight.recipes.schema import Recipe


def lr_scale(recipe: Recipe, progress: float, steps: int) -> float:
    """Return the factor of the recipe's learning rates for the next step, 0..1.

    It rises linearly during the warm-up and then decays to 0 at the end of training (cosine: Loshchilov & Hutter,
    "SGDR", 2017, without restarts).

    Args:
        recipe: its schedule and warm-up; `warmup_epochs / training.epochs` is the fraction of training that warms up.
        progress: fraction of the training that is done, 0..1.
        steps: number of steps of the training, so that the first step of a warm-up has a rate above 0.
    """
    warmup = recipe.optimizer.warmup_epochs / recipe.training.epochs
    if progress < warmup:
        return min(1.0, (progress + 1 / steps) / warmup)
    decayed = (progress - warmup) / (1 - warmup)
    match recipe.optimizer.lr_schedule:
        case "constant":
            return 1.0
        case "linear":
            return 1 - decayed
        case "cosine":
            return (1 + math.cos(math.pi * decayed)) / 2
