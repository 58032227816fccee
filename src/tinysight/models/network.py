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


def logits_and_embedding(network: nn.Module, images: Tensor) -> tuple[Tensor, Tensor]:
    """Return the logits (n, classes), bit for bit as `network` does, and the embedding (n, d) of normalized images.

    It takes one pass for a `Network`, or for a module without a method `features`.

    Raises:
        ModelError: the network has no embedding.
    """
    if isinstance(network, Network):
        features = network.features(images)
        logits: Tensor = network.head(features)
        return logits, features
    if _has_features(network):
        return network(images), embed(network, images)
    return _last_linear(network, images)


def embed(network: nn.Module, images: Tensor) -> Tensor:
    """Return the embedding (n, d) that `network` computes from normalized images (n, 3, height, width).

    It is the result of the network's method `features` or, without one, the input of the last `nn.Linear` that runs.

    Raises:
        ModelError: the network has neither.
    """
    if not _has_features(network):
        return _last_linear(network, images)[1]
    embedding: Tensor = network.features(images)  # type: ignore[operator]  # checked above
    return embedding


def _has_features(network: nn.Module) -> bool:
    features = getattr(network, "features", None)
    return callable(features) and not isinstance(features, nn.Module)


def _last_linear(network: nn.Module, images: Tensor) -> tuple[Tensor, Tensor]:
    """Return the logits, and the input of the last `nn.Linear` that runs."""
    inputs: list[Tensor] = []
    hooks = [
        layer.register_forward_pre_hook(lambda _, values: inputs.append(values[0]))
        for layer in network.modules()
        if isinstance(layer, nn.Linear)
    ]
    try:
        logits: Tensor = network(images)
    finally:
        for hook in hooks:
            hook.remove()
    if not inputs:
        raise ModelError(
            f"{type(network).__name__}: has no embedding. Give it a method features(images) that returns (n, d)."
        )
    return logits, inputs[-1].flatten(1)
