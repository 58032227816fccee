"""Read Keras weights from HDF5 files of Keras 1, 2 and 3."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from tinysight._util.errors import ModelError
from tinysight.interop.keras import hdf5
from tinysight.interop.keras.architecture import KerasArchitecture
from tinysight.interop.keras.graph import WITH_WEIGHTS, KerasLayer, Spec
from tinysight.interop.keras.hdf5 import Array
from tinysight.interop.keras.layer_readers import normalization_layer
from tinysight.recipes import layers

if TYPE_CHECKING:
    import h5py


@dataclass(frozen=True)
class WeightSpec:
    """A tensor of the network, its shape in Keras, and the conversions from and to the layout of Keras."""

    key: str
    shape: tuple[int, ...]
    from_keras: Callable[[Array], Array]
    to_keras: Callable[[Array], Array]


class WeightFile:
    """An HDF5 file of weights: finds the arrays of each layer of an architecture."""

    def __init__(self, file: h5py.File, architecture: KerasArchitecture) -> None:
        """Open the weights.

        Raises:
            ModelError: the file holds the weights of no Keras model, or of a different number of layers.
        """
        self._root = hdf5.get_group(file, "model_weights") if "model_weights" in file else file
        self._keras_2 = None
        if hdf5.read_names(self._root, "layer_names"):
            self._keras_2 = _keras_2_arrays(self._root, architecture)
        elif "layers" not in self._root:
            raise ModelError(
                "Weights: the file has neither `layer_names` nor a group `layers`. Give a weights file that Keras "
                "saved."
            )

    def read(self, layer: KerasLayer, shapes: Sequence[tuple[int, ...]]) -> list[Array]:
        """Read the arrays of a layer, in the order of Keras.

        Raises:
            ModelError: the arrays are missing, or have other shapes or types.
        """
        if self._keras_2 is None:
            return [hdf5.read_array(self._root, f"{layer.group}/vars/{i}", shape) for i, shape in enumerate(shapes)]
        group, names = self._keras_2[id(layer)]
        extra = 1 if layer.is_adapted else 0  # Normalization also counts the images that it has seen
        if not len(shapes) <= len(names) <= len(shapes) + extra:
            raise ModelError(
                f"{group.name.strip('/')}: the file has {len(names)} arrays, but {layer.kind} has {len(shapes)}. Give "
                "the weights of this architecture."
            )
        return [hdf5.read_array(group, name, shape) for name, shape in zip(names, shapes, strict=False)]


def read_weights(file: h5py.File, architecture: KerasArchitecture, network: nn.Module) -> dict[str, Tensor]:
    """Read the state dict of `network`, which was built from the architecture, from an HDF5 file.

    Raises:
        ModelError: the weights do not match the architecture, or the file has unsupported content.
    """
    weights, state = WeightFile(file, architecture), dict(_default_state(network))
    for layer, slots in weight_specs(architecture, network):
        arrays = weights.read(layer, [slot.shape for slot in slots])
        for slot, values in zip(slots, arrays, strict=True):
            state[slot.key] = torch.from_numpy(slot.from_keras(values).copy())
    return state


def read_normalizations(file: h5py.File, architecture: KerasArchitecture) -> KerasArchitecture:
    """Return the architecture with the mean and variance of its `Normalization` layers, which the file contains.

    Raises:
        ModelError: they are missing, or not those of colors.
    """
    if not any(layer.is_adapted for layer in architecture.layers):
        return architecture
    weights, filled = WeightFile(file, architecture), []
    for layer in architecture.layers:
        if layer.is_adapted:
            mean, variance = weights.read(layer, [() if layer.is_scalar else (3,)] * 2)
            filled.append(replace(layer, specs=(normalization_layer(mean, variance),)))
        else:
            filled.append(layer)
    return replace(architecture, layers=tuple(filled))


def weight_specs(architecture: KerasArchitecture, network: nn.Module) -> list[tuple[KerasLayer, list[WeightSpec]]]:
    """Return each Keras layer that has weights with its arrays, in the order of Keras."""
    modules = iter([(key, module) for key, module in network.named_modules() if _has_weights(module)])
    layer_slots = []
    for layer in architecture.layers:
        weighted = [(spec, *next(modules)) for spec in layer.specs if spec.kind in WITH_WEIGHTS]
        if weighted:
            layer_slots.append((layer, [slot for parts in weighted for slot in _slots(*parts)]))
    return layer_slots


def _has_weights(module: nn.Module) -> bool:
    return isinstance(module, nn.Conv2d | nn.Linear | nn.BatchNorm1d | nn.BatchNorm2d)


def _slots(spec: Spec, key: str, module: nn.Module) -> Iterator[WeightSpec]:
    """Yield the arrays of one layer specification, in the order of Keras."""
    match spec, module:
        case layers.BatchNorm(), nn.BatchNorm1d() | nn.BatchNorm2d():
            saved = {"weight": spec.scale, "bias": spec.shift, "running_mean": True, "running_var": True}
            for name in [name for name, is_saved in saved.items() if is_saved]:
                yield WeightSpec(f"{key}.{name}", (module.num_features,), _identity, _identity)
        case layers.DepthwiseConv2d(), nn.Conv2d():
            torch_shape = tuple(module.weight.shape)
            shape = (*torch_shape[2:], module.in_channels, spec.multiplier)
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
        case layers.Dense(), nn.Conv2d():
            outputs, inputs = module.weight.shape[:2]
            yield WeightSpec(
                f"{key}.weight",
                (inputs, outputs),
                lambda values: values.T[..., None, None],
                lambda values: values[..., 0, 0].T,
            )
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


def _keras_2_arrays(root: h5py.Group, architecture: KerasArchitecture) -> dict[int, tuple[h5py.Group, list[str]]]:
    """Return the group and the array names of each layer with weights, by its id.

    Keras 1 and 2 write one group per layer, with a list of its arrays. The layers of a model inside the model share
    one group. Layers are matched by name, or by order if the model was built again under other names.
    """
    inner_models = {layer.model for layer in architecture.layers} - {""}
    groups: dict[str, tuple[h5py.Group, list[str]]] = {}
    for name in hdf5.read_names(root, "layer_names"):
        group = hdf5.get_group(root, name)
        for array in hdf5.read_names(group, "weight_names"):
            if not array.endswith(_RANDOM_STATE):
                key = array.split("/")[-2] if name in inner_models and "/" in array else name
                groups.setdefault(key, (group, []))[1].append(array)
    weighted = [layer for layer in architecture.layers if layer.has_weights]
    if len(groups) != len(weighted):
        raise ModelError(
            f"Weights: the file has weights of {len(groups)} layers, but the architecture needs {len(weighted)}. "
            "Give the weights of this architecture."
        )
    if {layer.name for layer in weighted} == set(groups):
        return {id(layer): groups[layer.name] for layer in weighted}
    return {id(layer): arrays for layer, arrays in zip(weighted, groups.values(), strict=True)}


_RANDOM_STATE = "StateVar:0"  # the generator of a layer such as RandomFlip
