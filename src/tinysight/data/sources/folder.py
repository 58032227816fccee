"""Data source: a folder of image files, with one subfolder per class."""

from __future__ import annotations

import os
from os import PathLike
from pathlib import Path

from tinysight._util.errors import DataError
from tinysight._util.progress import SILENT, Progress
from tinysight.data.dataset import NOT_STATED, Dataset, Provenance
from tinysight.data.image_files import FileIndex, SplitFiles, check_utf8, load_image_files
from tinysight.data.image_io.image_file import IMAGE_SUFFIXES
from tinysight.data.source import DataSource, LoadOptions

_SPLITS = {"train": "train", "val": "validation", "validation": "validation", "test": "test"}
_LAYOUT = "Use the layout DIR/CLASS/*.jpg, or DIR/train/CLASS/*.jpg and DIR/test/CLASS/*.jpg."


class FolderSource(DataSource):
    """A folder of class folders."""

    name = "folder"
    provenance = Provenance(f"A folder of image files. {NOT_STATED}")

    def matches(self, spec: object) -> bool:
        """Return whether `spec` is the path of a folder."""
        # Unlike Path.is_dir, os.path.isdir does not raise on a name that is too long.
        return isinstance(spec, str | PathLike) and os.path.isdir(spec)

    def argument(self, spec: str | PathLike[str]) -> str:
        """Return the absolute path."""
        return str(Path(spec).resolve())

    def load(self, spec: str | PathLike[str], options: LoadOptions) -> Dataset:
        """Decode the images of the folder, or read them from the cache. See `load_folder`."""
        size = (options.image_size, options.image_size)
        return load_folder(self.argument(spec), size, options.skip_unreadable, options.progress)


SOURCE = FolderSource()


def load_folder(
    folder: str | PathLike[str],
    image_size: tuple[int, int] = (32, 32),
    skip_unreadable: bool = False,
    progress: Progress = SILENT,
    cache: Path | None = None,
) -> Dataset:
    """Decode a folder with the layout that `scan_folder` describes. See `load_image_files`.

    Raises:
        DataError: the folder has another layout, files cannot be decoded, or a class has too few images.
        StorageError: the images do not fit into memory and the cache cannot be written.
    """
    return load_image_files(scan_folder(Path(folder)), image_size, skip_unreadable, progress, cache)


def scan_folder(folder: Path) -> FileIndex:
    """List the image files in `DIR/CLASS`, or in `DIR/train/CLASS`, `DIR/test/CLASS` and `DIR/val/CLASS`.

    Image files are recognized by their suffix (`IMAGE_SUFFIXES`, case-insensitive) and sorted by path. Files in
    subfolders of a class folder belong to the class. Hidden files and folders are ignored. A class folder may be a
    symbolic link. Links to folders below it are not followed, because they may form a loop.

    Raises:
        DataError: the folder is missing or has another layout, there are fewer than two classes, a class folder has
            no images, or test or validation has a class that train lacks.
    """
    roots = _split_roots(folder)
    class_names = _subfolders(roots["train"])
    if len(class_names) < 2:
        present = f"only the class folder {class_names[0]}" if class_names else "no class folders"
        raise DataError(f"{roots['train']}: contains {present}, but at least two are needed. {_LAYOUT}")
    splits = {name: _read_split(folder, root, class_names) for name, root in roots.items()}
    check_utf8([str(folder.resolve()), *class_names, *(file for split in splits.values() for file in split.files)])
    return FileIndex("folder", folder, folder, tuple(class_names), splits)


def _split_roots(folder: Path) -> dict[str, Path]:
    names = _subfolders(folder)
    splits = [name for name in names if name.lower() in _SPLITS]
    # A class may be called "train" (next to "bus" and "car"). Then it contains images, not folders.
    if splits and (splits == names or any(_subfolders(folder / name) for name in splits)):
        return _named_splits(folder, names)
    return {"train": folder}


def _named_splits(folder: Path, names: list[str]) -> dict[str, Path]:
    roots: dict[str, Path] = {}
    for name in names:
        split = _SPLITS.get(name.lower())
        if split is None:
            raise DataError(f"{folder / name}: not one of train, test and val. Move it out of the dataset. {_LAYOUT}")
        if split in roots:
            raise DataError(f"{folder}: contains both {roots[split].name} and {name}. Merge them into one folder.")
        roots[split] = folder / name
    if "train" not in roots:
        raise DataError(f"{folder}: contains {' and '.join(names)} but no train folder. {_LAYOUT}")
    return {split: roots[split] for split in ("train", "validation", "test") if split in roots}


def _read_split(folder: Path, root: Path, class_names: list[str]) -> SplitFiles:
    present = _subfolders(root)
    unknown = sorted(set(present) - set(class_names))
    if unknown:
        raise DataError(f"{root / unknown[0]}: the class is missing from train. Rename it or add it to train.")
    if not present:
        raise DataError(f"{root}: contains no class folders. Add them or remove the folder. {_LAYOUT}")
    files: list[str] = []
    labels: list[int] = []
    for name in present:
        images = _find_images(root / name)
        if not images:
            suffixes = ", ".join(IMAGE_SUFFIXES)
            raise DataError(f"{root / name}: contains no images ({suffixes}). Add some or remove the folder. {_LAYOUT}")
        prefix = (root / name).relative_to(folder).as_posix()
        files += [f"{prefix}/{image}" for image in images]
        labels += [class_names.index(name)] * len(images)
    return SplitFiles(tuple(files), tuple(labels))


def _subfolders(folder: Path) -> list[str]:
    try:
        return sorted(path.name for path in folder.iterdir() if path.is_dir() and not _is_hidden(path.name))
    except OSError as error:
        raise _unreadable(error) from error


def _find_images(folder: Path) -> list[str]:
    """Return the image paths below a folder, as strings: a million Path objects take half a gigabyte."""
    images: list[str] = []
    try:
        for root, folders, files in os.walk(folder, onerror=_raise):
            folders[:] = [name for name in folders if not _is_hidden(name)]
            prefix = "" if root == str(folder) else f"{Path(root).relative_to(folder).as_posix()}/"
            images += [
                prefix + name for name in files if name.lower().endswith(IMAGE_SUFFIXES) and not _is_hidden(name)
            ]
    except OSError as error:
        raise _unreadable(error) from error
    return sorted(images)


def _raise(error: OSError) -> None:
    raise error  # by default os.walk skips unreadable folders silently


def _unreadable(error: OSError) -> DataError:
    return DataError(f"{error.filename}: cannot be read as a folder ({error.strerror}). Check the path.")


def _is_hidden(name: str) -> bool:
    return name.startswith(".")
