"""Rules for small datasets: the constants of the recipes fit CIFAR-10, with 90 to 1,400 steps per epoch.

They depend only on the number of training images, and do not affect training on CIFAR-10:

- With a time budget, the patience of early stopping counts an epoch as at least `EPOCH_STEPS` steps.
- A recipe that leaves its network to the time budget (`fast`), with fewer than `SMALL_IMAGES` images, gets smaller
  batches, stronger augmentation, and a maximum number of epochs. `adapt` writes them into the recipe.
"""

from __future__ import annotations

from tinysight.augmentation.config import Augmentation
from tinysight.recipes import loading
from tinysight.recipes.schema import Recipe

EPOCH_STEPS = 100  # patience counts an epoch as at least this many steps
FITTED_STEPS = 200  # or this many steps in all once the network fits the training images: more of them change little
FITTED_ACCURACY = 0.99  # training accuracy of an epoch; dropout and a wrong label keep it from 1

SMALL_IMAGES = 2000  # of fewer training images, an epoch is less than four batches of 500
BATCH_SIZE = 64
MAX_EPOCHS = 1000
CUTOUT = 1 / 4  # side of the square, as a fraction of that of the image
# Zoom and shift together are a random resized crop (docs/experiments/small-folders.md compares with weaker values).
AUGMENTATION = Augmentation.model_validate(
    {
        "rotation": 15.0,
        "width_shift": 0.15,
        "height_shift": 0.15,
        "zoom": 0.3,
        "horizontal_flip": True,
        "fill_mode": "reflect",
        "brightness": 0.4,
        "contrast": 0.4,
        "saturation": 0.4,
    }
)


def adapt(recipe: Recipe, n_train: int) -> Recipe:
    """Return the recipe for `n_train` training images. For many images or a fixed network, it is unchanged.

    Only the batch size and the augmentation of the built-in recipe `fast` are replaced; values that a user sets stay.
    The recipe of a run has a fixed network, so it is not adapted again.

    >>> fast = loading.load_recipe("fast")
    >>> small = adapt(fast, 216)
    >>> small.training.batch_size, small.augmentation.zoom, small.augmentation.cutout
    (64, 0.3, 8)
    >>> adapt(fast, 45_000) == fast
    True
    """
    training, default = recipe.training, loading.load_recipe("fast")
    if not recipe.model.needs_time_budget or n_train >= SMALL_IMAGES:
        return recipe
    changes = {"max_epochs": training.max_epochs or MAX_EPOCHS}
    if training.batch_size == default.training.batch_size:
        changes["batch_size"] = BATCH_SIZE
    augmentation = recipe.augmentation
    if augmentation == default.augmentation:
        augmentation = AUGMENTATION.model_copy(update={"cutout": round(CUTOUT * recipe.data.image_size)})
    return recipe.model_copy(
        update={
            "training": training.model_copy(update=changes),
            "augmentation": augmentation,
        }
    )


def describe(recipe: Recipe, n_train: int) -> str:
    """Return what `adapt` has set, in a sentence."""
    training = recipe.training
    return (
        f"Small dataset ({n_train:,} training images): batches of {training.batch_size}, at most "
        f"{training.max_epochs:,} epochs; augmentation: {recipe.augmentation.describe()}."
    )
