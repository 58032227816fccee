"""Layers that torch lacks or that run faster on a CPU than torch's."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import reduce

import torch
import torch.nn.functional as F
from torch import Tensor, nn

PadSizes = tuple[int, int, int, int]  # left, right, top, bottom: the order of torch.nn.functional.pad


class ChannelsLastFlatten(nn.Module):
    """Flatten (n, channels, height, width) to (n, height * width * channels), in the order of Keras.

    For channels_last tensors this is a view, whereas `nn.Flatten` copies.
    """

    def forward(self, images: Tensor) -> Tensor:
        """Return a tensor (n, height * width * channels)."""
        return images.permute(0, 2, 3, 1).flatten(1)


class ByteDropout(nn.Module):
    """Dropout that draws one random byte per activation (Srivastava et al. 2014).

    The rate is rounded to a multiple of 1/256. This is about ten times faster than `nn.Dropout`, which takes a quarter
    of the `simple` network's training time.
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.threshold = round(256 * rate)

    def forward(self, activations: Tensor) -> Tensor:
        """Zero and rescale activations in training mode; return them unchanged in evaluation mode."""
        if not self.training or self.threshold == 0:
            return activations
        kept = _random_bytes(activations) >= self.threshold
        return activations * kept.to(activations.dtype).mul_(256 / (256 - self.threshold))

    def extra_repr(self) -> str:
        """Return the text that `print(network)` shows for this layer."""
        return f"rate={self.threshold / 256:g}"


class MaskedAvgPool(nn.Module):
    """Average pooling that excludes the padding from the mean."""

    def __init__(self, window: tuple[int, int], stride: tuple[int, int], pad_sizes: PadSizes) -> None:
        super().__init__()
        self.window, self.stride, self.pad_sizes = window, stride, pad_sizes

    def forward(self, images: Tensor) -> Tensor:
        """Return (n, channels, out_height, out_width)."""
        means = F.avg_pool2d(F.pad(images, self.pad_sizes), self.window, self.stride)
        if not any(self.pad_sizes):
            return means
        inside = F.pad(images.new_ones(1, 1, *images.shape[2:]), self.pad_sizes)
        return means / F.avg_pool2d(inside, self.window, self.stride)


class GlobalMaxPool(nn.Module):
    """Global max pooling over height and width."""

    def forward(self, images: Tensor) -> Tensor:
        """Return (n, channels)."""
        return images.amax((2, 3))


class GlobalAvgPool(nn.Module):
    """Global average pooling over height and width."""

    def forward(self, images: Tensor) -> Tensor:
        """Return (n, channels)."""
        return images.mean((2, 3))


class ChannelAffine(nn.Module):
    """Per-channel x * scale + offset."""

    scale: Tensor
    offset: Tensor

    def __init__(self, scale: float | tuple[float, ...], offset: float | tuple[float, ...]) -> None:
        super().__init__()
        for name, value in (("scale", scale), ("offset", offset)):
            # Settings, not weights: on the CPU even inside torch.device("meta").
            values = torch.tensor(value, device="cpu")
            self.register_buffer(name, values.view(-1, 1, 1) if values.dim() else values, persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Return a tensor of the same shape."""
        return images * self.scale + self.offset


class ResidualBlock(nn.Module):
    """The sum of a body and a shortcut (He et al. 2016); an empty shortcut is the identity."""

    def __init__(self, body: nn.Sequential, shortcut: nn.Sequential | None = None) -> None:
        super().__init__()
        self.body, self.shortcut = body, nn.Sequential() if shortcut is None else shortcut

    def forward(self, images: Tensor) -> Tensor:
        """Return body(images) + shortcut(images)."""
        total: Tensor = self.body(images) + self.shortcut(images)
        return total


class ChannelsLastReshape(nn.Module):
    """Reshape to (n, channels, height, width), in the order (height, width, channels) of Keras."""

    def __init__(self, height: int, width: int, channels: int) -> None:
        super().__init__()
        self.shape = (height, width, channels)

    def forward(self, values: Tensor) -> Tensor:
        """Return (n, channels, height, width) for a tensor of features or of images."""
        ordered = values.permute(0, 2, 3, 1) if values.dim() == 4 else values
        return ordered.reshape(-1, *self.shape).permute(0, 3, 1, 2)

    def extra_repr(self) -> str:
        """Return the text that `print(network)` shows for this layer."""
        return f"{self.shape}"


class Merge(nn.Module):
    """Elementwise combination of several inputs, or their concatenation along the channels.

    Elementwise, features (n, channels) are combined with images as (n, channels, 1, 1), as in Keras.
    """

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind

    def forward(self, *inputs: Tensor) -> Tensor:
        """Return the combination, (n, channels, height, width) or (n, channels)."""
        if self.kind == "concatenate":
            return torch.cat(inputs, 1)
        are_images = any(values.dim() == 4 for values in inputs)
        values = [part[..., None, None] if are_images and part.dim() == 2 else part for part in inputs]
        total: Tensor = reduce(_OPERATIONS[self.kind], values)
        return total / len(values) if self.kind == "average" else total

    def extra_repr(self) -> str:
        """Return the text that `print(network)` shows for this layer."""
        return self.kind


_OPERATIONS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "add": torch.add,
    "average": torch.add,
    "subtract": torch.sub,
    "multiply": torch.mul,
    "maximum": torch.maximum,
    "minimum": torch.minimum,
}


class LayerGraph(nn.Module):
    """Layers with branches; the last one is the output.

    Args:
        layers: in an order in which each follows its inputs.
        inputs: for each layer, the numbers of the layers that it takes, from 1; 0 is the input of the graph.
    """

    def __init__(self, layers: Sequence[nn.Module], inputs: Sequence[Sequence[int]]) -> None:
        super().__init__()
        self.layers, self.inputs = nn.ModuleList(layers), inputs
        self._expired: list[list[int]] = [[] for _ in layers]  # results that no later layer takes
        last_uses = {source: number for number, sources in enumerate(inputs) for source in sources}
        for source, number in last_uses.items():
            self._expired[number].append(source)

    def forward(self, images: Tensor) -> Tensor:
        """Return the output of the last layer. No result is kept longer than needed."""
        results = {0: images}
        for number, (layer, sources) in enumerate(zip(self.layers, self.inputs, strict=True)):
            results[number + 1] = layer(*(results[source] for source in sources))
            for source in self._expired[number]:
                del results[source]
        return results[len(self.layers)]


def _random_bytes(like: Tensor) -> Tensor:
    """Return random uint8 values with the shape and strides of `like`, from torch's global generator."""
    words = torch.empty(math.ceil(like.numel() / 8), dtype=torch.int64, device=like.device)
    words.random_(torch.iinfo(torch.int64).min, None)
    noise = words.view(torch.uint8)[: like.numel()]
    return torch.as_strided(noise, like.shape, like.stride()) if _is_dense(like) else noise.view(like.shape)


def _is_dense(tensor: Tensor) -> bool:
    return tensor.is_contiguous() or (tensor.dim() == 4 and tensor.is_contiguous(memory_format=torch.channels_last))
