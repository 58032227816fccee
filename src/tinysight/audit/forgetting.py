"""Forgetting, exactly: the same recipe trained again without some images, and the proof that they are gone.

There are quicker ways that make a model act as if it had forgotten; only training anew makes it true that the images
had no part in the weights (Bourtoule et al., "Machine Unlearning", S&P 2021, make that cheaper by shards).
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
    """Train the recipe of a run again, from its seed, without the images of these names; write it to `out`.

    Args:
        run: that learned from them; it stays as it is.
        names: of training or validation images.
        out: the new run directory.
        data_dir: where CIFAR-10 lies, if that is to be said.
        resume: go on with such a training that was interrupted.
        progress: told how far the work is.

    Raises:
        DataError: an image had no part in the run, or the images have changed.
        RunError: `out` is in use, or with `resume` holds no such training.
        TrainingError, StorageError: as `train` does.
    """
    before, environment = Subject.of(run, data_dir, progress), run.environment()
    gone = _excluded(run)
    _require_part(before, names, gone)
    with tempfile.TemporaryDirectory() as folder:
        excluded = Path(folder, "excluded.csv")
        write_text(excluded, as_list([*gone, *names]))
        recipe = run.recipe().excluding(excluded)
        place = data_dir or (Path(environment.dataset.data_dir) if environment.dataset.data_dir else None)
        argument, numbers = environment.dataset.argument, environment.precision
        plan = Plan(recipe, before.dataset, argument, environment.seed, numbers, data_dir=place)
        summary = train(plan, out, resume, progress)
    if summary.status == "finished":
        after = Run(out)
        found = proof(before, Subject.of(after, data_dir, progress), names)
        Evidence(after).write_forgetting(found, "\n".join(in_words(found)))
    return summary


def proof(before: Subject, after: Subject, names: Sequence[str]) -> Forgetting:
    """Return what can be shown of two runs, the second of which left out the images of these names."""
    first, second = before.correct, after.correct
    low, high = difference_interval(second, first)
    return Forgetting(
        forgotten=tuple(names),
        weights_before=before.run.weights_seal(),
        weights_after=after.run.weights_seal(),
        images_before=_fingerprint(before.images),
        images_after=_fingerprint(after.images),
        learned_before=len(before.images.learn),
        learned_after=len(after.images.learn),
        test=len(first),
        accuracy_before=float(first.mean()),
        accuracy_after=float(second.mean()),
        difference=(float(second.mean() - first.mean()), (low, high)),
        certainty=_certainty(before, after, names),
    )


def in_words(found: Forgetting) -> list[str]:
    """Say what a person who asked for deletion can be shown, a sentence a line."""
    difference, (low, high) = found.difference
    sure = found.certainty
    images = "1 image was" if len(found.forgotten) == 1 else f"{len(found.forgotten):,} images were"
    return [
        f"{images} left out of a training made anew from the first step: {found.learned_after:,} were learned from, "
        f"where it had been {found.learned_before:,}.",
        f"Images learned from, SHA-256: before {found.images_before}, after {found.images_after}.",
        f"Weights, SHA-256: before {found.weights_before}, after {found.weights_after}.",
        f"On the same {found.test:,} test images {found.accuracy_before:.2%} were told right before and "
        f"{found.accuracy_after:.2%} after: a difference of {difference:+.2%} ({low:+.2%} to {high:+.2%}).",
        f"Mean certainty of the true class of what is forgotten was {sure.forgotten_before:.3f} and is "
        f"{sure.forgotten_after:.3f}; of test images of those classes, which neither model saw, it was "
        f"{sure.unseen_before:.3f} and is {sure.unseen_after:.3f}.",
    ]


def _certainty(before: Subject, after: Subject, names: Sequence[str]) -> Certainty:
    """Return how sure both runs are of the forgotten images, and of test images of the same classes."""
    place = {name: index for index, name in enumerate(before.names)}
    forgotten = taken(before.pool, np.array([place[name] for name in names]))
    test = before.dataset.test
    unseen = taken(test, np.flatnonzero(np.isin(test.labels, forgotten.labels)))
    return Certainty(
        *(_mean_certainty(subject.classifier, part) for part in (forgotten, unseen) for subject in (before, after))
    )


def _mean_certainty(classifier: Classifier, part: Part) -> float:
    """Return the mean probability of the true class; NaN would be no JSON, so 0 where there are no images."""
    probabilities = classifier.probabilities(part.pixels)
    return float(probabilities[np.arange(len(part)), part.labels].mean()) if len(part) else 0.0


def _fingerprint(images: Images) -> str:
    """Return the SHA-256 of all images that were learned from, in their order, with their labels."""
    digest = hashlib.sha256(np.ascontiguousarray(images.train.labels[images.learn], dtype="<i8").tobytes())
    for index in images.learn:
        digest.update(np.ascontiguousarray(images.train.pixels[index]).data)
    return digest.hexdigest()


def _require_part(subject: Subject, names: Sequence[str], gone: Sequence[str]) -> None:
    """Raise DataError unless each of these images could have been learned from, or had a part in choosing."""
    possible = {name for name, split in zip(subject.names, subject.splits, strict=True) if split != "test"} - set(gone)
    strange = [name for name in names if name not in possible]
    if not names:
        raise DataError("Nothing to forget: name images, such as train/17.")
    if strange:
        raise DataError(
            f"{strange[0]} is no image that {subject.run.path} was trained on; name those as its dataset does, such as "
            f"{min(possible, default='train/0')}."
        )


def _excluded(run: Run) -> tuple[str, ...]:
    """Return the images that the run left out already."""
    path = run.recipe().data.exclude
    return read_names(Path(path)) if path else ()
