"""Pickles that would run something, change something, or fill the memory if Python's own reader read them."""

import os
import pickle
import tracemalloc

import numpy as np
import pytest

from tinysight.data import cifar10
from tinysight.data.cifar10 import unpickling
from tinysight.errors import DataError

HEADER = b"\x80\x02"
RECONSTRUCT = b"cnumpy.core.multiarray\n_reconstruct\n"
ANNOUNCED_ARRAY = RECONSTRUCT + b"cnumpy\nndarray\nK\x00\x85U\x01b\x87R"
BYTE_TYPE = b"cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"


def array(shape=b"K\x03\x85", number_type=BYTE_TYPE, fortran=b"\x89", content=b"U\x03abc"):
    return ANNOUNCED_ARRAY + b"(K\x01" + shape + number_type + fortran + content + b"tb"


class Command:
    """What the classic attack pickles: an object whose rebuilding runs a command."""

    def __init__(self, command):
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


def refuse(tmp_path, content):
    path = tmp_path / "data_batch_1"
    path.write_bytes(content)
    with pytest.raises(DataError, match="data_batch_1"):
        unpickling.load(path, limit=40_000_000)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_command_is_not_run(tmp_path, protocol):
    canary = tmp_path / "canary"
    content = pickle.dumps({b"data": Command(f"touch {canary}")}, protocol)
    refuse(tmp_path, content)
    assert not canary.exists()
    pickle.loads(content)
    assert canary.exists()  # so the attack was a real one


RUNNING = {
    "eval": b"c__builtin__\neval\nU\x011\x85R.",
    "eval in Python 3": b"cbuiltins\neval\nU\x011\x85R.",
    "a command by INST": b"(U\x04true" + b"iposix\nsystem\n.",
    "a command by OBJ": b"(cposix\nsystem\nU\x04trueo.",
    "a command by NEWOBJ": b"cposix\nsystem\nU\x04true\x85\x81.",
    "a way to names inside NumPy": b"cnumpy\ncore.multiarray.os.system\n.",
    "NumPy's own loader of pickles": b"cnumpy\nload\nU\x01x\x85R.",
    "NumPy's runner of tests": b"cnumpy.testing._private.utils\nrunstring\n.",
    "a persistent id": b"U\x01xQ.",
    "a persistent id in text": b"Px\n.",
    "an extension code": b"\x82\x01.",
    "an out-of-band buffer": b"\x97.",
    "a name that never ends": b"c" + b"a" * 1_000_000 + b"\n\n.",
}


@pytest.mark.parametrize("content", RUNNING.values(), ids=RUNNING.keys())
def test_what_would_call_into_python_is_refused(tmp_path, content):
    refuse(tmp_path, HEADER + content)


ARRAYS = {
    "of Python objects": array(number_type=BYTE_TYPE.replace(b"u1", b"O8")),
    "of records": array(number_type=BYTE_TYPE.replace(b"u1", b"V8")),
    "of big-endian numbers": array(number_type=BYTE_TYPE.replace(b"|", b">")),
    "of a type with fields": array(number_type=BYTE_TYPE.replace(b"|N", b"|)")),
    "with more elements than bytes": array(shape=b"J\xff\xff\xff\x7f\x85"),
    "with fewer elements than bytes": array(shape=b"K\x02\x85"),
    "of a negative size": array(shape=b"J\xff\xff\xff\xff\x85"),
    "of a size beyond all integers": array(shape=b"\x8a\x09\xff\xff\xff\xff\xff\xff\xff\xff\x7f\x85"),
    "of a hundred dimensions": array(shape=b"(" + b"K\x01" * 100 + b"t"),
    "in Fortran's order": array(fortran=b"\x88"),
    "with a list for its bytes": array(content=b"]"),
    "of another class": array().replace(b"cnumpy\nndarray\n", b"cnumpy\ndtype\n"),
    "that is not described": ANNOUNCED_ARRAY + b"Nb",
    "that is described twice": array() + b"Nb",
    "whose maker is changed": RECONSTRUCT + b"}U\x0c__defaults__)sb",
    "whose type is changed": b"cnumpy\nndarray\n}U\x0c__setstate__Nsb",
    "whose maker is called otherwise": RECONSTRUCT + b"(t(tR",
}


def test_the_array_that_these_are_made_from_is_read(tmp_path):
    path = tmp_path / "data_batch_1"
    path.write_bytes(HEADER + array() + b".")
    np.testing.assert_array_equal(unpickling.load(path, 1000), np.frombuffer(b"abc", np.uint8))


@pytest.mark.parametrize("content", ARRAYS.values(), ids=ARRAYS.keys())
def test_arrays_that_are_not_plain_numbers_are_refused(tmp_path, content):
    refuse(tmp_path, HEADER + content + b".")


RESERVING = {
    "a memo with two billion places": b"Nr\xff\xff\xff\x7f",
    "a string of two gigabytes": b"T\xff\xff\xff\x7f",
    "a string of negative length": b"T\xff\xff\xff\xff",
}


@pytest.mark.parametrize("content", RESERVING.values(), ids=RESERVING.keys())
def test_what_would_reserve_gigabytes_is_refused(tmp_path, content):
    tracemalloc.start()
    try:
        refuse(tmp_path, HEADER + content)
        assert tracemalloc.get_traced_memory()[1] < 50_000_000
    finally:
        tracemalloc.stop()


BREAKING = {
    "lists without end": b"]" * 1_000_000,
    "marks without end": b"(" * 1_000_000,
    "lists in lists without end": b"(" + b"](" * 1_000_000,
    "tuples in tuples without end": b")" + b"\x85" * 1_000_000,
    "a tuple in tuples as a key": b"})" + b"\x85" * 150_000 + b"Ns.",
    "a value it never gave": b"hU.",
    "more taken than given": b"K\x01\x87.",
    "a mark it never set": b"t.",
    "nothing at all": b"",
    "an end without a value": b".",
}


@pytest.mark.parametrize("content", BREAKING.values(), ids=BREAKING.keys())
def test_what_would_break_a_reader_is_refused(tmp_path, content):
    refuse(tmp_path, HEADER + content)


def test_a_list_that_holds_itself_is_no_batch(tmp_path):
    (tmp_path / "data_batch_1").write_bytes(HEADER + b"]q\x00h\x00a.")
    with pytest.raises(DataError, match="does not hold 10,000 images"):
        cifar10.read(cifar10.Location("pickled", tmp_path))
