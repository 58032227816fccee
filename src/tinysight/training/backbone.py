"""Backbones: pretrained networks that a training starts from."""

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
        """Load its weights into a network of its architecture; the last layer stays random for new classes."""

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
        """Do nothing: a run has its weights."""

    def load_into(self, network: nn.Module, class_names: tuple[str, ...]) -> None:
        """Load its weights into a network of its architecture; rows of the last layer are copied for equal classes."""
        classifier = Run.open(self.path).classifier()
        initial = InitialWeights(classifier.network.state_dict(), classifier.class_names)
        network.load_state_dict(transfer_weights(initial, network, class_names))

    def settings(self) -> dict[str, dict[str, Any]]:
        """Return the values that it sets in a recipe, by section."""
        recipe = Run.open(self.path).recipe()
        model = recipe.model.model_dump(exclude_none=True)
        return {"model": model | {"backbone": str(self.path)}, "data": {"image_size": recipe.data.image_size}}


def find_backbone(name: str) -> Backbone:
    """Return the backbone of a name, as in `model.backbone`: a family with pretrained weights, or the path of a run.

    Raises:
        RecipeError: there is none.
    """
    known = {family.name: family.pretrained for family in FAMILIES.values() if family.pretrained}
    if weights := known.get(name):
        return PublishedBackbone(name, weights)
    if os.path.isdir(name):
        return RunBackbone(Path(name).resolve())
    raise RecipeError(
        f"model.backbone: {name!r} is neither a run nor one of {', '.join(known)}.{did_you_mean(name, list(known))}"
    )


def with_backbone(recipe: Recipe, fixed_size: int | None = None) -> Recipe:
    """Return the recipe with the architecture and normalization of its backbone, if it has one.

    Args:
        recipe: its `model.backbone` is looked up.
        fixed_size: height and width of all images of the dataset, if it has no others. If they are smaller than
            `data.image_size`, the network enlarges them.
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
