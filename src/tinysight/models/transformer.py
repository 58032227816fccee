"""Layers of vision transformers, with the names that timm gives to their weights.

Source: Dosovitskiy et al., "An Image is Worth 16x16 Words: Transformers for Image Recognition at Scale" (ICLR 2021).
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

_EPSILON = 1e-6  # of layer normalization


class PatchEmbedding(nn.Module):
    """Linear projection of square patches of an image to tokens."""

    def __init__(self, patch_size: int, width: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, width, patch_size, patch_size)

    def forward(self, images: Tensor) -> Tensor:
        """Return (n, patches, width), row by row, for images (n, 3, height, width)."""
        tokens: Tensor = self.proj(images)
        return tokens.flatten(2).transpose(1, 2)


class SelfAttention(nn.Module):
    """Multi-head self-attention (Vaswani et al., "Attention Is All You Need", NeurIPS 2017)."""

    def __init__(self, width: int, n_heads: int) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return a tensor of the same shape, (n, tokens, width)."""
        qkv = self.qkv(tokens).unflatten(2, (3, self.n_heads, -1)).permute(2, 0, 3, 1, 4)
        attended = F.scaled_dot_product_attention(*qkv.unbind(0))
        mixed: Tensor = self.proj(attended.transpose(1, 2).flatten(2))
        return mixed


class FeedForward(nn.Module):
    """Two linear layers with GELU between them, applied to each token."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(width, hidden), nn.Linear(hidden, width)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return a tensor of the same shape, (n, tokens, width)."""
        mixed: Tensor = self.fc2(F.gelu(self.fc1(tokens)))
        return mixed


class TransformerBlock(nn.Module):
    """Attention and feed-forward layers, each with layer normalization before it and a shortcut around it."""

    def __init__(self, width: int, n_heads: int) -> None:
        super().__init__()
        self.norm1, self.attn = nn.LayerNorm(width, _EPSILON), SelfAttention(width, n_heads)
        self.norm2, self.mlp = nn.LayerNorm(width, _EPSILON), FeedForward(width, 4 * width)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return a tensor of the same shape, (n, tokens, width)."""
        tokens = tokens + self.attn(self.norm1(tokens))
        mixed: Tensor = tokens + self.mlp(self.norm2(tokens))
        return mixed


def final_norm(width: int) -> nn.LayerNorm:
    """Return the layer normalization after the last block."""
    return nn.LayerNorm(width, _EPSILON)
