"""Advice on `data.image_size` before training: the size of the files, and the epochs that the time allows."""

from __future__ import annotations

from collections.abc import Callable

from tinysight.data.dataset import Dataset
from tinysight.data.inspection import file_sizes
from tinysight.recipes.schema import Recipe

MAX_SIZE = 512  # pixels; the largest data.image_size
ENOUGH_EPOCHS = 50  # of a small dataset; docs/experiments/small-folders.md trains for about as many


def advise(dataset: Dataset, recipe: Recipe, epochs_at: Callable[[int], float]) -> str:
    """Return the advice in sentences, or "" if the files do not have twice the pixels per side.

    Args:
        dataset: its files are measured; without files there is no advice.
        recipe: sets the image size.
        epochs_at: returns the number of epochs that the time allows at an image size in pixels, from a speed probe.
    """
    size, sizes = recipe.data.image_size, file_sizes(dataset)
    larger = 2 * size
    if sizes is None or larger > MAX_SIZE or (side := min(sizes.width[1], sizes.height[1])) < larger:
        return ""
    epochs = {pixels: epochs_at(pixels) for pixels in (larger, size)}
    enough = epochs[larger] >= ENOUGH_EPOCHS
    advice = (
        f"If the classes differ in small details, set data.image_size={larger}."
        if enough
        else f"For {larger}x{larger}, allow more time."
    )
    return (
        f"Image size: the files have {sizes.width[1]:.0f}x{sizes.height[1]:.0f} pixels (median), so a pixel of "
        f"{size}x{size} covers {side / size:.1f}x{side / size:.1f} of theirs. The time allows about "
        f"{epochs[size]:,.0f} epochs at {size}x{size}, or {epochs[larger]:,.0f} at {larger}x{larger}. {advice}"
    )
