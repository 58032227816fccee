"""Reads Keras weights from HDF5 files of Keras 1, 2 and 3."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from tinysight._util.errors import ModelError
from tinysight.interop.keras import hdf5
from tinysight.interop.keras.architecture import KerasArchitecture, KerasLayer
from tinysight.interop.keras.hdf5 import Array
from tinysight.recipes import layers
from tinysight.recipes.layers import Layer

if TYPE_CHECKING:
    import h5py


@dataclass(frozen=True)
class WeightSpec:
    """A tensor of the network, its shape in Keras, and the conversions from and to the layout of Keras."""

    key: str
    shape: tuple[int, ...]
    from_keras: Callable[[Array], Array]
    to_keras: Callable[[Array], Array]


def read_weights(file: h5py.File, architecture: KerasArchitecture, network: nn.Module) -> dict[str, Tensor]:
    """Read the state dict of `network`, which was built from the architecture, from an HDF5 file.

    Raises:
        ModelError: the weights do not match the architecture, or the file has unsupported content.
    """
    root = hdf5.get_group(file, "model_weights") if "model_weights" in file else file
    slots = weight_specs(architecture, network)
    is_keras_2 = bool(hdf5.read_names(root, "layer_names"))
    arrays = _read_keras_2(root, slots) if is_keras_2 else _read_keras_3(root, architecture, slots)
    state = dict(_default_state(network))
    state |= {slot.key: torch.from_numpy(slot.from_keras(values).copy()) for slot, values in arrays}
    return state


def weight_specs(architecture: KerasArchitecture, network: nn.Module) -> list[tuple[KerasLayer, list[WeightSpec]]]:
    """Return each Keras layer that has weights with its arrays, in the order of Keras."""
    modules = iter([(key, module) for key, module in network.named_modules() if _has_weights(module)])
    layer_slots = []
    for layer in architecture.layers:
        weighted = [(spec, *next(modules)) for spec in layer.specs if spec.kind in _WITH_WEIGHTS]
        if weighted:
            layer_slots.append((layer, [slot for spec, key, module in weighted for slot in _slots(spec, key, module)]))
    return layer_slots


_WITH_WEIGHTS = ("convolution", "depthwise", "dense", "batch_normalization")


def _has_weights(module: nn.Module) -> bool:
    return isinstance(module, nn.Conv2d | nn.Linear | nn.BatchNorm1d | nn.BatchNorm2d)


def _slots(layer: Layer, key: str, module: nn.Module) -> Iterator[WeightSpec]:
    """Yield the arrays of one layer specification, in the order of Keras."""
    match layer, module:
        case layers.BatchNorm(), nn.BatchNorm1d() | nn.BatchNorm2d():
            saved = {"weight": layer.scale, "bias": layer.shift, "running_mean": True, "running_var": True}
            for name in [name for name, is_saved in saved.items() if is_saved]:
                yield WeightSpec(f"{key}.{name}", (module.num_features,), _identity, _identity)
        case layers.DepthwiseConv2d(), nn.Conv2d():
            torch_shape = tuple(module.weight.shape)
            shape = (*torch_shape[2:], module.in_channels, layer.multiplier)
            yield WeightSpec(
                f"{key}.weight",
                shape,
                lambda values: values.transpose(2, 3, 0, 1).reshape(torch_shape),
                lambda values: values.reshape(*shape[2:], *shape[:2]).transpose(2, 3, 0, 1),
            )
        case layers.Conv2d(), nn.Conv2d():
            outputs, inputs, height, width = module.weight.shape
            shape = (height, width, inputs, outputs)
            yield WeightSpec(
                f"{key}.weight",
                shape,
                lambda values: values.transpose(3, 2, 0, 1),
                lambda values: values.transpose(2, 3, 1, 0),
            )
        case layers.Dense(), nn.Linear():
            shape = (module.in_features, module.out_features)
            yield WeightSpec(f"{key}.weight", shape, lambda values: values.T, lambda values: values.T)
    if isinstance(module, nn.Conv2d | nn.Linear) and module.bias is not None:
        yield WeightSpec(f"{key}.bias", tuple(module.bias.shape), _identity, _identity)


def _identity(values: Array) -> Array:
    return values


def _default_state(network: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Yield the batch normalization tensors that Keras may not save: scale 1, shift 0, batch count 0."""
    for key, module in network.named_modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            yield f"{key}.weight", torch.ones(module.num_features)
            yield f"{key}.bias", torch.zeros(module.num_features)
            yield f"{key}.num_batches_tracked", torch.tensor(0)


def _read_keras_2(
    root: h5py.Group, slots: list[tuple[KerasLayer, list[WeightSpec]]]
) -> Iterator[tuple[WeightSpec, Array]]:
    """Yield the arrays of Keras 1 and 2: one group per layer, each with a list of its arrays, matched by order."""
    groups = [(name, hdf5.get_group(root, name)) for name in hdf5.read_names(root, "layer_names")]
    weighted = [(name, group, arrays) for name, group in groups if (arrays := hdf5.read_names(group, "weight_names"))]
    if len(weighted) != len(slots):
        raise ModelError(
            f"Weights: the file has weights of {len(weighted)} layers, but the architecture needs {len(slots)}. "
            "Give the weights of this architecture."
        )
    for (name, group, arrays), (layer, layer_slots) in zip(weighted, slots, strict=True):
        if len(arrays) != len(layer_slots):
            raise ModelError(
                f"{name}: the file has {len(arrays)} arrays, but {layer.kind} has {len(layer_slots)}. Give the "
                "weights of this architecture."
            )
        for array, slot in zip(arrays, layer_slots, strict=True):
            yield slot, hdf5.read_array(group, array, slot.shape)


def _read_keras_3(
    root: h5py.Group, architecture: KerasArchitecture, slots: list[tuple[KerasLayer, list[WeightSpec]]]
) -> Iterator[tuple[WeightSpec, Array]]:
    """Yield the arrays of Keras 3: layers/CLASS_NUMBER/vars/NUMBER, with the layers of a class numbered in order."""
    if "layers" not in root:
        raise ModelError(
            "Weights: the file has neither `layer_names` nor a group `layers`. Give a weights file that Keras saved."
        )
    counts: Counter[str] = Counter()
    slots_by_layer = {id(layer): layer_slots for layer, layer_slots in slots}
    for layer in architecture.layers:
        name = snake_case(layer.kind)
        group = f"layers/{name}_{counts[name]}" if counts[name] else f"layers/{name}"
        counts[name] += 1
        for index, slot in enumerate(slots_by_layer.get(id(layer), [])):
            yield slot, hdf5.read_array(root, f"{group}/vars/{index}", slot.shape)


def snake_case(kind: str) -> str:
    """Return a class name as Keras 3 writes it in weight files: SeparableConv2D becomes separable_conv2d."""
    return re.sub("([a-z])([A-Z])", r"\1_\2", re.sub("(.)([A-Z][a-z]+)", r"\1_\2", kind)).lower()
