"""Backbones: pretrained networks whose weights a training starts from."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from torch import nn

from tinysight._util.errors import RecipeError, did_you_mean
from tinysight.models.classifier import Normalization
from tinysight.models.pretrained import PretrainedWeights
from tinysight.models.registry import FAMILIES
from tinysight.models.transfer import InitialWeights, transfer_weights
from tinysight.recipes.schema import Recipe
from tinysight.runs.run import Run


class Backbone(Protocol):
    """A pretrained network."""

    @property
    def normalization(self) -> Normalization:
        """The normalization of the images that it was trained on."""

    def check(self) -> None:
        """Raise InputError if its weights are not installed."""

    def load_into(self, network: nn.Module, class_names: tuple[str, ...]) -> None:
        """Load its weights into a network of its architecture. For new classes, the last layer stays random."""

    def settings(self) -> dict[str, dict[str, Any]]:
        """Return the values that it sets in a recipe, by section."""


@dataclass(frozen=True)
class PublishedBackbone:
    """The published weights of a network family."""

    name: str
    weights: PretrainedWeights

    @property
    def normalization(self) -> Normalization:
        """The normalization of the images that it was trained on."""
        return Normalization(self.weights.mean, self.weights.std)

    def check(self) -> None:
        """Raise InputError if its weights are not installed."""
        self.weights.source.check()

    def load_into(self, network: nn.Module, class_names: tuple[str, ...]) -> None:
        """Load its weights into a network of its architecture, whose last layer stays random."""
        FAMILIES[self.name].load_pretrained(network)

    def settings(self) -> dict[str, dict[str, Any]]:
        """Return the values that it sets in a recipe, by section."""
        return {"model": {"architecture": self.name}}


@dataclass(frozen=True)
class RunBackbone:
    """The network of a run."""

    path: Path

    @property
    def normalization(self) -> Normalization:
        """The normalization of the images that it was trained on."""
        return Run.open(self.path).classifier().spec.normalization

    def check(self) -> None:
        """Do nothing: the weights are in the run."""

    def load_into(self, network: nn.Module, class_names: tuple[str, ...]) -> None:
        """Load its weights into a network of its architecture; in the last layer, only those of classes in both."""
        classifier = Run.open(self.path).classifier()
        initial = InitialWeights(classifier.network.state_dict(), classifier.class_names)
        network.load_state_dict(transfer_weights(initial, network, class_names))

    def settings(self) -> dict[str, dict[str, Any]]:
        """Return the values that it sets in a recipe, by section."""
        recipe = Run.open(self.path).recipe()
        model = recipe.model.model_dump(exclude_none=True)
        return {"model": model | {"backbone": str(self.path)}, "data": {"image_size": recipe.data.image_size}}


def find_backbone(name: str) -> Backbone:
    """Return the backbone that `model.backbone` names: a family with published weights, or the path of a run.

    Raises:
        RecipeError: the name is neither of them.
    """
    known = {family.name: family.pretrained for family in FAMILIES.values() if family.pretrained}
    if weights := known.get(name):
        return PublishedBackbone(name, weights)
    if os.path.isdir(name):
        return RunBackbone(Path(name).resolve())
    raise RecipeError(
        f"model.backbone: {name!r} is neither a run nor a network with published weights."
        f"{did_you_mean(name, list(known))}"
    )


def with_backbone(recipe: Recipe, fixed_size: int | None = None) -> Recipe:
    """Return the recipe with the architecture and normalization of its backbone, if it has one.

    Args:
        recipe: the recipe, with or without `model.backbone`.
        fixed_size: height and width of the images, if the dataset exists in one size only. The network then resizes
            them to `data.image_size`.
    """
    if recipe.model.backbone is None:
        return recipe
    backbone = find_backbone(recipe.model.backbone)
    values = recipe.model_dump(exclude_unset=True)
    model = {key: values["model"][key] for key in ("backbone", "input_size") if key in values["model"]}
    settings = backbone.settings()
    data = values.get("data", {}) | {"normalization": "backbone"} | settings.get("data", {})
    model = model | settings["model"]
    if fixed_size is not None and isinstance(backbone, PublishedBackbone):
        model.setdefault("input_size", data.get("image_size", fixed_size))
        data["image_size"] = fixed_size
    return Recipe.model_validate(values | {"model": model, "data": data})
