"""From a recipe's `[optimiser]` table to an optimiser."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn

from tinysight.recipes.schema import Optimiser as OptimiserConfig
from tinysight.training.optimisers.keras import Adam, RMSprop
from tinysight.training.optimisers.muon import Muon
from tinysight.training.optimisers.optimiser import Optimiser
from tinysight.training.precision import Precision


def build(parameters: Iterable[nn.Parameter], config: OptimiserConfig, precision: Precision = "fp32") -> Optimiser:
    """Return the optimiser that the recipe names, with nothing remembered yet."""
    if config.name == "muon":
        return Muon(parameters, config, torch.bfloat16 if precision == "bf16" else torch.float32)
    return {"rmsprop": RMSprop, "adam": Adam}[config.name](parameters, config)
