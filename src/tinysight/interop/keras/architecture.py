"""Read the architecture JSON of Keras 1, 2 and 3."""

from __future__ import annotations

import json
import reprlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from tinysight._util.errors import ModelError, did_you_mean
from tinysight.interop.keras.layer_readers import (
    INACTIVE,
    READERS,
    LayerConfig,
    UnsupportedLayerError,
    activation_name,
    read_activation,
    snake_case,
)
from tinysight.recipes import layers
from tinysight.recipes.layers import Layer

MAX_BYTES = 10_000_000  # bytes
MAX_LAYERS = 1000
_MAX_DEPTH = 10  # models inside models
_MODELS = ("Sequential", "Functional", "Model")
_LARGEST_BYTE_SCALE = 0.1  # a layer that multiplies pixels by less expects them from 0 to 255

Output = Literal["softmax", "sigmoid", "logits"]


@dataclass(frozen=True)
class KerasLayer:
    """A Keras layer and its equivalent layer specifications; a separable convolution has two.

    Attributes:
        kind: class of the layer.
        name: its name in the model.
        specs: the layer specifications.
        model: name of the outermost model inside the model that contains it; empty if there is none.
        group: its group in a weights file of Keras 3.
        is_adapted: whether it normalizes by a mean and a variance that are in the weights file.
        is_scalar: whether these are one number each, for all channels.
    """

    kind: str
    name: str
    specs: tuple[Layer, ...]
    model: str = ""
    group: str = ""
    is_adapted: bool = False
    is_scalar: bool = False


@dataclass(frozen=True)
class KerasArchitecture:
    """The architecture of a Keras model whose layers form a chain.

    Attributes:
        image_size: height and width of the input images, in pixels.
        layers: in order, without the final softmax or sigmoid.
        output: what the model returns: probabilities by softmax, that of the second class by sigmoid, or logits.
    """

    image_size: int
    layers: tuple[KerasLayer, ...]
    output: Output = "softmax"

    @property
    def layer_specs(self) -> list[Layer]:
        """All layer specifications, in order."""
        return [spec for layer in self.layers for spec in layer.specs]

    @property
    def takes_raw_pixels(self) -> bool:
        """Whether its first layer scales pixels of 0..255; other models are assumed to take 0..1."""
        first = next(iter(self.layer_specs), None)
        if not isinstance(first, layers.Rescaling):
            return False
        scales = first.scale if isinstance(first.scale, tuple) else (first.scale,)
        return max(map(abs, scales)) < _LARGEST_BYTE_SCALE


@dataclass(frozen=True)
class _Entry:
    """A layer of the flattened model, in Keras's configuration, with the attributes of `KerasLayer`."""

    kind: str
    config: LayerConfig
    model: str
    group: str


def read_architecture(path: Path, logits: bool = False) -> KerasArchitecture:
    """Read the architecture from a JSON file that `model.to_json()` returned; `logits` as in `parse_architecture`.

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
        raise ModelError(
            f"{path}: cannot be read. Give a .keras or .h5 file, or the JSON file from `model.to_json()`."
        ) from error
    return parse_architecture(text, str(path), logits)


def parse_architecture(text: str, source: str, logits: bool = False) -> KerasArchitecture:
    """Parse the architecture in JSON `text`; `source` is its name in errors. Raises like `read_architecture`.

    `logits` reads the outputs as logits, whatever the last activation is.
    """
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ModelError(
            f"{source}: not valid JSON ({reprlib.repr(str(error))}). Give the JSON from `model.to_json()`."
        ) from error
    try:
        return _architecture(values, logits)
    except UnsupportedLayerError as error:
        raise ModelError(f"{source}: {error}") from error
    except (LookupError, TypeError, ValueError, AttributeError, ValidationError) as error:
        raise ModelError(f"{source}: not a Keras architecture that can be read ({_first_line(error)}).") from error


def _architecture(values: Any, logits: bool) -> KerasArchitecture:
    kind = values.get("class_name") if isinstance(values, dict) else type(values).__name__
    if kind not in _MODELS:
        raise UnsupportedLayerError(
            f"{reprlib.repr(kind)} is not a Keras model. Only Sequential and Functional models can be imported."
        )
    entries: list[_Entry] = []
    for entry in _flatten(values):
        entries.append(entry)
        if len(entries) > MAX_LAYERS:
            raise UnsupportedLayerError(f"more than {MAX_LAYERS:,} layers. At most {MAX_LAYERS:,} can be imported.")
    size = _image_size(values, entries)
    last = _last_active(entries)
    output = _output(entries[last], logits)
    keras_layers: list[KerasLayer] = []
    shape: tuple[int, int] | None = (size, size)
    for index, entry in enumerate(entries):
        layer, shape = _read_layer(index, entry, shape, drops_activation=index == last and output != "logits")
        keras_layers.append(layer)
    return KerasArchitecture(size, tuple(keras_layers), output)


def _flatten(values: Any, model: str = "", group: str = "", depth: int = 0) -> Iterator[_Entry]:
    """Yield the layers of a model and of the models inside it, in the order in which they run."""
    if depth > _MAX_DEPTH:
        raise UnsupportedLayerError(f"models are nested more than {_MAX_DEPTH} deep. Flatten them.")
    numbers: Counter[str] = Counter()
    groups = {}
    configs = _layer_configs(values)
    for position, entry in enumerate(configs):
        name = snake_case(str(entry["class_name"]))
        suffix = f"_{numbers[name]}" if numbers[name] else ""
        groups[position] = f"{group}layers/{name}{suffix}"
        numbers[name] += 1
    is_sequential = values["class_name"] == "Sequential"
    for position in range(len(configs)) if is_sequential else _chain(values, configs):
        entry = configs[position]
        kind, config = entry["class_name"], entry["config"]
        if kind in _MODELS:
            name = str(config.get("name", "") if isinstance(config, dict) else "")
            yield from _flatten(entry, model or name, f"{groups[position]}/", depth + 1)
        else:
            yield _Entry(kind, config, model, groups[position])


def _layer_configs(values: Any) -> list[LayerConfig]:
    config = values["config"]
    entries: list[LayerConfig] = config if isinstance(config, list) else config["layers"]  # a list until Keras 2.2
    if len(entries) > MAX_LAYERS:
        raise UnsupportedLayerError(f"{len(entries):,} layers are too many. At most {MAX_LAYERS:,} can be imported.")
    return entries


def _chain(values: Any, configs: Sequence[LayerConfig]) -> list[int]:
    """Return the positions of the layers of a functional model from its input to its output."""
    positions = {_name(entry): position for position, entry in enumerate(configs)}
    inputs, outputs = (_tensors(values["config"][key]) for key in ("input_layers", "output_layers"))
    if len(inputs) != 1 or len(outputs) != 1:
        raise UnsupportedLayerError(
            f"the model has {len(inputs)} inputs and {len(outputs)} outputs. Only models with one of each can be "
            "imported."
        )
    chain = [outputs[0]]
    while chain[-1] != inputs[0]:
        entry = configs[positions[chain[-1]]]
        nodes = entry.get("inbound_nodes") or []
        sources = _tensors(nodes)
        if len(nodes) != 1 or len(sources) != 1 or len(chain) > len(configs):
            raise UnsupportedLayerError(
                f"layer {reprlib.repr(_name(entry))} ({entry['class_name']}) joins or repeats branches. Only models "
                "whose layers form a chain can be imported."
            )
        chain.append(sources[0])
    return [positions[name] for name in reversed(chain)]


def _name(entry: LayerConfig) -> str:
    return str(entry.get("name") or entry["config"]["name"])


def _tensors(value: Any) -> list[str]:
    """Return the names of the layers whose outputs a configuration refers to, in the form of any Keras version."""
    if isinstance(value, dict):
        history = value.get("keras_history")
        return [str(history[0])] if history else [name for part in value.values() for name in _tensors(part)]
    if not isinstance(value, list):
        return []
    if len(value) >= 3 and isinstance(value[0], str) and all(isinstance(index, int) for index in value[1:3]):
        return [value[0]]
    return [name for part in value for name in _tensors(part)]


def _read_layer(
    index: int, entry: _Entry, shape: tuple[int, int] | None, drops_activation: bool
) -> tuple[KerasLayer, tuple[int, int] | None]:
    """Return a layer, and the height and width after it as long as there are only layers that prepare images."""
    kind, config = entry.kind, entry.config
    if not isinstance(kind, str) or (kind not in READERS and kind not in INACTIVE):
        raise UnsupportedLayerError(
            f"layer {index + 1} is an unsupported {reprlib.repr(kind)}.{_suggestion(str(kind))}"
        )
    if config.get("data_format", "channels_last") == "channels_first" or config.get("dim_ordering", "tf") == "th":
        raise UnsupportedLayerError(f"layer {index + 1} ({kind}) is channels first. Only channels last is supported.")
    layer = KerasLayer(kind, str(config.get("name", "")), (), entry.model, entry.group)
    if kind in INACTIVE:
        return layer, shape
    if kind == "CenterCrop":
        if shape is None:
            raise UnsupportedLayerError(f"layer {index + 1} (CenterCrop) is only supported before other layers.")
        config = config | {"input_shape": shape}
    if kind in ("Resizing", "CenterCrop"):
        shape = (config["height"], config["width"])
    elif kind not in ("Rescaling", "Normalization"):
        shape = None
    specs = list(READERS[kind](config))
    if kind == "Softmax" and not drops_activation:
        raise UnsupportedLayerError(f"layer {index + 1} (Softmax) is not the last one. Only a last softmax is read.")
    if not drops_activation:
        specs += read_activation(config.get("activation"))
    is_adapted = kind == "Normalization" and config.get("mean") is None
    return replace(
        layer, specs=tuple(specs), is_adapted=is_adapted, is_scalar=config.get("axis", -1) in (None, [])
    ), shape


def _suggestion(kind: str) -> str:
    """Return the class that was meant, if the name differs by case or a typing error only."""
    suggestion = did_you_mean(kind, READERS)
    close = suggestion.partition("'")[2].partition("'")[0]
    is_typo = suggestion.startswith(" Did you mean") and close.lower() == kind.lower()
    return suggestion if is_typo else " Replace it in Keras by supported layers, and save the model again."


def _image_size(values: Any, entries: Sequence[_Entry]) -> int:
    shape = _input_shape(values["config"], entries[0].config)
    _, height, width, channels = shape
    if height is None and width is None:  # the first resizing then sets the size
        first = next((entry for entry in entries if entry.kind not in INACTIVE), None)
        if first and first.kind == "Resizing":
            height, width = first.config["height"], first.config["width"]
    if height != width or channels != 3 or not isinstance(height, int) or not 8 <= height <= 512:
        raise UnsupportedLayerError(
            f"the input shape is {list(shape[1:])}. Only square color images of 8 to 512 pixels are supported."
        )
    return height


def _input_shape(model: Any, first: LayerConfig) -> Any:
    for config in (first, model if isinstance(model, dict) else {}):
        for key in ("batch_shape", "batch_input_shape", "build_input_shape"):
            if config.get(key):
                return config[key]
    return [None, *first["input_shape"]]


def _last_active(entries: Sequence[_Entry]) -> int:
    """Return the index of the last layer that does something at prediction."""
    for index in range(len(entries) - 1, 0, -1):
        entry = entries[index]
        is_linear = entry.kind == "Activation" and activation_name(entry.config.get("activation")) == "linear"
        if entry.kind not in INACTIVE and entry.kind != "Dropout" and not is_linear:
            return index
    return 0


def _output(last: _Entry, logits: bool) -> Output:
    function = "softmax" if last.kind == "Softmax" else activation_name(last.config.get("activation"))
    match function:
        case "softmax" if logits:
            raise UnsupportedLayerError("the model ends in a softmax, so its outputs are no logits. Pass logits=False.")
        case "softmax":
            return "softmax"
        case "sigmoid" if not logits:
            return "sigmoid"
        case "linear":
            return "logits"
        case _ if logits:
            return "logits"
        case _:
            raise UnsupportedLayerError(
                f"the model ends in {reprlib.repr(function)}, not in a softmax, a sigmoid or logits. Pass logits=True "
                "to read its outputs as logits."
            )


def _first_line(error: Exception) -> str:
    return reprlib.repr(str(error).splitlines()[0] if str(error) else type(error).__name__)
