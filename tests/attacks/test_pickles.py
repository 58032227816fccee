"""Pickles that execute code, modify objects or exhaust memory in Python's own reader."""

import os
import pickle
import tracemalloc

import numpy as np
import pytest

from tinysight._util.errors import DataError
from tinysight.data.sources import cifar10
from tinysight.data.sources.cifar10 import safe_pickle

HEADER = b"\x80\x02"
RECONSTRUCT = b"cnumpy.core.multiarray\n_reconstruct\n"
PENDING_ARRAY = RECONSTRUCT + b"cnumpy\nndarray\nK\x00\x85U\x01b\x87R"
BYTE_TYPE = b"cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"


def array(shape=b"K\x03\x85", number_type=BYTE_TYPE, fortran=b"\x89", content=b"U\x03abc"):
    return PENDING_ARRAY + b"(K\x01" + shape + number_type + fortran + content + b"tb"


class Command:
    """The classic attack: an object whose unpickling runs a command."""

    def __init__(self, command):
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


def assert_rejected(tmp_path, content):
    path = tmp_path / "data_batch_1"
    path.write_bytes(content)
    with pytest.raises(DataError, match="data_batch_1"):
        safe_pickle.load(path, limit=40_000_000)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_command_is_not_run(tmp_path, protocol):
    canary = tmp_path / "canary"
    content = pickle.dumps({b"data": Command(f"touch {canary}")}, protocol)
    assert_rejected(tmp_path, content)
    assert not canary.exists()
    pickle.loads(content)
    assert canary.exists()  # the attack works with pickle.loads


RUNNING = {
    "eval": b"c__builtin__\neval\nU\x011\x85R.",
    "eval in Python 3": b"cbuiltins\neval\nU\x011\x85R.",
    "a command by INST": b"(U\x04true" + b"iposix\nsystem\n.",
    "a command by OBJ": b"(cposix\nsystem\nU\x04trueo.",
    "a command by NEWOBJ": b"cposix\nsystem\nU\x04true\x85\x81.",
    "a dotted name inside NumPy": b"cnumpy\ncore.multiarray.os.system\n.",
    "numpy.load": b"cnumpy\nload\nU\x01x\x85R.",
    "NumPy's test runner": b"cnumpy.testing._private.utils\nrunstring\n.",
    "a persistent id": b"U\x01xQ.",
    "a persistent id in text": b"Px\n.",
    "an extension code": b"\x82\x01.",
    "an out-of-band buffer": b"\x97.",
    "an endless name": b"c" + b"a" * 1_000_000 + b"\n\n.",
}


@pytest.mark.parametrize("content", RUNNING.values(), ids=RUNNING.keys())
def test_calls_are_rejected(tmp_path, content):
    assert_rejected(tmp_path, HEADER + content)


ARRAYS = {
    "of Python objects": array(number_type=BYTE_TYPE.replace(b"u1", b"O8")),
    "of records": array(number_type=BYTE_TYPE.replace(b"u1", b"V8")),
    "of big-endian numbers": array(number_type=BYTE_TYPE.replace(b"|", b">")),
    "of a type with fields": array(number_type=BYTE_TYPE.replace(b"|N", b"|)")),
    "with more elements than bytes": array(shape=b"J\xff\xff\xff\x7f\x85"),
    "with fewer elements than bytes": array(shape=b"K\x02\x85"),
    "of a negative size": array(shape=b"J\xff\xff\xff\xff\x85"),
    "of a size above 64 bits": array(shape=b"\x8a\x09\xff\xff\xff\xff\xff\xff\xff\xff\x7f\x85"),
    "of a hundred dimensions": array(shape=b"(" + b"K\x01" * 100 + b"t"),
    "in Fortran order": array(fortran=b"\x88"),
    "with a list for its bytes": array(content=b"]"),
    "of another class": array().replace(b"cnumpy\nndarray\n", b"cnumpy\ndtype\n"),
    "without a state": PENDING_ARRAY + b"Nb",
    "with two states": array() + b"Nb",
    "whose constructor is modified": RECONSTRUCT + b"}U\x0c__defaults__)sb",
    "whose type is modified": b"cnumpy\nndarray\n}U\x0c__setstate__Nsb",
    "whose constructor gets other arguments": RECONSTRUCT + b"(t(tR",
}


def test_the_unmodified_array_is_read(tmp_path):
    path = tmp_path / "data_batch_1"
    path.write_bytes(HEADER + array() + b".")
    np.testing.assert_array_equal(safe_pickle.load(path, 1000), np.frombuffer(b"abc", np.uint8))


@pytest.mark.parametrize("content", ARRAYS.values(), ids=ARRAYS.keys())
def test_unsupported_arrays_are_rejected(tmp_path, content):
    assert_rejected(tmp_path, HEADER + content + b".")


ALLOCATING = {
    "a memo of two billion entries": b"Nr\xff\xff\xff\x7f",
    "a string of two gigabytes": b"T\xff\xff\xff\x7f",
    "a string of negative length": b"T\xff\xff\xff\xff",
}


@pytest.mark.parametrize("content", ALLOCATING.values(), ids=ALLOCATING.keys())
def test_large_allocations_are_rejected(tmp_path, content):
    tracemalloc.start()
    try:
        assert_rejected(tmp_path, HEADER + content)
        assert tracemalloc.get_traced_memory()[1] < 50_000_000
    finally:
        tracemalloc.stop()


MALFORMED = {
    "endless lists": b"]" * 1_000_000,
    "endless marks": b"(" * 1_000_000,
    "endless nested lists": b"(" + b"](" * 1_000_000,
    "endless nested tuples": b")" + b"\x85" * 1_000_000,
    "nested tuples as a key": b"})" + b"\x85" * 150_000 + b"Ns.",
    "an unset memo entry": b"hU.",
    "stack underflow": b"K\x01\x87.",
    "a missing mark": b"t.",
    "an empty program": b"",
    "no result": b".",
}


@pytest.mark.parametrize("content", MALFORMED.values(), ids=MALFORMED.keys())
def test_malformed_pickles_are_rejected(tmp_path, content):
    assert_rejected(tmp_path, HEADER + content)


def test_a_recursive_list_is_an_error(tmp_path):
    (tmp_path / "data_batch_1").write_bytes(HEADER + b"]q\x00h\x00a.")
    with pytest.raises(DataError, match="data_batch_1: not a batch of 10,000 images"):
        cifar10.read(cifar10.Location("pickled", tmp_path))
