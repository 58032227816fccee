"""Base class of the optimizers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from tinysight.recipes.schema import OptimizerSection as OptimiserConfig


class BaseOptimizer(ABC):
    """Updates parameters from their gradients.

    Attributes:
        parameters: the trainable ones.
        state_names: the optimizer's state by name: one tensor per parameter, of its shape.
        steps: number of steps taken.
    """

    def __init__(
        self, parameters: Iterable[nn.Parameter], config: OptimiserConfig, state_names: tuple[str, ...]
    ) -> None:
        self.config = config
        self.steps = 0
        self.parameters = [parameter for parameter in parameters if parameter.requires_grad]
        self.state_tensors = {name: [torch.zeros_like(p) for p in self.parameters] for name in state_names}

    @torch.no_grad()
    def step(self, lr_scale: float = 1.0) -> None:
        """Update every parameter that has a gradient; `lr_scale` scales the recipe's learning rates."""
        self.steps += 1
        for index, parameter in enumerate(self.parameters):
            if parameter.grad is not None:
                self._update(
                    parameter, parameter.grad, [tensors[index] for tensors in self.state_tensors.values()], lr_scale
                )

    def zero_grad(self) -> None:
        """Set all gradients to None."""
        for parameter in self.parameters:
            parameter.grad = None

    def state_dict(self) -> dict[str, Tensor]:
        """Return the state tensors under unique names; the caller saves `steps`."""
        return {
            f"{name}.{i}": tensor for name, tensors in self.state_tensors.items() for i, tensor in enumerate(tensors)
        }

    @torch.no_grad()
    def load_state_dict(self, state: dict[str, Tensor], steps: int) -> None:
        """Restore what `state_dict` returned after `steps` steps."""
        self.steps = steps
        for name, tensor in self.state_dict().items():
            tensor.copy_(state[name])

    @abstractmethod
    def _update(self, parameter: Tensor, gradient: Tensor, state: list[Tensor], lr_scale: float) -> None:
        """Update `parameter` and `state_dict` in place."""
