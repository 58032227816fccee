"""Muon: convolutions learn in the direction of their orthogonalised momentum (Jordan et al. 2024).

https://kellerjordan.github.io/posts/muon describes it; the rates and the renormalised filters follow airbench94_muon.py
of Jordan's cifar10-airbench. torch has a Muon too, for matrices alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from tinysight.recipes.schema import Optimiser as OptimiserConfig
from tinysight.training.optimisers.optimiser import Optimiser

# Three steps of this polynomial bring the singular values of a matrix of norm 1 near to 1.
_COEFFICIENTS = (3.4445, -4.7750, 2.0315)
_ITERATIONS = 3


class Muon(Optimiser):
    """Muon for the filters of convolutions, Nesterov's momentum for everything else.

    The filters of a layer keep their common norm, the root of how many there are: their length does not matter where
    a normalisation follows, but how far a step of a given length turns them does.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], config: OptimiserConfig, dtype: torch.dtype) -> None:
        super().__init__(parameters, config, ("momentum",))
        self.dtype = dtype

    def _change(self, parameter: Tensor, gradient: Tensor, memories: list[Tensor], share: float) -> None:
        (momentum,) = memories
        if parameter.dim() == 4:
            parameter.mul_(math.sqrt(len(parameter)) / parameter.norm())
            step = _nesterov(gradient, momentum, self.config.filter_momentum)
            parameter.sub_(
                orthogonalised(step.flatten(1), self.dtype).view_as(parameter), alpha=share * self.config.learning_rate
            )
        else:
            rate = self.config.bias_learning_rate if parameter.dim() == 1 else self.config.head_learning_rate
            decayed = gradient.add(parameter, alpha=self.config.weight_decay / rate)
            parameter.sub_(_nesterov(decayed, momentum, self.config.momentum), alpha=share * rate)


def orthogonalised(matrix: Tensor, dtype: torch.dtype) -> Tensor:
    """Return float32 (rows, columns) with the singular vectors of `matrix` and singular values near to 1.

    By Newton and Schulz' iteration in `dtype`; the errors of bfloat16 are small beside those of so few steps.
    """
    a, b, c = _COEFFICIENTS
    wide: Tensor = matrix.to(dtype) if len(matrix) <= matrix.shape[1] else matrix.to(dtype).T
    wide = wide / (wide.norm() + 1e-7)
    for _ in range(_ITERATIONS):
        square = wide @ wide.T
        wide = a * wide + (b * square + c * square @ square) @ wide
    return (wide if len(matrix) <= matrix.shape[1] else wide.T).float()


def _nesterov(gradient: Tensor, momentum: Tensor, share: float) -> Tensor:
    """Add `gradient` to the momentum, of which `share` is left, and return where it leads by the next step."""
    momentum.mul_(share).add_(gradient)
    return torch.add(gradient, momentum, alpha=share)
