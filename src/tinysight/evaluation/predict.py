"""What a run says of pictures: of files, of globs, of folders, of standard input, of images of the test set."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NotRequired, TypedDict

import numpy as np
from numpy.typing import NDArray

from tinysight.data.dataset import Pixels
from tinysight.data.intake import MAX_BYTES
from tinysight.data.intake.decoding import decode_in_chunks
from tinysight.data.pictures import Picture, expand
from tinysight.errors import InputError, RunError
from tinysight.evaluation.answering import Source
from tinysight.evaluation.images import images_of, require_test_indices
from tinysight.models.classifier import likeliest
from tinysight.models.looks import over_looks
from tinysight.progress import SILENT, Progress
from tinysight.runs.run import Run

FORMAT = 1
CHUNK = 1024  # pictures decoded at a time while the ones before are classified

Choice = TypedDict("Choice", {"class": str, "index": int, "probability": float})


class Prediction(TypedDict):
    """What is said of one picture; `label` is there if the truth is known."""

    input: str
    top: list[Choice]
    unsure: bool
    label: NotRequired[str]


class Predictor:
    """Classifies pictures with the classifier of one run or file, naming the `top` likeliest classes."""

    def __init__(self, source: Source, top: int = 3) -> None:
        self.source, self.top, self.classifier = source, top, source.classifier()

    def predict(
        self,
        inputs: Sequence[str],
        test_indices: Sequence[int] = (),
        data_dir: Path | None = None,
        progress: Progress = SILENT,
    ) -> Iterator[Prediction | str]:
        """Yield one prediction a picture, in the order given, or the sentence that says why there is none.

        Args:
            inputs: files, globs, folders (searched through), or "-" for standard input.
            test_indices: images of the run's own test set, predicted after the others.
            data_dir: where CIFAR-10 lies, if that is to be said.
            progress: told how many pictures are done.

        Raises:
            InputError: there is nothing to predict, nothing matches, or a test index is out of range or of no run.
        """
        if not inputs and not test_indices:
            raise InputError("Nothing to predict: name files, globs, folders or -, or give --test-index.")
        pictures = [picture for name in inputs for picture in expand(name)]
        progress.start("predicting", len(pictures), "images")
        yield from self._of_pictures(pictures, progress)
        progress.finish()
        if test_indices:
            yield from self._of_test_images(test_indices, data_dir, progress)

    def document(self, predictions: list[Prediction]) -> dict[str, Any]:
        """Return what `predict --json` prints."""
        remarks = list(self.classifier.remarks)
        return {"format": FORMAT, "model": str(self.source.path), "remarks": remarks, "predictions": predictions}

    def _of_pictures(self, pictures: list[Picture], progress: Progress) -> Iterator[Prediction | str]:
        sources = [sys.stdin.buffer.read(MAX_BYTES + 1) if file is None else file for _, file in pictures]
        size = (self.classifier.image_size, self.classifier.image_size)
        wanted = self.classifier.looks
        chunk = max(1, CHUNK // len(wanted))  # several looks at each take no more memory than one
        for part, looks, failures in decode_in_chunks(sources, size, wanted, chunk):
            probabilities, reasons = self._probabilities(looks), dict(failures)
            for index, (name, _) in enumerate(pictures[part]):
                yield reasons.get(index) or self._say(name, probabilities[index])
            progress.advance(len(looks))

    def _of_test_images(
        self, indices: Sequence[int], data_dir: Path | None, progress: Progress
    ) -> Iterator[Prediction]:
        if not isinstance(self.source, Run):
            raise InputError(f"--test-index asks for images of a run, and {self.source.path} is none; name pictures.")
        test = images_of(self.source, data_dir, progress).test
        require_test_indices(indices, test)
        probabilities = self._probabilities(test.pixels[list(indices), None])
        for index, row in zip(indices, probabilities, strict=True):
            label = self.classifier.class_names[test.labels[index]]
            yield {**self._say(f"test[{index}]", row), "label": label}

    def _probabilities(self, looks: Pixels) -> NDArray[np.float32]:
        found = over_looks(self.classifier.probabilities, looks)
        if not np.isfinite(found).all():
            raise RunError(f"{self.source.path} predicts no numbers: its training diverged or its weights are forged.")
        return found

    def _say(self, name: str, probabilities: NDArray[np.float32]) -> Prediction:
        order = likeliest(probabilities, self.top)
        names = self.classifier.class_names
        top: list[Choice] = [
            {"class": names[index], "index": int(index), "probability": float(probabilities[index])} for index in order
        ]
        return {"input": name, "top": top, "unsure": top[0]["probability"] < self.classifier.unsure_below}
