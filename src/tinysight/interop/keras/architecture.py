"""The architecture JSON of Keras 1, 2 and 3, into layers of ours."""

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
    """A Keras layer: its class and name, and ours that do the same. A separable convolution is two of ours."""

    kind: str
    name: str
    layers: tuple[Layer, ...]


@dataclass(frozen=True)
class Architecture:
    """A network as Keras wrote it down.

    Attributes:
        image_size: height and width of what it takes, pixels.
        layers: in their order, a closing softmax left out.
        takes_raw_pixels: whether its first layer rescales, so that it takes 0..255; others are given 0..1.
    """

    image_size: int
    layers: tuple[Weighted, ...]
    takes_raw_pixels: bool

    @property
    def description(self) -> list[Layer]:
        """All layers of ours, in their order."""
        return [one for layer in self.layers for one in layer.layers]


def read_architecture(path: Path) -> Architecture:
    """Return the architecture in a JSON file that `model.to_json()` wrote.

    Raises:
        ModelError: it is no such file, or has layers that are not on the list or are set in a way that is not known.
    """
    try:
        if path.stat().st_size > LARGEST:
            raise ModelError(f"{path} is far too large for an architecture.")
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(f"{path} cannot be read; name the JSON file that `model.to_json()` gave.") from error
    return parse_architecture(text, str(path))


def parse_architecture(text: str, source: str) -> Architecture:
    """Return the architecture in JSON `text`; `source` names it in errors. Raises ModelError as `read_architecture`."""
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{source} is no JSON ({reprlib.repr(str(error))}).") from error
    try:
        return _architecture(_steps(values))
    except StrangeError as error:
        raise ModelError(f"{source}: {error}") from error
    except (LookupError, TypeError, ValueError, AttributeError, ValidationError) as error:
        raise ModelError(f"{source} describes no network of Keras that can be read: {_first_line(error)}.") from error


def _steps(values: Any) -> list[Config]:
    """Return the layers of a sequential model, whichever version wrote it."""
    if not isinstance(values, dict) or values.get("class_name") != "Sequential":
        kind = values.get("class_name") if isinstance(values, dict) else type(values).__name__
        raise StrangeError(f"it is a {reprlib.repr(kind)} and not a Sequential model, the only kind that is read.")
    config = values["config"]
    steps = config if isinstance(config, list) else config["layers"]  # a bare list until Keras 2.2
    if len(steps) > MOST_LAYERS:
        raise StrangeError(f"it has {len(steps):,} layers; at most {MOST_LAYERS:,} are read.")
    return cast("list[Config]", steps)


def _architecture(steps: list[Config]) -> Architecture:
    size, found = _image_size(steps), []
    for number, step in enumerate(steps):
        kind, config = step["class_name"], step["config"]
        if not isinstance(kind, str) or kind not in READERS:
            raise StrangeError(f"layer {number + 1} is a {reprlib.repr(kind)}.{nearest(str(kind), READERS)}")
        if config.get("data_format", "channels_last") == "channels_first" or config.get("dim_ordering", "tf") == "th":
            raise StrangeError(f"layer {number + 1} ({kind}) wants channels first; only channels last is read.")
        own = [*READERS[kind](config), *activation(config.get("activation"), last=number == len(steps) - 1)]
        found.append(Weighted(kind, str(config.get("name", "")), tuple(own)))
    if not _ends_in_softmax(steps):
        raise StrangeError("it does not end in a softmax, so its answers are no probabilities of classes.")
    raw = next((layer.layers[0].kind == "rescaling" for layer in found if layer.layers), False)
    return Architecture(size, tuple(found), raw)


def _image_size(steps: list[Config]) -> int:
    config = steps[0]["config"]
    shape = config.get("batch_shape") or config.get("batch_input_shape") or [None, *config["input_shape"]]
    _, height, width, channels = shape
    if height != width or channels != 3 or not isinstance(height, int) or not 8 <= height <= 512:
        raise StrangeError(f"it takes images of the shape {shape[1:]}; only square colour images of 8 to 512 are read.")
    return height


def _ends_in_softmax(steps: list[Config]) -> bool:
    last = steps[-1]
    return last["class_name"] == "Softmax" or name_of(last["config"].get("activation")) == "softmax"


def _first_line(error: Exception) -> str:
    return reprlib.repr(str(error).splitlines()[0] if str(error) else type(error).__name__)
