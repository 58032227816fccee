"""Writing files so that power loss, a full disk or Ctrl-C never leaves half of one.

The order of steps (temporary file, fsync, rename, fsync of the folder) follows Pillai et al., "All File
Systems Are Not Created Equal", OSDI 2014.
"""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from tinysight.errors import StorageError

_REASONS = {
    errno.ENOSPC: "the disk is full; make room and try again",
    errno.EDQUOT: "your disk quota is used up; make room and try again",
    errno.EROFS: "the folder is read-only; choose another place",
    errno.EACCES: "you may not write there; choose another place or change its permissions",
    errno.EPERM: "you may not write there; choose another place or change its permissions",
    errno.ENOTDIR: "part of the path is a file, not a folder; choose another place",
    errno.EEXIST: "a file of that name is in the way; choose another place",
    errno.EISDIR: "a folder of that name is in the way; choose another name",
    errno.ENAMETOOLONG: "the name is too long; choose a shorter one",
}


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turn an OSError while writing `path` into a StorageError that says why and what to do."""
    try:
        yield
    except OSError as error:
        reason = _REASONS.get(error.errno or 0, f"{error.strerror or error}")
        raise StorageError(f"Cannot write {path}: {reason}.") from error


@contextmanager
def atomic_writer(path: Path) -> Iterator[BinaryIO]:
    """Open a temporary file that becomes `path`, whole and on disk, when the block ends without an error."""
    with storage_errors(path):
        make_folder(path.parent)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
        temporary = Path(name)
        try:
            with os.fdopen(handle, "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            temporary.chmod(0o666 & ~_umask())
            temporary.replace(path)
            sync_folder(path.parent)
        except BaseException:
            with suppress(OSError):
                temporary.unlink()
            raise


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Give an empty, hidden folder that becomes `path`, whole and on disk, when the block ends without an error.

    Nothing may be at `path` but an empty folder.
    """
    with storage_errors(path):
        make_folder(path.parent)
        draft = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part"))
        try:
            yield draft
            draft.chmod(0o777 & ~_umask())
            draft.replace(path)
            sync_folder(path.parent)
        except BaseException:
            shutil.rmtree(draft, ignore_errors=True)
            raise


def write_bytes(path: Path, content: bytes) -> None:
    """Write `content` to `path` atomically."""
    with atomic_writer(path) as file:
        file.write(content)


def write_text(path: Path, content: str) -> None:
    """Write `content` to `path` as UTF-8, atomically."""
    write_bytes(path, content.encode())


def remove_drafts(*paths: Path) -> None:
    """Remove what killed processes have left of files they were writing, `*` for any name; nobody may be writing them.

    Raises:
        StorageError: they cannot be removed.
    """
    for path in paths:
        with storage_errors(path):
            for draft in path.parent.glob(f".{path.name}.*.part"):
                draft.unlink(missing_ok=True)


def make_folder(folder: Path) -> None:
    """Make `folder`, and those above it, unless they are there; new ones are on disk when this returns."""
    new = [place for place in (folder, *folder.parents) if not place.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for place in new:
        sync_folder(place.parent)  # its name is written there


def sync_folder(folder: Path) -> None:
    """Make renames in `folder` survive power loss."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _umask() -> int:
    # There is no way to read the mask without setting it.
    mask = os.umask(0)
    os.umask(mask)
    return mask
