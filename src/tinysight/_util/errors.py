"""Exception classes of tinysight.

A message reads `<object>: <problem>. <fix>.` The command line prints it, without a traceback, and exits with
`exit_code`.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class TinysightError(Exception):
    """Base class of all errors: the work failed. Exit code 1."""

    exit_code = 1


class InputError(TinysightError):
    """Invalid argument or input. Exit code 2."""

    exit_code = 2


class DataError(InputError):
    """Invalid dataset, archive or folder of images."""


class ImageError(InputError):
    """Image that cannot be decoded, or that is refused because it is unsafe."""


class ShapeError(InputError, ValueError):
    """Array of images with the wrong shape."""


class RecipeError(InputError):
    """Unknown recipe, or one with an unknown key or an invalid value."""


class RunError(InputError):
    """Run directory with a missing, truncated or modified file."""


class ModelError(InputError):
    """Model of another framework that cannot be read, or that is refused because it is unsafe."""


class DownloadError(TinysightError):
    """Failed download of a dataset or of pretrained weights."""


class TrainingError(TinysightError):
    """Training that cannot continue."""


class WorkerLostError(TinysightError):
    """Loss of another process of the same data-parallel training."""


class StorageError(TinysightError):
    """Failed write, for example to a full or read-only disk."""


def did_you_mean(wrong: str, valid: Iterable[str]) -> str:
    """Return " Did you mean X?" for the valid name closest to `wrong`, else " Known: " and all valid names.

    >>> did_you_mean("depe", ["deep", "simple"])
    " Did you mean 'deep'?"
    """
    names = list(valid)
    matches = difflib.get_close_matches(wrong, names, n=1)
    return f" Did you mean {matches[0]!r}?" if matches else f" Known: {', '.join(names)}."
