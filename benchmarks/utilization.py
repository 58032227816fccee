"""Hardware utilization of a training run.

The machine's rate is that of a product of two 2,048 x 2,048 matrices in bfloat16, measured before and after the
training. The work of the training is that of its convolutions and its last layer: two operations per multiply-add, in
the forward pass, the weight gradient and the input gradient. All other work counts as lost time.
"""

from __future__ import annotations

import time

import torch
from torch import Tensor, nn

from tinysight.models.registry import build_network
from tinysight.recipes.schema import Recipe

SIDE, PRODUCTS = 2048, 20


def share(recipe: Recipe, seen: float, seconds: float, machine: float) -> dict[str, float]:
    """Return the rates of the machine and of a training on `seen` images, and their ratio."""
    size = recipe.data.image_size
    training = seen * operations(build_network(recipe.model, 10, size), size) / seconds
    return {
        "machine_gflops": round(machine / 1e9, 1),
        "training_gflops": round(training / 1e9, 1),
        "share": round(training / machine, 4),
    }


def matrix_rate() -> float:
    """Return the operations per second of a bfloat16 matrix product: best of five."""
    left, right = (torch.randn(SIDE, SIDE).bfloat16() for _ in range(2))
    times = []
    for _ in range(6):  # the first warms up
        start = time.perf_counter()
        for _ in range(PRODUCTS):
            left @ right
        times.append(time.perf_counter() - start)
    return PRODUCTS * 2 * SIDE**3 / min(times[1:])


def operations(network: nn.Module, image_size: int) -> float:
    """Return the operations of training on one image."""
    layer_operations: list[float] = []

    def count(layer: nn.Module, inputs: tuple[Tensor], output: Tensor) -> None:
        weight = layer.get_parameter("weight")
        multiply_adds = output.numel() * weight[0].numel()
        passes = 2 if not layer_operations else 3  # the first trained layer needs no input gradient
        layer_operations.append(2 * passes * multiply_adds)

    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            layer.register_forward_hook(count)
    with torch.no_grad():
        network.eval()(torch.zeros(1, 3, image_size, image_size))
    return sum(layer_operations)
