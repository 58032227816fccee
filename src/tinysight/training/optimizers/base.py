"""Interface of the optimizers, and the base class of those that are implemented here."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from tinysight.recipes.schema import OptimizerSection


class Optimizer(ABC):
    """Updates parameters from their gradients; its state is a dict of tensors and the number of steps.

    Attributes:
        config: the recipe's hyperparameters.
        parameters: the trainable ones.
        steps: number of steps taken.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], config: OptimizerSection) -> None:
        self.config = config
        self.parameters = [parameter for parameter in parameters if parameter.requires_grad]
        self.steps = 0

    def zero_grad(self) -> None:
        """Set all gradients to None."""
        for parameter in self.parameters:
            parameter.grad = None

    @abstractmethod
    def step(self, lr_scale: float = 1.0) -> None:
        """Update every parameter that has a gradient; `lr_scale` scales the recipe's learning rates."""

    @abstractmethod
    def state_dict(self) -> dict[str, Tensor]:
        """Return the state tensors under unique names; the caller saves `steps`."""

    @abstractmethod
    def load_state_dict(self, state: dict[str, Tensor], steps: int) -> None:
        """Restore what `state_dict` returned after `steps` steps.

        Raises:
            KeyError, RuntimeError, ValueError: the state belongs to other parameters.
        """


class BaseOptimizer(Optimizer):
    """Optimizer with state tensors of the shape of the parameters, which start at zero.

    Attributes:
        state_tensors: the state by name: one tensor per parameter.
    """

    def __init__(
        self, parameters: Iterable[nn.Parameter], config: OptimizerSection, state_names: tuple[str, ...]
    ) -> None:
        super().__init__(parameters, config)
        self.state_tensors = {name: [torch.zeros_like(p) for p in self.parameters] for name in state_names}

    @torch.no_grad()
    def step(self, lr_scale: float = 1.0) -> None:
        """Update every parameter that has a gradient."""
        self.steps += 1
        for index, parameter in enumerate(self.parameters):
            if parameter.grad is not None:
                self._update(
                    parameter, parameter.grad, [tensors[index] for tensors in self.state_tensors.values()], lr_scale
                )

    def state_dict(self) -> dict[str, Tensor]:
        """Return the state tensors as NAME.INDEX."""
        return {
            f"{name}.{i}": tensor for name, tensors in self.state_tensors.items() for i, tensor in enumerate(tensors)
        }

    @torch.no_grad()
    def load_state_dict(self, state: dict[str, Tensor], steps: int) -> None:
        """Copy the saved tensors into the state."""
        self.steps = steps
        for name, tensor in self.state_dict().items():
            tensor.copy_(state[name])

    @abstractmethod
    def _update(self, parameter: Tensor, gradient: Tensor, state: list[Tensor], lr_scale: float) -> None:
        """Update `parameter` and `state` in place."""
