"""Safe reader for CIFAR-10's pickles, which never executes code from the file.

A pickle is a program. Python's own `Unpickler` can restrict which names it imports, but it still calls them with any
argument, sets attributes on them, and allocates gigabytes for a few bytes of input. This reader supports only the
instructions for numbers, strings, lists, dicts and NumPy arrays in protocol 2, which CIFAR-10's files use. It calls
nothing: it compares names with those of NumPy arrays. The standard library's `pickletools` documents each instruction.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from enum import Enum
from pathlib import Path

import numpy as np

from tinysight._util.errors import DataError

# A batch of CIFAR-10 has about 30,000 instructions. The limit bounds memory: a one-byte instruction can create an
# object.
_MAX_INSTRUCTIONS = 200_000


def load(path: Path, limit: int) -> object:
    """Read the pickle at `path`.

    Args:
        path: a pickle of protocol 2 written by Python 2.
        limit: maximum size of the file in bytes.

    Returns:
        None, booleans, integers, bytes (Python 2's strings), read-only NumPy arrays of numbers, and tuples,
        lists and dicts of these.

    Raises:
        DataError: the file cannot be read, is too large, is damaged, or contains any other object.
    """
    try:
        with path.open("rb") as file:
            content = file.read(limit + 1)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}). Check path and permissions.") from error
    if len(content) > limit:
        raise DataError(f"{path}: more than {limit:,} bytes. Get a new copy.")
    try:
        return _PickleVM(content).run()
    except UnpicklingError as error:
        raise DataError(f"{path}: unsafe or damaged pickle: {error}. Get a new copy.") from error
    except (IndexError, KeyError, OverflowError, ValueError) as error:
        raise DataError(f"{path}: damaged pickle. Get a new copy.") from error


class _PickleVM:
    """Pickle virtual machine: a stack of values, marks on the stack, and a memo."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.position = 0
        self.stack: list[object] = []
        self.marks: list[int] = []
        self.memo: dict[int, object] = {}

    def run(self) -> object:
        if self.take(2) != b"\x80\x02":
            raise UnpicklingError("not protocol 2")
        for _ in range(_MAX_INSTRUCTIONS):
            instruction = self.take(1)
            if instruction == b".":
                return self.stack.pop()
            if instruction not in _INSTRUCTIONS:
                raise UnpicklingError("unsupported instruction")
            _INSTRUCTIONS[instruction](self)
        raise UnpicklingError(f"more than {_MAX_INSTRUCTIONS:,} instructions")

    def take(self, count: int) -> bytes:
        start, self.position = self.position, self.position + count
        if not start <= self.position <= len(self.content):
            raise UnpicklingError("truncated file")
        return self.content[start : self.position]

    def number(self, layout: str) -> int:
        (value,) = struct.unpack(layout, self.take(struct.calcsize(layout)))
        return int(value)  # struct.unpack returns Any

    def long(self) -> int:
        return int.from_bytes(self.take(self.number("<B")), "little", signed=True)

    def line(self) -> str:
        end = self.content.index(b"\n", self.position)
        return self.take(end + 1 - self.position).decode().rstrip("\n")

    def name(self) -> PickleGlobal:
        text = f"{self.line()}.{self.line()}"
        try:
            return PickleGlobal(text)
        except ValueError as error:
            raise UnpicklingError(f"import of {text[:80]!r} (only arrays are supported)") from error

    def push(self, value: object) -> None:
        self.stack.append(value)

    def pop(self, count: int) -> list[object]:
        """Pop the last `count` values."""
        return self.pop_from(len(self.stack) - count)

    def pop_mark(self) -> list[object]:
        """Pop all values since the last mark."""
        return self.pop_from(self.marks.pop())

    def pop_from(self, start: int) -> list[object]:
        if not 0 <= start <= len(self.stack):
            raise UnpicklingError("stack underflow")
        values = self.stack[start:]
        del self.stack[start:]
        return values

    def memoize(self, layout: str) -> None:
        self.memo[self.number(layout)] = self.stack[-1]

    def extend(self, values: list[object]) -> None:
        target = self.stack[-1]
        if not isinstance(target, list):
            raise UnpicklingError("append to an object that is not a list")
        target.extend(values)

    def update(self, values: list[object]) -> None:
        target = self.stack[-1]
        if not isinstance(target, dict) or not all(isinstance(key, bytes) for key in values[::2]):
            raise UnpicklingError("invalid dict item")
        target.update(zip(values[::2], values[1::2], strict=True))


_INSTRUCTIONS: dict[bytes, Callable[[_PickleVM], None]] = {
    b"N": lambda m: m.push(None),  # NONE
    b"\x88": lambda m: m.push(True),  # NEWTRUE
    b"\x89": lambda m: m.push(False),  # NEWFALSE
    b"K": lambda m: m.push(m.number("<B")),  # BININT1
    b"M": lambda m: m.push(m.number("<H")),  # BININT2
    b"J": lambda m: m.push(m.number("<i")),  # BININT
    b"\x8a": lambda m: m.push(m.long()),  # LONG1
    b"U": lambda m: m.push(m.take(m.number("<B"))),  # SHORT_BINSTRING
    b"T": lambda m: m.push(m.take(m.number("<i"))),  # BINSTRING
    b"]": lambda m: m.push([]),  # EMPTY_LIST
    b"a": lambda m: m.extend(m.pop(1)),  # APPEND
    b"e": lambda m: m.extend(m.pop_mark()),  # APPENDS
    b"}": lambda m: m.push({}),  # EMPTY_DICT
    b"s": lambda m: m.update(m.pop(2)),  # SETITEM
    b"u": lambda m: m.update(m.pop_mark()),  # SETITEMS
    b"(": lambda m: m.marks.append(len(m.stack)),  # MARK
    b"t": lambda m: m.push(tuple(m.pop_mark())),  # TUPLE
    b")": lambda m: m.push(()),  # EMPTY_TUPLE
    b"\x85": lambda m: m.push(tuple(m.pop(1))),  # TUPLE1
    b"\x86": lambda m: m.push(tuple(m.pop(2))),  # TUPLE2
    b"\x87": lambda m: m.push(tuple(m.pop(3))),  # TUPLE3
    b"q": lambda m: m.memoize("<B"),  # BINPUT
    b"r": lambda m: m.memoize("<i"),  # LONG_BINPUT
    b"h": lambda m: m.push(m.memo[m.number("<B")]),  # BINGET
    b"j": lambda m: m.push(m.memo[m.number("<i")]),  # LONG_BINGET
    b"c": lambda m: m.push(m.name()),  # GLOBAL
    b"R": lambda m: m.push(reduce(*m.pop(2))),  # REDUCE
    b"b": lambda m: m.push(build(*m.pop(2))),  # BUILD
}


NumericDType = np.dtype[np.generic]
Array = np.ndarray[tuple[int, ...], NumericDType]


class UnpicklingError(Exception):
    """The pickle contains something that is not supported; the message is a phrase without the file name."""


class PickleGlobal(Enum):
    """The global names that a pickle may contain. They are compared, never imported."""

    RECONSTRUCT = "numpy.core.multiarray._reconstruct"
    NDARRAY = "numpy.ndarray"
    DTYPE = "numpy.dtype"


class PendingArray:
    """An array whose shape, dtype and content have not been read yet."""


def reduce(function: object, arguments: object) -> PendingArray | NumericDType:
    """Return the placeholder for the result of a REDUCE instruction: a pending array, or a dtype."""
    if function is PickleGlobal.RECONSTRUCT and arguments == (PickleGlobal.NDARRAY, (0,), b"b"):
        return PendingArray()
    if function is PickleGlobal.DTYPE:
        for code in ("b1", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8"):
            if arguments == (code.encode(), 0, 1):
                return np.dtype(f"<{code}")
        raise UnpicklingError("array of unsupported dtype")
    raise UnpicklingError("function call (only arrays are supported)")


def build(target: object, state: object) -> Array | NumericDType:
    """Return the result of a BUILD instruction: `target`, a result of `reduce`, with its state set."""
    if isinstance(target, np.dtype):
        if any(state == (3, order, None, None, None, -1, -1, 0) for order in (b"|", b"<")):
            return target
        raise UnpicklingError("array that is not little-endian")
    if not isinstance(target, PendingArray):
        raise UnpicklingError("state of an object that is not an array")
    match state:
        case (1, tuple(shape), np.dtype() as number_type, False, bytes(content)):
            if all(type(size) is int and size >= 0 for size in shape):
                # frombuffer and reshape raise a ValueError if the shape does not match the number of bytes.
                return np.frombuffer(content, number_type).reshape(shape)
    raise UnpicklingError("array in an unknown form")
