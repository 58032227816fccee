"""Optimizers: RMSprop and Adam with the formulas of Keras, SGD and AdamW of torch, and Muon."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import nn

from tinysight.recipes.schema import OptimizerSection
from tinysight.training.optimizers.base import Optimizer
from tinysight.training.optimizers.keras import Adam, RMSprop
from tinysight.training.optimizers.muon import Muon
from tinysight.training.optimizers.torch_optimizers import TorchOptimizer
from tinysight.training.precision import Precision


def build_optimizer(
    parameters: Iterable[nn.Parameter],
    config: OptimizerSection,
    precision: Precision = "fp32",
    lr_factors: Sequence[float] | None = None,
) -> Optimizer:
    """Return the optimizer that the recipe names, without state.

    Args:
        parameters: those of a network, in its order; Muon takes the last matrix as the classification head.
        config: the optimizer and its hyperparameters.
        precision: the precision of training; Muon orthogonalizes in it.
        lr_factors: sgd, adamw: factor of the learning rate of each trainable parameter; by default 1 for all.
    """
    match config.name:
        case "rmsprop":
            return RMSprop(parameters, config)
        case "adam":
            return Adam(parameters, config)
        case "sgd" | "adamw":
            return TorchOptimizer(parameters, config, lr_factors)
        case "muon":
            return Muon(parameters, config, torch.bfloat16 if precision == "bf16" else torch.float32)
