"""A classifier of each built-in network, with weights that reveal layout mistakes."""

import os

import pytest
import torch

from tinysight.models.classifier import Classifier, Normalisation
from tinysight.models.registry import build
from tinysight.recipes.schema import Model

os.environ.setdefault("KERAS_BACKEND", "torch")  # Keras reads it on first import

ARCHITECTURES = [
    *(Model(architecture=name) for name in ("simple", "deep", "strided", "early-stopping")),
    Model(architecture="fast", stem="fine", widths=[8, 16, 16]),
    Model(architecture="fast", stem="coarse", widths=[8, 16]),
]


@pytest.fixture(params=ARCHITECTURES, ids=lambda model: f"{model.architecture} {model.stem or ''}".strip())
def classifier(request):
    torch.manual_seed(0)
    network = build(request.param, 10, 32).eval()
    for module in network:
        for name, tensor in module.state_dict().items():
            if tensor.dim() == 1:  # tensors of more dimensions are random already
                tensor.copy_(torch.rand_like(tensor) + 0.5 if "var" in name else 0.3 * torch.randn_like(tensor))
    normalisation = Normalisation((120.0, 110.0, 100.0), (60.0, 61.0, 62.0))
    return Classifier(request.param, network, tuple("abcdefghij"), 32, normalisation, temperature=1.7)
