"""How much of its accuracy a classifier keeps when pictures get worse."""

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
    """Return the accuracy on the images of `part`, corrupted in all fifteen ways and five severities.

    Corrupted images are rounded to whole values of 0..255, as a file would hold them. The same seed corrupts alike.
    """
    progress.start("corrupting", len(CATALOGUE) * len(SEVERITIES) * len(part), "images")
    accuracy = {}
    for name, corruption in CATALOGUE.items():
        found = []
        for severity in SEVERITIES:
            pixels = corrupt(part.pixels, corruption, severity, generator(seed, f"corruption {name}", severity))
            found.append(_accuracy(classifier, pixels, part))
            progress.advance(len(part))
        accuracy[name] = tuple(found)
    progress.finish()
    return Robustness(len(part), _accuracy(classifier, part.pixels, part), accuracy)


def corrupt(pixels: Pixels, corruption: Corruption, severity: int, draws: torch.Generator) -> Pixels:
    """Return uint8 images, (n, 3, height, width), corrupted with random numbers of `draws`."""
    done = np.empty_like(pixels)
    start = 0
    for portion in portions(pixels, batch_size(pixels.shape[-1])):
        changed = corruption.apply(torch.from_numpy(portion).float() / 255, severity, draws)
        done[start : start + len(portion)] = (changed * 255).round().byte().numpy()
        start += len(portion)
    return done


def _accuracy(classifier: Classifier, pixels: Pixels, part: Part) -> float:
    return float((classifier.probabilities(pixels).argmax(1) == part.labels).mean())
