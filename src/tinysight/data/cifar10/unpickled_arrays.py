"""NumPy arrays in Python 2 pickles, rebuilt without calling anything.

Such a pickle calls `_reconstruct(ndarray, (0,), "b")` and `dtype(code, 0, 1)`, then sets the state of both. This
module matches these exact forms and never calls the functions they name.
"""

from __future__ import annotations

from enum import Enum

import numpy as np

NumberType = np.dtype[np.generic]
Array = np.ndarray[tuple[int, ...], NumberType]


class RefusedError(Exception):
    """The pickle contains something that is not supported; the message is a phrase without the file name."""


class Name(Enum):
    """The global names that a pickle may contain. They are compared, never imported."""

    RECONSTRUCT = "numpy.core.multiarray._reconstruct"
    NDARRAY = "numpy.ndarray"
    DTYPE = "numpy.dtype"


class Unfilled:
    """An array whose shape, dtype and content have not been read yet."""


def announced(function: object, arguments: object) -> Unfilled | NumberType:
    """Return the placeholder for the result of a REDUCE instruction: a pending array, or a dtype."""
    if function is Name.RECONSTRUCT and arguments == (Name.NDARRAY, (0,), b"b"):
        return Unfilled()
    if function is Name.DTYPE:
        for code in ("b1", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8"):
            if arguments == (code.encode(), 0, 1):
                return np.dtype(f"<{code}")
        raise RefusedError("array of unsupported dtype")
    raise RefusedError("function call (only arrays are supported)")


def filled(target: object, state: object) -> Array | NumberType:
    """Return the result of a BUILD instruction: `target`, a result of `announced`, with its state set."""
    if isinstance(target, np.dtype):
        if any(state == (3, order, None, None, None, -1, -1, 0) for order in (b"|", b"<")):
            return target
        raise RefusedError("array that is not little-endian")
    if not isinstance(target, Unfilled):
        raise RefusedError("state of an object that is not an array")
    match state:
        case (1, tuple(shape), np.dtype() as number_type, False, bytes(content)):
            if all(type(size) is int and size >= 0 for size in shape):
                # frombuffer and reshape raise a ValueError if the shape does not match the number of bytes.
                return np.frombuffer(content, number_type).reshape(shape)
    raise RefusedError("array in an unknown form")
