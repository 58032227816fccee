"""Exact unlearning: retrain a run from scratch without some images.

Approximate unlearning is faster, but only retraining guarantees that the images have no influence on the weights
(Bourtoule et al., "Machine Unlearning", S&P 2021).
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tinysight.audit.subject import Subject
from tinysight.data.dataset import Part
from tinysight.data.names import as_list, read_names
from tinysight.errors import DataError
from tinysight.evaluation.comparison import difference_interval
from tinysight.files import write_text
from tinysight.formatting import percent, points
from tinysight.models.classifier import Classifier
from tinysight.progress import SILENT, Progress
from tinysight.runs.evidence import Evidence
from tinysight.runs.findings import Certainty, Forgetting
from tinysight.runs.records import Summary
from tinysight.runs.run import Run
from tinysight.training.images import Images, taken
from tinysight.training.train import Plan, train


def forget(
    run: Run,
    names: Sequence[str],
    out: Path,
    data_dir: Path | None = None,
    resume: bool = False,
    progress: Progress = SILENT,
) -> Summary:
    """Retrain a run with its recipe and seed, but without the named images.

    Args:
        run: the run to retrain; it is not changed.
        names: names of training or validation images.
        out: the new run directory.
        data_dir: directory of CIFAR-10, if it is not in a default location.
        resume: continue an interrupted retraining in `out`.
        progress: receives the progress.

    Raises:
        DataError: an image is not a training or validation image of the run, or the dataset has changed.
        RunError: `out` is in use; or, with `resume`, holds no such retraining.
        TrainingError, StorageError: as for `train`.
    """
    before, environment = Subject.of(run, data_dir, progress), run.environment()
    already_excluded = _excluded(run)
    _require_used(before, names, already_excluded)
    with tempfile.TemporaryDirectory() as folder:
        excluded = Path(folder, "excluded.csv")
        write_text(excluded, as_list([*already_excluded, *names]))
        recipe = run.recipe().excluding(excluded)
        directory = data_dir or (Path(environment.dataset.data_dir) if environment.dataset.data_dir else None)
        argument, dtype = environment.dataset.argument, environment.precision
        plan = Plan(recipe, before.dataset, argument, environment.seed, dtype, data_dir=directory)
        summary = train(plan, out, resume, progress)
    if summary.status == "finished":
        after = Run(out)
        report = proof(before, Subject.of(after, data_dir, progress), names)
        Evidence(after).write_forgetting(report, "\n".join(in_words(report)))
    return summary


def proof(before: Subject, after: Subject, names: Sequence[str]) -> Forgetting:
    """Compare a run with its retraining without the named images."""
    correct_before, correct_after = before.correct, after.correct
    low, high = difference_interval(correct_after, correct_before)
    return Forgetting(
        forgotten=tuple(names),
        weights_before=before.run.weights_seal(),
        weights_after=after.run.weights_seal(),
        images_before=_fingerprint(before.images),
        images_after=_fingerprint(after.images),
        learned_before=len(before.images.learn),
        learned_after=len(after.images.learn),
        test=len(correct_before),
        accuracy_before=float(correct_before.mean()),
        accuracy_after=float(correct_after.mean()),
        difference=(float(correct_after.mean() - correct_before.mean()), (low, high)),
        certainty=_certainty(before, after, names),
    )


def in_words(found: Forgetting) -> list[str]:
    """Return the lines of forgetting.txt, the record for the person who requested the deletion."""
    difference, (low, high) = found.difference
    probability = found.certainty
    images = "1 image" if len(found.forgotten) == 1 else f"{len(found.forgotten):,} images"
    return [
        f"The model was retrained from scratch without {images}: {found.learned_after:,} training images instead of "
        f"{found.learned_before:,}.",
        f"SHA-256 of the training images: {found.images_before} before, {found.images_after} after.",
        f"SHA-256 of the weights: {found.weights_before} before, {found.weights_after} after.",
        f"Test accuracy (n = {found.test:,}): {percent(found.accuracy_before)} before, {percent(found.accuracy_after)} "
        f"after; difference {points(difference)} percentage points (95% CI {points(low)} to {points(high)}).",
        f"Mean probability of the true class on the forgotten images: {probability.forgotten_before:.3f} before, "
        f"{probability.forgotten_after:.3f} after. On test images of the same classes, which neither model was trained "
        f"on: {probability.unseen_before:.3f} before, {probability.unseen_after:.3f} after.",
    ]


def _certainty(before: Subject, after: Subject, names: Sequence[str]) -> Certainty:
    """Return the mean probability of the true class on the forgotten images and on test images of their classes."""
    index_of = {name: index for index, name in enumerate(before.names)}
    forgotten = taken(before.pool, np.array([index_of[name] for name in names]))
    test = before.dataset.test
    unseen = taken(test, np.flatnonzero(np.isin(test.labels, forgotten.labels)))
    return Certainty(
        *(_mean_probability(context.classifier, part) for part in (forgotten, unseen) for context in (before, after))
    )


def _mean_probability(classifier: Classifier, part: Part) -> float:
    """Return the mean probability of the true class; 0 without images, because JSON has no NaN."""
    probabilities = classifier.probabilities(part.pixels)
    return float(probabilities[np.arange(len(part)), part.labels].mean()) if len(part) else 0.0


def _fingerprint(images: Images) -> str:
    """Return the SHA-256 of the labels and pixels of the training images, in their order."""
    digest = hashlib.sha256(np.ascontiguousarray(images.train.labels[images.learn], dtype="<i8").tobytes())
    for index in images.learn:
        digest.update(np.ascontiguousarray(images.train.pixels[index]).data)
    return digest.hexdigest()


def _require_used(context: Subject, names: Sequence[str], excluded: Sequence[str]) -> None:
    """Raise DataError unless all names are training or validation images that the run did not exclude."""
    used = {name for name, split in zip(context.names, context.splits, strict=True) if split != "test"} - set(excluded)
    unknown = [name for name in names if name not in used]
    if not names:
        raise DataError("No images to forget. Name images, such as train/17.")
    if unknown:
        raise DataError(
            f"{unknown[0]}: not a training or validation image of {context.run.path}. Name images as its dataset does, "
            f"such as {min(used, default='train/0')}."
        )


def _excluded(run: Run) -> tuple[str, ...]:
    """Return the images that the recipe of the run excludes."""
    path = run.recipe().data.exclude
    return read_names(Path(path)) if path else ()
