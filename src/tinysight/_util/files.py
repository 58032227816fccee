"""Atomic and durable file writes, and the cache directory.

Power loss, a full disk or Ctrl-C never leaves a partial file. The steps (temporary file, fsync, rename, fsync of the
folder) follow Pillai et al., "All File Systems Are Not Created Equal", OSDI 2014.
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

import platformdirs

from tinysight._util import platform
from tinysight._util.errors import StorageError

_REASONS = {
    errno.ENOSPC: "the disk is full. Free some space and try again",
    errno.EDQUOT: "the disk quota is exceeded. Free some space and try again",
    errno.EROFS: "the folder is read-only. Choose another folder",
    errno.EACCES: "permission denied. Choose another folder or change the permissions",
    errno.EPERM: "permission denied. Choose another folder or change the permissions",
    errno.ENOTDIR: "a parent of the path is a file. Choose another folder",
    errno.EEXIST: "a file of that name exists. Choose another folder",
    errno.EISDIR: "a folder of that name exists. Choose another name",
    errno.ENAMETOOLONG: "the name is too long. Choose a shorter one",
}


def cache_folder() -> Path:
    """Return TINYSIGHT_CACHE_DIR if it is set, else the user cache directory of the operating system."""
    chosen = os.environ.get("TINYSIGHT_CACHE_DIR")
    return Path(chosen).expanduser() if chosen else Path(platformdirs.user_cache_dir("tinysight"))


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Convert an OSError raised while writing `path` into a StorageError with a fix."""
    try:
        yield
    except OSError as error:
        reason = _REASONS.get(error.errno or 0, f"{error.strerror or error}")
        if platform.is_in_use(error):
            reason = "another program has opened the file. Close it and try again"
        raise StorageError(f"Cannot write {path}: {reason}.") from error


@contextmanager
def atomic_writer(path: Path) -> Iterator[BinaryIO]:
    """Open a temporary file that is synced and renamed to `path` if the block raises no error."""
    with storage_errors(path):
        make_dir(path.parent)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
        temporary = Path(name)
        try:
            with os.fdopen(handle, "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            temporary.chmod(0o666 & ~_umask())
            platform.replace(temporary, path)
            sync_dir(path.parent)
        except BaseException:
            with suppress(OSError):
                temporary.unlink()
            raise


@contextmanager
def atomic_dir(path: Path) -> Iterator[Path]:
    """Create a hidden temporary folder that is renamed to `path` if the block raises no error.

    `path` must be absent or an empty folder.
    """
    with storage_errors(path):
        make_dir(path.parent)
        draft = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part"))
        try:
            yield draft
            draft.chmod(0o777 & ~_umask())
            platform.replace(draft, path)
            sync_dir(path.parent)
        except BaseException:
            shutil.rmtree(draft, ignore_errors=True)
            raise


def write_bytes(path: Path, content: bytes) -> None:
    """Write `content` to `path` atomically."""
    with atomic_writer(path) as file:
        file.write(content)


def write_text(path: Path, content: str) -> None:
    """Write `content` to `path` atomically, as UTF-8."""
    write_bytes(path, content.encode())


def remove_temp_files(*paths: Path) -> None:
    """Remove the temporary files of killed writers of `paths`; call it only if no process is writing them.

    Args:
        paths: final paths of the files; the name may contain the wildcard `*`.

    Raises:
        StorageError: a file cannot be removed.
    """
    for path in paths:
        with storage_errors(path):
            for draft in path.parent.glob(f".{path.name}.*.part"):
                draft.unlink(missing_ok=True)


def make_dir(folder: Path) -> None:
    """Create `folder` and its parents if they are missing, and sync them to disk."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for path in missing:
        sync_dir(path.parent)  # holds the directory entry


def sync_dir(folder: Path) -> None:
    """Sync the directory entries of `folder`, so that a rename in it survives power loss."""
    if not platform.CAN_SYNC_DIRS:
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _umask() -> int:
    # Python cannot read the mask without setting it.
    mask = os.umask(0)
    os.umask(mask)
    return mask
