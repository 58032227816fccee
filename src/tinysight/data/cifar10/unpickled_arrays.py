"""How Python 2's NumPy described an array in a pickle, step by step; nothing else is taken for one.

First it calls `_reconstruct(ndarray, (0,), "b")`, then `dtype(code, 0, 1)`, then it sets the state of both.
Here these are forms to recognise, and none of the functions they name is called.
"""

from __future__ import annotations

from enum import Enum

import numpy as np

NumberType = np.dtype[np.generic]
Array = np.ndarray[tuple[int, ...], NumberType]


class RefusedError(Exception):
    """The pickle holds what is not built; the message goes on from its name and "is refused:"."""


class Name(Enum):
    """The names a pickle may mention. They are compared, never looked up."""

    RECONSTRUCT = "numpy.core.multiarray._reconstruct"
    NDARRAY = "numpy.ndarray"
    DTYPE = "numpy.dtype"


class Unfilled:
    """An array whose shape, type and numbers have not come yet."""


def announced(function: object, arguments: object) -> Unfilled | NumberType:
    """Return what stands for the result of a call that a pickle asks for."""
    if function is Name.RECONSTRUCT and arguments == (Name.NDARRAY, (0,), b"b"):
        return Unfilled()
    if function is Name.DTYPE:
        for code in ("b1", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8"):
            if arguments == (code.encode(), 0, 1):
                return np.dtype(f"<{code}")
        raise RefusedError("it holds an array of something other than plain numbers")
    raise RefusedError("it calls something, and only arrays are built")


def filled(target: object, state: object) -> Array | NumberType:
    """Return what `target`, a result of `announced`, becomes by the state that a pickle gives it."""
    if isinstance(target, np.dtype):
        if any(state == (3, order, None, None, None, -1, -1, 0) for order in (b"|", b"<")):
            return target
        raise RefusedError("it holds an array of something other than little-endian numbers")
    if not isinstance(target, Unfilled):
        raise RefusedError("it changes what is no array")
    match state:
        case (1, tuple(shape), np.dtype() as number_type, False, bytes(content)):
            if all(type(size) is int and size >= 0 for size in shape):
                # frombuffer and reshape raise a ValueError if the shape does not fit the bytes.
                return np.frombuffer(content, number_type).reshape(shape)
    raise RefusedError("it holds an array that is not described as NumPy describes one")
