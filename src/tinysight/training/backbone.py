"""Backbones: pretrained networks whose weights a training starts from."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast

from torch import nn

from tinysight._util.errors import ModelError, RecipeError, did_you_mean
from tinysight._util.onnx_session import MAX_BYTES
from tinysight.models.classifier import Normalization
from tinysight.models.families.onnx_file import OnnxBody
from tinysight.models.feature_extractor import FeatureExtractor
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
        return {"model": {"architecture": self.name}, "data": {"normalization": "backbone"}}


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
        data = {"normalization": "backbone", "image_size": recipe.data.image_size}
        return {"model": model | {"backbone": str(self.path)}, "data": data}


@dataclass(frozen=True)
class OnnxBackbone:
    """An ONNX file of a user, from images to features."""

    path: Path

    @property
    def normalization(self) -> Normalization:
        """Raise RecipeError: the file does not state it."""
        raise self.unknown_normalization()

    def unknown_normalization(self) -> RecipeError:
        """Return the error for a recipe that does not state the normalization either."""
        return RecipeError(
            f"data.normalization: {self.path.name} does not state how the images of its training were normalized. Set "
            "it to imagenet, symmetric, scale or none."
        )

    def check(self) -> None:
        """Raise InputError if onnxruntime is not installed, or the file does not fit."""
        self._extractor()

    def load_into(self, network: nn.Module, class_names: tuple[str, ...]) -> None:
        """Put the file into a network that was built for it."""
        cast(OnnxBody, network.get_submodule("body")).load_file(self._read(), str(self.path))

    def settings(self) -> dict[str, dict[str, Any]]:
        """Return the values that it sets in a recipe, by section."""
        content, extractor = self._read(), self._extractor()
        section = {
            "sha256": hashlib.sha256(content).hexdigest(),
            "n_bytes": len(content),
            "n_features": extractor.n_features,
        }
        model = {"architecture": "onnx", "backbone": str(self.path), "extractor": section}
        return {"model": model, "data": {} if extractor.side is None else {"image_size": extractor.side}}

    def _extractor(self) -> FeatureExtractor:
        return FeatureExtractor(self._read(), str(self.path))

    def _read(self) -> bytes:
        try:
            if self.path.stat().st_size > MAX_BYTES:
                raise ModelError(f"{self.path}: larger than {MAX_BYTES >> 30} GiB. Use a smaller network.")
            return self.path.read_bytes()
        except OSError as error:
            raise ModelError(f"{self.path}: cannot be read ({error.strerror}). Restore it.") from error


def find_backbone(name: str) -> Backbone:
    """Return the backbone that `model.backbone` names: published weights, or the path of a run or of an ONNX file.

    Raises:
        RecipeError: the name is none of them.
    """
    known = {family.name: family.pretrained for family in FAMILIES.values() if family.pretrained}
    if weights := known.get(name):
        return PublishedBackbone(name, weights)
    if os.path.isdir(name):
        return RunBackbone(Path(name).resolve())
    if name.endswith(".onnx") and os.path.isfile(name):
        return OnnxBackbone(Path(name).resolve())
    raise RecipeError(
        f"model.backbone: {name!r} is neither a run, nor an ONNX file, nor a network with published weights."
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
    data = values.get("data", {}) | settings["data"]
    model = model | settings["model"]
    if FAMILIES[model["architecture"]].is_frozen and recipe.training.method != "probe":
        raise RecipeError(
            f"training.method {recipe.training.method}: the network of an ONNX file cannot be trained. Set "
            "training.method to probe, or use another backbone."
        )
    if isinstance(backbone, OnnxBackbone) and data.get("normalization") == "backbone":
        raise backbone.unknown_normalization()
    if fixed_size is not None and not isinstance(backbone, RunBackbone):
        model.setdefault("input_size", data.get("image_size", fixed_size))
        data["image_size"] = fixed_size
    return Recipe.model_validate(values | {"model": model, "data": data})
