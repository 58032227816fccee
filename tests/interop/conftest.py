"""A classifier of each built-in network, with weights that reveal layout mistakes."""

import os

import pytest
import torch

from tinysight.models.classifier import Classifier, Normalization
from tinysight.models.registry import build_network
from tinysight.recipes.schema import ModelSection

os.environ.setdefault("KERAS_BACKEND", "torch")  # Keras reads it on first import

ARCHITECTURES = [
    *(ModelSection(architecture=name) for name in ("simple", "deep", "strided", "early-stopping")),
    ModelSection(architecture="fast", stem_stride=1, channels=[8, 16, 16]),
    ModelSection(architecture="fast", stem_stride=2, channels=[8, 16]),
]


@pytest.fixture(params=ARCHITECTURES, ids=lambda model: f"{model.architecture} {model.stem_stride or ''}".strip())
def classifier(request):
    torch.manual_seed(0)
    network = build_network(request.param, 10, 32).eval()
    for module in network:
        for name, tensor in module.state_dict().items():
            if tensor.dim() == 1:  # tensors of more dimensions are random already
                tensor.copy_(torch.rand_like(tensor) + 0.5 if "var" in name else 0.3 * torch.randn_like(tensor))
    normalization = Normalization((120.0, 110.0, 100.0), (60.0, 61.0, 62.0))
    return Classifier(request.param, network, tuple("abcdefghij"), 32, normalization, temperature=1.7)
