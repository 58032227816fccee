"""The `onnx` family: a linear layer on the features of a user's ONNX file.

The file is a tensor of the network, so that a run contains it.
"""

from __future__ import annotations

import hashlib

import numpy as np
import torch
from torch import Tensor, nn

from tinysight._util.errors import ModelError, RecipeError
from tinysight.models.family import Family
from tinysight.models.feature_extractor import DEFAULT_SIDE, FeatureExtractor
from tinysight.models.network import Network
from tinysight.models.portable import PortableLayers
from tinysight.recipes.schema import ExtractorSection, ModelSection


class OnnxBody(nn.Module):
    """The features of an ONNX file, which onnxruntime computes. Without a file, all are 0."""

    file: Tensor

    def __init__(self, extractor: ExtractorSection, input_size: int | None) -> None:
        super().__init__()
        self.extractor = extractor
        self.resize = nn.Identity() if input_size is None else nn.Upsample((input_size,) * 2, mode="bilinear")
        self.register_buffer("file", torch.zeros(extractor.n_bytes, dtype=torch.uint8))
        self._opened: FeatureExtractor | None = None
        self.register_load_state_dict_post_hook(_close)  # type: ignore[no-untyped-call]  # torch does not annotate it

    def load_file(self, content: bytes, name: str) -> None:
        """Take the content of a file. Raises ModelError if it is not the file that the network was built for."""
        if hashlib.sha256(content).hexdigest() != self.extractor.sha256:
            raise ModelError(f"{name}: was changed since the recipe was resolved. Restore it, or train a new run.")
        self.file.copy_(torch.from_numpy(np.frombuffer(content, np.uint8).copy()))
        self._opened = None

    def forward(self, images: Tensor) -> Tensor:
        """Return the features (n, d) of normalized images (n, 3, height, width). They have no gradient.

        Raises:
            InputError: onnxruntime is not installed.
            ModelError: the file fails, or its number of features depends on the size of the images.
        """
        opened = self._open()
        if opened is None:
            return images.new_zeros(len(images), self.extractor.n_features)
        resized = self.resize(images.detach().float()).cpu().numpy()
        features = torch.from_numpy(opened(resized)).to(images.device)
        if features.shape[1] != self.extractor.n_features:
            raise ModelError(
                f"model.backbone: returns {features.shape[1]} features for images of {resized.shape[2]}x"
                f"{resized.shape[3]}, and {self.extractor.n_features} for {DEFAULT_SIDE}x{DEFAULT_SIDE}. Export the "
                "pooled features."
            )
        return features

    def __getstate__(self) -> dict[str, object]:
        """Leave out the session, which cannot be copied."""
        return self.__dict__ | {"_opened": None}

    def _open(self) -> FeatureExtractor | None:
        if self._opened is None and bool(self.file.any()):
            self._opened = FeatureExtractor(self.file.cpu().numpy().tobytes(), "model.backbone")
        return self._opened


class OnnxFamily(Family):
    """A linear layer on the features of an ONNX file."""

    name = "onnx"
    has_standard_layers = False
    is_frozen = True

    def build(self, model: ModelSection, num_classes: int, image_size: int) -> nn.Module:
        """Build the network, without its file."""
        if model.extractor is None:
            raise RecipeError("model.architecture onnx: needs a file. Set model.backbone to an ONNX file.")
        body = OnnxBody(model.extractor, model.input_size)
        return Network(body, nn.Linear(model.extractor.n_features, num_classes))

    def to_portable(self, model: ModelSection, network: nn.Module) -> PortableLayers:
        """Raise ModelError: a user's ONNX file is no list of layers."""
        raise ModelError("architecture onnx: has no equivalent among the standard layers. Use the run itself.")


FAMILIES = (OnnxFamily(),)


def _close(body: OnnxBody, _: object) -> None:
    """Forget the session of the file that was there before."""
    body._opened = None
