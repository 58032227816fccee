"""Fusion of batch normalization into convolutions, for networks that are only evaluated."""

from __future__ import annotations

import copy
import itertools

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval


def fused(network: nn.Module) -> nn.Module:
    """Return a copy in evaluation mode, whose convolutions include the batch normalization that follows them.

    The results are equal up to rounding. Only layers that follow each other in an `nn.Sequential` are fused.
    Activations overwrite the outputs of the layers before them, since nothing else reads these without gradients.
    """
    network = copy.deepcopy(network).eval()
    for module in list(network.modules()):
        if isinstance(module, nn.Sequential):
            _fuse_layers(module)
    return network


def _fuse_layers(layers: nn.Sequential) -> None:
    for number in range(len(layers) - 1):
        convolution, norm = layers[number], layers[number + 1]
        if isinstance(convolution, nn.Conv2d) and type(norm) is nn.BatchNorm2d:
            layers[number], layers[number + 1] = fuse_conv_bn_eval(convolution, norm), nn.Identity()
    for before, activation in itertools.pairwise(layers):
        if isinstance(before, nn.Conv2d | nn.Identity) and isinstance(activation, nn.ReLU | nn.SiLU | nn.Hardtanh):
            activation.inplace = True
