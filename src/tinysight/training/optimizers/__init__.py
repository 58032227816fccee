"""Optimizers: RMSprop and Adam with the formulas of Keras, and Muon."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn

from tinysight.recipes.schema import OptimizerSection
from tinysight.training.optimizers.base import BaseOptimizer
from tinysight.training.optimizers.keras import Adam, RMSprop
from tinysight.training.optimizers.muon import Muon
from tinysight.training.precision import Precision


def build_optimizer(
    parameters: Iterable[nn.Parameter], config: OptimizerSection, precision: Precision = "fp32"
) -> BaseOptimizer:
    """Return the optimizer that the recipe names, with a zero state."""
    if config.name == "muon":
        return Muon(parameters, config, torch.bfloat16 if precision == "bf16" else torch.float32)
    return {"rmsprop": RMSprop, "adam": Adam}[config.name](parameters, config)
