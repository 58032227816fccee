"""RMSprop and Adam with the very formulas of Keras, which differ from torch's in where epsilon stands.

Both walk through large tensors in pieces that fit the processor's cache, which matters for the wide dense
layers of the notebooks: memory, not arithmetic, is what an update costs.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterable, Iterator

from torch import Tensor, nn

from tinysight.recipes.schema import Optimiser as OptimiserConfig
from tinysight.training.optimisers.optimiser import Optimiser

PIECE = 2**18  # numbers; three pieces of float32 take 3 MB, a tenth of a common last-level cache


class _Elementwise(Optimiser):
    """Changes every number by its own gradient and memories alone."""

    def _change(self, parameter: Tensor, gradient: Tensor, memories: list[Tensor], share: float) -> None:
        for piece in _pieces([parameter, *memories], gradient):
            self._update(share, *piece)

    @abstractmethod
    def _update(self, share: float, value: Tensor, gradient: Tensor, *memories: Tensor) -> None:
        """Change `value` and `memories` in place; all are flat and of one length."""


class RMSprop(_Elementwise):
    """Divides by a running root mean square of the gradients (Hinton 2012), epsilon under the root."""

    def __init__(self, parameters: Iterable[nn.Parameter], config: OptimiserConfig) -> None:
        super().__init__(parameters, config, ("mean_square",))

    def _update(self, share: float, value: Tensor, gradient: Tensor, *memories: Tensor) -> None:
        (mean_square,) = memories
        rho, rate = self.config.rho, share * self.config.learning_rate
        mean_square.mul_(rho).addcmul_(gradient, gradient, value=1 - rho)
        value.addcmul_(mean_square.add(self.config.epsilon).rsqrt_(), gradient, value=-rate)


class Adam(_Elementwise):
    """Adam (Kingma & Ba 2015) in the form of its section 2: epsilon is added before the bias correction."""

    def __init__(self, parameters: Iterable[nn.Parameter], config: OptimiserConfig) -> None:
        super().__init__(parameters, config, ("mean", "mean_square"))

    def _update(self, share: float, value: Tensor, gradient: Tensor, *memories: Tensor) -> None:
        mean, mean_square = memories
        beta_1, beta_2 = self.config.beta_1, self.config.beta_2
        rate = share * self.config.learning_rate * math.sqrt(1 - beta_2**self.steps) / (1 - beta_1**self.steps)
        mean.lerp_(gradient, 1 - beta_1)
        mean_square.mul_(beta_2).addcmul_(gradient, gradient, value=1 - beta_2)
        value.addcdiv_(mean, mean_square.sqrt().add_(self.config.epsilon), value=-rate)


def _pieces(changed: list[Tensor], gradient: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """Cut tensors into flat pieces: the parameter's, the gradient's, those of the memories.

    What is changed must be viewed, never copied, or nothing would be learned; a gradient may have any order in memory.
    """
    value, *memories = (tensor.view(-1) for tensor in changed)
    flat = (value, gradient.reshape(-1), *memories)
    return zip(*(tensor.split(PIECE) for tensor in flat), strict=True)
