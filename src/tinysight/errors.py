"""What goes wrong, in words for the person it goes wrong for.

Every message is one plain sentence (or two) that names the thing, says what is wrong with it and what to
do. The command line prints it and exits with `exit_code`; nothing a user can cause ends in a traceback.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class TinysightError(Exception):
    """The work failed: exit code 1."""

    exit_code = 1


class InputError(TinysightError):
    """What was asked for, or what was handed over, is not usable: exit code 2."""

    exit_code = 2


class DataError(InputError):
    """A dataset, an archive or a folder of images is not what it should be."""


class ImageError(InputError):
    """A picture cannot or must not be decoded."""


class RecipeError(InputError):
    """A recipe is unknown, or holds an unknown key or an impossible value."""


class RunError(InputError):
    """A run directory is missing a file, or holds one that was truncated or altered."""


class ModelError(InputError):
    """A model of another program cannot be read, or must not be."""


class DownloadError(TinysightError):
    """The images could not be fetched."""


class TrainingError(TinysightError):
    """Training cannot go on."""


class WorkerLostError(TinysightError):
    """Another process that trains the same network is gone."""


class StorageError(TinysightError):
    """The disk is full, read-only or otherwise unwilling."""


def nearest(wrong: str, valid: Iterable[str]) -> str:
    """Return " Did you mean X?" for the name nearest to `wrong`, or the list of valid names.

    >>> nearest("depe", ["deep", "simple"])
    " Did you mean 'deep'?"
    """
    names = list(valid)
    close = difflib.get_close_matches(wrong, names, n=1)
    return f" Did you mean {close[0]!r}?" if close else f" Known: {', '.join(names)}."
