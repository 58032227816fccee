"""Accuracy under common corruptions."""

from __future__ import annotations

import numpy as np
import torch

from tinysight.data.dataset import Part
from tinysight.data.pixels import Pixels, portions
from tinysight.evaluation.corruptions import CATALOGUE, SEVERITIES, Corruption
from tinysight.models.classifier import Classifier, batch_size
from tinysight.progress import SILENT, Progress
from tinysight.runs.findings import Robustness
from tinysight.training.randomness import generator


def measure_robustness(classifier: Classifier, part: Part, seed: int = 0, progress: Progress = SILENT) -> Robustness:
    """Return the accuracy on the images of a split under all fifteen corruptions at five severities.

    Corrupted images are rounded to integers 0..255, as in an image file. The result depends only on the seed.
    """
    progress.start("corrupting", len(CATALOGUE) * len(SEVERITIES) * len(part), "images")
    accuracy = {}
    for name, corruption in CATALOGUE.items():
        by_severity = []
        for severity in SEVERITIES:
            pixels = corrupt(part.pixels, corruption, severity, generator(seed, f"corruption {name}", severity))
            by_severity.append(_accuracy(classifier, pixels, part))
            progress.advance(len(part))
        accuracy[name] = tuple(by_severity)
    progress.finish()
    return Robustness(len(part), _accuracy(classifier, part.pixels, part), accuracy)


def corrupt(pixels: Pixels, corruption: Corruption, severity: int, draws: torch.Generator) -> Pixels:
    """Return corrupted copies of uint8 images (n, 3, height, width), with random numbers from `generator`."""
    corrupted = np.empty_like(pixels)
    start = 0
    for chunk in portions(pixels, batch_size(pixels.shape[-1])):
        changed = corruption.apply(torch.from_numpy(chunk).float() / 255, severity, draws)
        corrupted[start : start + len(chunk)] = (changed * 255).round().byte().numpy()
        start += len(chunk)
    return corrupted


def _accuracy(classifier: Classifier, pixels: Pixels, part: Part) -> float:
    return float((classifier.probabilities(pixels).argmax(1) == part.labels).mean())
