"""Change the images of a probe: add, remove or relabel some, and train the last layer again.

The features of the other images are cached, so this takes seconds. The new run keeps its images as a table. Training
the recipe from scratch on that table gives the same weights, because it is the same computation.
"""

from __future__ import annotations

import os
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from tinysight._util.errors import DataError, InputError, RunError, did_you_mean
from tinysight._util.progress import SILENT, Progress
from tinysight.data.arrange import arrange, group_of
from tinysight.data.dataset import Dataset, Pixels
from tinysight.data.image_ids import read_image_ids
from tinysight.data.image_io.decoding import decode_images
from tinysight.data.inputs import expand_inputs
from tinysight.data.labels import SEPARATOR
from tinysight.data.load import load
from tinysight.data.source_report import SHORT_NAMES, one_line, truncated
from tinysight.runs.artifacts import RunArtifacts
from tinysight.runs.change_record import DatasetChange, ValidationScore
from tinysight.runs.image_index import pixel_checksums
from tinysight.runs.image_table import SPLITS, ImageTable, TableImage, TableSplit, recipe_for_table
from tinysight.runs.records import Summary
from tinysight.runs.run import Run
from tinysight.training.probe import ProbeTrainer, last_linear
from tinysight.training.request import TrainConfig
from tinysight.training.seeding import derive_seed
from tinysight.training.session import Session
from tinysight.training.threads import probe_threads

Labels = frozenset[str]


@dataclass(frozen=True)
class Edit:
    """A change of the images of a run.

    Attributes:
        run: the run, which is not changed.
        action: what is done to the images.
        label: their new label, or ""; several have "|" between them.
        before: all images of the run.
        after: all images afterwards.
        changed: the changed images, from `after`; removed ones from `before`.
    """

    run: Run
    action: Literal["added", "removed", "relabeled"]
    label: str
    before: ImageTable
    after: ImageTable
    changed: tuple[TableImage, ...]

    def describe(self) -> str:
        """Return what is done, such as "50 images added as 'owl'"."""
        label = f" as {self.label!r}" if self.label else ""
        return f"{_count(len(self.changed))} {self.action}{label}"


def check_changeable(run: Run) -> None:
    """Raise RunError unless a run is a finished probe."""
    if run.recipe().training.method != "probe":
        raise RunError(
            f"{run.path}: not a probe, so all layers of its network have to be trained again. Change the images in its "
            "folder or table, and train on that from the weights of this run."
        )
    if (status := run.summary().status) != "finished":
        raise RunError(f"{run.path}: its training is not finished ({status}). Resume it first.")


def open_table(run: Run, dataset: Dataset) -> ImageTable:
    """Return the images of a run, to be changed.

    Args:
        run: a probe.
        dataset: its complete dataset.

    Raises:
        DataError: the images have weights, or none of them is a test image.
    """
    if dataset.train.weights is not None:
        raise DataError(f"{run.path}: its images have weights, which a table cannot hold. Train again.")
    if not len(dataset.test):
        raise DataError(f"{run.path}: has no test images, which a table needs. Train again with some.")
    return ImageTable.of_run(run, dataset)


def add(
    run: Run,
    table: ImageTable,
    label: str,
    names: Sequence[str],
    group: str | None = None,
    skip_unreadable: bool = False,
    progress: Progress = SILENT,
) -> Edit:
    """Add image files to the images of a run.

    Of the new images, training, validation and test get such shares that the shares in the class become those of the
    run. The choice depends only on the seed of the run. Copies of images that the run has are skipped.

    Args:
        run: a probe.
        table: its images.
        label: their class, which may be new; with several labels per image, all labels with "|" between them.
        names: files, folders, or globs.
        group: the group of each image, as in `DataSection`; needed if the run has groups.
        skip_unreadable: skip unreadable images instead of failing.
        progress: receives the progress of decoding, and notes.

    Raises:
        DataError: images are unreadable, the run has them with another label or excludes them; there are none
            that are new, or too few for a new class; the label or the groups do not fit.
    """
    labels = _parse_label(run, table, label, progress)
    files = _expand(names, progress)
    pixels, readable = _decode(files, run.recipe().data.image_size, skip_unreadable, progress)
    files = [files[index] for index in readable]
    new = _new_images(run, table, labels, files, pixels, progress)
    files, pixels = [files[index] for index in new], pixels[new]
    groups = _groups(run, table, files, pixels, group)
    splits = _draw_splits(table, labels, groups, run.environment().seed)
    rows = zip(files, groups, splits, pixel_checksums(pixels).tolist(), strict=True)
    added = tuple(
        TableImage(str(file), file.as_posix(), labels, split, group_name, checksum, (len(table.pixels), row))
        for row, (file, group_name, split, checksum) in enumerate(rows)
    )
    after = table.with_images([*table.images, *added], pixels)
    return _checked(Edit(run, "added", SEPARATOR.join(sorted(labels)), table, after, added))


def remove(run: Run, table: ImageTable, names: Sequence[str], progress: Progress = SILENT) -> Edit:
    """Remove images from those of a run; a class without any images left is removed, too.

    Args:
        run: a probe.
        table: its images.
        names: IDs, CSV files of IDs, or files, folders or globs of images.
        progress: receives notes.

    Raises:
        DataError: an image is none of the run's, or too few images would be left.
    """
    removed = _find_images(run, table, names, progress)
    gone = set(removed)
    kept = [image for image in table.images if image not in gone]
    return _checked(Edit(run, "removed", "", table, table.with_images(kept), removed))


def relabel(run: Run, table: ImageTable, label: str, names: Sequence[str], progress: Progress = SILENT) -> Edit:
    """Correct the label of images of a run; they stay in their split.

    Args:
        run: a probe.
        table: its images.
        label: a class of the run; with several labels per image, all labels with "|" between them.
        names: as for `remove`.
        progress: receives notes.

    Raises:
        DataError: an image is none of the run's, the class is none, all images have this label already, or a class
            would have no training images left.
    """
    labels = _parse_label(run, table, label, progress, may_be_new=False)
    images = _find_images(run, table, names, progress)
    changed = {image: replace(image, labels=labels) for image in images if image.labels != labels}
    text = SEPARATOR.join(sorted(labels))
    if not changed:
        raise DataError(f"{run.path}: all of these images have the label {one_line(text)!r} already. Pass others.")
    if count := len(images) - len(changed):
        progress.note(f"Skipped: {_count(count)} with this label already.")
    after = table.with_images([changed.get(image, image) for image in table.images])
    return _checked(Edit(run, "relabeled", text, table, after, tuple(changed.values())))


def train_changed(edit: Edit, out: Path, progress: Progress = SILENT) -> Summary:
    """Train a new run on the changed images, with the recipe and the seed of the run, and write change.json.

    Raises:
        RunError: `out` is in use.
        DataError: a name cannot be written into a table.
        TrainingError, StorageError: as for `train`.
    """
    Run.check_available(out)
    run, recipe, environment = edit.run, recipe_for_table(edit.run.recipe()), edit.run.environment()
    table = edit.after.to_table(Run(out.resolve()).dataset_table)
    dataset = load(table, recipe.data.image_size, progress=progress, read_pixels=edit.after.read_pixels)
    record, arranged = environment.dataset, arrange(dataset, recipe.data)
    dataset = replace(
        arranged,
        name=record.name,
        notes=(f"Changed from the run {run.path.name}: {edit.describe()}.", *record.notes, *arranged.notes),
        provenance=arranged.provenance if edit.action == "added" else record.provenance,
    )
    config = TrainConfig(
        recipe=recipe,
        dataset=dataset,
        data_source=dataset.argument,
        path=out,
        seed=environment.seed,
        precision=environment.precision,
        network=run.network,
        dataset_files={Run(out).dataset_table.name: edit.after.csv.encode(), **edit.after.own_files()},
    )
    session = Session(config, progress=progress)
    with probe_threads(len(edit.after.images), len(edit.changed)):
        summary = session.run()
        if summary.status == "finished":
            RunArtifacts(Run(out, run.network)).write_change(_record(edit, summary, session.trainer))
    return summary


def _record(edit: Edit, summary: Summary, trainer: object) -> DatasetChange:
    before, counts = edit.run.summary(), Counter(image.split for image in edit.changed)
    on_both = _scores_on_both(edit, trainer) if isinstance(trainer, ProbeTrainer) else None
    old, new = edit.before.class_names, edit.after.class_names
    return DatasetChange(
        parent=str(edit.run.path.resolve()),
        task=edit.after.task,
        action=edit.action,
        label=edit.label,
        images={split: counts[split] for split in SPLITS if counts[split]},
        new_classes=tuple(name for name in new if name not in old),
        removed_classes=tuple(name for name in old if name not in new),
        before=ValidationScore(score=before.val_score, n=before.val_images),
        after=ValidationScore(score=summary.val_score, n=summary.val_images),
        before_on_both=on_both and on_both[0],
        after_on_both=on_both and on_both[1],
    )


@torch.inference_mode()
def _scores_on_both(edit: Edit, trainer: ProbeTrainer) -> tuple[ValidationScore, ValidationScore] | None:
    """Return the accuracy of both runs on the validation images that both have, from their cached features."""
    unchanged = set(edit.before.images) & set(edit.after.images)
    images = [image for image in edit.after.images if image in unchanged and image.split == "validation"]
    if edit.after.task == "multi-label" or not images:
        return None
    classifier = edit.run.classifier()
    features = trainer.head.features(edit.after.read_pixels([image.file for image in images]))
    heads = (
        (last_linear(classifier.network), classifier.class_names),
        (trainer.head.layer, trainer.classifier.class_names),
    )
    scores = []
    for layer, class_names in heads:
        predicted = layer(features).argmax(1).tolist()
        correct = sum(image.labels == {class_names[index]} for image, index in zip(images, predicted, strict=True))
        scores.append(ValidationScore(score=correct / len(images), n=len(images)))
    return scores[0], scores[1]


def _parse_label(run: Run, table: ImageTable, label: str, progress: Progress, may_be_new: bool = True) -> Labels:
    """Return the labels in a text. Raises DataError if they are no labels, or unknown ones that must not be new."""
    parts = label.split(SEPARATOR) if table.task == "multi-label" else [label]
    labels = frozenset(unicodedata.normalize("NFC", part.strip()) for part in parts) - {""}
    if not labels and table.task == "multi-class":
        raise DataError("The class has no name. Pass the name of a class.")
    known = table.class_names
    for name in sorted(labels - set(known)):
        if similar := [other for other in known if other.casefold() == name.casefold()]:
            raise DataError(f"Class {name!r}: differs only in case from the class {similar[0]!r}. Use {similar[0]!r}.")
        if not may_be_new:
            raise DataError(f"Class {name!r}: not a class of {run.path}.{did_you_mean(name, known)}")
        hint = did_you_mean(name, known)
        if hint.startswith(" Did"):
            progress.note(f"Class {name!r} is new.{hint}")
    return labels


def _expand(names: Sequence[str], progress: Progress) -> list[Path]:
    """Return the absolute paths of the image files that names stand for, each once."""
    if "-" in names:
        raise InputError("-: standard input has no file. Pass image files or folders.")
    paths = [path for name in names for _, path in expand_inputs(name, progress) if path is not None]
    if missing := [path for path in paths if not os.path.lexists(path)]:
        raise InputError(f"{missing[0]}: does not exist. Pass image files or folders.")
    if not paths:
        raise InputError("No images. Pass image files or folders.")
    return list(dict.fromkeys(path.parent.resolve() / path.name for path in paths))


def _decode(files: list[Path], size: int, skip_unreadable: bool, progress: Progress) -> tuple[Pixels, list[int]]:
    """Return the pixels of readable files, and their positions in `files`."""
    progress.start("decoding", len(files), "images")
    pixels, failures = decode_images(files, (size, size), progress)
    progress.finish()
    messages = [message for _, message in failures]
    if failures and not skip_unreadable:
        raise DataError(
            f"{len(failures):,} of {_count(len(files))} cannot be read. Repair them or pass skip_unreadable=True:\n"
            + truncated(messages, "\n")
        )
    if failures:
        progress.note(f"Skipped: {_count(len(failures))} that cannot be read: {truncated(messages, ' ')}")
    readable = [index for index in range(len(files)) if index not in {failed for failed, _ in failures}]
    return pixels[readable], readable


def _new_images(
    run: Run, table: ImageTable, labels: Labels, files: list[Path], pixels: Pixels, progress: Progress
) -> list[int]:
    """Return the positions of images that the run does not have. Raises DataError as `add`."""
    known = defaultdict[int, list[TableImage]](list)
    for image in table.images:
        known[image.checksum].append(image)
    new, copies, seen = list[int](), Counter[str](), set[int]()
    for index, checksum in enumerate(pixel_checksums(pixels).tolist()):
        name = one_line(str(files[index]))
        if checksum in table.forgotten:
            raise DataError(f"{name}: excluded from {run.path}. Leave it out.")
        same = known[checksum]
        if same and all(image.labels != labels for image in same):
            text = SEPARATOR.join(sorted(same[0].labels))
            raise DataError(
                f"{name}: already a {same[0].split} image of {run.path} with the label {text!r} "
                f"({one_line(same[0].id)}). Relabel it, or leave it out."
            )
        if same:
            copies[f"{same[0].split} images of {run.path}"] += 1
        elif checksum in seen:
            copies["others of these images"] += 1
        else:
            new.append(index)
        seen.add(checksum)
    for place, count in copies.items():
        progress.note(f"Skipped: {_count(count)} equal to {place}.")
    if not new:
        raise DataError(f"{run.path}: has all of these images already. Pass others.")
    return new


def _groups(run: Run, table: ImageTable, files: list[Path], pixels: Pixels, rule: str | None) -> list[str]:
    """Return the group of each new image, or "" if the run has no groups."""
    if not table.has_groups:
        if rule is not None:
            raise DataError(f"{run.path}: its images have no groups. Leave out the group.")
        return [""] * len(files)
    if rule is not None:
        return [group_of(file.as_posix(), rule, table.class_names) for file in files]
    if run.recipe().data.near_duplicates == "keep-together":
        return _groups_of_copies(table, files, pixels)
    raise DataError(
        f"{run.path}: keeps images of one group in one split, so new images need a group. Pass group='parent' if files "
        "in the same folder are a group, or a regular expression."
    )


def _groups_of_copies(table: ImageTable, files: list[Path], pixels: Pixels) -> list[str]:
    """Return the group of the image that each new image is a near-duplicate of; without any, a new group.

    The most similar image counts, since a chain of near-duplicates may connect images of several groups.
    """
    from tinysight.data.near_duplicates import find_near_duplicates

    own = table.read_pixels([image.file for image in table.images])
    found = find_near_duplicates(np.concatenate([own, pixels]))
    component_of = found.groups(len(own) + len(pixels)).tolist()
    group_of_new, group_of_component = dict[int, str](), dict[int, str]()
    for first, second in found.pairs.tolist():
        if first < len(own) <= second:
            group_of_new.setdefault(second, table.images[first].group)
            group_of_component.setdefault(component_of[second], table.images[first].group)
    return [
        group_of_new.get(position) or group_of_component.setdefault(component_of[position], str(file))
        for position, file in enumerate(files, start=len(own))
    ]


def _draw_splits(table: ImageTable, labels: Labels, groups: list[str], seed: int) -> list[TableSplit]:
    """Return a split for each new image. Groups stay whole, and those that the run has stay in their split."""
    members = defaultdict[str, list[int]](list)
    for index, group in enumerate(groups):
        members[group or f"\0{index}"].append(index)
    split_of = {image.group: image.split for image in table.images if image.group}
    splits = dict[int, TableSplit]()
    free = list[list[int]]()
    for group, rows in members.items():
        if group in split_of:
            splits |= dict.fromkeys(rows, split_of[group])
        else:
            free.append(rows)
    is_new = not labels <= set(table.class_names)
    if is_new:
        _check_new_class(labels, len(free), len(groups) > len(members))
    sizes = Counter(image.split for image in table.images)
    own = Counter(image.split for image in table.images if image.labels == labels) + Counter(splits.values())
    n_images = own.total() + sum(map(len, free))
    order = np.random.default_rng(derive_seed(seed, "added images")).permutation(len(free)).tolist()
    held_out: tuple[TableSplit, ...] = ("test", "validation")
    for n_reserved, split in zip((2, 1), held_out, strict=True):
        wanted = round(sizes[split] / len(table.images) * n_images) - own[split]
        for number in list(order):
            must_have = is_new and own[split] == 0
            if len(order) > (n_reserved if is_new else 0) and (must_have or len(free[number]) < 2 * wanted):
                splits |= dict.fromkeys(free[number], split)
                order.remove(number)
                wanted -= len(free[number])
                own[split] += len(free[number])
    return [splits.get(index, "train") for index in range(len(groups))]


def _check_new_class(labels: Labels, count: int, has_groups: bool) -> None:
    if count < len(SPLITS):
        unit = ("group" if has_groups else "image") + ("" if count == 1 else "s")
        raise DataError(
            f"Class {SEPARATOR.join(sorted(labels))!r}: {count} new {unit}, but a new class needs 3, one each for "
            "train, validation and test. Add more."
        )


def _find_images(run: Run, table: ImageTable, names: Sequence[str], progress: Progress) -> tuple[TableImage, ...]:
    """Return the images of a run by their IDs or files, in the order of the names and each once."""
    by_id = {image.id: image for image in table.images}
    by_path = {os.path.realpath(image.file): image for image in table.images if image.has_file}
    found, files = dict[TableImage, None](), list[Path]()
    for name in names:
        if name in by_id:
            found[by_id[name]] = None
        elif name.lower().endswith(".csv"):
            listed = read_image_ids(Path(name))
            if unknown := [id_ for id_ in listed if id_ not in by_id]:
                raise DataError(f"{name}: {one_line(unknown[0])} is not an image of {run.path}. Remove this line.")
            found |= dict.fromkeys(by_id[id_] for id_ in listed)
        elif os.path.lexists(name) or any(mark in name for mark in "*?["):
            files += _expand([name], progress)
        else:
            raise DataError(
                f"{name}: neither a file nor an image of {run.path}.{did_you_mean(name, _few(by_id, name))}"
            )
    copies = [file for file in files if os.path.realpath(file) not in by_path]
    by_copy = _find_copies(run, table, copies, progress) if copies else {}
    for file in files:
        found |= dict.fromkeys(by_copy[file] if file in by_copy else [by_path[os.path.realpath(file)]])
    if not found:
        raise DataError(f"No images of {run.path}. Pass their files or IDs.")
    return tuple(found)


def _find_copies(run: Run, table: ImageTable, files: list[Path], progress: Progress) -> dict[Path, list[TableImage]]:
    """Return the images of a run that have the content of files at other places."""
    pixels, _ = _decode(files, run.recipe().data.image_size, False, progress)
    known = defaultdict[int, list[TableImage]](list)
    for image in table.images:
        known[image.checksum].append(image)
    copies = dict(zip(files, (known[checksum] for checksum in pixel_checksums(pixels).tolist()), strict=True))
    if unknown := [str(file) for file, images in copies.items() if not images]:
        listed = truncated([one_line(name) for name in unknown], ", ", SHORT_NAMES)
        raise DataError(f"{listed}: not among the images of {run.path}. Pass images that it has.")
    return copies


def _few(ids: dict[str, TableImage], name: str) -> list[str]:
    """Return IDs to compare a wrong one with: those in the same folder, or an example."""
    alike = [id_ for id_ in ids if Path(id_).name == Path(name).name]
    return (alike or list(ids))[:3]


def _checked(edit: Edit) -> Edit:
    """Return the edit if the changed images can be trained on. Raises DataError."""
    after, path = edit.after, edit.run.path
    counts = Counter(image.split for image in after.images)
    if missing := [split for split in SPLITS if not counts[split]]:
        raise DataError(f"{path}: no {missing[0]} images would be left. Keep some, or add others first.")
    trained = frozenset().union(*(image.labels for image in after.images if image.split == "train"))
    if untrained := [name for name in after.class_names if name not in trained]:
        raise DataError(
            f"Class {untrained[0]!r}: no training images would be left. Keep some, or remove all of its images."
        )
    if len(after.class_names) < 2:
        raise DataError(f"{path}: only the class {after.class_names[0]!r} would be left. Keep at least two.")
    return edit


def _count(number: int) -> str:
    return "1 image" if number == 1 else f"{number:,} images"
