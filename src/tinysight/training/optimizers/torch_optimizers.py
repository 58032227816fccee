"""SGD with Nesterov momentum and AdamW of torch.optim."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from tinysight.recipes.schema import OptimizerSection
from tinysight.training.optimizers.base import Optimizer


class TorchOptimizer(Optimizer):
    """SGD or AdamW of torch.optim, as the recipe names it.

    All parameters get the same weight decay. State tensors exist from a parameter's first gradient on, so that a
    restored optimizer continues bit for bit.
    """

    def __init__(
        self, parameters: Iterable[nn.Parameter], config: OptimizerSection, lr_factors: Sequence[float] | None = None
    ) -> None:
        """Create the optimizer.

        Args:
            parameters: those of a network.
            config: the optimizer and its hyperparameters.
            lr_factors: factor of the learning rate of each trainable parameter; by default 1 for all.
        """
        super().__init__(parameters, config)
        lr, decay, momentum = config.learning_rate, config.weight_decay, config.momentum
        betas = (config.beta_1, config.beta_2)
        self.lr_factors = lr_factors or [1.0] * len(self.parameters)
        groups = [{"params": [parameter]} for parameter in self.parameters] if lr_factors else self.parameters
        self.optimizer: torch.optim.Optimizer = (
            torch.optim.SGD(groups, lr, momentum, weight_decay=decay, nesterov=momentum > 0)
            if config.name == "sgd"
            else torch.optim.AdamW(groups, lr, betas, config.epsilon, decay)
        )

    def step(self, lr_scale: float = 1.0) -> None:
        """Update every parameter that has a gradient."""
        self.steps += 1
        for group, factor in zip(self.optimizer.param_groups, self.lr_factors, strict=False):
            group["lr"] = lr_scale * factor * self.config.learning_rate
        self.optimizer.step()

    def state_dict(self) -> dict[str, Tensor]:
        """Return the state tensors as NAME.INDEX."""
        return {
            f"{name}.{index}": tensor
            for index, parameter in enumerate(self.parameters)
            for name, tensor in self.optimizer.state[parameter].items()
            if tensor is not None
        }

    def load_state_dict(self, state: dict[str, Tensor], steps: int) -> None:
        """Copy the saved tensors, each to the device of its parameter."""
        self.steps = steps
        self.optimizer.state.clear()
        for key, tensor in state.items():
            name, _, index = key.rpartition(".")
            parameter = self.parameters[int(index)]
            if tensor.shape not in (parameter.shape, torch.Size()):
                raise ValueError(f"{key}: has shape {tuple(tensor.shape)}, not {tuple(parameter.shape)}.")
            device = parameter.device if tensor.shape == parameter.shape else tensor.device
            self.optimizer.state[parameter][name] = tensor.to(device, copy=True)
