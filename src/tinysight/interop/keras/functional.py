"""Flattens Keras models, and the models inside them, to the calls of their layers in the order in which they run."""

from __future__ import annotations

import reprlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from graphlib import CycleError, TopologicalSorter
from heapq import heappop, heappush
from typing import Any

from tinysight.interop.keras.layer_readers import LayerConfig, UnsupportedLayerError, snake_case

MAX_LAYERS = 1000
MODELS = ("Sequential", "Functional", "Model")
_MAX_DEPTH = 10  # models inside models

_Tensor = tuple[str, int]  # name of a layer, and which of its calls
_Call = tuple[int, int]  # position of a layer in the configuration, and which of its calls


@dataclass(frozen=True)
class LayerCall:
    """A call of a layer.

    Attributes:
        kind: class of the layer.
        config: its configuration.
        inputs: numbers of the calls whose outputs it takes; the image has none.
        arguments: its arguments, those of lists included, with None for tensors.
        is_operation: whether it is a function of `keras.ops` or TensorFlow, such as `x + y`, instead of a layer.
        is_shared: whether the model calls the layer several times.
        model: name of the outermost model inside the model that contains it; empty if there is none.
        group: its group in a weights file of Keras 3.
    """

    kind: str
    config: LayerConfig
    inputs: tuple[int, ...]
    arguments: tuple[Any, ...]
    is_operation: bool
    is_shared: bool
    model: str
    group: str

    @property
    def name(self) -> str:
        """Its name in the model."""
        return str(self.config.get("name", ""))


def flatten(values: Any) -> list[LayerCall]:
    """Return the calls of all layers of a model, given as configuration; each follows its inputs.

    Raises:
        UnsupportedLayerError: the model has several inputs or outputs, a loop, or too many layers.
    """
    calls: list[LayerCall] = []
    _add_model(calls, values, _Place())
    return calls


@dataclass(frozen=True)
class _Place:
    """Where a model is inside another one: its input, and what its layers have in common."""

    source: int | None = None
    model: str = ""
    group: str = ""
    is_shared: bool = False
    depth: int = 0


def _add_model(calls: list[LayerCall], values: Any, place: _Place) -> int | None:
    """Add the layers of a model to `calls`; return the number of its last one, or that of its input if it has none."""
    if place.depth > _MAX_DEPTH:
        raise UnsupportedLayerError(f"models are nested more than {_MAX_DEPTH} deep. Flatten them.")
    configs = _layer_configs(values)
    groups = _groups(configs, place.group)
    outputs: dict[_Call, int | None] = {}
    last = place.source
    for step in _chain(configs) if values["class_name"] == "Sequential" else _functional(values, configs):
        entry, group = configs[step.call[0]], groups[step.call[0]]
        numbers = [outputs[call] for call in step.sources] or [place.source]
        inputs = tuple(number for number in numbers if number is not None)
        inner = replace(place, group=group, is_shared=place.is_shared or step.is_shared)
        if entry["class_name"] in MODELS:
            last = _add_model(calls, entry, _inside(entry, inner, inputs))
        else:
            last = _add_layer(calls, entry, inner, inputs, step.arguments)
        outputs[step.call] = last
    return last


def _inside(entry: LayerConfig, place: _Place, inputs: Sequence[int]) -> _Place:
    """Return the place of the layers of a model at this place."""
    if len(inputs) > 1:
        raise UnsupportedLayerError(
            f"model {reprlib.repr(_name(entry))} inside the model has {len(inputs)} inputs. Only models with one input "
            "can be imported."
        )
    config = entry["config"]
    name = str(config.get("name", "") if isinstance(config, dict) else "")
    return replace(
        place,
        source=inputs[0] if inputs else None,
        model=place.model or name,
        group=f"{place.group}/",
        depth=place.depth + 1,
    )


def _add_layer(
    calls: list[LayerCall], entry: LayerConfig, place: _Place, inputs: tuple[int, ...], arguments: tuple[Any, ...]
) -> int:
    if len(calls) == MAX_LAYERS:
        raise UnsupportedLayerError(f"more than {MAX_LAYERS:,} layers. At most {MAX_LAYERS:,} can be imported.")
    kind, config = entry["class_name"], entry["config"]
    is_operation = str(entry.get("module") or "").startswith("keras.src.ops.")
    if kind == "TFOpLambda":
        kind, is_operation = str(config["function"]), True
    calls.append(LayerCall(kind, config, inputs, arguments, is_operation, place.is_shared, place.model, place.group))
    return len(calls) - 1


@dataclass(frozen=True)
class _Step:
    """A call in one model: the calls that it takes, its positional arguments, and whether there are others of it."""

    call: _Call
    sources: tuple[_Call, ...] = ()
    arguments: tuple[Any, ...] = (None,)
    is_shared: bool = False


def _layer_configs(values: Any) -> list[LayerConfig]:
    config = values["config"]
    entries: list[LayerConfig] = config if isinstance(config, list) else config["layers"]  # a list until Keras 2.2
    if len(entries) > MAX_LAYERS:
        raise UnsupportedLayerError(f"{len(entries):,} layers are too many. At most {MAX_LAYERS:,} can be imported.")
    return entries


def _groups(configs: Sequence[LayerConfig], parent: str) -> list[str]:
    """Return the group of each layer in a weights file of Keras 3, which numbers the layers of each class."""
    numbers: Counter[str] = Counter()
    groups = []
    for entry in configs:
        name = snake_case(str(entry["class_name"]))
        groups.append(f"{parent}layers/{name}{f'_{numbers[name]}' if numbers[name] else ''}")
        numbers[name] += 1
    return groups


def _chain(configs: Sequence[LayerConfig]) -> Iterator[_Step]:
    for position in range(len(configs)):
        yield _Step((position, 0), ((position - 1, 0),) if position else ())


def _functional(values: Any, configs: Sequence[LayerConfig]) -> list[_Step]:
    """Return the calls between the input and the output of a functional model, in topological order."""
    first, last = _ends(values)
    positions = {_name(entry): position for position, entry in enumerate(configs)}

    def locate(tensor: _Tensor) -> _Call:
        position = positions[tensor[0]]
        nodes = configs[position].get("inbound_nodes") or []
        return position, tensor[1] if len(nodes) > 1 else 0  # a layer with one call may have others elsewhere

    steps: dict[_Call, _Step] = {}
    start, pending = locate(first), [locate(last)]
    while pending:
        call = pending.pop()
        if call not in steps:
            steps[call] = _Step(call) if call == start else _read_step(configs[call[0]], call, locate)
            pending += steps[call].sources
    uses = Counter(position for position, _ in steps)
    ordered = _in_order({call: step.sources for call, step in steps.items()})
    return [replace(steps[call], is_shared=uses[call[0]] > 1) for call in ordered]


def _in_order(sources: dict[_Call, tuple[_Call, ...]]) -> Iterator[_Call]:
    """Yield the calls in topological order, and as far as possible in the order of the configuration."""
    sorter = TopologicalSorter(sources)
    try:
        sorter.prepare()
    except CycleError as error:
        raise UnsupportedLayerError("the layers form a loop. Only models without loops can be imported.") from error
    ready: list[_Call] = []
    while sorter.is_active():
        for call in sorter.get_ready():
            heappush(ready, call)
        call = heappop(ready)
        sorter.done(call)
        yield call


def _read_step(entry: LayerConfig, call: _Call, locate: Callable[[_Tensor], _Call]) -> _Step:
    nodes = entry.get("inbound_nodes") or []
    tensors = _tensors(nodes[call[1]]) if nodes else []
    label = f"layer {reprlib.repr(_name(entry))} ({entry['class_name']})"
    if not tensors:
        raise UnsupportedLayerError(f"{label} takes no tensor. Only models with one input can be imported.")
    if entry["class_name"] in (*MODELS, *_DIFFERENT_IN_TRAINING) and _runs_as_in_training(nodes[call[1]]):
        raise UnsupportedLayerError(f"{label} is called with training=True. Call it without, and save the model again.")
    return _Step(call, tuple(map(locate, tensors)), _arguments(nodes[call[1]]))


# Keras 3 writes training=True for the layers that prepare images, even if the user does not.
_DIFFERENT_IN_TRAINING = (
    "Dropout",
    "SpatialDropout2D",
    "AlphaDropout",
    "GaussianDropout",
    "GaussianNoise",
    "BatchNormalization",
)


def _ends(values: Any) -> tuple[_Tensor, _Tensor]:
    inputs, outputs = (_tensors(values["config"][key]) for key in ("input_layers", "output_layers"))
    if len(inputs) != 1 or len(outputs) != 1:
        names = reprlib.repr([name for name, _ in (*inputs, *outputs)])
        raise UnsupportedLayerError(
            f"the model has {len(inputs)} inputs and {len(outputs)} outputs: {names}. Only models with one of each can "
            "be imported. Save keras.Model(input, output) with one of each."
        )
    return inputs[0], outputs[0]


def _name(entry: LayerConfig) -> str:
    return str(entry.get("name") or entry["config"]["name"])


def _tensors(value: Any) -> list[_Tensor]:
    """Return the calls whose outputs a configuration refers to, in the form of any Keras version."""
    if isinstance(value, dict):
        history = value.get("keras_history")
        if history:
            return [(str(history[0]), int(history[1]))]
        return [tensor for part in value.values() for tensor in _tensors(part)]
    if not isinstance(value, list):
        return []
    if len(value) >= 3 and isinstance(value[0], str) and all(isinstance(index, int) for index in value[1:3]):
        return [(value[0], value[1]), *_tensors(value[3] if len(value) > 3 else {})]  # the keywords of the call
    return [tensor for part in value for tensor in _tensors(part)]


def _arguments(node: Any) -> tuple[Any, ...]:
    """Return the arguments of a call, those of lists included, with None for tensors."""
    if not isinstance(node, dict):
        return _keras_2_arguments(node)

    def read(value: Any) -> list[Any]:
        if isinstance(value, list):
            return [argument for part in value for argument in read(part)]
        return [None if isinstance(value, dict) and _tensors(value) else value]

    return tuple(read(node["args"]))


def _keras_2_arguments(node: Any) -> tuple[Any, ...]:
    """Return the arguments of a call in Keras 2, which for a function of TensorFlow are a tensor and a keyword y."""
    keywords = node[3] if len(node) > 3 and isinstance(node[3], dict) else {}
    if "y" not in keywords:
        return tuple(None for _ in _tensors(node))
    return None, None if _tensors(keywords["y"]) else keywords["y"]


def _runs_as_in_training(node: Any) -> bool:
    """Return whether the layer is called with training=True, in the form of Keras 2 or 3."""
    if isinstance(node, dict):
        return node.get("kwargs", {}).get("training") is True or any(value is True for value in node.get("args", ()))
    return any(
        part[-1].get("training") is True for part in node if isinstance(part, list) and isinstance(part[-1], dict)
    )
