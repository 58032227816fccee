"""Trainers, by the value of `training.method`."""

from __future__ import annotations

from tinysight.data.dataset import Dataset
from tinysight.data.splits import TrainSplit
from tinysight.models.network import NetworkFactory
from tinysight.recipes.schema import Recipe
from tinysight.training.device import Device
from tinysight.training.distributed.process_group import SINGLE, ProcessGroup
from tinysight.training.finetune import FineTuneTrainer
from tinysight.training.precision import Precision
from tinysight.training.probe import ProbeTrainer
from tinysight.training.trainer import Trainer

_TRAINERS: dict[str, type[Trainer]] = {"scratch": Trainer, "probe": ProbeTrainer, "finetune": FineTuneTrainer}


def build_trainer(
    recipe: Recipe,
    dataset: Dataset,
    split: TrainSplit,
    seed: int,
    precision: Precision,
    device: Device = "cpu",
    group: ProcessGroup = SINGLE,
    network: NetworkFactory | None = None,
) -> Trainer:
    """Return the trainer for the recipe's method. For the arguments, see `Trainer`.

    Raises:
        RecipeError: the recipe does not fit the dataset, or the method does not fit the network.
    """
    return _TRAINERS[recipe.training.method](recipe, dataset, split, seed, precision, device, group, network)
