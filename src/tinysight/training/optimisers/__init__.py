"""Optimizers: RMSprop and Adam with the formulas of Keras, and Muon."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn

from tinysight.recipes.schema import Optimiser as OptimiserConfig
from tinysight.training.optimisers.keras import Adam, RMSprop
from tinysight.training.optimisers.muon import Muon
from tinysight.training.optimisers.optimiser import Optimiser as Optimiser
from tinysight.training.precision import Precision


def build(parameters: Iterable[nn.Parameter], config: OptimiserConfig, precision: Precision = "fp32") -> Optimiser:
    """Return the optimizer that the recipe names, with a zero state."""
    if config.name == "muon":
        return Muon(parameters, config, torch.bfloat16 if precision == "bf16" else torch.float32)
    return {"rmsprop": RMSprop, "adam": Adam}[config.name](parameters, config)
