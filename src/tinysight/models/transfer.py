"""Transfer of trained weights to a network for the same or other classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from tinysight._util.errors import ModelError


@dataclass(frozen=True)
class InitialWeights:
    """The weights that training starts from.

    Attributes:
        weights: the state dict of a trained network.
        class_names: the classes of its logits.
        note: what readers of the new run should know about these weights, or an empty string.
    """

    weights: Mapping[str, Tensor]
    class_names: tuple[str, ...]
    note: str = ""


def transfer_weights(initial: InitialWeights, network: nn.Module, class_names: Sequence[str]) -> dict[str, Tensor]:
    """Return a state dict for `network`, which has the architecture of the trained network but may have other classes.

    All tensors are those of `initial`, except the rows of the head, which belong to classes: the row of a class that
    both networks know is copied, and that of a new class is the one in `network`.

    Raises:
        ModelError: the networks differ in more than their classes.
    """
    own = network.state_dict()
    trained = dict(initial.weights)
    if trained.keys() != own.keys():
        raise ModelError("Initial weights: belong to a network of a different architecture. Use the model of that run.")
    if tuple(class_names) == initial.class_names:
        if [tensor.shape for tensor in trained.values()] != [tensor.shape for tensor in own.values()]:
            raise ModelError(
                "Initial weights: belong to a network of a different size. Use the model and image size of that run."
            )
        return trained
    head = _head(network)
    rows = [
        (class_names.index(name), initial.class_names.index(name))
        for name in class_names
        if name in initial.class_names
    ]
    for name, tensor in own.items():
        if name in head:
            mixed = tensor.clone()
            for new, old in rows:
                mixed[new] = trained[name][old]
            trained[name] = mixed
        elif tensor.shape != trained[name].shape:
            raise ModelError(f"Initial weights: {name} has a different size. Use the model and image size of that run.")
    return trained


def _head(network: nn.Module) -> set[str]:
    """Return the names of the tensors of the last layer, which has one row per class."""
    layers = [name for name, layer in network.named_modules() if list(layer.parameters(recurse=False))]
    prefix = f"{layers[-1]}." if layers[-1] else ""
    return {name for name in network.state_dict() if name.startswith(prefix)}
