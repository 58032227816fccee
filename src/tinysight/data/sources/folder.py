"""Data source: a folder of image files, with one subfolder per class."""

from __future__ import annotations

import os
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from os import PathLike
from pathlib import Path, PurePath

from tinysight._util.errors import DataError
from tinysight._util.progress import SILENT, Progress
from tinysight.data.dataset import NOT_STATED, Dataset, Provenance
from tinysight.data.image_files import FileIndex, SplitFiles, check_utf8, load_image_files
from tinysight.data.image_io.formats import HEIF_HINT, HEIF_SUFFIXES, is_image_file, is_system_name
from tinysight.data.source import ARCHIVE_SUFFIXES, DataSource, LoadOptions
from tinysight.data.source_report import (
    KINDS_NOT_READ,
    SHORT_NAMES,
    Finding,
    ReportBuilder,
    file_kind,
    one_line,
    truncated,
)
from tinysight.data.split_names import split_and_rest, split_of

_LAYOUT = "Use the layout DIR/CLASS/*.jpg, or DIR/train/CLASS/*.jpg and DIR/test/CLASS/*.jpg."
_SYSTEM = "of the operating system, or hidden"
_RUN_FILES = ("recipe.toml", "environment.json")  # in every run directory
_RUNS = "with runs of tinysight"
_IMAGES = {"image", "images", "img", "imgs", "jpegimages"}
_ANNOTATIONS = {"annotation", "annotations", "label", "labels", "mask", "masks"}


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
        index = scan_folder(Path(self.argument(spec)), options.needs_splits)
        return load_image_files(
            index, size, options.skip_unreadable, options.progress, needs_splits=options.needs_splits
        )


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
        DataError: the folder has a different layout, files cannot be decoded, or a class has too few images.
        StorageError: the images do not fit into memory and the cache cannot be written.
    """
    return load_image_files(scan_folder(Path(folder)), image_size, skip_unreadable, progress, cache)


def scan_folder(folder: Path, needs_splits: bool = True) -> FileIndex:
    """List the image files in `DIR/CLASS`, or in `DIR/train/CLASS`, `DIR/test/CLASS` and `DIR/val/CLASS`.

    - Split folders may have any name that `split_of` knows, in any case.
    - A folder that only wraps another one is entered.
    - Image files are recognized by their suffix or content (see `is_image_file`) and sorted by path.
    - Files in subfolders of a class folder belong to the class.
    - Class names are compared in the Unicode form NFC. Across splits, case does not matter if it is unambiguous.
    - Hidden files and files of the operating system are ignored. Run directories of tinysight are skipped.
    - A class folder may be a symbolic link, unless it leads to a folder that is read already. Links to folders below
      a class folder are not followed, because they may form a loop.

    The report of the index counts everything that is not used, and says how the layout was read.

    If `needs_splits` is false, one class is enough, train may lack classes of the other splits, and a folder without
    train is read as a folder of classes: that of its test images, or else of its validation images.

    Raises:
        DataError: the folder is missing or has a different layout, there are fewer than two classes, a class folder has
            no images, or test or validation has a class that train lacks.
    """
    return _FolderScan(folder, needs_splits).index()


class _FolderScan:
    """One pass over a folder, which collects the report on the way."""

    def __init__(self, folder: Path, needs_splits: bool) -> None:
        self._folder, self._needs_splits = folder, needs_splits
        self._report = ReportBuilder()
        self._deeper: Counter[str] = Counter()  # images by folder, of folders below class folders
        self._followed: set[str] = set()  # real paths of the listed folders

    def index(self) -> FileIndex:
        """Return the files by split."""
        if _is_run(self._folder):
            raise DataError(f"{self._folder}: a run, not a folder of images. {_LAYOUT}")
        roots = self._split_roots(self._enter(self._folder))
        classes = self._class_folders(roots["train"])
        if len(classes) < (2 if self._needs_splits else 1):
            raise self._too_few(roots["train"], tuple(classes))
        _check_annotations(roots["train"], tuple(classes))
        self._check_classes(roots["train"], classes)
        _check_names(roots["train"], classes)
        others = {split: self._known_classes(root, classes) for split, root in roots.items() if split != "train"}
        class_names = sorted({*classes, *(name for folders in others.values() for name in folders)})
        splits = {
            name: self._read_split(folders, class_names) for name, folders in {"train": classes, **others}.items()
        }
        files = [file for split in splits.values() for file in split.files]
        check_utf8([str(self._folder.resolve()), *class_names, *files])
        if self._deeper:
            counts = [f"{one_line(name)} {count:,}" for name, count in sorted(self._deeper.items())]
            total = self._deeper.total()
            images = "1 image is" if total == 1 else f"{total:,} images are"
            listed = truncated(counts, ", ")
            self._report.remarks.append(f"{images} in a subfolder of a class folder and used: {listed}.")
        report = self._report.build(len(files))
        return FileIndex("folder", self._folder, self._folder, tuple(class_names), splits, report)

    def _too_few(self, root: Path, class_names: tuple[str, ...]) -> DataError:
        """Return the error about a folder without two class folders, with a hint from its files."""
        present = f"only the class folder {one_line(class_names[0])}" if class_names else "no class folders"
        files = [name for name in _list(root)[1] if not is_system_name(name)]
        images = sum(is_image_file(root / name) for name in files)
        if any(name.startswith("data_batch_1") for name in files):
            return DataError(
                f"{root}: contains files of CIFAR-10 instead of class folders. Use the dataset cifar10, and set "
                "data_dir to this folder."
            )
        hints = []
        if archives := [one_line(name) for name in files if name.lower().endswith(ARCHIVE_SUFFIXES)]:
            hints.append(f"Unpack {truncated(archives, ', ', SHORT_NAMES)}.")
        elif images:
            count = "its image" if images == 1 else f"its {images:,} images"
            hints.append(f"Sort {count} into one folder per class, or list the images with their labels in a CSV file.")
        elif files and not class_names:
            hints.append(f"There are only other files: {_file_kinds([root])}.")
        if tables := [one_line(name) for name in files if name.lower().endswith(".csv")]:
            hints.append(f"If {tables[0]} lists images with labels, use it instead of the folder.")
        return DataError(f"{root}: contains {present}, but at least two are needed. {' '.join([*hints, _LAYOUT])}")

    def _enter(self, folder: Path, class_names: tuple[str, ...] = (), is_split: bool = False) -> Path:
        """Return the innermost of folders that hold only one other folder.

        Args:
            folder: where to start.
            class_names: names of folders that are not entered.
            is_split: whether the folder is a split. Else a split folder in it is not entered.
        """
        while True:
            names, files = _list(folder)
            names = [name for name in names if not is_system_name(name)]
            if len(names) != 1 or _nfc(names[0]) in class_names or (not is_split and split_of(names[0])):
                return folder
            inner = folder / names[0]
            if inner.is_symlink() or not _subfolders(inner) or self._has_images(folder, files):
                return folder
            self._list_others(folder, files)
            self._report.remarks.append(f"The images are in {one_line(self._relative(inner))}, the only folder there.")
            folder = inner

    def _split_roots(self, folder: Path) -> dict[str, Path]:
        names = _subfolders(folder)
        for find in (split_of, _split_within):
            splits = {name: split for name in names if (split := find(name))}
            # A class may be called "train" (next to "bus" and "car"). Then it contains images, not folders.
            has_folders = any(_subfolders(folder / name) for name in splits)
            # Words within a name are a weaker sign: "seg_train" and "seg_test" are splits, "test tube" is a class.
            is_clear = find is split_of and len(splits) == len(names)
            is_likely = find is split_of or {"train"} < set(splits.values())
            if splits and (is_clear or (has_folders and is_likely)):
                return self._named_splits(folder, {name: find(name) for name in names})
        return {"train": folder}

    def _named_splits(self, folder: Path, splits: Mapping[str, str | None]) -> dict[str, Path]:
        roots: dict[str, Path] = {}
        for name, split in splits.items():
            if split is None:
                if self._skip_without_images(folder / name):
                    continue
                raise DataError(
                    f"{folder / name}: not one of train, test and val. Move it out of the dataset. {_LAYOUT}"
                )
            if split in roots:
                raise DataError(f"{folder}: contains both {roots[split].name} and {name}. Merge them into one folder.")
            roots[split] = folder / name
        if "train" not in roots and not self._needs_splits:
            roots = self._only_measured(roots)
        if "train" not in roots:
            raise DataError(f"{folder}: contains {' and '.join(splits)} but no train folder. {_LAYOUT}")
        self._list_others(folder, _list(folder)[1])
        ordered = {split: roots[split] for split in ("train", "validation", "test") if split in roots}
        renamed = [f"{root.name} is {split}" for split, root in ordered.items() if root.name.lower() != split]
        if renamed:
            self._report.remarks.append(f"Split folders: {', '.join(map(one_line, renamed))}.")
        train = self._enter(ordered.pop("train"), is_split=True)
        class_names = tuple(map(_nfc, _subfolders(train)))
        return {"train": train, **{name: self._enter(root, class_names, True) for name, root in ordered.items()}}

    def _only_measured(self, roots: Mapping[str, Path]) -> dict[str, Path]:
        """Return the only split to measure in a folder without training images, as if it were a folder of classes."""
        measured = "test" if "test" in roots else "validation"
        for split, root in roots.items():
            if split != measured:
                self._report.skip("folder", f"of {split} images beside test images", self._relative(root))
        return {"train": roots[measured]}

    def _skip_without_images(self, folder: Path) -> bool:
        """Skip a folder next to the split folders if it holds no images, such as scripts, or runs of tinysight."""
        paths = [os.path.join(root, name) for root, _, files in os.walk(folder) for name in files]  # noqa: PTH118
        if _holds_runs(folder):
            self._report.skip("folder", _RUNS, self._relative(folder))
        elif any(is_image_file(path) for path in paths):
            return False
        else:
            self._report.skip("folder", "without images next to the split folders", self._relative(folder))
        return True

    def _class_folders(self, root: Path) -> dict[str, list[Path]]:
        """Return the folders of each class; two if their names differ only by Unicode form."""
        names, files = _list(root)
        self._list_others(root, files)
        classes: dict[str, list[Path]] = {}
        for name in sorted(names, key=lambda name: ((root / name).is_symlink(), name)):
            path = root / name
            if is_system_name(name):
                self._report.skip("folder", _SYSTEM, self._relative(path), is_system=True)
            elif _holds_runs(path):
                self._report.skip("folder", _RUNS, self._relative(path))
            elif self._is_followed(path):
                self._report.skip("link", "to a folder that is read already", self._relative(path))
            else:
                classes.setdefault(_nfc(name), []).append(path)
        if same := [name for name, paths in classes.items() if len(paths) > 1]:
            reason = "whose folders differ only by Unicode form, and are merged"
            self._report.suspicious.append(Finding("class", reason, len(same), tuple(map(one_line, same))))
        return dict(sorted(classes.items()))

    def _is_followed(self, folder: Path) -> bool:
        """Record a folder. Return whether it is a link that would be read twice."""
        real = os.path.realpath(folder)
        root = os.path.realpath(self._folder)
        if folder.is_symlink() and (real in self._followed or PurePath(root).is_relative_to(real)):
            return True
        self._followed.add(real)
        return False

    def _check_classes(self, root: Path, classes: Mapping[str, list[Path]]) -> None:
        """Refuse a layout in which the class folders could be splits, or contain splits."""
        inner: list[set[str]] = []
        for path in (path for paths in classes.values() for path in paths):
            names, files = _list(path)
            visible = {_nfc(name).casefold() for name in names if not is_system_name(name)}
            if not visible or self._has_images(path, files):
                return
            inner.append(visible)
        largest = max(inner, key=len)
        has_splits = any(split_of(name) for name in largest)
        if not all(names <= largest for names in inner) or (len(largest) < 2 and not has_splits):
            return
        names_of = ", ".join(map(one_line, classes)), ", ".join(map(one_line, sorted(largest)))
        fix = (
            "Put the split folders outside: DIR/train/CLASS/*.jpg and DIR/test/CLASS/*.jpg."
            if has_splits
            else "Rename split folders to train, val and test, or put the images of each class into one folder."
        )
        raise DataError(
            f"{root}: the folders {names_of[0]} contain no images, only folders of the same names: {names_of[1]}. {fix}"
        )

    def _known_classes(self, root: Path, class_names: Collection[str]) -> dict[str, list[Path]]:
        """Return the class folders of a validation or test split, by the names that train has."""
        present = self._class_folders(root)
        if not present:
            raise DataError(f"{root}: contains no class folders. Add them or remove the folder. {_LAYOUT}")
        known: dict[str, list[Path]] = {}
        renamed = []
        for name, paths in present.items():
            similar = [other for other in class_names if other.casefold() == name.casefold()]
            if name not in class_names and len(similar) == 1:
                renamed.append(f"{one_line(self._relative(paths[0]))} is {one_line(similar[0])}")
            elif name not in class_names and self._needs_splits:
                raise DataError(f"{root / name}: the class is missing from train. Rename it or add it to train.")
            known.setdefault(name if name in class_names or len(similar) != 1 else similar[0], []).extend(paths)
        if renamed:
            reason = "whose names differ from train only by case"
            self._report.suspicious.append(Finding("folder", reason, len(renamed), tuple(renamed[:10])))
        return known

    def _read_split(self, classes: Mapping[str, list[Path]], class_names: list[str]) -> SplitFiles:
        files: list[str] = []
        labels: list[int] = []
        for name, paths in classes.items():
            images = [image for path in paths for image in self._find_images(path)]
            if not images:
                kinds = _file_kinds(paths)
                others = f", only other files: {kinds}" if kinds else ""
                raise DataError(f"{paths[0]}: contains no images{others}. Add some or remove the folder. {_LAYOUT}")
            files += images
            labels += [class_names.index(name)] * len(images)
        return SplitFiles(tuple(files), tuple(labels))

    def _find_images(self, folder: Path) -> list[str]:
        """Return the image paths below a folder, as strings: a million Path objects take half a gigabyte."""
        images: list[str] = []
        for root, folders, files in _walk(folder):
            where = self._relative(Path(root))
            folders[:] = [name for name in folders if self._is_walked(root, name, where)]
            found = [f"{where}/{name}" for name in files if self._is_image(root, name, where)]
            if found and root != str(folder):
                self._deeper[where] += len(found)
            images += found
        return sorted(images)

    def _is_walked(self, root: str, name: str, where: str) -> bool:
        if is_system_name(name):
            self._report.skip("folder", _SYSTEM, f"{where}/{name}", is_system=True)
            return False
        if os.path.islink(os.path.join(root, name)):  # noqa: PTH114, PTH118
            self._report.skip("link", "to a folder below a class folder", f"{where}/{name}")
            return False
        return True

    def _is_image(self, root: str, name: str, where: str) -> bool:
        """Return whether a file is an image; count it if it is not."""
        path = f"{where}/{name}" if where != "." else name
        if is_system_name(name):
            self._report.skip("file", _SYSTEM, path, is_system=True)
        elif is_image_file(os.path.join(root, name)):  # noqa: PTH118
            return True
        elif not os.path.exists(os.path.join(root, name)):  # noqa: PTH110, PTH118
            self._report.skip("link", "without a target", path)
        elif name.lower().endswith(HEIF_SUFFIXES):
            self._report.skip(
                "HEIC image", "for which the extra 'heif' is missing (pip install 'tinysight[heif]')", path
            )
        else:
            self._report.skip("file", KINDS_NOT_READ, path, file_kind(name))
        return False

    def _has_images(self, folder: Path, files: list[str]) -> bool:
        return any(not is_system_name(name) and is_image_file(folder / name) for name in files)

    def _list_others(self, folder: Path, files: list[str]) -> None:
        """Count the files of a folder that holds class or split folders."""
        where = self._relative(folder)
        for name in files:
            if self._is_image(str(folder), name, where):
                self._report.skip("image", "outside of the class folders", f"{where}/{name}".removeprefix("./"))

    def _relative(self, path: Path) -> str:
        return path.relative_to(self._folder).as_posix()


def _check_names(root: Path, classes: Mapping[str, list[Path]]) -> None:
    """Refuse classes whose names differ only by a split, such as cat_train and cat_test."""
    splits: dict[str, dict[str, str]] = {}
    for name in classes:
        if named := split_and_rest(name):
            splits.setdefault(named[1], {})[named[0]] = name
    for names in splits.values():
        if len(names) > 1 and "train" in names:
            raise DataError(
                f"{root}: the folders {' and '.join(map(one_line, names.values()))} seem to be splits of one class. "
                "Use the layout DIR/train/CLASS/*.jpg and DIR/test/CLASS/*.jpg."
            )


def _check_annotations(root: Path, class_names: tuple[str, ...]) -> None:
    """Refuse the layout of object detection and segmentation: a folder of images beside one of annotations."""
    images, annotations = (
        [name for name in class_names if name.casefold() in names] for names in (_IMAGES, _ANNOTATIONS)
    )
    if images and annotations:
        has_folders = len(_subfolders(root / images[0])) > 1
        inner = f"If {images[0]} contains the class folders, use that folder. " if has_folders else ""
        raise DataError(
            f"{root}: the folders {images[0]} and {annotations[0]} seem to be images and annotations of objects in "
            f"them, but every image needs one class. {inner}Rename the folders if they are classes. {_LAYOUT}"
        )


def _list(folder: Path) -> tuple[list[str], list[str]]:
    """Return the names of the subfolders and of the files, sorted."""
    try:
        with os.scandir(folder) as entries:
            names = sorted(entry.name for entry in entries)
    except OSError as error:
        raise _unreadable(error) from error
    folders = [name for name in names if os.path.isdir(folder / name)]  # DirEntry.is_dir raises on loops of links
    return folders, sorted(set(names) - set(folders))


def _subfolders(folder: Path) -> list[str]:
    return [name for name in _list(folder)[0] if not is_system_name(name)]


def _walk(folder: Path) -> Iterator[tuple[str, list[str], list[str]]]:
    try:
        for root, folders, files in os.walk(folder, onerror=_raise):
            folders.sort()
            yield root, folders, sorted(files)
    except OSError as error:
        raise _unreadable(error) from error


def _raise(error: OSError) -> None:
    raise error  # by default os.walk skips unreadable folders silently


def _unreadable(error: OSError) -> DataError:
    return DataError(f"{error.filename}: cannot be read as a folder ({error.strerror}). Check the path.")


def _file_kinds(folders: list[Path]) -> str:
    """Return the most frequent kinds of files in these folders, such as ".txt 5, .csv 1"; "" if there are none."""
    kinds = Counter(
        file_kind(name) for path in folders for _, _, files in _walk(path) for name in files if not is_system_name(name)
    )
    listed = ", ".join(f"{one_line(kind)} {count:,}" for kind, count in kinds.most_common(5))
    hint = f". {HEIF_HINT.removesuffix('.')}" if kinds.keys() & set(HEIF_SUFFIXES) else ""
    return f"{listed}{hint}"


def _is_run(folder: Path) -> bool:
    return all((folder / name).is_file() for name in _RUN_FILES)


def _holds_runs(folder: Path) -> bool:
    """Return whether a folder is a run directory, or holds some. Their plots are no images of a class.

    By default, `train` writes to runs/ in the working directory, which may be the folder of the images.
    """
    if _is_run(folder):
        return True
    try:
        with os.scandir(folder) as entries:  # not Path.glob, which keeps a million entries in memory
            return any(_is_run(Path(entry)) for entry in entries if entry.is_dir(follow_symlinks=False))
    except OSError as error:
        raise _unreadable(error) from error


def _split_within(name: str) -> str | None:
    named = split_and_rest(name)
    return named[0] if named else split_of(name)


def _nfc(name: str) -> str:
    return unicodedata.normalize("NFC", name)
