"""Accuracy under common corruptions."""

from __future__ import annotations

import numpy as np
import torch

from tinysight._util.progress import SILENT, Progress
from tinysight.data.dataset import Split
from tinysight.data.labels import measure_of
from tinysight.data.pixels import Pixels
from tinysight.evaluation.corruptions import CORRUPTIONS, SEVERITIES, Corruption
from tinysight.models.classifier import Classifier, iter_batches
from tinysight.models.scores import average_precisions, mean_average_precision
from tinysight.runs.audit_results import Robustness
from tinysight.training.seeding import seeded_generator


def measure_robustness(classifier: Classifier, split: Split, seed: int = 0, progress: Progress = SILENT) -> Robustness:
    """Return the accuracy on the images of a split under all fifteen corruptions at five severities.

    If images may have several labels, it is the mean average precision, which is 0 if none of the images has a label.
    Corrupted images are rounded to integers 0..255, as in an image file. The result depends only on the seed.
    """
    progress.start("corrupting", len(CORRUPTIONS) * len(SEVERITIES) * len(split), "images")
    accuracy = {}
    for name, corruption in CORRUPTIONS.items():
        by_severity = []
        for severity in SEVERITIES:
            pixels = corrupt_images(
                split.pixels, corruption, severity, seeded_generator(seed, f"corruption {name}", severity)
            )
            by_severity.append(_accuracy(classifier, pixels, split))
            progress.advance(len(split))
        accuracy[name] = tuple(by_severity)
    progress.finish()
    return Robustness(len(split), _accuracy(classifier, split.pixels, split), accuracy, measure_of(classifier.task))


def corrupt_images(pixels: Pixels, corruption: Corruption, severity: int, generator: torch.Generator) -> Pixels:
    """Return corrupted copies of uint8 images (n, 3, height, width), with random numbers from `generator`."""
    corrupted = np.empty_like(pixels)
    start = 0
    for chunk in iter_batches(pixels):
        changed = corruption.apply(torch.from_numpy(chunk).float() / 255, severity, generator)
        corrupted[start : start + len(chunk)] = (changed * 255).round().byte().numpy()
        start += len(chunk)
    return corrupted


def _accuracy(classifier: Classifier, pixels: Pixels, part: Split) -> float:
    probabilities = classifier.probabilities(pixels)
    if classifier.task == "multi-label":
        return mean_average_precision(average_precisions(part.labels, probabilities)) or 0.0
    return float((probabilities.argmax(1) == part.labels).mean())
