"""SGD with Nesterov momentum and AdamW of torch.optim."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from tinysight.recipes.schema import OptimizerSection
from tinysight.training.optimizers.base import Optimizer


class TorchOptimizer(Optimizer):
    """An optimizer of torch.optim.

    All parameters get the same learning rate and weight decay. State tensors exist from a parameter's first gradient
    on, so that a restored optimizer continues bit for bit.
    """

    def __init__(
        self, parameters: Iterable[nn.Parameter], config: OptimizerSection, optimizer: type[torch.optim.Optimizer]
    ) -> None:
        super().__init__(parameters, config)
        options: dict[str, Any] = {"lr": config.learning_rate, "weight_decay": config.weight_decay}
        if optimizer is torch.optim.SGD:
            options |= {"momentum": config.momentum, "nesterov": config.momentum > 0}
        else:
            options |= {"betas": (config.beta_1, config.beta_2), "eps": config.epsilon}
        self.optimizer = optimizer(self.parameters, **options)  # each has its own options

    def step(self, lr_scale: float = 1.0) -> None:
        """Update every parameter that has a gradient."""
        self.steps += 1
        for group in self.optimizer.param_groups:
            group["lr"] = lr_scale * self.config.learning_rate
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
