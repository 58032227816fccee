"""Reading the pickles CIFAR-10 was published as, without running what a pickle can make Python run.

A pickle is a program. Python's own reader can be told which names it may look up, but it still calls them
with any argument, sets attributes on them, and reserves gigabytes when a few bytes ask for it. This reader
knows only the instructions that describe numbers, strings, lists, dicts and NumPy arrays in protocol 2,
which is what CIFAR-10's files use. It calls nothing: a name is only compared with those by which NumPy
describes an array. The standard library's `pickletools` tells what each instruction means.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

from tinysight.data.cifar10.unpickled_arrays import Name, RefusedError, announced, filled
from tinysight.errors import DataError

# A batch of CIFAR-10 takes about 30,000 instructions. The limit keeps a file of one-byte instructions, each of
# which makes an object, from filling the memory.
_MOST_INSTRUCTIONS = 200_000


def load(path: Path, limit: int) -> object:
    """Read the pickle at `path`.

    Args:
        path: a pickle of protocol 2, as Python 2 wrote it.
        limit: the most bytes the file may have; a larger one is refused.

    Returns:
        None, booleans, integers, bytes (Python 2's strings), read-only NumPy arrays of numbers, and tuples,
        lists and dicts of these.

    Raises:
        DataError: the file cannot be read, is too large, is damaged, or holds anything else.
    """
    try:
        with path.open("rb") as file:
            content = file.read(limit + 1)
    except OSError as error:
        raise DataError(f"Cannot read {path}: {error.strerror}; check that it is there and may be read.") from error
    if len(content) > limit:
        raise DataError(f"{path} has more than {limit:,} bytes, too many for what it should hold.")
    try:
        return _Machine(content).run()
    except RefusedError as error:
        raise DataError(f"{path} is refused: {error}. Get a fresh copy of it.") from error
    except (IndexError, KeyError, OverflowError, ValueError) as error:
        raise DataError(f"{path} is a damaged pickle; get a fresh copy of it.") from error


class _Machine:
    """A stack of values, marks on that stack, and a memo of values to come back to."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.position = 0
        self.stack: list[object] = []
        self.marks: list[int] = []
        self.memo: dict[int, object] = {}

    def run(self) -> object:
        if self.take(2) != b"\x80\x02":
            raise RefusedError("it is not a pickle of protocol 2")
        for _ in range(_MOST_INSTRUCTIONS):
            instruction = self.take(1)
            if instruction == b".":
                return self.stack.pop()
            if instruction not in _INSTRUCTIONS:
                raise RefusedError("it holds more than numbers, strings, lists, dicts and arrays")
            _INSTRUCTIONS[instruction](self)
        raise RefusedError(f"it has more than {_MOST_INSTRUCTIONS:,} instructions")

    def take(self, count: int) -> bytes:
        start, self.position = self.position, self.position + count
        if not start <= self.position <= len(self.content):
            raise RefusedError("it ends too early")
        return self.content[start : self.position]

    def number(self, layout: str) -> int:
        (value,) = struct.unpack(layout, self.take(struct.calcsize(layout)))
        return int(value)  # struct.unpack is typed as giving anything

    def long(self) -> int:
        return int.from_bytes(self.take(self.number("<B")), "little", signed=True)

    def line(self) -> str:
        end = self.content.index(b"\n", self.position)
        return self.take(end + 1 - self.position).decode().rstrip("\n")

    def name(self) -> Name:
        text = f"{self.line()}.{self.line()}"
        try:
            return Name(text)
        except ValueError as error:
            raise RefusedError(f"it asks Python for {text[:80]!r}, and only arrays are built") from error

    def push(self, value: object) -> None:
        self.stack.append(value)

    def last(self, count: int) -> list[object]:
        """Take the last `count` values off the stack."""
        return self.since(len(self.stack) - count)

    def marked(self) -> list[object]:
        """Take everything since the last mark off the stack."""
        return self.since(self.marks.pop())

    def since(self, start: int) -> list[object]:
        if not 0 <= start <= len(self.stack):
            raise RefusedError("it takes more than it gave")
        values = self.stack[start:]
        del self.stack[start:]
        return values

    def remember(self, layout: str) -> None:
        self.memo[self.number(layout)] = self.stack[-1]

    def extend(self, values: list[object]) -> None:
        target = self.stack[-1]
        if not isinstance(target, list):
            raise RefusedError("it appends to what is no list")
        target.extend(values)

    def update(self, values: list[object]) -> None:
        target = self.stack[-1]
        if not isinstance(target, dict) or not all(isinstance(key, bytes) for key in values[::2]):
            raise RefusedError("it sets what is no named item of a dict")
        target.update(zip(values[::2], values[1::2], strict=True))


_INSTRUCTIONS: dict[bytes, Callable[[_Machine], None]] = {
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
    b"a": lambda m: m.extend(m.last(1)),  # APPEND
    b"e": lambda m: m.extend(m.marked()),  # APPENDS
    b"}": lambda m: m.push({}),  # EMPTY_DICT
    b"s": lambda m: m.update(m.last(2)),  # SETITEM
    b"u": lambda m: m.update(m.marked()),  # SETITEMS
    b"(": lambda m: m.marks.append(len(m.stack)),  # MARK
    b"t": lambda m: m.push(tuple(m.marked())),  # TUPLE
    b")": lambda m: m.push(()),  # EMPTY_TUPLE
    b"\x85": lambda m: m.push(tuple(m.last(1))),  # TUPLE1
    b"\x86": lambda m: m.push(tuple(m.last(2))),  # TUPLE2
    b"\x87": lambda m: m.push(tuple(m.last(3))),  # TUPLE3
    b"q": lambda m: m.remember("<B"),  # BINPUT
    b"r": lambda m: m.remember("<i"),  # LONG_BINPUT
    b"h": lambda m: m.push(m.memo[m.number("<B")]),  # BINGET
    b"j": lambda m: m.push(m.memo[m.number("<i")]),  # LONG_BINGET
    b"c": lambda m: m.push(m.name()),  # GLOBAL
    b"R": lambda m: m.push(announced(*m.last(2))),  # REDUCE
    b"b": lambda m: m.push(filled(*m.last(2))),  # BUILD
}
