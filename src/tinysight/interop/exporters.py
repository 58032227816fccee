"""Export formats: the interface, and the formats by name."""

from __future__ import annotations

import importlib
import pkgutil
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tinysight import interop
from tinysight._util import optional_deps
from tinysight._util.errors import InputError, ModelError, StorageError, did_you_mean

if TYPE_CHECKING:
    from tinysight.data.dataset import Pixels, Split
    from tinysight.models.classifier import Classifier
    from tinysight.models.predictor import Predictor

_OPEN_IMAGE = """import numpy as np
from PIL import Image, ImageOps

image = Image.open("cat.jpg")
image.draft(None, ({enough}, {enough}))  # decodes large JPEG images faster
image = ImageOps.exif_transpose(image)
if image.mode.startswith("I;16"):
    values = np.array(image, "uint16")
    opaque = values != image.info.get("transparency", -1)
    bits = next(bits for bits in (8, 10, 12, 14, 16) if values[opaque].max(initial=0) < 2**bits)
    image = Image.fromarray(np.where(opaque, values >> (bits - 8), 255).astype("uint8"))
if image.has_transparency_data:
    page = Image.new("RGBA", image.size, "white")
    page.alpha_composite(image.convert("RGBA"))
    image = page
image = image.convert("RGB")
"""

_CENTER_CROP = """images = np.asarray(ImageOps.fit(image, (size, size), Image.Resampling.LANCZOS))[None]
"""

_SEVERAL_CROPS = """crops = {crops}  # margin and position
fits = [min(image.size) * (1 - 2 * margin) >= size and image.size != (size, size) for margin, _ in crops]
crops = [crop if fit else crops[0] for crop, fit in zip(crops, fits)]
squares = [ImageOps.fit(image, (size, size), Image.Resampling.LANCZOS, margin, (at, at)) for margin, at in crops]
images = np.stack(squares)
"""


def open_program(classifier: Predictor) -> str:
    """Return the beginning of an example program: it opens `cat.jpg` as `predict` does.

    `image` is then an upright, opaque Pillow image in mode RGB.
    """
    from tinysight.data.image_io.image_file import DRAFT_MARGIN  # imports Pillow

    return _OPEN_IMAGE.format(enough=DRAFT_MARGIN * classifier.image_size)


def crop_program(classifier: Predictor) -> str:
    """Return how to continue for formats that take squares: the program crops `image` as `predict` does.

    `images` is uint8, (crops, height, width, 3). The prediction is the mean over the crops.
    """
    crops = [tuple(crop) for crop in classifier.crops]
    squares = _CENTER_CROP if crops == [(0.0, 0.5)] else _SEVERAL_CROPS.format(crops=crops)
    return f"size = {classifier.image_size}\n" + squares


N_CALIBRATION = 512  # training images on which the ranges of the activations are measured


@dataclass(frozen=True)
class Int8Images:
    """The images for a quantized export.

    Attributes:
        calibration: uint8, (n, 3, height, width): the ranges of the activations are measured on these.
        validation: the accuracy is measured on these.
    """

    calibration: Pixels
    validation: Split


@dataclass(frozen=True)
class ExportOptions:
    """What an export may differ in from the classifier.

    Attributes:
        tta: predict with test-time augmentation.
        int8: the images to quantize to 8-bit integers with; None for floating point.
    """

    tta: bool = False
    int8: Int8Images | None = None


PLAIN = ExportOptions()


class Exporter(ABC):
    """A format that classifiers can be exported to.

    To add a format, add a package to `interop` with a module `exporter` that defines its `EXPORTER`.
    `tests/interop/test_exporters.py` checks every format.

    Attributes:
        name: name of the format and of the extra that installs its packages.
        package: the package that writes it.
        suffix: of the default path, which is the run's with this suffix.
        options: names of the options that it has.
    """

    name: str
    package: str
    suffix: str
    options: frozenset[str] = frozenset()

    def check(self, path: Path, tta: bool = False, int8: bool = False) -> None:
        """Check that an export with these options can be written to `path`.

        Raises:
            InputError: the format lacks an option, or its package is not installed.
            StorageError: `path` already exists.
        """
        for name in (name for name, is_set in (("int8", int8), ("tta", tta)) if is_set and name not in self.options):
            others = [other for other in exporter_names() if name in get_exporter(other).options]
            raise InputError(f"export: {self.name} has no {name}. Leave it out, or export to {' or '.join(others)}.")
        optional_deps.require(self.package, extra=self.name)
        if path.is_file() or (path.is_dir() and any(path.iterdir())):
            raise StorageError(f"{path}: already exists. Choose another path.")

    def export(self, classifier: Classifier, path: Path, options: ExportOptions = PLAIN) -> None:
        """Write a classifier to `path`.

        Raises:
            InputError: the format lacks an option, or its package is not installed.
            ModelError: the format cannot hold this network.
            StorageError: `path` already exists, or the disk is full or read-only.
        """
        self.check(path, options.tta, options.int8 is not None)
        from tinysight.models.registry import family_of

        if family_of(classifier.spec.model).is_frozen:
            raise ModelError(
                "export: the features of this run come from an ONNX file of yours, which is not merged with the last "
                "layer. Use the run itself."
            )
        self._write(classifier, path, options)

    @abstractmethod
    def _write(self, classifier: Classifier, path: Path, options: ExportOptions) -> None:
        """Write a classifier to a new file or folder."""

    @abstractmethod
    def usage(self, path: Path, classifier: Predictor) -> str:
        """Return a program that classifies `cat.jpg` with the export of a classifier at `path`, as `predict` does."""

    def default_path(self, run_path: Path) -> Path:
        """Return the path that the classifier of a run is exported to by default."""
        return run_path.with_name(run_path.name + self.suffix)


def exporter_names() -> list[str]:
    """Return the names of the formats, without importing them."""
    return sorted(info.name for info in pkgutil.iter_modules(interop.__path__) if info.ispkg)


def get_exporter(name: str) -> Exporter:
    """Return the exporter of a format. Raises InputError if there is none of this name."""
    if name not in exporter_names():
        raise InputError(f"export: unknown format {name!r}.{did_you_mean(name, exporter_names())}")
    exporter: Exporter = importlib.import_module(f"{interop.__name__}.{name}.exporter").EXPORTER
    return exporter
