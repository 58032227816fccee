"""Which images a folder of classes holds, before any of them is opened."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tinysight.errors import DataError

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif")

_SPLITS = {"train": "train", "val": "validation", "validation": "validation", "test": "test"}
_LAYOUT = "Lay the images out as DIR/CLASS/*.jpg, or as DIR/train/CLASS/*.jpg and DIR/test/CLASS/*.jpg."


@dataclass(frozen=True)
class Split:
    """The image files of one split, relative to the listing's folder, and the class of each."""

    files: tuple[str, ...]
    labels: tuple[int, ...]


@dataclass(frozen=True)
class Listing:
    """The image files of a folder.

    Attributes:
        folder: where they lie.
        class_names: names of the class folders, sorted.
        splits: "train", then "validation" and "test" if the folder sets them aside.
    """

    folder: Path
    class_names: tuple[str, ...]
    splits: dict[str, Split]


def scan(folder: Path) -> Listing:
    """List the image files in `DIR/CLASS`, or in `DIR/train/CLASS`, `DIR/test/CLASS` and `DIR/val/CLASS`.

    Image files are known by their suffix (`SUFFIXES`, upper or lower case) and sorted by path; those in
    folders within a class folder belong to the class. Hidden files and folders are left out. A class folder
    may be a link; links to folders further in are not followed, since they may lead back up.

    Raises:
        DataError: the folder is missing or not laid out like this, there are fewer than two classes, a
            class folder has no images, or test or validation has a class that train lacks.
    """
    roots = _split_folders(folder)
    class_names = _subfolders(roots["train"])
    if len(class_names) < 2:
        found = f"only the class folder {class_names[0]}" if class_names else "no class folders"
        raise DataError(f"{roots['train']} holds {found}; two or more are needed. {_LAYOUT}")
    splits = {name: _read_split(folder, root, class_names) for name, root in roots.items()}
    _check_names([str(folder.resolve()), *class_names, *(file for split in splits.values() for file in split.files)])
    return Listing(folder, tuple(class_names), splits)


def _split_folders(folder: Path) -> dict[str, Path]:
    names = _subfolders(folder)
    splits = [name for name in names if name.lower() in _SPLITS]
    # A class may well be called "train" (beside "bus" and "car"): then it holds images, not folders.
    if splits and (splits == names or any(_subfolders(folder / name) for name in splits)):
        return _named_splits(folder, names)
    return {"train": folder}


def _named_splits(folder: Path, names: list[str]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for name in names:
        split = _SPLITS.get(name.lower())
        if split is None:
            raise DataError(f"{folder / name} is none of train, test and val; move it elsewhere. {_LAYOUT}")
        if split in found:
            raise DataError(f"{folder} holds both {found[split].name} and {name}; make them one folder.")
        found[split] = folder / name
    if "train" not in found:
        raise DataError(f"{folder} holds {' and '.join(names)} but no train folder. {_LAYOUT}")
    return {split: found[split] for split in ("train", "validation", "test") if split in found}


def _read_split(folder: Path, root: Path, class_names: list[str]) -> Split:
    present = _subfolders(root)
    unknown = sorted(set(present) - set(class_names))
    if unknown:
        raise DataError(f"{root / unknown[0]} is a class that train lacks; rename it or add it to train.")
    if not present:
        raise DataError(f"{root} holds no class folders; fill it or remove it. {_LAYOUT}")
    files: list[str] = []
    labels: list[int] = []
    for name in present:
        images = _images(root / name)
        if not images:
            raise DataError(f"{root / name} holds no images ({', '.join(SUFFIXES)}); fill it or remove it. {_LAYOUT}")
        within = (root / name).relative_to(folder).as_posix()
        files += [f"{within}/{image}" for image in images]
        labels += [class_names.index(name)] * len(images)
    return Split(tuple(files), tuple(labels))


def _subfolders(folder: Path) -> list[str]:
    try:
        return sorted(path.name for path in folder.iterdir() if path.is_dir() and not _hidden(path.name))
    except OSError as error:
        raise _unreadable(error) from error


def _images(folder: Path) -> list[str]:
    """Return the paths of images below a folder, as text: of a million, objects would take half a gigabyte."""
    found: list[str] = []
    try:
        for root, folders, files in os.walk(folder, onerror=_refuse):
            folders[:] = [name for name in folders if not _hidden(name)]
            within = "" if root == str(folder) else f"{Path(root).relative_to(folder).as_posix()}/"
            found += [within + name for name in files if name.lower().endswith(SUFFIXES) and not _hidden(name)]
    except OSError as error:
        raise _unreadable(error) from error
    return sorted(found)


def _refuse(error: OSError) -> None:
    raise error  # os.walk would pass over a folder it may not read, and its images would be missed


def _unreadable(error: OSError) -> DataError:
    return DataError(f"{error.filename} is not a folder that can be read ({error.strerror}); name another.")


def _hidden(name: str) -> bool:
    return name.startswith(".")


def _check_names(names: Iterable[str]) -> None:
    for name in names:
        try:
            name.encode()
        except UnicodeEncodeError as error:
            shown = os.fsencode(name).decode(errors="backslashreplace")
            raise DataError(f"The name {shown} is not valid UTF-8; rename it.") from error
