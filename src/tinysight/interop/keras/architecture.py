"""Read the architecture JSON of Keras 1, 2 and 3."""

from __future__ import annotations

import json
import reprlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from tinysight._util.errors import ModelError, did_you_mean
from tinysight.interop.keras.functional import MODELS, LayerCall, flatten
from tinysight.interop.keras.graph import KerasLayer, to_chain
from tinysight.interop.keras.layer_readers import (
    INACTIVE,
    MERGES,
    READERS,
    LayerConfig,
    UnsupportedLayerError,
    activation_name,
    read_activation,
    read_operation,
)
from tinysight.recipes import layers
from tinysight.recipes.layers import Layer

MAX_BYTES = 10_000_000  # bytes
_LARGEST_BYTE_SCALE = 0.1  # a layer that multiplies pixels by less expects them from 0 to 255

Output = Literal["softmax", "sigmoid", "logits"]


@dataclass(frozen=True)
class KerasArchitecture:
    """The architecture of a Keras model.

    Attributes:
        image_size: height and width of the input images, in pixels.
        layers: each follows its inputs; without the final softmax or sigmoid.
        output: what the model returns: probabilities by softmax, that of the second class by sigmoid, or logits.
    """

    image_size: int
    layers: tuple[KerasLayer, ...]
    output: Output = "softmax"

    @property
    def layer_specs(self) -> list[Layer]:
        """The layer specifications, in order. Branches, with all that is between them, are one graph."""
        return to_chain(self.layers)

    @property
    def takes_raw_pixels(self) -> bool:
        """Whether its first layer scales pixels of 0..255; other models are assumed to take 0..1."""
        first = next(iter(self.layer_specs), None)
        if not isinstance(first, layers.Rescaling):
            return False
        scales = first.scale if isinstance(first.scale, tuple) else (first.scale,)
        return max(map(abs, scales)) < _LARGEST_BYTE_SCALE


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
    except (LookupError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise ModelError(f"{source}: not a Keras architecture that can be read ({_first_line(error)}).") from error


def _architecture(values: Any, logits: bool) -> KerasArchitecture:
    kind = values.get("class_name") if isinstance(values, dict) else type(values).__name__
    if kind not in MODELS:
        raise UnsupportedLayerError(
            f"{reprlib.repr(kind)} is not a Keras model. Only Sequential and Functional models can be imported."
        )
    calls = flatten(values)
    size = _image_size(values, calls)
    last = _last_active(calls)
    output = _output(calls[last], logits)
    keras_layers: list[KerasLayer] = []
    forms: list[_Form] = []
    for index, call in enumerate(calls):
        sources = [forms[number] for number in call.inputs] or [_Form((size, size))]
        layer = _read_layer(index, call, sources, drops_activation=index == last and output != "logits")
        keras_layers.append(layer)
        forms.append(_form(call, layer, sources))
    return KerasArchitecture(size, tuple(keras_layers), output)


@dataclass(frozen=True)
class _Form:
    """What is known of an output: its height and width as long as only layers precede that prepare images."""

    size: tuple[int, int] | None = None
    is_flat: bool = False


def _form(call: LayerCall, layer: KerasLayer, sources: Sequence[_Form]) -> _Form:
    if call.kind in ("Resizing", "CenterCrop"):
        return _Form((call.config["height"], call.config["width"]))
    is_preparation = call.kind in INACTIVE or call.kind in ("Rescaling", "Normalization")
    is_flat = all(source.is_flat for source in sources)
    for spec in layer.specs:
        is_flat = (is_flat or spec.kind in _FLATTENING) and spec.kind != "reshape"
    return _Form(sources[0].size if is_preparation else None, is_flat)


_FLATTENING = ("flatten", "global_max_pooling", "global_average_pooling")


def _read_layer(index: int, call: LayerCall, sources: Sequence[_Form], drops_activation: bool) -> KerasLayer:
    layer = KerasLayer(call.kind, call.name, (), call.inputs, call.model, call.group)
    if call.is_operation:
        are_flat = [source.is_flat for source in sources]
        return replace(layer, specs=tuple(read_operation(call.kind, call.config, call.arguments, are_flat)))
    _check_supported(index, call)
    if call.kind in INACTIVE:
        return layer
    label = f"layer {index + 1} ({call.kind})"
    specs = READERS[call.kind](call.config | _context(call, label, sources))
    if call.kind == "Softmax" and not drops_activation:
        raise UnsupportedLayerError(f"{label} is not the last one. Only a last softmax is read.")
    if not drops_activation:
        specs += read_activation(call.config.get("activation"))
    is_adapted = call.kind == "Normalization" and call.config.get("mean") is None
    is_scalar = call.config.get("axis", -1) in (None, [])
    layer = replace(layer, specs=tuple(specs), is_adapted=is_adapted, is_scalar=is_scalar)
    if call.is_shared and layer.has_weights:
        raise UnsupportedLayerError(
            f"{label}, named {reprlib.repr(call.name)}, is used several times with the same weights. Use a layer of "
            "its own in each place, and save the model again."
        )
    return layer


def _check_supported(index: int, call: LayerCall) -> None:
    kind, config = call.kind, call.config
    if not isinstance(kind, str) or (kind not in READERS and kind not in INACTIVE):
        name = f" Its name is {reprlib.repr(call.name)}." if call.name else ""
        raise UnsupportedLayerError(
            f"layer {index + 1} is an unsupported {reprlib.repr(kind)}.{_suggestion(str(kind))}{name}"
        )
    label = f"layer {index + 1} ({kind})"
    if config.get("data_format", "channels_last") == "channels_first" or config.get("dim_ordering", "tf") == "th":
        raise UnsupportedLayerError(f"{label} is channels first. Only channels last is supported.")
    if kind in MERGES and any(argument is not None for argument in call.arguments):
        raise UnsupportedLayerError(f"{label} takes a constant. Only tensors are supported.")
    if len(call.inputs) > 1 and kind not in MERGES:
        raise UnsupportedLayerError(f"{label} takes {len(call.inputs)} tensors. Only layers such as Add take several.")


def _context(call: LayerCall, label: str, sources: Sequence[_Form]) -> LayerConfig:
    """Return what the reader of a layer needs to know of its inputs."""
    if call.kind == "CenterCrop":
        if sources[0].size is None:
            raise UnsupportedLayerError(f"{label} is only supported before other layers.")
        return {"input_shape": sources[0].size}
    return {"is_flat": all(source.is_flat for source in sources)}


def _suggestion(kind: str) -> str:
    """Return the class that was meant, if the name differs by case or a typing error only."""
    suggestion = did_you_mean(kind, READERS)
    close = suggestion.partition("'")[2].partition("'")[0]
    is_typo = suggestion.startswith(" Did you mean") and close.lower() == kind.lower()
    return suggestion if is_typo else " Replace it in Keras by supported layers, and save the model again."


def _image_size(values: Any, calls: Sequence[LayerCall]) -> int:
    shape = _input_shape(values["config"], calls[0].config)
    _, height, width, channels = shape
    if height is None and width is None:  # the first resizing then sets the size
        first = next((call for call in calls if call.kind not in INACTIVE), None)
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


def _last_active(calls: Sequence[LayerCall]) -> int:
    """Return the number of the last layer that does something at prediction."""
    number = len(calls) - 1
    while calls[number].inputs:
        call = calls[number]
        is_linear = call.kind == "Activation" and activation_name(call.config.get("activation")) == "linear"
        if call.kind not in INACTIVE and call.kind != "Dropout" and not is_linear:
            break
        number = call.inputs[0]
    return number


def _output(last: LayerCall, logits: bool) -> Output:
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
