"""A classifier of each network family, with weights that reveal layout mistakes."""

import os

import pytest
import torch

from tinysight.models.classifier import Classifier, ClassifierSpec
from tinysight.models.registry import build_network

os.environ.setdefault("KERAS_BACKEND", "torch")  # Keras reads it on first import


@pytest.fixture
def classifier(family_model):
    torch.manual_seed(0)
    model = family_model(10)
    network = build_network(model, 10, 32).eval()
    for name, tensor in network.state_dict().items():
        if tensor.dim() == 1:  # tensors of more dimensions are random already
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
