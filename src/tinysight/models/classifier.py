"""Classifier: a network with class names, normalization and calibration."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Annotated, Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, PositiveFloat, model_validator
from torch import Tensor, nn

from tinysight._util.allocator import tune_malloc
from tinysight._util.hardware import native_bf16
from tinysight.data.crops import CENTER_CROP, Crops
from tinysight.data.dataset import Pixels
from tinysight.data.labels import Task
from tinysight.data.pixels import iter_chunks, take
from tinysight.models.conformal import SetPromise
from tinysight.models.network import logits_and_embedding
from tinysight.models.ood import OodDetector
from tinysight.models.predictor import Outputs
from tinysight.models.selective import Promise
from tinysight.models.tta import IDENTITY_VIEW, View, tta_views
from tinysight.recipes.schema import ModelSection

PIXELS_PER_BATCH = 2**19  # 512 images of 32x32 keep two cores busy; the limit bounds the memory for large images


def batch_size(image_size: int) -> int:
    """Return the prediction batch size for images of this height and width, in pixels."""
    return max(1, PIXELS_PER_BATCH // image_size**2)


def iter_batches(pixels: Pixels, input_size: int | None = None) -> Iterator[Pixels]:
    """Yield uint8 images (n, 3, height, width) in order, in batches of `batch_size`; none if there are no images.

    `input_size` is the size to which the network resizes them, if it does.
    """
    return iter_chunks(pixels, batch_size(max(pixels.shape[-1], input_size or 0)))


@dataclass(frozen=True)
class Normalization:
    """Per-channel normalization of 0..255 pixels: (pixel - mean) / std."""

    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (255.0, 255.0, 255.0)

    @classmethod
    def fit(cls, batches: Iterable[Pixels]) -> Normalization:
        """Compute the normalization that gives each channel mean 0 and standard deviation 1.

        Args:
            batches: batches of uint8 images, (n, 3, height, width) each.
        """
        counts, levels = np.zeros((3, 256), dtype=np.int64), np.arange(256)
        for pixels in batches:
            counts += [np.bincount(channel.reshape(-1), minlength=256) for channel in pixels.transpose(1, 0, 2, 3)]
        means = [float(np.average(levels, weights=count)) for count in counts]
        stds = [
            float(np.sqrt(np.average((levels - mean) ** 2, weights=count)))
            for mean, count in zip(means, counts, strict=True)
        ]
        red, green, blue = means
        floored = [max(std, 1.0) for std in stds]  # a constant channel has a standard deviation of 0
        return cls((red, green, blue), (floored[0], floored[1], floored[2]))

    def __call__(self, images: Tensor) -> Tensor:
        """Normalize float images (n, 3, height, width) of 0..255."""
        scale = 1 / images.new_tensor(self.std).view(3, 1, 1)
        offset = images.new_tensor(self.mean).view(3, 1, 1) * -scale
        return (images * scale).add_(offset)


IDENTITY = Normalization(std=(1.0, 1.0, 1.0))
"""Leaves 0..255 unchanged, for networks that rescale their input themselves."""


class PredictorInfo(BaseModel):
    """What readers of predictions need to know about a classifier; exported files carry it.

    Attributes:
        class_names: in the order of the logits.
        abstain_below: top-1 probability below which it abstains, 0..1; above 1 if it always abstains.
        notes: warnings for readers, for example that the training images are synthetic.
        crops: the crops of a larger image to average over.
        task: "multi-class", or "multi-label" if images may have several labels.
        thresholds: multi-label: the probability from which an image gets each label, 0..1. Multi-class: empty.
        set_threshold: probability from which a class is in the prediction set, 0..1, see `prediction_sets`; None if it
            was not calibrated.
        ood_threshold: OOD score above which an image is unlike the training images; None if it is not known.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    class_names: tuple[str, ...] = Field(min_length=2)
    abstain_below: float = Field(0.5, ge=0, le=2)
    notes: tuple[str, ...] = ()
    crops: Crops = CENTER_CROP
    task: Task = "multi-class"
    thresholds: tuple[Annotated[float, Field(ge=0, le=1)], ...] = ()
    set_threshold: float | None = Field(None, ge=0, le=1)
    ood_threshold: float | None = None

    @model_validator(mode="after")
    def _check_thresholds(self) -> Self:
        if len(self.thresholds) != (len(self.class_names) if self.task == "multi-label" else 0):
            raise ValueError(f"{len(self.thresholds)} thresholds do not fit task {self.task}")
        return self


class ClassifierSpec(PredictorInfo):
    """A classifier without its weights.

    Attributes:
        model: the recipe section that the network was built from.
        image_size: height and width of the input images, in pixels.
        mean: per channel, subtracted from 0..255 pixels before the network.
        std: per channel, divides what remains.
        temperature: divides the logits before the softmax (Guo et al. 2017); 1 leaves them unchanged.
        bf16_margin: logit margin up to which bfloat16 predictions are repeated in float32. None if bfloat16 was not
            calibrated. Above this margin, both precisions predicted the same class (measured by `Trainer.calibrate`).
        tta_shift: shift of the images in test-time augmentation, in pixels; 0 if training used no random crops.
        target_error: the error that `abstain_below` was chosen for, 0..1; None if it was not chosen.
        n_calibration: number of validation images that it and the other thresholds were chosen on.
    """

    model: ModelSection
    image_size: int = Field(ge=8, le=512)
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[PositiveFloat, PositiveFloat, PositiveFloat] = (255.0, 255.0, 255.0)
    temperature: float = Field(1.0, ge=0.01, le=100)
    bf16_margin: NonNegativeFloat | None = None
    tta_shift: int = Field(0, ge=0, le=7, description="pixels; smaller than the smallest image_size")
    target_error: float | None = Field(None, gt=0, lt=1)
    n_calibration: int = Field(0, ge=0)

    def to_probabilities(self, logits: Tensor) -> Tensor:
        """Return the calibrated probabilities of logits, both (n, classes): rows sum to 1 unless multi-label."""
        scaled = logits / self.temperature
        return scaled.sigmoid() if self.task == "multi-label" else scaled.softmax(1)

    @property
    def promise(self) -> Promise | None:
        """The error that `abstain_below` was chosen for, if it was."""
        return None if self.target_error is None else Promise(self.target_error, self.n_calibration)

    @property
    def set_promise(self) -> SetPromise | None:
        """The coverage that the prediction sets were calibrated for, if they were."""
        return None if self.set_threshold is None else SetPromise(self.n_calibration)

    @property
    def normalization(self) -> Normalization:
        """The normalization of images before the network."""
        return Normalization(self.mean, self.std)


@dataclass(frozen=True)
class Classifier:
    """A trained image classifier: maps 0..255 images to class probabilities.

    Attributes:
        spec: class names, image size, normalization and calibration.
        network: maps normalized images to logits.
        detector: scores how unlike the training images an image is, or None. `spec.ood_threshold` belongs to it.
    """

    spec: ClassifierSpec
    network: nn.Module
    detector: OodDetector | None = field(default=None, repr=False, compare=False)

    def __repr__(self) -> str:
        spec, count = self.spec, sum(parameter.numel() for parameter in self.network.parameters())
        images = f"images of {self.image_size}x{self.image_size}, {len(self.class_names)} classes"
        return f"Classifier({spec.model.architecture!r}, {count:,} parameters, {images})"

    @property
    def class_names(self) -> tuple[str, ...]:
        """The class names, in the order of the probabilities."""
        return self.spec.class_names

    @property
    def image_size(self) -> int:
        """Height and width of the input images, in pixels."""
        return self.spec.image_size

    @property
    def abstain_below(self) -> float:
        """The top-1 probability below which the classifier abstains, 0..1; above 1 if it always abstains."""
        return self.spec.abstain_below

    @property
    def set_threshold(self) -> float | None:
        """The probability from which a class is in the prediction set, 0..1; None if it was not calibrated."""
        return self.spec.set_threshold

    @property
    def ood_threshold(self) -> float | None:
        """The OOD score above which an image is unlike the training images; None if it is not known."""
        return self.spec.ood_threshold

    @property
    def task(self) -> Task:
        """Whether an image has one class ("multi-class") or any number of labels ("multi-label")."""
        return self.spec.task

    @property
    def thresholds(self) -> tuple[float, ...]:
        """The probability from which an image gets each label, 0..1; empty for "multi-class"."""
        return self.spec.thresholds

    @property
    def notes(self) -> tuple[str, ...]:
        """Warnings for readers."""
        return self.spec.notes

    @property
    def crops(self) -> Crops:
        """The crops of a larger image to average over."""
        return self.spec.crops

    def with_spec(self, **changes: Any) -> Classifier:
        """Return a classifier with the same network and these values of its specification changed.

        Raises:
            ValidationError: a value is out of range or not a number.
        """
        return replace(self, spec=ClassifierSpec(**dict(self.spec) | changes))

    def logits(self, pixels: Pixels, view: View = IDENTITY_VIEW) -> Tensor:
        """Return float32 logits (n, classes) for one view of uint8 images (n, 3, image_size, image_size).

        With bfloat16 hardware, the logits are computed in bfloat16 where the top-2 margin is large enough.
        """
        return self._forward(pixels, view, None)[0]

    def probabilities(self, pixels: Pixels, tta: bool = False) -> NDArray[np.float32]:
        """Return probabilities (n, classes) for uint8 images (n, 3, image_size, image_size).

        `tta` averages the logits of several views of each image (test-time augmentation).
        """
        return self._outputs(pixels, tta, None).probabilities

    def outputs(self, pixels: Pixels, tta: bool = False) -> Outputs:
        """Return probabilities and OOD scores of uint8 images (n, 3, image_size, image_size).

        With `tta`, the probabilities are those of several views, and the scores those of the images themselves.
        """
        return self._outputs(pixels, tta, self.detector)

    def _outputs(self, pixels: Pixels, tta: bool, detector: OodDetector | None) -> Outputs:
        weights = tta_views(self.spec.tta_shift) if tta else {IDENTITY_VIEW: 1.0}
        logits, scores = self._forward(pixels, IDENTITY_VIEW, detector)
        views = [
            weight * (logits if view == IDENTITY_VIEW else self.logits(pixels, view))
            for view, weight in weights.items()
        ]
        return Outputs(self.spec.to_probabilities(torch.stack(views).sum(0)).numpy(), scores.numpy())

    @torch.inference_mode()
    def _forward(self, pixels: Pixels, view: View, detector: OodDetector | None) -> tuple[Tensor, Tensor]:
        """Return logits, and OOD scores, which are NaN without a detector."""
        tune_malloc()
        if self.uses_float32:
            return self._run(self.network, pixels, view, detector)
        logits, scores = self._run(self.bf16_network, pixels, view, detector, in_bf16=True)
        ambiguous = ~(top2_margin(logits) > (self.spec.bf16_margin or 0.0))  # negated, so that NaN counts as ambiguous
        if ambiguous.any():
            repeated = self._run(self.network, take(pixels, ambiguous.numpy()), view, detector)
            logits[ambiguous], scores[ambiguous] = repeated
        return logits, scores

    @property
    def uses_float32(self) -> bool:
        """Whether all predictions use float32: bfloat16 is not calibrated or not supported by the CPU."""
        return self.spec.bf16_margin is None or not native_bf16()

    @cached_property
    def bf16_network(self) -> nn.Module:
        """A copy of the network with bfloat16 weights; autocast would convert them again for every batch."""
        network: nn.Module = copy.deepcopy(self.network)
        for layer in network.modules():
            if isinstance(layer, nn.Conv2d | nn.Linear):
                layer.to(torch.bfloat16)
        return network

    def _run(
        self, network: nn.Module, pixels: Pixels, view: View, detector: OodDetector | None, in_bf16: bool = False
    ) -> tuple[Tensor, Tensor]:
        if network.training:
            network.eval()  # only when needed: for a deep network it costs as much as a layer's forward pass
        logits, scores = [torch.empty(0, len(self.class_names))], [torch.empty(0)]
        normalization = self.spec.normalization
        for batch in iter_batches(pixels, self.spec.model.input_size):
            images = normalization(view(torch.from_numpy(batch).float()))
            images = images.contiguous(memory_format=torch.channels_last)
            with torch.autocast("cpu", torch.bfloat16) if in_bf16 else nullcontext():
                outputs = (network(images),) if detector is None else logits_and_embedding(network, images)
            logits.append(outputs[0].float())
            if detector is not None:
                scores.append(detector.scores(outputs[-1], logits[-1]))
        return torch.cat(logits), torch.cat(scores) if detector else torch.full((len(pixels),), math.nan)


def top_k(probabilities: NDArray[np.floating[Any]], k: int) -> NDArray[np.intp]:
    """Return the indices of the `k` largest of probabilities (classes,), largest first; ties by index."""
    return np.argsort(-probabilities, kind="stable")[:k]


def top2_margin(logits: Tensor) -> Tensor:
    """Return the top-2 margin of logits (n, classes): largest minus second largest, (n,)."""
    first, second = logits.topk(2, dim=1).values.unbind(1)
    return first - second


def max_margin_error(bf16_logits: Tensor, fp32_logits: Tensor) -> float | None:
    """Return by how much the bfloat16 margin exceeds the float32 margin of the same class, at most.

    Both are (n, classes). The float32 margin is negative where another class has the larger logit. Returns None if the
    result is not finite.
    """
    predicted = bf16_logits.argmax(1, keepdim=True)
    runner_up = fp32_logits.scatter(1, predicted, -math.inf).amax(1)
    excess = float((top2_margin(bf16_logits) - (fp32_logits.gather(1, predicted).squeeze(1) - runner_up)).amax())
    return max(0.0, excess) if math.isfinite(excess) else None
