"""Explanations of the predictions for image files and test images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tinysight import packages
from tinysight.data.dataset import Pixels
from tinysight.data.intake.decoding import decode_looks
from tinysight.data.pictures import expand
from tinysight.errors import InputError
from tinysight.evaluation.images import images_of, require_test_indices
from tinysight.explanation.heat import heat_maps
from tinysight.explanation.learned import Learned
from tinysight.models.classifier import likeliest
from tinysight.models.looks import over_looks
from tinysight.progress import SILENT, Progress
from tinysight.reporting.explanation import Explained
from tinysight.runs.run import Run

MOST = 50  # images per figure
_TOP_K, _N_NEIGHBORS = 3, 4


class Explainer:
    """Explains predictions of a run."""

    def __init__(self, run: Run, data_dir: Path | None = None, progress: Progress = SILENT) -> None:
        packages.require("captum", extra="explain")
        self.classifier = run.classifier()
        self.dataset = images_of(run, data_dir, progress)
        self.learned = Learned.by(run, self.classifier, self.dataset, progress)

    def pictures(self, inputs: Sequence[str]) -> tuple[list[Explained], list[str]]:
        """Return an explanation of each readable image, and an error message for each unreadable one.

        Args:
            inputs: files, globs or folders (searched recursively).

        Raises:
            InputError: an input matches no image, or there are more than 50 images.
        """
        if "-" in inputs:
            raise InputError("-: `explain` does not read standard input. Name image files.")
        files = [(name, file) for pattern in inputs for name, file in expand(pattern) if file is not None]
        if len(files) > MOST:
            raise InputError(f"explain: {len(files)} images are too many for one figure. Name at most {MOST}.")
        size = self.classifier.image_size
        crops, failures = decode_looks([file for _, file in files], (size, size), self.classifier.looks)
        failed = dict(failures)
        readable = [index for index in range(len(files)) if index not in failed]
        names = [Path(files[index][0]).name for index in readable]
        return self._explain(names, crops[readable]), [message for _, message in failures]

    def test_images(self, indices: Sequence[int]) -> list[Explained]:
        """Return explanations of images in the test set of the run, with their labels.

        Raises:
            InputError: an index is not that of a test image.
        """
        test, classes = self.dataset.test, self.dataset.class_names
        require_test_indices(indices, test)
        names, rows = [f"test[{index}]" for index in indices], list(indices)
        return self._explain(names, test.pixels[rows, None], [classes[label] for label in test.labels[rows]])

    def _explain(self, names: Sequence[str], crops: Pixels, labels: Sequence[str] = ()) -> list[Explained]:
        if not names:
            return []
        classifier, classes = self.classifier, self.classifier.class_names
        probabilities, pixels = over_looks(classifier.probabilities, crops), crops[:, 0]
        heat = heat_maps(classifier, pixels, probabilities.argmax(1))
        training, nearest = self.learned.part, self.learned.memory.nearest(pixels, _N_NEIGHBORS).indices
        explanations = []
        for index, name in enumerate(names):
            order = likeliest(probabilities[index], _TOP_K)
            choices = [(classes[label], float(probabilities[index, label])) for label in order]
            neighbors = [(training.pixels[row], classes[training.labels[row]]) for row in nearest[index]]
            unsure = choices[0][1] < classifier.unsure_below
            label = labels[index] if labels else ""
            explanations.append(Explained(name, pixels[index], heat[index], choices, unsure, neighbors, label))
        return explanations
