"""Data source: a zip file of a folder of image files.

The images are unpacked once into the cache, with limits against hostile archives. Then the rules for folders apply.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import stat
import struct
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from lzma import LZMAError
from os import PathLike
from pathlib import Path
from zlib import error as ZlibError

from tinysight._util.errors import DataError, StorageError
from tinysight._util.files import atomic_dir, cache_folder
from tinysight._util.locks import file_lock
from tinysight._util.progress import SILENT, Progress
from tinysight.data.dataset import NOT_STATED, Dataset, Provenance
from tinysight.data.image_files import FileIndex, load_image_files
from tinysight.data.image_io import MAX_BYTES
from tinysight.data.image_io.formats import HEAD_BYTES, image_format, is_image_name, is_readable_format, is_system_name
from tinysight.data.source import DataSource, LoadOptions, absolute_path
from tinysight.data.source_report import ReportBuilder, one_line
from tinysight.data.sources.folder import scan_folder

MAX_MEMBERS = 2_000_000
MAX_TOTAL_BYTES = 2**36  # 64 GiB unpacked
_UNPACK = "Unpack it yourself and pass the folder."
_OUTSIDE = re.compile(r"/|[A-Za-z]:|(.*/)?\.\.(/|$)", re.DOTALL)
_ZIP_ERRORS = (zipfile.BadZipFile, ZlibError, LZMAError, EOFError, ValueError, struct.error, KeyError, IndexError)


class ZipSource(DataSource):
    """A zip file of class folders."""

    name = "zip"
    provenance = Provenance(f"A zip file of image files. {NOT_STATED}")

    def matches(self, spec: object) -> bool:
        """Return whether `spec` is the path of a zip file, which may be missing."""
        if not isinstance(spec, str | PathLike):
            return False
        return os.fspath(spec).lower().endswith(".zip") and not os.path.isdir(spec)

    def argument(self, spec: str | PathLike[str]) -> str:
        """Return the absolute path."""
        return str(absolute_path(spec, "zip"))

    def load(self, spec: str | PathLike[str], options: LoadOptions) -> Dataset:
        """Unpack the images into the cache if they are not there yet, and load them like a folder."""
        index = scan_zip(absolute_path(spec, "zip"), options.progress, options.needs_splits)
        size = (options.image_size, options.image_size)
        return load_image_files(
            index, size, options.skip_unreadable, options.progress, needs_splits=options.needs_splits
        )


SOURCE = ZipSource()


def scan_zip(path: Path, progress: Progress = SILENT, needs_splits: bool = True) -> FileIndex:
    """Unpack the images of a zip file, and list them as `scan_folder` does.

    Of members that are no images, only the first bytes are unpacked, so that the report can count them.

    Raises:
        DataError: the file is damaged, encrypted or too large, has members outside its folder, or a different layout.
        StorageError: the cache cannot be written.
    """
    with _zip_errors(path), _open(path) as archive:
        members, report = _members(archive, path)
        folder = _unpacked(archive, members, path, progress)
    try:
        index = scan_folder(folder, needs_splits)
    except DataError as error:
        raise DataError(str(error).replace(str(folder), str(path))) from error
    skipped = report.build(0)
    found = index.report
    merged = replace(found, skipped=(*skipped.skipped, *found.skipped), ignored=(*skipped.ignored, *found.ignored))
    return replace(index, kind="zip file", path=path, report=merged)


@dataclass(frozen=True)
class _Member:
    """A member to unpack: its header, and its path below the folder."""

    info: zipfile.ZipInfo
    path: str


def _members(archive: zipfile.ZipFile, path: Path) -> tuple[list[_Member], ReportBuilder]:
    """Return the members to unpack, by their headers only, and what is not unpacked."""
    infos = archive.infolist()
    if len(infos) > MAX_MEMBERS:
        raise DataError(f"{path}: {len(infos):,} files (limit: {MAX_MEMBERS:,}). {_UNPACK}")
    report, members, paths = ReportBuilder(), list[_Member](), set[str]()
    for info in infos:
        name = info.filename.replace("\\", "/")  # as some programs on Windows write it
        if _OUTSIDE.match(name):
            raise DataError(
                f"{path}: the member {one_line(name)} is outside of the folder to unpack. "
                "Use an archive that you trust."
            )
        parts = [part for part in name.split("/") if part not in ("", ".")]
        relative = "/".join(parts)
        if info.is_dir() or not parts:
            continue
        if any(map(is_system_name, parts)):
            report.skip("file", "of the operating system, or hidden", relative, is_system=True)
        elif stat.S_IFMT(info.external_attr >> 16) not in (0, stat.S_IFREG):
            report.skip("link", "in a zip file", relative)
        elif relative in paths:
            report.skip("file", "whose name occurs twice in the zip file", relative)
        else:
            paths.add(relative)
            members.append(_Member(info, relative))
    return _without_conflicts(members, paths, report), report


def _without_conflicts(members: list[_Member], paths: set[str], report: ReportBuilder) -> list[_Member]:
    """Leave out files that are also the folder of other files."""
    folders = {path.rpartition("/")[0] for path in paths}
    folders |= {"/".join(folder.split("/")[:depth]) for folder in folders for depth in range(folder.count("/") + 1)}
    for member in members:
        if member.path in folders:
            report.skip("file", "with the name of a folder in the zip file", member.path)
    return [member for member in members if member.path not in folders]


def _unpacked(archive: zipfile.ZipFile, members: list[_Member], path: Path, progress: Progress) -> Path:
    """Return the folder in the cache that the members are unpacked to."""
    status = path.stat()
    entry = cache_folder() / "zips" / hashlib.sha256(os.fsencode(path)).hexdigest()[:32]
    folder = entry / f"{status.st_size}-{status.st_mtime_ns}"
    with file_lock(entry / "lock", progress):
        if not folder.is_dir():
            for outdated in entry.iterdir():
                if outdated.is_dir():
                    shutil.rmtree(outdated, ignore_errors=True)
            with atomic_dir(folder) as draft:
                _unpack(archive, members, draft, path, progress)
    return folder


def _unpack(archive: zipfile.ZipFile, members: list[_Member], folder: Path, path: Path, progress: Progress) -> None:
    total = sum(min(member.info.file_size, MAX_BYTES + 1) for member in members)
    if total > MAX_TOTAL_BYTES:
        raise DataError(
            f"{path}: unpacks to {total / 2**30:,.0f} GiB (limit: {MAX_TOTAL_BYTES / 2**30:,.0f} GiB). {_UNPACK}"
        )
    if (free := shutil.disk_usage(folder).free) < total:
        raise StorageError(
            f"{folder.parent}: unpacking needs up to {total / 1e9:.1f} GB, but the disk has {free / 1e9:.1f} GB free. "
            "Free some space, or set TINYSIGHT_CACHE_DIR to a folder on another disk."
        )
    progress.start("unpacking", len(members), "files")
    try:
        for member in members:
            if member.info.flag_bits & 1:
                raise DataError(f"{path}: {one_line(member.path)} is encrypted. {_UNPACK}")
            target = folder / member.path
            target.parent.mkdir(parents=True, exist_ok=True)
            content = _content(archive, member, path)
            target.write_bytes(content)
            progress.advance(1)
    finally:
        progress.finish()


def _content(archive: zipfile.ZipFile, member: _Member, path: Path) -> bytes:
    """Return an image, up to the limit that the decoder refuses, or the first bytes of another file."""
    try:
        with archive.open(member.info) as file:
            head = file.read(HEAD_BYTES)
            if is_image_name(member.path) or is_readable_format(image_format(head)):
                return head + file.read(MAX_BYTES + 1 - len(head))
            return head
    except (*_ZIP_ERRORS, OSError) as error:
        raise DataError(f"{path}: {one_line(member.path)} is damaged. Get a new copy of the zip file.") from error
    except NotImplementedError as error:
        raise DataError(f"{path}: {one_line(member.path)} has an unknown compression. {_UNPACK}") from error


def _open(path: Path) -> zipfile.ZipFile:
    if not stat.S_ISREG(path.stat().st_mode):
        raise DataError(f"{path}: not a regular file. Pass a zip file.")
    return zipfile.ZipFile(path)


@contextmanager
def _zip_errors(path: Path) -> Iterator[None]:
    """Convert errors of a file that is missing, unreadable, or no zip file."""
    try:
        yield
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file. Check the path.") from error
    except (*_ZIP_ERRORS, NotImplementedError) as error:
        raise DataError(f"{path}: not a zip file, or damaged. Get a new copy.") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}). Check path and permissions.") from error
