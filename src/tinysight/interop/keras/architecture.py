"""Reads the architecture JSON of Keras 1, 2 and 3."""

from __future__ import annotations

import json
import reprlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from pydantic import ValidationError

from tinysight._util.errors import ModelError, did_you_mean
from tinysight.interop.keras.layer_readers import (
    READERS,
    LayerConfig,
    UnsupportedLayerError,
    activation_name,
    read_activation,
)
from tinysight.recipes.layers import Layer

MAX_BYTES = 10_000_000  # bytes
MAX_LAYERS = 1000


@dataclass(frozen=True)
class KerasLayer:
    """A Keras layer: class, name and equivalent layer specifications; a separable convolution has two."""

    kind: str
    name: str
    specs: tuple[Layer, ...]


@dataclass(frozen=True)
class KerasArchitecture:
    """The architecture of a sequential Keras model.

    Attributes:
        image_size: height and width of the input images, in pixels.
        layers: in order, without the final softmax.
        takes_raw_pixels: whether its first layer rescales pixels of 0..255; other models take 0..1.
    """

    image_size: int
    layers: tuple[KerasLayer, ...]
    takes_raw_pixels: bool

    @property
    def layer_specs(self) -> list[Layer]:
        """All layer specifications, in order."""
        return [spec for layer in self.layers for spec in layer.specs]


def read_architecture(path: Path) -> KerasArchitecture:
    """Read the architecture from a JSON file that `model.to_json()` returned.

    Raises:
        ModelError: the file is not such a file, or it has unsupported layers or settings.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ModelError(
                f"{path}: larger than {MAX_BYTES // 1_000_000} MB. Give the JSON file from `model.to_json()`."
            )
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(f"{path}: cannot be read. Give the JSON file from `model.to_json()`.") from error
    return parse_architecture(text, str(path))


def parse_architecture(text: str, source: str) -> KerasArchitecture:
    """Parse the architecture in JSON `text`; `source` is its name in errors. Raises like `read_architecture`."""
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ModelError(
            f"{source}: not valid JSON ({reprlib.repr(str(error))}). Give the JSON from `model.to_json()`."
        ) from error
    try:
        return _architecture(_layer_configs(values))
    except UnsupportedLayerError as error:
        raise ModelError(f"{source}: {error}") from error
    except (LookupError, TypeError, ValueError, AttributeError, ValidationError) as error:
        raise ModelError(f"{source}: not a Keras architecture that can be read ({_first_line(error)}).") from error


def _layer_configs(values: Any) -> list[LayerConfig]:
    """Return the layer configurations of a sequential model of any Keras version."""
    if not isinstance(values, dict) or values.get("class_name") != "Sequential":
        kind = values.get("class_name") if isinstance(values, dict) else type(values).__name__
        raise UnsupportedLayerError(
            f"{reprlib.repr(kind)} is not a Sequential model. Only Sequential models can be imported."
        )
    config = values["config"]
    layers = config if isinstance(config, list) else config["layers"]  # a bare list until Keras 2.2
    if len(layers) > MAX_LAYERS:
        raise UnsupportedLayerError(f"{len(layers):,} layers are too many. At most {MAX_LAYERS:,} can be imported.")
    return cast("list[LayerConfig]", layers)


def _architecture(configs: list[LayerConfig]) -> KerasArchitecture:
    size, layers = _image_size(configs), []
    for index, entry in enumerate(configs):
        kind, config = entry["class_name"], entry["config"]
        if not isinstance(kind, str) or kind not in READERS:
            raise UnsupportedLayerError(
                f"layer {index + 1} is an unsupported {reprlib.repr(kind)}.{did_you_mean(str(kind), READERS)}"
            )
        if config.get("data_format", "channels_last") == "channels_first" or config.get("dim_ordering", "tf") == "th":
            raise UnsupportedLayerError(
                f"layer {index + 1} ({kind}) is channels first. Only channels last is supported."
            )
        specs = [*READERS[kind](config), *read_activation(config.get("activation"), is_last=index == len(configs) - 1)]
        layers.append(KerasLayer(kind, str(config.get("name", "")), tuple(specs)))
    if not _ends_in_softmax(configs):
        raise UnsupportedLayerError(
            "the model does not end in a softmax. Add one, so that it returns class probabilities."
        )
    raw = next((layer.specs[0].kind == "rescaling" for layer in layers if layer.specs), False)
    return KerasArchitecture(size, tuple(layers), raw)


def _image_size(configs: list[LayerConfig]) -> int:
    config = configs[0]["config"]
    shape = config.get("batch_shape") or config.get("batch_input_shape") or [None, *config["input_shape"]]
    _, height, width, channels = shape
    if height != width or channels != 3 or not isinstance(height, int) or not 8 <= height <= 512:
        raise UnsupportedLayerError(
            f"the input shape is {shape[1:]}. Only square color images of 8 to 512 pixels are supported."
        )
    return height


def _ends_in_softmax(configs: list[LayerConfig]) -> bool:
    last = configs[-1]
    return last["class_name"] == "Softmax" or activation_name(last["config"].get("activation")) == "softmax"


def _first_line(error: Exception) -> str:
    return reprlib.repr(str(error).splitlines()[0] if str(error) else type(error).__name__)
