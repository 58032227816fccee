"""Networks: modules that map normalized images to logits, and their embeddings."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from tinysight._util.errors import ModelError

NetworkFactory = Callable[[int, int], nn.Module]
"""Builds a network for (num_classes, image_size); see `models.family.CustomFamily`."""


class Network(nn.Module):
    """A network in two parts: a body that computes the embedding, and a head that computes the logits."""

    def __init__(self, body: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.body, self.head = body, head

    def features(self, images: Tensor) -> Tensor:
        """Return the embedding (n, d) of normalized images (n, 3, height, width)."""
        features: Tensor = self.body(images)
        return features

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (n, classes) for normalized images (n, 3, height, width)."""
        logits: Tensor = self.head(self.body(images))
        return logits


def embed(network: nn.Module, images: Tensor) -> Tensor:
    """Return the embedding (n, d) that `network` computes from normalized images (n, 3, height, width).

    It is the result of the network's method `features` or, without one, the input of the last `nn.Linear` that runs.

    Raises:
        ModelError: the network has neither.
    """
    if callable(features := getattr(network, "features", None)) and not isinstance(features, nn.Module):
        embedding: Tensor = features(images)
        return embedding
    inputs: list[Tensor] = []
    hooks = [
        layer.register_forward_pre_hook(lambda _, values: inputs.append(values[0]))
        for layer in network.modules()
        if isinstance(layer, nn.Linear)
    ]
    try:
        network(images)
    finally:
        for hook in hooks:
            hook.remove()
    if not inputs:
        raise ModelError(
            f"{type(network).__name__}: has no embedding. Give it a method features(images) that returns (n, d)."
        )
    return inputs[-1].flatten(1)
