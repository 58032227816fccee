"""The weights of a Keras model, from both layouts of HDF5 that there are, as tensors of our network."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from tinysight.errors import ModelError
from tinysight.interop.keras import hdf5
from tinysight.interop.keras.architecture import Architecture, Weighted
from tinysight.interop.keras.hdf5 import Array
from tinysight.recipes import layers
from tinysight.recipes.layers import Layer

if TYPE_CHECKING:
    import h5py


@dataclass(frozen=True)
class Slot:
    """A tensor of our network, the shape that Keras keeps it in, and the ways from Keras' order to ours and back."""

    key: str
    shape: tuple[int, ...]
    turned: Callable[[Array], Array]
    back: Callable[[Array], Array]


def read_weights(file: h5py.File, architecture: Architecture, network: nn.Sequential) -> dict[str, Tensor]:
    """Return the state of `network`, which was built from the architecture's description, as the file has it.

    Raises:
        ModelError: the file holds the weights of another architecture, or anything that is not read.
    """
    root = hdf5.group(file, "model_weights") if "model_weights" in file else file
    slots = slots_of(architecture, network)
    arrays = _listed(root, slots) if hdf5.names(root, "layer_names") else _numbered(root, architecture, slots)
    state = dict(_fixed(network))
    state |= {slot.key: torch.from_numpy(slot.turned(values).copy()) for slot, values in arrays}
    return state


def slots_of(architecture: Architecture, network: nn.Sequential) -> list[tuple[Weighted, list[Slot]]]:
    """Return for every layer of Keras that has weights what it keeps, in its order."""
    own = iter([(key, module) for key, module in network.named_children() if _has_weights(module)])
    found = []
    for layer in architecture.layers:
        kept = [(one, *next(own)) for one in layer.layers if one.kind in _WITH_WEIGHTS]
        if kept:
            found.append((layer, [slot for one, key, module in kept for slot in _slots(one, key, module)]))
    return found


_WITH_WEIGHTS = ("convolution", "depthwise", "dense", "batch_normalisation")


def _has_weights(module: nn.Module) -> bool:
    return isinstance(module, nn.Conv2d | nn.Linear | nn.BatchNorm1d | nn.BatchNorm2d)


def _slots(layer: Layer, key: str, module: nn.Module) -> Iterator[Slot]:
    """Yield the arrays of one of our layers, in the order in which Keras keeps them."""
    match layer, module:
        case layers.Normalising(), nn.BatchNorm1d() | nn.BatchNorm2d():
            kept = {"weight": layer.scale, "bias": layer.shift, "running_mean": True, "running_var": True}
            for name in [name for name, is_kept in kept.items() if is_kept]:
                yield Slot(f"{key}.{name}", (module.num_features,), _same, _same)
        case layers.Depthwise(), nn.Conv2d():
            turned = tuple(module.weight.shape)
            shape = (*turned[2:], module.in_channels, layer.multiplier)
            yield Slot(
                f"{key}.weight",
                shape,
                lambda values: values.transpose(2, 3, 0, 1).reshape(turned),
                lambda values: values.reshape(*shape[2:], *shape[:2]).transpose(2, 3, 0, 1),
            )
        case layers.Convolution(), nn.Conv2d():
            outputs, inputs, height, width = module.weight.shape
            shape = (height, width, inputs, outputs)
            yield Slot(
                f"{key}.weight",
                shape,
                lambda values: values.transpose(3, 2, 0, 1),
                lambda values: values.transpose(2, 3, 1, 0),
            )
        case layers.Dense(), nn.Linear():
            shape = (module.in_features, module.out_features)
            yield Slot(f"{key}.weight", shape, lambda values: values.T, lambda values: values.T)
    if isinstance(module, nn.Conv2d | nn.Linear) and module.bias is not None:
        yield Slot(f"{key}.bias", tuple(module.bias.shape), _same, _same)


def _same(values: Array) -> Array:
    return values


def _fixed(network: nn.Sequential) -> Iterator[tuple[str, Tensor]]:
    """Yield what Keras does not keep, since it never changes: scales of 1, shifts of 0, and counts nobody needs."""
    for key, module in network.named_children():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            yield f"{key}.weight", torch.ones(module.num_features)
            yield f"{key}.bias", torch.zeros(module.num_features)
            yield f"{key}.num_batches_tracked", torch.tensor(0)


def _listed(root: h5py.Group, slots: list[tuple[Weighted, list[Slot]]]) -> Iterator[tuple[Slot, Array]]:
    """Yield what Keras 1 and 2 wrote: a group a layer, each with a list of its arrays; matched by their order."""
    layers = [(name, hdf5.group(root, name)) for name in hdf5.names(root, "layer_names")]
    with_weights = [(name, group, kept) for name, group in layers if (kept := hdf5.names(group, "weight_names"))]
    if len(with_weights) != len(slots):
        raise ModelError(f"There are weights of {len(with_weights)} layers, but the architecture has {len(slots)}.")
    for (name, group, kept), (layer, wanted) in zip(with_weights, slots, strict=True):
        if len(kept) != len(wanted):
            raise ModelError(f"{name} has {len(kept)} arrays, but the architecture's {layer.kind} has {len(wanted)}.")
        for array, slot in zip(kept, wanted, strict=True):
            yield slot, hdf5.array(group, array, slot.shape)


def _numbered(
    root: h5py.Group, architecture: Architecture, slots: list[tuple[Weighted, list[Slot]]]
) -> Iterator[tuple[Slot, Array]]:
    """Yield what Keras 3 writes: layers/CLASS_NUMBER/vars/NUMBER, layers of a class numbered in their order."""
    if "layers" not in root:
        raise ModelError(
            "These weights have neither a list of layers nor a group `layers`, so Keras did not save them."
        )
    seen: Counter[str] = Counter()
    wanted = {id(layer): slots_of_layer for layer, slots_of_layer in slots}
    for layer in architecture.layers:
        name = snake_case(layer.kind)
        place = f"layers/{name}_{seen[name]}" if seen[name] else f"layers/{name}"
        seen[name] += 1
        for number, slot in enumerate(wanted.get(id(layer), [])):
            yield slot, hdf5.array(root, f"{place}/vars/{number}", slot.shape)


def snake_case(kind: str) -> str:
    """Return the name of a class as Keras 3 writes it into files: SeparableConv2D is separable_conv2d."""
    return re.sub("([a-z])([A-Z])", r"\1_\2", re.sub("(.)([A-Z][a-z]+)", r"\1_\2", kind)).lower()
