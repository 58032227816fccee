"""Predictions for image files, folders, standard input and test images."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NotRequired, TypedDict

import numpy as np
from numpy.typing import NDArray

from tinysight._util.errors import InputError, RunError
from tinysight._util.progress import SILENT, Progress
from tinysight.data.dataset import Dataset, Pixels
from tinysight.data.image_io import MAX_BYTES
from tinysight.data.image_io.decoding import decode_in_chunks
from tinysight.data.inputs import ImageInput, expand_inputs
from tinysight.data.labels import label_names
from tinysight.models.classifier import top_k
from tinysight.models.conformal import prediction_set
from tinysight.models.predictor import ModelSource, Outputs, is_unlike_training
from tinysight.runs.run import Run
from tinysight.runs.run_dataset import check_test_indices, open_complete_dataset

DOCUMENT_FORMAT = 1
CHUNK = 1024  # images decoded at a time, while the previous chunk is classified

ClassProbability = TypedDict("ClassProbability", {"class": str, "index": int, "probability": float})


class Prediction(TypedDict):
    """The prediction for one image.

    `top` lists the most probable classes, and `prediction_set` the names of the classes in the prediction set, the most
    probable first; it is None if the sets were not calibrated. If images may have several labels, `labels` lists those
    that the image gets, and there is neither `unsure` nor `prediction_set`. `unlike_training` says whether the image is
    unlike the training images; it is None if that is not known. `label` or `true_labels` is present if the true class
    or labels are known.
    """

    input: str
    labels: NotRequired[list[ClassProbability]]
    top: list[ClassProbability]
    unsure: NotRequired[bool]
    prediction_set: NotRequired[list[str] | None]
    unlike_training: bool | None
    label: NotRequired[str]
    true_labels: NotRequired[list[str]]


@dataclass(frozen=True)
class UnreadableImage:
    """An image that cannot be read: its name as it was given, and a message with the reason."""

    input: str
    error: str


class ImagePredictor:
    """Predicts the `top` most probable classes of images with the classifier of a run or a file.

    `dataset` is that of the run, with its test images; by default, it is loaded again from its source when needed.
    """

    def __init__(self, source: ModelSource, top: int = 3, dataset: Dataset | None = None) -> None:
        self.source, self.top, self.classifier, self.dataset = source, top, source.classifier(), dataset

    def predict(
        self,
        inputs: Sequence[str],
        test_indices: Sequence[int] = (),
        data_dir: Path | None = None,
        progress: Progress = SILENT,
    ) -> Iterator[Prediction | UnreadableImage]:
        """Yield one prediction per image, in the order given, or why the image is unreadable.

        Args:
            inputs: files, globs, folders (searched recursively), or "-" for standard input.
            test_indices: indices of images in the test set of the run, predicted last.
            data_dir: the CIFAR-10 folder; by default, the one used in training.
            progress: receives the number of predicted images.

        Raises:
            InputError: there are no images, or a test index is out of range or given for a model without a run.
            DataError: images of the run are missing, and test indices are given.
        """
        if not inputs and not test_indices:
            raise InputError(
                "predict: no images. Pass files, globs, folders, - for standard input, or indices of test images."
            )
        images = [image for name in inputs for image in expand_inputs(name, progress)]
        progress.start("predicting", len(images), "images")
        yield from self._predict_images(images, progress)
        progress.finish()
        if test_indices:
            yield from self._predict_test_images(test_indices, data_dir, progress)

    def document(self, predictions: list[Prediction]) -> dict[str, Any]:
        """Return the predictions as a JSON document with a format number and the path of the model."""
        notes = list(self.classifier.notes)
        return {"format": DOCUMENT_FORMAT, "model": str(self.source.path), "notes": notes, "predictions": predictions}

    def _predict_images(self, images: list[ImageInput], progress: Progress) -> Iterator[Prediction | UnreadableImage]:
        sources = [sys.stdin.buffer.read(MAX_BYTES + 1) if file is None else file for _, file in images]
        size = (self.classifier.image_size, self.classifier.image_size)
        crops = self.classifier.crops
        chunk = max(1, CHUNK // len(crops))  # memory does not grow with the number of crops
        for chunk_slice, pixels, failures in decode_in_chunks(sources, size, crops, chunk):
            outputs, reasons = self._outputs(pixels), dict(failures)
            for index, ((name, _), output) in enumerate(zip(images[chunk_slice], outputs, strict=True)):
                if index in reasons:
                    yield UnreadableImage(name, reasons[index])
                else:
                    yield self._prediction(name, *output)
            progress.advance(len(pixels))

    def _predict_test_images(
        self, indices: Sequence[int], data_dir: Path | None, progress: Progress
    ) -> Iterator[Prediction]:
        if not isinstance(self.source, Run):
            raise InputError(f"{self.source.path}: not a run, so it has no test images. Pass image files.")
        test = open_complete_dataset(self.source, self.dataset, data_dir, progress).test
        check_test_indices(indices, test)
        outputs = self._outputs(test.pixels[list(indices), None])
        for index, output in zip(indices, outputs, strict=True):
            names = label_names(test.labels[index], self.classifier.class_names)
            prediction = self._prediction(f"test[{index}]", *output)
            if self.classifier.task == "multi-label":
                yield {**prediction, "true_labels": list(names)}
            else:
                yield {**prediction, "label": names[0]}

    def _outputs(self, crops: Pixels) -> Outputs:
        outputs = Outputs.over_crops(self.classifier.outputs, crops)
        if not np.isfinite(outputs.probabilities).all():
            raise RunError(
                f"{self.source.path}: predicts NaN or infinity. Its training diverged or its weights were modified; "
                "train again."
            )
        return outputs

    def _prediction(self, name: str, probabilities: NDArray[np.float32], ood_score: float) -> Prediction:
        names, thresholds = self.classifier.class_names, self.classifier.thresholds
        ranked: list[ClassProbability] = [
            {"class": names[index], "index": int(index), "probability": float(probabilities[index])}
            for index in top_k(probabilities, len(names))
        ]
        top, unlike = ranked[: self.top], is_unlike_training(ood_score, self.classifier.ood_threshold)
        if thresholds:
            labels = [choice for choice in ranked if choice["probability"] >= thresholds[choice["index"]]]
            return {"input": name, "labels": labels, "top": top, "unlike_training": unlike}
        return {
            "input": name,
            "top": top,
            "unsure": top[0]["probability"] < self.classifier.abstain_below,
            "prediction_set": prediction_set(probabilities, self.classifier.set_threshold, names),
            "unlike_training": unlike,
        }
