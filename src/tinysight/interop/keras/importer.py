"""Import of a Keras model as a run."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import torch

from tinysight._util.errors import InputError, ModelError
from tinysight.data.dataset import Dataset
from tinysight.interop.keras import hdf5
from tinysight.interop.keras.architecture import KerasArchitecture, parse_architecture, read_architecture
from tinysight.interop.keras.weights import read_weights
from tinysight.models.classifier import IDENTITY, Classifier, ClassifierSpec, Normalization
from tinysight.models.families.sequential import build_sequential
from tinysight.models.summary import count_parameters
from tinysight.recipes.schema import DataSection, ModelSection, Recipe
from tinysight.runs.records import Summary
from tinysight.runs.run import Run
from tinysight.training.environment import describe_environment

IMPORT_NOTE = "Imported from Keras: its training procedure and training images were not verified."
_LARGEST_MEMBER = 2**30  # bytes of one file in a .keras archive


@dataclass(frozen=True)
class KerasFiles:
    """The architecture and the weights of a Keras model.

    `weights` is the path of an HDF5 file, or the content of one in a .keras archive; `name` is its name in errors.
    """

    architecture: KerasArchitecture
    weights: Path | BinaryIO
    name: str

    @classmethod
    def open(cls, model: Path, weights: Path | None) -> KerasFiles:
        """Open an architecture and its weights, or a .keras file. Raises ModelError if one cannot be read."""
        if model.suffix == ".keras":
            if weights is not None:
                raise ModelError(f"{model}: contains its own weights. Omit {weights}.")
            text, content = _unzip(model)
            return cls(parse_architecture(text, f"{model}/config.json"), content, f"{model}/model.weights.h5")
        if weights is None:
            raise ModelError(f"{model}: contains no weights. Give its weights file (.h5) as well.")
        return cls(read_architecture(model), weights, str(weights))


def import_model(files: KerasFiles, out: Path, dataset: Dataset, argument: str, class_names: Sequence[str] = ()) -> Run:
    """Create a run from a Keras model.

    Args:
        files: the model.
        out: the run directory to create.
        dataset: the dataset that the model was presumably trained on.
        argument: the dataset's name or path, as in `load_dataset`.
        class_names: the class names, if they differ from the dataset's.

    Raises:
        ModelError: the model cannot be read.
        InputError: the number of class names differs from the number of outputs.
        RunError: `out` already exists.
    """
    Run.check_available(out)
    architecture = files.architecture
    names = tuple(class_names) or dataset.class_names
    model = ModelSection(architecture="layers", layers=architecture.layer_specs)
    raw = architecture.takes_raw_pixels
    data = DataSection(image_size=architecture.image_size, normalization="none" if raw else "scale")
    recipe = Recipe(name="imported", data=data, model=model)
    _check_class_names(architecture, names)
    with torch.device("meta"):  # shapes only, no memory
        network = build_sequential(architecture.layer_specs, len(names), architecture.image_size)
    with hdf5.open_hdf5(files.weights, files.name) as file:
        network.load_state_dict(read_weights(file, architecture, network), assign=True)
    normalization = IDENTITY if raw else Normalization()
    spec = ClassifierSpec(
        model=model,
        class_names=names,
        image_size=architecture.image_size,
        mean=normalization.mean,
        std=normalization.std,
        notes=(*dataset.notes, IMPORT_NOTE),
        crops=dataset.crops,
    )
    classifier = Classifier(spec, network)
    environment = describe_environment(dataset, argument, None, seed=0, precision="fp32")
    summary = Summary(
        status="finished",
        recipe=recipe.name,
        dataset=dataset.name,
        notes=classifier.notes,
        parameters=count_parameters(network),
    )
    run = Run.create(out, recipe, environment, summary, classifier.notes)
    run.write_classifier(classifier)
    return run


def _check_class_names(architecture: KerasArchitecture, names: Sequence[str]) -> None:
    dense = [layer for layer in architecture.layer_specs if layer.kind == "dense"]
    outputs = dense[-1].outputs if dense else 0
    if outputs != len(names):
        raise InputError(
            f"Model: it has {outputs} outputs, but there are {len(names)} class names. Give one class name per output."
        )


def _unzip(path: Path) -> tuple[str, BinaryIO]:
    """Return the architecture and the weights from a .keras file, which is a ZIP archive."""
    try:
        with zipfile.ZipFile(path) as archive:
            for name in ("config.json", "model.weights.h5"):
                if archive.getinfo(name).file_size > _LARGEST_MEMBER:
                    raise ModelError(f"{path}/{name}: larger than {_LARGEST_MEMBER >> 30} GiB. Give a smaller model.")
            return archive.read("config.json").decode(), io.BytesIO(archive.read("model.weights.h5"))
    except (OSError, KeyError, ValueError, zipfile.BadZipFile, RuntimeError) as error:
        raise ModelError(
            f"{path}: missing, damaged or not a .keras file. Give a file that `model.save()` wrote."
        ) from error
