"""RMSprop and Adam with the formulas of Keras.

They differ from torch's in where epsilon is added. Both update large tensors in chunks that fit the processor's cache,
because memory bandwidth limits the updates of the wide dense layers in the notebooks.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterable, Iterator

from torch import Tensor, nn

from tinysight.recipes.schema import OptimizerSection
from tinysight.training.optimizers.base import BaseOptimizer

CHUNK_SIZE = 2**18  # numbers; three chunks of float32 take 3 MB, a tenth of a common last-level cache


class _ElementwiseOptimizer(BaseOptimizer):
    """Updates every number from its own gradient and state."""

    def _update(self, parameter: Tensor, gradient: Tensor, state: list[Tensor], lr_scale: float) -> None:
        for chunks in _chunks([parameter, *state], gradient):
            self._update_chunk(lr_scale, *chunks)

    @abstractmethod
    def _update_chunk(self, lr_scale: float, value: Tensor, gradient: Tensor, *state: Tensor) -> None:
        """Update `value` and `state` in place; all are flat and of equal length."""


class RMSprop(_ElementwiseOptimizer):
    """Divides by the running root mean square of the gradients (Hinton 2012), epsilon inside the root."""

    def __init__(self, parameters: Iterable[nn.Parameter], config: OptimizerSection) -> None:
        super().__init__(parameters, config, ("mean_square",))

    def _update_chunk(self, lr_scale: float, value: Tensor, gradient: Tensor, *state: Tensor) -> None:
        (mean_square,) = state
        rho, rate = self.config.rho, lr_scale * self.config.learning_rate
        mean_square.mul_(rho).addcmul_(gradient, gradient, value=1 - rho)
        value.addcmul_(mean_square.add(self.config.epsilon).rsqrt_(), gradient, value=-rate)


class Adam(_ElementwiseOptimizer):
    """Adam (Kingma & Ba 2015) in the form of its section 2: epsilon is added before the bias correction."""

    def __init__(self, parameters: Iterable[nn.Parameter], config: OptimizerSection) -> None:
        super().__init__(parameters, config, ("mean", "mean_square"))

    def _update_chunk(self, lr_scale: float, value: Tensor, gradient: Tensor, *state: Tensor) -> None:
        mean, mean_square = state
        beta_1, beta_2 = self.config.beta_1, self.config.beta_2
        rate = lr_scale * self.config.learning_rate * math.sqrt(1 - beta_2**self.steps) / (1 - beta_1**self.steps)
        mean.lerp_(gradient, 1 - beta_1)
        mean_square.mul_(beta_2).addcmul_(gradient, gradient, value=1 - beta_2)
        value.addcdiv_(mean, mean_square.sqrt().add_(self.config.epsilon), value=-rate)


def _chunks(updated: list[Tensor], gradient: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """Yield flat chunks of the parameter, its gradient and its state tensors.

    The updated tensors must be views, since a copy would lose the update; a gradient may have any memory order.
    """
    value, *state = (tensor.view(-1) for tensor in updated)
    flat = (value, gradient.reshape(-1), *state)
    return zip(*(tensor.split(CHUNK_SIZE) for tensor in flat), strict=True)
