"""What every optimiser does."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from tinysight.recipes.schema import Optimiser as OptimiserConfig


class Optimiser(ABC):
    """Changes parameters by their gradients, and remembers something of them.

    Attributes:
        parameters: those that are trained.
        memories: what is remembered, by name: one tensor a parameter, of its shape.
        steps: how many steps were taken.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], config: OptimiserConfig, memories: tuple[str, ...]) -> None:
        self.config = config
        self.steps = 0
        self.parameters = [parameter for parameter in parameters if parameter.requires_grad]
        self.memories = {name: [torch.zeros_like(p) for p in self.parameters] for name in memories}

    @torch.no_grad()
    def step(self, share: float = 1.0) -> None:
        """Change every parameter by its gradient, at this share of the recipe's learning rates."""
        self.steps += 1
        for index, parameter in enumerate(self.parameters):
            if parameter.grad is not None:
                memories = [memory[index] for memory in self.memories.values()]
                self._change(parameter, parameter.grad, memories, share)

    def zero_grad(self) -> None:
        """Forget the gradients, so that the next backward pass need not add to them."""
        for parameter in self.parameters:
            parameter.grad = None

    def state(self) -> dict[str, Tensor]:
        """Return every remembered tensor under a name of its own; `steps` is kept by the caller."""
        return {f"{name}.{i}": tensor for name, tensors in self.memories.items() for i, tensor in enumerate(tensors)}

    @torch.no_grad()
    def load_state(self, state: dict[str, Tensor], steps: int) -> None:
        """Remember what `state` returned once, after `steps` steps."""
        self.steps = steps
        for name, tensor in self.state().items():
            tensor.copy_(state[name])

    @abstractmethod
    def _change(self, parameter: Tensor, gradient: Tensor, memories: list[Tensor], share: float) -> None:
        """Change `parameter` and `memories` in place."""
