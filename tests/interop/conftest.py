"""A classifier of each network family, with weights that reveal layout mistakes; and one of several labels."""

import os

import numpy as np
import pytest
import torch

from tinysight.data.crops import SIX_CROP
from tinysight.data.sources import shapes
from tinysight.models.classifier import Classifier, ClassifierSpec
from tinysight.models.registry import build_network
from tinysight.recipes.schema import ModelSection

os.environ.setdefault("KERAS_BACKEND", "torch")  # Keras reads it on first import


@pytest.fixture
def classifier(family_model):
    torch.manual_seed(0)
    model = family_model(10)
    network = build_network(model, 10, 32).eval()
    for name, tensor in network.state_dict().items():
        if tensor.dim() == 1 and tensor.is_floating_point():  # tensors of more dimensions are random already
            tensor.copy_(torch.rand_like(tensor) + 0.5 if "var" in name else 0.3 * torch.randn_like(tensor))
        elif "filters" in name:  # the stem of the fast family starts at zero
            torch.nn.init.normal_(tensor, std=0.5)
    spec = ClassifierSpec(
        model=model,
        class_names=tuple("abcdefghij"),
        image_size=32,
        mean=(120.0, 110.0, 100.0),
        std=(60.0, 61.0, 62.0),
        temperature=1.7,
    )
    return Classifier(spec, network)


@pytest.fixture(scope="session")
def multi_label():
    """A classifier of three labels; half of some images get each."""
    torch.manual_seed(0)
    layers = [
        {"kind": "convolution", "channels": 4, "kernel": (3, 3)},
        {"kind": "activation", "function": "relu"},
        {"kind": "flatten"},
        {"kind": "dense", "outputs": 3},
    ]
    model = ModelSection(architecture="layers", layers=layers)
    values = {
        "class_names": ("red", "été", "blue"),
        "image_size": 16,
        "mean": (9.0, 8.0, 7.0),
        "std": (50.0, 60.0, 70.0),
    }
    labels = {"task": "multi-label", "thresholds": (0.5,) * 3, "abstain_below": 0.0}
    spec = ClassifierSpec(model=model, temperature=0.3, crops=SIX_CROP, **values, **labels)
    classifier = Classifier(spec, build_network(model, 3, 16).eval())
    probabilities = classifier.probabilities(shapes.render_shapes(4, seed=4, size=16).pixels)
    return classifier.with_spec(thresholds=tuple(np.median(probabilities.astype(float), axis=0).tolist()))
