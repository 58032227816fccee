"""Muon: orthogonalized momentum for filters (Jordan et al. 2024).

See https://kellerjordan.github.io/posts/muon. The learning rates and the renormalized filters follow airbench94_muon.py
of Jordan's cifar10-airbench. torch's own Muon supports only matrices.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from tinysight.recipes.schema import OptimizerSection
from tinysight.training.optimizers.base import BaseOptimizer

# Three iterations of this polynomial bring the singular values of a matrix of norm 1 close to 1.
_COEFFICIENTS = (3.4445, -4.7750, 2.0315)
_ITERATIONS = 3


class Muon(BaseOptimizer):
    """Muon for filters, SGD with Nesterov momentum for the head, biases and normalization layers.

    Filters are the weights of convolutions and hidden dense layers: all parameters of two or more dimensions but the
    head, which is the last matrix. Before each step the filters of a layer are rescaled to norm
    sqrt(number of filters). Their norm has no effect before a normalization layer, but it sets how far a step of a
    given length turns them.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], config: OptimizerSection, dtype: torch.dtype) -> None:
        super().__init__(parameters, config, ("momentum",))
        self.dtype = dtype
        self._head = next((parameter for parameter in reversed(self.parameters) if parameter.dim() == 2), None)

    def _update(self, parameter: Tensor, gradient: Tensor, state: list[Tensor], lr_scale: float) -> None:
        (momentum,) = state
        if parameter.dim() >= 2 and parameter is not self._head:
            parameter.mul_(math.sqrt(len(parameter)) / parameter.norm())
            step = _nesterov(gradient, momentum, self.config.muon_momentum)
            direction = orthogonalize(step.flatten(1), self.dtype).view_as(parameter)
            parameter.sub_(direction, alpha=lr_scale * self.config.learning_rate)
        else:
            rate = self.config.bias_learning_rate if parameter.dim() == 1 else self.config.head_learning_rate
            decayed = gradient.add(parameter, alpha=self.config.weight_decay / rate)
            parameter.sub_(_nesterov(decayed, momentum, self.config.momentum), alpha=lr_scale * rate)


def orthogonalize(matrix: Tensor, dtype: torch.dtype) -> Tensor:
    """Return float32 (rows, columns) with the singular vectors of `matrix` and singular values near 1.

    Uses the Newton-Schulz iteration in `dtype`. The rounding errors of bfloat16 are smaller than the error that
    remains after so few iterations.
    """
    a, b, c = _COEFFICIENTS
    wide: Tensor = matrix.to(dtype) if len(matrix) <= matrix.shape[1] else matrix.to(dtype).T
    wide = wide / (wide.norm() + 1e-7)
    for _ in range(_ITERATIONS):
        square = wide @ wide.T
        wide = a * wide + (b * square + c * square @ square) @ wide
    return (wide if len(matrix) <= matrix.shape[1] else wide.T).float()


def _nesterov(gradient: Tensor, buffer: Tensor, momentum: float) -> Tensor:
    """Update the momentum buffer in place and return the Nesterov step."""
    buffer.mul_(momentum).add_(gradient)
    return torch.add(gradient, buffer, alpha=momentum)
