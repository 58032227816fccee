"""Export formats: the interface, and the formats by name."""

from __future__ import annotations

import importlib
import pkgutil
from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING

from tinysight import interop
from tinysight._util import optional_deps
from tinysight._util.errors import InputError, StorageError, did_you_mean

if TYPE_CHECKING:
    from tinysight.models.classifier import Classifier
    from tinysight.models.predictor import Predictor

_OPEN_IMAGE = """import numpy as np
from PIL import Image, ImageOps

size = {size}
image = Image.open("cat.jpg")
image.draft(None, (3 * size, 3 * size))  # decodes large JPEG images faster
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


def image_program(classifier: Predictor) -> str:
    """Return the beginning of an example program: it reads `cat.jpg` into `images`, as `predict` does.

    `images` is uint8, (crops, height, width, 3). The prediction is the mean over the crops.
    """
    crops = [tuple(crop) for crop in classifier.crops]
    squares = _CENTER_CROP if crops == [(0.0, 0.5)] else _SEVERAL_CROPS.format(crops=crops)
    return _OPEN_IMAGE.format(size=classifier.image_size) + squares


class Exporter(ABC):
    """A format that classifiers can be exported to.

    To add a format, add a package to `interop` with a module `exporter` that defines its `EXPORTER`.
    `tests/interop/test_exporters.py` checks every format.

    Attributes:
        name: name of the format and of the extra that installs its packages.
        package: the package that writes it.
        suffix: of the default path, which is the run's with this suffix.
    """

    name: str
    package: str
    suffix: str

    def export(self, classifier: Classifier, path: Path) -> None:
        """Write a classifier to `path`.

        Raises:
            InputError: the package of the format is not installed.
            ModelError: the format cannot hold this network.
            StorageError: `path` already exists, or the disk is full or read-only.
        """
        optional_deps.require(self.package, extra=self.name)
        if path.is_file() or (path.is_dir() and any(path.iterdir())):
            raise StorageError(f"{path}: already exists. Choose another path.")
        self._write(classifier, path)

    @abstractmethod
    def _write(self, classifier: Classifier, path: Path) -> None:
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
