"""The few layers that torch has not got, or has got slower than two CPU cores can bear."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


class Flatten(nn.Module):
    """Flatten (n, channels, height, width) to (n, height x width x channels), the order of Keras.

    On channels_last tensors this is free, where `nn.Flatten` copies every element.
    """

    def forward(self, images: Tensor) -> Tensor:
        """Return a (n, height x width x channels) view."""
        return images.permute(0, 2, 3, 1).flatten(1)


class Dropout(nn.Module):
    """Set a share of the activations to zero while training and scale the rest up (Srivastava et al. 2014).

    The share is kept to a 256th, because one random byte decides for one activation: that makes it about ten
    times faster than `nn.Dropout`, which spends a quarter of the `simple` network's training on random numbers.
    """

    def __init__(self, share: float) -> None:
        super().__init__()
        self.threshold = round(256 * share)

    def forward(self, activations: Tensor) -> Tensor:
        """Return the activations, thinned while training and untouched otherwise."""
        if not self.training or self.threshold == 0:
            return activations
        kept = _random_bytes(activations) >= self.threshold
        return activations * kept.to(activations.dtype).mul_(256 / (256 - self.threshold))

    def extra_repr(self) -> str:
        """Return what `print(network)` shows of this layer."""
        return f"share={self.threshold / 256:g}"


def _random_bytes(like: Tensor) -> Tensor:
    """Return uint8 noise with the shape and memory order of `like`, from torch's global generator."""
    words = torch.empty(math.ceil(like.numel() / 8), dtype=torch.int64, device=like.device)
    words.random_(torch.iinfo(torch.int64).min, None)
    noise = words.view(torch.uint8)[: like.numel()]
    return torch.as_strided(noise, like.shape, like.stride()) if _is_dense(like) else noise.view(like.shape)


def _is_dense(tensor: Tensor) -> bool:
    return tensor.is_contiguous() or (tensor.dim() == 4 and tensor.is_contiguous(memory_format=torch.channels_last))
