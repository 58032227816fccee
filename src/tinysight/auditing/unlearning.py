"""Exact unlearning: retrain a run from scratch without some images.

Approximate unlearning is faster, but only retraining guarantees that the images have no influence on the weights
(Bourtoule et al., "Machine Unlearning", S&P 2021).
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path

import numpy as np

from tinysight._util.errors import DataError
from tinysight._util.files import write_text
from tinysight._util.formatting import percent, points
from tinysight._util.progress import SILENT, Progress
from tinysight.auditing.context import AuditContext
from tinysight.data.dataset import Dataset, Split
from tinysight.data.image_ids import read_image_ids, to_csv
from tinysight.data.labels import label_pairs
from tinysight.data.pixels import take
from tinysight.data.splits import TrainSplit, subset
from tinysight.evaluation.significance import difference_interval
from tinysight.runs.artifacts import RunArtifacts
from tinysight.runs.audit_results import TrueClassProbability, UnlearningReport
from tinysight.runs.records import Summary
from tinysight.runs.run import Run
from tinysight.runs.run_dataset import open_complete_dataset
from tinysight.training.probe import ProbeTrainer
from tinysight.training.request import TrainConfig
from tinysight.training.session import Session
from tinysight.training.threads import probe_threads
from tinysight.training.trainer import Trainer


def forget(
    run: Run,
    names: Sequence[str],
    out: Path,
    data_dir: Path | None = None,
    resume: bool = False,
    progress: Progress = SILENT,
    dataset: Dataset | None = None,
) -> Summary:
    """Retrain a run with its recipe and seed, but without the named images.

    Args:
        run: the run to retrain; it is not changed.
        names: names of training or validation images.
        out: the new run directory.
        data_dir: directory of CIFAR-10, if it is not in a default location.
        resume: continue an interrupted retraining in `out`.
        progress: receives the progress.
        dataset: the dataset of the run; by default, it is loaded again from its source.

    Raises:
        DataError: an image is not a training or validation image of the run, or the dataset has changed.
        RunError: `out` is in use; or, with `resume`, holds no such retraining.
        TrainingError, StorageError: as for `train`.
    """
    images = open_complete_dataset(run, dataset, data_dir, progress)
    before, environment = AuditContext.from_run(run, images), run.environment()
    already_excluded = _excluded(run)
    _require_used(before, names, already_excluded)
    with tempfile.TemporaryDirectory() as folder:
        excluded = Path(folder, "excluded.csv")
        write_text(excluded, to_csv([*already_excluded, *names]))
        recipe = run.recipe().with_excluded(excluded)
        directory = data_dir or (Path(environment.dataset.data_dir) if environment.dataset.data_dir else None)
        config = TrainConfig(
            recipe=recipe,
            dataset=before.dataset,
            data_source=environment.dataset.argument,
            path=out,
            seed=environment.seed,
            precision=environment.precision,
            data_dir=directory,
            resume=resume,
            network=run.network,
        )
        session = Session(config, progress=progress)
        is_probe = recipe.training.method == "probe"
        with probe_threads(len(before.names), 0) if is_probe else nullcontext():
            summary = session.run()
            if summary.status == "finished":
                _write_report(before, Run(out, run.network), names, session.trainer)
    return summary


def _write_report(before: AuditContext, retrained: Run, names: Sequence[str], trainer: Trainer) -> None:
    after = AuditContext.from_run(retrained, before.dataset)
    if isinstance(trainer, ProbeTrainer):  # both runs have the same frozen body
        before.embed = after.embed = partial(trainer.head.features, precision="fp32")
    report = build_report(before, after, names)
    RunArtifacts(retrained).write_unlearning(report, "\n".join(report_lines(report)))


def build_report(before: AuditContext, after: AuditContext, names: Sequence[str]) -> UnlearningReport:
    """Compare a run with its retraining without the named images."""
    correct_before, correct_after = before.correct, after.correct
    low, high = difference_interval(correct_after, correct_before)
    return UnlearningReport(
        task=before.dataset.task,
        forgotten=tuple(names),
        weights_sha256_before=before.run.weights_checksum(),
        weights_sha256_after=after.run.weights_checksum(),
        images_sha256_before=_fingerprint(before.train_split),
        images_sha256_after=_fingerprint(after.train_split),
        n_train_before=len(before.train_split.train_indices),
        n_train_after=len(after.train_split.train_indices),
        n_test=len(correct_before),
        accuracy_before=float(correct_before.mean()),
        accuracy_after=float(correct_after.mean()),
        difference=(float(correct_after.mean() - correct_before.mean()), (low, high)),
        true_class_probability=_certainty(before, after, names),
    )


def report_lines(report: UnlearningReport) -> list[str]:
    """Return the lines of unlearning.txt, the record for the person who requested the deletion."""
    difference, (low, high) = report.difference
    images = "1 image" if len(report.forgotten) == 1 else f"{len(report.forgotten):,} images"
    measure = "share of test images with all labels correct" if report.task == "multi-label" else "test accuracy"
    return [
        f"The model was retrained from scratch without {images}: {report.n_train_after:,} training images instead of "
        f"{report.n_train_before:,}.",
        f"SHA-256 of the training images: {report.images_sha256_before} before, {report.images_sha256_after} after.",
        f"SHA-256 of the weights: {report.weights_sha256_before} before, {report.weights_sha256_after} after.",
        f"{measure.capitalize()} (n = {report.n_test:,}): {percent(report.accuracy_before)} before, "
        f"{percent(report.accuracy_after)} after; "
        f"difference {points(difference)} percentage points (95% CI {points(low)} to {points(high)}).",
        *_probability_lines(report),
    ]


def _probability_lines(report: UnlearningReport) -> list[str]:
    probability = report.true_class_probability
    if probability is None:
        return []
    names = ("true labels", "labels") if report.task == "multi-label" else ("true class", "classes")
    return [
        f"Mean probability of the {names[0]} on the forgotten images: {probability.forgotten_before:.3f} before, "
        f"{probability.forgotten_after:.3f} after. On test images of the same {names[1]}, which neither model was "
        f"trained on: {probability.unseen_before:.3f} before, {probability.unseen_after:.3f} after."
    ]


def _certainty(before: AuditContext, after: AuditContext, names: Sequence[str]) -> TrueClassProbability | None:
    """Return the mean probability of the true class on the forgotten images and on test images of their classes.

    Each of several labels of an image counts as a class. Returns None if the forgotten images have no label.
    """
    index_of = {name: index for index, name in enumerate(before.names)}
    forgotten = subset(before.pool, np.array([index_of[name] for name in names]))
    classes = {label for _, label in label_pairs(forgotten.labels)}
    if not classes:
        return None
    return TrueClassProbability(
        *(
            _mean_probability(context, part, classes)
            for part in (forgotten, before.dataset.test)
            for context in (before, after)
        )
    )


def _mean_probability(context: AuditContext, images: Split, classes: set[int]) -> float:
    """Return the mean probability of the true classes among `classes`; 0 without any, because JSON has no NaN."""
    pairs = np.array([pair for pair in label_pairs(images.labels) if pair[1] in classes], dtype=np.int64).reshape(-1, 2)
    if not len(pairs):
        return 0.0
    rows, row_of = np.unique(pairs[:, 0], return_inverse=True)
    probabilities = context.probabilities(take(images.pixels, rows))
    return float(probabilities[row_of, pairs[:, 1]].mean())


def _fingerprint(images: TrainSplit) -> str:
    """Return the SHA-256 of the labels and pixels of the training images, in their order."""
    digest = hashlib.sha256(np.ascontiguousarray(images.train.labels[images.train_indices], dtype="<i8").tobytes())
    for index in images.train_indices:
        digest.update(np.ascontiguousarray(images.train.pixels[index]).data)
    return digest.hexdigest()


def _require_used(context: AuditContext, names: Sequence[str], excluded: Sequence[str]) -> None:
    """Raise DataError unless all names are training or validation images that the run did not exclude."""
    used = {name for name, split in zip(context.names, context.splits, strict=True) if split != "test"} - set(excluded)
    unknown = [name for name in names if name not in used]
    if not names:
        raise DataError("No images to forget. Pass the ids of images, such as train/17.")
    if unknown:
        raise DataError(
            f"{unknown[0]}: not a training or validation image of {context.run.path}. Name images as its dataset does, "
            f"such as {min(used, default='train/0')}."
        )


def _excluded(run: Run) -> tuple[str, ...]:
    """Return the images that the recipe of the run excludes."""
    path = run.recipe().data.exclude_file
    return read_image_ids(Path(path)) if path else ()
