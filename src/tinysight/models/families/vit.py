"""The `vit-tiny` family: a small vision transformer, with weights pretrained on ImageNet-21k and ImageNet.

Sources: Dosovitskiy et al., "An Image is Worth 16x16 Words" (ICLR 2021); the size "Ti" and the weights: Steiner et al.,
"How to train your ViT?" (TMLR 2022). The names of the tensors are those of timm.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tinysight._util.errors import ModelError
from tinysight.models.family import Family
from tinysight.models.network import Network
from tinysight.models.portable import PortableLayers
from tinysight.models.pretrained import HubFile, PretrainedWeights
from tinysight.models.transformer import PatchEmbedding, TransformerBlock, final_norm
from tinysight.recipes.schema import ModelSection

PATCH_SIZE = 16  # pixels
_WIDTH, _N_HEADS, _N_BLOCKS = 192, 3, 12
_POSITION_STD = 0.02  # of fresh position embeddings


class VisionTransformer(nn.Module):
    """The body of a vision transformer: from images to the class token.

    Images whose size is no multiple of the patch size are enlarged to the next one.
    """

    def __init__(self, image_size: int) -> None:
        super().__init__()
        side = math.ceil(image_size / PATCH_SIZE)
        self.resize = nn.Upsample((side * PATCH_SIZE,) * 2, mode="bilinear")
        self.patch_embed = PatchEmbedding(PATCH_SIZE, _WIDTH)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, _WIDTH))
        self.pos_embed = nn.Parameter(torch.randn(1, 1 + side**2, _WIDTH) * _POSITION_STD)
        self.blocks = nn.Sequential(*(TransformerBlock(_WIDTH, _N_HEADS) for _ in range(_N_BLOCKS)))
        self.norm = final_norm(_WIDTH)

    def forward(self, images: Tensor) -> Tensor:
        """Return (n, width) for normalized images (n, 3, height, width)."""
        if images.shape[-2:] != self.resize.size:
            images = self.resize(images)
        tokens = torch.cat([self.cls_token.expand(images.shape[0], -1, -1), self.patch_embed(images)], 1)
        features: Tensor = self.norm(self.blocks(tokens + self.pos_embed)[:, 0])
        return features


class ViTTinyFamily(Family):
    """ViT-Ti/16: 5.5 million parameters without the head, an embedding of 192 features."""

    name = "vit-tiny"
    has_standard_layers = False
    pretrained: ClassVar[PretrainedWeights] = PretrainedWeights(
        source=HubFile(
            repository="timm/vit_tiny_patch16_224.augreg_in21k_ft_in1k",
            revision="7d3afdd0cf93ad84d986eb2d6bcc5812ebd0b106",
            sha256="fecf81b492bd13ee7a5297cb74d1d417aac8bf7e1b7d96aed89c4691984587ed",
        ),
        input_size=224,
        mean=(127.5, 127.5, 127.5),
        std=(127.5, 127.5, 127.5),
        license="Apache-2.0",
        training_data="ImageNet-21k, then ImageNet (ILSVRC 2012)",
    )

    def build(self, model: ModelSection, num_classes: int, image_size: int) -> nn.Module:
        """Build the network; it resizes its images if the recipe sets `model.input_size`."""
        return Network(VisionTransformer(model.input_size or image_size), nn.Linear(_WIDTH, num_classes))

    def to_portable(self, model: ModelSection, network: nn.Module) -> PortableLayers:
        """Raise ModelError: attention is no standard layer."""
        raise ModelError(f"architecture {self.name}: has no equivalent among the standard layers. Export to onnx.")

    def load_tensors(self, network: nn.Module, tensors: Mapping[str, Tensor]) -> None:
        """Load the published tensors; see `Family.load_tensors`. Position embeddings are resized to the images."""
        body = network.get_submodule("body")
        own = body.state_dict()
        positions = _resized(tensors["pos_embed"], math.isqrt(own["pos_embed"].shape[1] - 1))
        body.load_state_dict({name: tensors[name] for name in own} | {"pos_embed": positions})


FAMILIES = (ViTTinyFamily(),)


def _resized(embedding: Tensor, side: int) -> Tensor:
    """Return the position embedding (1, 1 + side * side, width) of an image of `side` patches per side.

    Bicubic and antialiased, as in timm. The first position is that of the class token.
    """
    first, grid = embedding[:, :1], embedding[:, 1:]
    before = math.isqrt(grid.shape[1])
    if before == side:
        return embedding
    grid = grid.unflatten(1, (before, before)).permute(0, 3, 1, 2)
    grid = F.interpolate(grid, (side, side), mode="bicubic", antialias=True)
    return torch.cat([first, grid.flatten(2).transpose(1, 2)], 1)
