"""RMSprop and Adam with the very formulas of Keras, which differ from torch's in where epsilon stands.

Both walk through large tensors in pieces that fit the processor's cache, which matters for the wide dense
layers of the notebooks: memory, not arithmetic, is what an update costs.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator

import torch
from torch import Tensor, nn

from tinysight.recipes.schema import Optimiser as OptimiserConfig

PIECE = 2**18  # numbers; three pieces of float32 take 3 MB, a tenth of a common last-level cache


class Optimiser(ABC):
    """Changes parameters by their gradients, and remembers something of them."""

    def __init__(self, parameters: Iterable[nn.Parameter], config: OptimiserConfig, memories: tuple[str, ...]) -> None:
        self.config = config
        self.steps = 0
        self.parameters = list(parameters)
        self.memories = {name: [torch.zeros_like(p) for p in self.parameters] for name in memories}

    @torch.no_grad()
    def step(self) -> None:
        """Change every parameter by its gradient."""
        self.steps += 1
        for index, parameter in enumerate(self.parameters):
            if parameter.grad is None:
                continue
            changed = [parameter, *(memory[index] for memory in self.memories.values())]
            for value, gradient, *memories in _pieces(changed, parameter.grad):
                self._update(value, gradient, *memories)

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
    def _update(self, value: Tensor, gradient: Tensor, *memories: Tensor) -> None:
        """Change `value` and `memories` in place; all are flat and of one length."""


class RMSprop(Optimiser):
    """Divides by a running root mean square of the gradients (Hinton 2012), epsilon under the root."""

    def __init__(self, parameters: Iterable[nn.Parameter], config: OptimiserConfig) -> None:
        super().__init__(parameters, config, ("mean_square",))

    def _update(self, value: Tensor, gradient: Tensor, *memories: Tensor) -> None:
        (mean_square,) = memories
        rho = self.config.rho
        mean_square.mul_(rho).addcmul_(gradient, gradient, value=1 - rho)
        value.addcmul_(mean_square.add(self.config.epsilon).rsqrt_(), gradient, value=-self.config.learning_rate)


class Adam(Optimiser):
    """Adam (Kingma & Ba 2015) in the form of its section 2: epsilon is added before the bias correction."""

    def __init__(self, parameters: Iterable[nn.Parameter], config: OptimiserConfig) -> None:
        super().__init__(parameters, config, ("mean", "mean_square"))

    def _update(self, value: Tensor, gradient: Tensor, *memories: Tensor) -> None:
        mean, mean_square = memories
        beta_1, beta_2 = self.config.beta_1, self.config.beta_2
        rate = self.config.learning_rate * math.sqrt(1 - beta_2**self.steps) / (1 - beta_1**self.steps)
        mean.lerp_(gradient, 1 - beta_1)
        mean_square.mul_(beta_2).addcmul_(gradient, gradient, value=1 - beta_2)
        value.addcdiv_(mean, mean_square.sqrt().add_(self.config.epsilon), value=-rate)


def build(parameters: Iterable[nn.Parameter], config: OptimiserConfig) -> Optimiser:
    """Return the optimiser that the recipe names, with nothing remembered yet."""
    kinds: dict[str, type[RMSprop] | type[Adam]] = {"rmsprop": RMSprop, "adam": Adam}
    return kinds[config.name](parameters, config)


def _pieces(changed: list[Tensor], gradient: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """Cut tensors into flat pieces: the parameter's, the gradient's, those of the memories.

    What is changed must be viewed, never copied, or nothing would be learned; a gradient may have any order in memory.
    """
    value, *memories = (tensor.view(-1) for tensor in changed)
    flat = (value, gradient.reshape(-1), *memories)
    return zip(*(tensor.split(PIECE) for tensor in flat), strict=True)
