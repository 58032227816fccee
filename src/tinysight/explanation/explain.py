"""Pictures in, explanations out."""

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

MOST = 50  # pictures on a sheet
_CHOICES, _NEIGHBOURS = 3, 4


class Explainer:
    """Explains what a run says of pictures."""

    def __init__(self, run: Run, data_dir: Path | None = None, progress: Progress = SILENT) -> None:
        packages.require("captum", extra="explain")
        self.classifier = run.classifier()
        self.dataset = images_of(run, data_dir, progress)
        self.learned = Learned.by(run, self.classifier, self.dataset, progress)

    def pictures(self, inputs: Sequence[str]) -> tuple[list[Explained], list[str]]:
        """Return an explanation of each picture that can be read, and the sentences that say why others cannot.

        Args:
            inputs: files, globs or folders (searched through).

        Raises:
            InputError: nothing matches, or there are too many for one sheet.
        """
        if "-" in inputs:
            raise InputError("Pictures to explain are files; `tinysight predict` also takes - for standard input.")
        files = [(name, file) for one in inputs for name, file in expand(one) if file is not None]
        if len(files) > MOST:
            raise InputError(f"{len(files)} pictures are too many for one sheet; name {MOST} at most.")
        size = self.classifier.image_size
        looks, failures = decode_looks([file for _, file in files], (size, size), self.classifier.looks)
        failed = dict(failures)
        usable = [index for index in range(len(files)) if index not in failed]
        names = [Path(files[index][0]).name for index in usable]
        return self._explain(names, looks[usable]), [message for _, message in failures]

    def test_images(self, indices: Sequence[int]) -> list[Explained]:
        """Return explanations of images of the run's own test set, with what they are labelled.

        Raises:
            InputError: there is no image of that index.
        """
        test, classes = self.dataset.test, self.dataset.class_names
        require_test_indices(indices, test)
        names, chosen = [f"test[{index}]" for index in indices], list(indices)
        return self._explain(names, test.pixels[chosen, None], [classes[label] for label in test.labels[chosen]])

    def _explain(self, names: Sequence[str], looks: Pixels, labels: Sequence[str] = ()) -> list[Explained]:
        if not names:
            return []
        classifier, classes = self.classifier, self.classifier.class_names
        probabilities, pixels = over_looks(classifier.probabilities, looks), looks[:, 0]
        heat = heat_maps(classifier, pixels, probabilities.argmax(1))
        learned, near = self.learned.part, self.learned.memory.nearest(pixels, _NEIGHBOURS).indices
        found = []
        for index, name in enumerate(names):
            order = likeliest(probabilities[index], _CHOICES)
            choices = [(classes[label], float(probabilities[index, label])) for label in order]
            alike = [(learned.pixels[one], classes[learned.labels[one]]) for one in near[index]]
            unsure = choices[0][1] < classifier.unsure_below
            label = labels[index] if labels else ""
            found.append(Explained(name, pixels[index], heat[index], choices, unsure, alike, label))
        return found
