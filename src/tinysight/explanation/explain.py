"""Explanations of the predictions for image files and test images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tinysight._util import optional_deps
from tinysight._util.errors import InputError
from tinysight._util.progress import SILENT, Progress
from tinysight.data.dataset import Dataset, Pixels
from tinysight.data.image_io.decoding import decode_crops
from tinysight.data.inputs import expand_inputs
from tinysight.data.labels import describe_label
from tinysight.explanation.feature_index import TrainingIndex
from tinysight.explanation.occlusion import occlusion_maps
from tinysight.models.classifier import Classifier, top_k
from tinysight.models.tta import average_over_crops
from tinysight.reporting.explanation_plot import Explanation
from tinysight.runs.run import Run
from tinysight.runs.run_dataset import check_complete, check_test_indices, open_dataset

MAX_IMAGES = 50  # images per figure
_TOP_K, _N_NEIGHBORS = 3, 4
_MAX_LABELS = 3  # labels of an image that are explained


class Explainer:
    """Explains predictions of a run."""

    def __init__(
        self,
        run: Run,
        dataset: Dataset | None = None,
        data_dir: Path | None = None,
        progress: Progress = SILENT,
    ) -> None:
        optional_deps.require("captum", extra="explain")
        self.run, self.classifier = run, run.classifier()
        self.dataset = open_dataset(run, dataset, data_dir, progress)
        self.training_index = TrainingIndex.of_run(run, self.classifier, self.dataset, progress)

    def explain_images(self, inputs: Sequence[str]) -> tuple[list[Explanation], list[str]]:
        """Return the explanations of each readable image, and an error message for each unreadable one.

        There is one explanation per image. With several labels per image, there is one for each label that the image
        gets, at most the three most probable; if it gets none, one for the most probable label.

        Args:
            inputs: files, globs or folders (searched recursively).

        Raises:
            InputError: an input matches no image, or there are more than 50 images.
        """
        if "-" in inputs:
            raise InputError("-: `explain` does not read standard input. Pass image files.")
        files = [(name, file) for pattern in inputs for name, file in expand_inputs(pattern) if file is not None]
        if len(files) > MAX_IMAGES:
            raise InputError(f"explain: {len(files)} images are too many for one figure. Pass at most {MAX_IMAGES}.")
        size = self.classifier.image_size
        crops, failures = decode_crops([file for _, file in files], (size, size), self.classifier.crops)
        failed = dict(failures)
        readable = [index for index in range(len(files)) if index not in failed]
        names = [Path(files[index][0]).name for index in readable]
        return self._explain(names, crops[readable]), [message for _, message in failures]

    def explain_test_images(self, indices: Sequence[int]) -> list[Explanation]:
        """Return explanations, as `explain_images` does, of images in the test set of the run, with their labels.

        Raises:
            InputError: an index is not that of a test image.
            DataError: images of the run are missing, so that the indices are unknown.
        """
        if indices:
            check_complete(self.run, self.dataset)
        test, classes = self.dataset.test, self.dataset.class_names
        check_test_indices(indices, test)
        names, rows = [f"test[{index}]" for index in indices], list(indices)
        return self._explain(
            names, test.pixels[rows, None], [describe_label(label, classes) for label in test.labels[rows]]
        )

    def _explain(self, names: Sequence[str], crops: Pixels, labels: Sequence[str] = ()) -> list[Explanation]:
        if not names:
            return []
        classifier, classes = self.classifier, self.classifier.class_names
        probabilities, pixels = average_over_crops(classifier.probabilities, crops), crops[:, 0]
        decisions = [_decide(classifier, row) for row in probabilities]
        targets = np.array([(index, label) for index, made in enumerate(decisions) for label in made.explained])
        heat = occlusion_maps(classifier, pixels[targets[:, 0]], targets[:, 1])
        training, nearest = self.training_index.split, self.training_index.index.nearest(pixels, _N_NEIGHBORS).indices
        explanations = []
        for (index, label), occlusion_map in zip(targets.tolist(), heat, strict=True):
            made = decisions[index]
            explanations.append(
                Explanation(
                    name=names[index],
                    pixels=pixels[index],
                    occlusion_map=occlusion_map,
                    top_classes=[(classes[each], float(probabilities[index, each])) for each in made.shown],
                    unsure=made.unsure,
                    neighbors=[
                        (training.pixels[row], describe_label(training.labels[row], classes)) for row in nearest[index]
                    ],
                    label=labels[index] if labels else "",
                    predicted_labels=None if made.labels is None else tuple(classes[each] for each in made.labels),
                    explained=classes[label],
                )
            )
        return explanations


@dataclass(frozen=True)
class _Decision:
    """What a classifier decides about an image: indices of classes, the most probable first.

    Attributes:
        explained: the classes to explain.
        shown: the classes to show with their probabilities.
        unsure: whether it abstains.
        labels: the labels that the image gets, or None if it has one class.
    """

    explained: list[int]
    shown: list[int]
    unsure: bool = False
    labels: list[int] | None = None


def _decide(classifier: Classifier, probabilities: NDArray[np.float32]) -> _Decision:
    ranked = top_k(probabilities, len(probabilities)).tolist()
    if classifier.task == "multi-class":
        return _Decision(ranked[:1], ranked[:_TOP_K], float(probabilities[ranked[0]]) < classifier.abstain_below)
    labels = [index for index in ranked if float(probabilities[index]) >= classifier.thresholds[index]]
    others = [index for index in ranked if index not in labels]
    return _Decision(
        explained=labels[:_MAX_LABELS] or ranked[:1],
        shown=[*labels, *others][: max(_TOP_K, len(labels))],
        labels=labels,
    )
