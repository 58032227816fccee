"""Import of a Keras model as a run."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tinysight._util.errors import DataError, InputError, ModelError, RecipeError
from tinysight._util.formatting import percent
from tinysight._util.progress import SILENT, Progress
from tinysight.data.crops import CENTER_CROP
from tinysight.data.dataset import Dataset, Pixels
from tinysight.data.splits import split_dataset
from tinysight.interop.keras import hdf5
from tinysight.interop.keras.architecture import KerasArchitecture
from tinysight.interop.keras.files import KerasFiles
from tinysight.interop.keras.pixels import describe, find_better_scaling, parse_pixels
from tinysight.interop.keras.weights import read_normalizations, read_weights
from tinysight.models.classifier import IDENTITY, Classifier, ClassifierSpec, Normalization
from tinysight.models.families.sequential import build_sequential, output_size
from tinysight.models.summary import count_parameters
from tinysight.recipes import layers
from tinysight.recipes.schema import DataSection, ModelSection, Recipe
from tinysight.runs.image_index import ImageIndex
from tinysight.runs.records import Summary
from tinysight.runs.run import Run
from tinysight.runs.run_dataset import match_classes
from tinysight.training.environment import describe_environment, without_images

IMPORT_NOTE = "Imported from Keras: its training procedure and training images were not verified."


def import_model(
    files: KerasFiles,
    out: Path,
    dataset: Dataset | None = None,
    argument: str = "",
    class_names: Sequence[str] = (),
    pixels: str | None = None,
    progress: Progress = SILENT,
) -> Run:
    """Create a run from a Keras model.

    Args:
        files: the model.
        out: the run directory to create.
        dataset: the dataset that the model was presumably trained on; None if there are no images.
        argument: the dataset's name or path, as in `load_dataset`.
        class_names: the class names in the order of the outputs; by default the dataset's, or else "class 0" and so on.
        pixels: the pixel values that the network takes, see `parse_pixels`; by default 0..255 if its first layer scales
            them, or else 0..1.
        progress: receives a notice if a different scaling fits the images far better.

    Raises:
        ModelError: the model cannot be read.
        InputError: the number of class names differs from the number of outputs.
        DataError: the classes of the dataset are not among the class names.
        RunError: `out` already exists.
    """
    Run.check_available(out)
    imported = _read(files)
    names = tuple(class_names) or (dataset.class_names if dataset else imported.default_names)
    if len(names) != imported.num_classes:
        raise InputError(
            f"Model: it has {imported.num_classes} outputs, but there are {len(names)} class names. Give one class "
            "name per output."
        )
    taken = imported.assumed_pixels if pixels is None else parse_pixels(pixels)
    classifier = imported.classifier(names, taken, dataset)
    if dataset is not None:
        dataset = match_classes(dataset, classifier)
        _warn_of_better_scaling(imported, classifier, taken, dataset, progress)
    recipe = Recipe(
        name="imported",
        description=_description(imported.architecture, taken, is_assumed=pixels is None),
        data=DataSection(
            image_size=classifier.image_size, normalization="none" if classifier.spec.std == IDENTITY.std else "scale"
        ),
        model=classifier.spec.model,
    )
    origin = without_images(names) if dataset is None else dataset
    environment = describe_environment(origin, argument or origin.argument, None, seed=0, precision="fp32")
    summary = Summary(
        status="finished",
        recipe=recipe.name,
        dataset=environment.dataset.name,
        notes=classifier.notes,
        parameters=count_parameters(classifier.network),
    )
    images = None
    if dataset is not None and argument != "cifar10":
        with suppress(DataError):  # too few images to split, which does not matter to the other commands
            images = ImageIndex.of(dataset, split_dataset(dataset, recipe.data, seed=0))
    run = Run.create(out, recipe, environment, summary, classifier.notes, images)
    run.write_classifier(classifier)
    return run


@dataclass(frozen=True)
class _ImportedNetwork:
    """A network as the file defines it: its layers and its weights."""

    architecture: KerasArchitecture
    num_classes: int
    specs: list[layers.Layer]
    state: dict[str, Tensor]

    @property
    def image_size(self) -> int:
        return self.architecture.image_size

    @property
    def assumed_pixels(self) -> Normalization:
        return IDENTITY if self.architecture.takes_raw_pixels else Normalization()

    @property
    def default_names(self) -> tuple[str, ...]:
        return tuple(f"class {index}" for index in range(self.num_classes))

    def classifier(self, names: tuple[str, ...], pixels: Normalization, dataset: Dataset | None) -> Classifier:
        """Return the classifier for these pixel values.

        Recipes know pixels of 0..1 and 0..255. Any other scaling becomes the first layer, so that a network that is
        trained again by the recipe gets it as well.
        """
        is_named = pixels in (Normalization(), IDENTITY)
        specs = self.specs if is_named else [_scaling_layer(pixels), *self.specs]
        normalization = pixels if is_named else IDENTITY
        with torch.device("meta"):  # shapes only, no memory
            network = build_sequential(specs, self.num_classes, self.image_size)
        keys = network.state_dict().keys()
        network.load_state_dict(dict(zip(keys, _in_order(self), strict=True)), assign=True)
        spec = ClassifierSpec(
            model=ModelSection(architecture="layers", layers=specs),
            class_names=names,
            image_size=self.image_size,
            mean=normalization.mean,
            std=normalization.std,
            notes=(*(dataset.notes if dataset else ()), IMPORT_NOTE),
            crops=dataset.crops if dataset else CENTER_CROP,
        )
        return Classifier(spec, network)


def _in_order(imported: _ImportedNetwork) -> list[Tensor]:
    with torch.device("meta"):
        network = build_sequential(imported.specs, imported.num_classes, imported.image_size)
    return [imported.state[key] for key in network.state_dict()]


def _scaling_layer(pixels: Normalization) -> layers.Rescaling:
    scale = [1 / std for std in pixels.std]
    offset = [-mean / std for mean, std in zip(pixels.mean, pixels.std, strict=True)]
    return layers.Rescaling(scale=(scale[0], scale[1], scale[2]), offset=(offset[0], offset[1], offset[2]))


def _read(files: KerasFiles) -> _ImportedNetwork:
    with hdf5.open_hdf5(files.weights, files.name) as file:
        architecture = read_normalizations(file, files.architecture)
        specs, size = architecture.layer_specs, architecture.image_size
        try:
            outputs = output_size(specs, size)
            with torch.device("meta"):  # shapes only, no memory
                network: nn.Module = build_sequential(specs, outputs, size)
        except RecipeError as error:
            raise ModelError(f"{files.name}: {error}") from error
        _check_outputs(architecture, outputs, files.name)
        state = read_weights(file, architecture, network)
    if outputs == 1:
        specs, state = _two_classes(specs, state)
    return _ImportedNetwork(architecture, max(outputs, 2), specs, state)


def _check_outputs(architecture: KerasArchitecture, outputs: int, name: str) -> None:
    is_single = outputs == 1
    if architecture.output == "sigmoid" and not is_single:
        raise ModelError(
            f"{name}: the model ends in one sigmoid per class, as for images with several labels. Pass logits=True to "
            "predict the class with the largest output."
        )
    if is_single and (architecture.output == "softmax" or not isinstance(architecture.layer_specs[-1], layers.Dense)):
        raise ModelError(
            f"{name}: the only output of the model is not that of a dense layer with a sigmoid or without activation. "
            "Pass logits=False, or end the model in one of them."
        )


def _two_classes(specs: list[layers.Layer], state: dict[str, Tensor]) -> tuple[list[layers.Layer], dict[str, Tensor]]:
    """Return a network with the logits (0, z) for one with the single output z, since sigmoid(z) = softmax(0, z)[1]."""
    *body, last = specs
    if not isinstance(last, layers.Dense):
        raise TypeError(type(last).__name__)
    keys = [key for key in state if key.startswith("head.")]
    doubled = {key: torch.cat([torch.zeros_like(state[key]), state[key]]) for key in keys}
    return [*body, last.model_copy(update={"outputs": 2})], state | doubled


def _warn_of_better_scaling(
    imported: _ImportedNetwork, classifier: Classifier, pixels: Normalization, dataset: Dataset, progress: Progress
) -> None:
    def probabilities(images: Pixels, normalization: Normalization) -> NDArray[np.float32]:
        scaled = imported.classifier(classifier.class_names, normalization, dataset)
        return scaled.probabilities(images)

    better = find_better_scaling(probabilities, dataset.train, pixels)
    if better:
        progress.note(
            f"Pixels of {describe(pixels)} fit badly: {percent(better.accuracy_before)} of {better.n} training images "
            f"are classified correctly, but {percent(better.accuracy)} with pixels={better.pixels}. If the model was "
            "trained on those, import it again with them."
        )


def _description(architecture: KerasArchitecture, pixels: Normalization, is_assumed: bool) -> str:
    reason = "as its first layer scales them" if architecture.takes_raw_pixels else "assumed"
    return (
        f"Imported from Keras. It takes pixels of {describe(pixels)} ({reason if is_assumed else 'as given'}), and its "
        f"outputs are read as {_OUTPUTS[architecture.output]}."
    )


_OUTPUTS = {
    "softmax": "the probabilities of a softmax",
    "sigmoid": "the probability of the second class",
    "logits": "logits",
}
