"""Portable form of a classifier: standard layers only.

Normalization and temperature become part of the layers, so that other formats can hold the model.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from tinysight.data.labels import Task
from tinysight.models.classifier import Classifier, ClassifierSpec
from tinysight.models.families.sequential import build_sequential
from tinysight.models.portable import stateful_modules
from tinysight.models.registry import family_of
from tinysight.recipes import layers
from tinysight.recipes.layers import Layer

PerChannel = tuple[float, float, float]


@dataclass(frozen=True)
class PortableModel:
    """A classifier expressed in standard layers.

    Attributes:
        layers: layer specifications, in order; the first one takes pixels of 0..255.
        network: built from `layers`; maps float images (n, 3, height, width) to calibrated logits.
        class_names: in the order of the logits.
        image_size: height and width of the images, in pixels.
        task: whether a softmax or a sigmoid of the logits gives the probabilities.
    """

    layers: list[Layer]
    network: nn.Module
    class_names: tuple[str, ...]
    image_size: int
    task: Task = "multi-class"


@torch.no_grad()
def to_portable(classifier: Classifier) -> PortableModel:
    """Convert a classifier to standard layers; its probabilities equal the classifier's without TTA.

    Raises:
        ModelError: a layer of the network has no equivalent.
    """
    spec = classifier.spec
    body = family_of(spec.model).to_portable(spec.model, classifier.network)
    scale, offset = rescaling(spec)
    first = [layers.Rescaling(scale=scale, offset=offset)] if (scale, offset) != _IDENTITY else []
    specs = [*first, *body.specs]
    network = build_sequential(specs, len(spec.class_names), spec.image_size).eval()
    stateful = stateful_modules(network)
    for module, state in zip(stateful, body.states, strict=True):
        module.load_state_dict(state)
    for parameter in stateful[-1].parameters():
        parameter.div_(spec.temperature)
    return PortableModel(specs, network, spec.class_names, spec.image_size, spec.task)


_IDENTITY = ((1.0, 1.0, 1.0), (0.0, 0.0, 0.0))


def rescaling(spec: ClassifierSpec) -> tuple[PerChannel, PerChannel]:
    """Return the scale and offset per channel that normalize pixels of 0..255: x * scale + offset."""
    red, green, blue = ((1 / std, -mean / std) for mean, std in zip(spec.mean, spec.std, strict=True))
    return (red[0], green[0], blue[0]), (red[1], green[1], blue[1])
