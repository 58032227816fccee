"""Reads the architecture JSON of Keras 1, 2 and 3."""

from __future__ import annotations

import json
import reprlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from pydantic import ValidationError

from tinysight.errors import ModelError, nearest
from tinysight.interop.keras.reading import READERS, Config, StrangeError, activation, name_of
from tinysight.recipes.layers import Layer

LARGEST = 10_000_000  # bytes
MOST_LAYERS = 1000


@dataclass(frozen=True)
class Weighted:
    """A Keras layer: class, name and equivalent layer specifications; a separable convolution has two."""

    kind: str
    name: str
    layers: tuple[Layer, ...]


@dataclass(frozen=True)
class Architecture:
    """The architecture of a sequential Keras model.

    Attributes:
        image_size: height and width of the input images, in pixels.
        layers: in order, without the final softmax.
        takes_raw_pixels: whether its first layer rescales pixels of 0..255; other models take 0..1.
    """

    image_size: int
    layers: tuple[Weighted, ...]
    takes_raw_pixels: bool

    @property
    def description(self) -> list[Layer]:
        """All layer specifications, in order."""
        return [spec for layer in self.layers for spec in layer.layers]


def read_architecture(path: Path) -> Architecture:
    """Read the architecture from a JSON file that `model.to_json()` returned.

    Raises:
        ModelError: the file is not such a file, or it has unsupported layers or settings.
    """
    try:
        if path.stat().st_size > LARGEST:
            raise ModelError(
                f"{path}: larger than {LARGEST // 1_000_000} MB. Give the JSON file from `model.to_json()`."
            )
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(f"{path}: cannot be read. Give the JSON file from `model.to_json()`.") from error
    return parse_architecture(text, str(path))


def parse_architecture(text: str, source: str) -> Architecture:
    """Parse the architecture in JSON `text`; `source` is its name in errors. Raises like `read_architecture`."""
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ModelError(
            f"{source}: not valid JSON ({reprlib.repr(str(error))}). Give the JSON from `model.to_json()`."
        ) from error
    try:
        return _architecture(_layer_configs(values))
    except StrangeError as error:
        raise ModelError(f"{source}: {error}") from error
    except (LookupError, TypeError, ValueError, AttributeError, ValidationError) as error:
        raise ModelError(f"{source}: not a Keras architecture that can be read ({_first_line(error)}).") from error


def _layer_configs(values: Any) -> list[Config]:
    """Return the layer configurations of a sequential model of any Keras version."""
    if not isinstance(values, dict) or values.get("class_name") != "Sequential":
        kind = values.get("class_name") if isinstance(values, dict) else type(values).__name__
        raise StrangeError(f"{reprlib.repr(kind)} is not a Sequential model. Only Sequential models can be imported.")
    config = values["config"]
    layers = config if isinstance(config, list) else config["layers"]  # a bare list until Keras 2.2
    if len(layers) > MOST_LAYERS:
        raise StrangeError(f"{len(layers):,} layers are too many. At most {MOST_LAYERS:,} can be imported.")
    return cast("list[Config]", layers)


def _architecture(configs: list[Config]) -> Architecture:
    size, layers = _image_size(configs), []
    for index, entry in enumerate(configs):
        kind, config = entry["class_name"], entry["config"]
        if not isinstance(kind, str) or kind not in READERS:
            raise StrangeError(
                f"layer {index + 1} is an unsupported {reprlib.repr(kind)}.{nearest(str(kind), READERS)}"
            )
        if config.get("data_format", "channels_last") == "channels_first" or config.get("dim_ordering", "tf") == "th":
            raise StrangeError(f"layer {index + 1} ({kind}) is channels first. Only channels last is supported.")
        specs = [*READERS[kind](config), *activation(config.get("activation"), last=index == len(configs) - 1)]
        layers.append(Weighted(kind, str(config.get("name", "")), tuple(specs)))
    if not _ends_in_softmax(configs):
        raise StrangeError("the model does not end in a softmax. Add one, so that it returns class probabilities.")
    raw = next((layer.layers[0].kind == "rescaling" for layer in layers if layer.layers), False)
    return Architecture(size, tuple(layers), raw)


def _image_size(configs: list[Config]) -> int:
    config = configs[0]["config"]
    shape = config.get("batch_shape") or config.get("batch_input_shape") or [None, *config["input_shape"]]
    _, height, width, channels = shape
    if height != width or channels != 3 or not isinstance(height, int) or not 8 <= height <= 512:
        raise StrangeError(
            f"the input shape is {shape[1:]}. Only square color images of 8 to 512 pixels are supported."
        )
    return height


def _ends_in_softmax(configs: list[Config]) -> bool:
    last = configs[-1]
    return last["class_name"] == "Softmax" or name_of(last["config"].get("activation")) == "softmax"


def _first_line(error: Exception) -> str:
    return reprlib.repr(str(error).splitlines()[0] if str(error) else type(error).__name__)
