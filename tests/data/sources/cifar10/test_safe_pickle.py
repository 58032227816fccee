import io
import pickle
import struct
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tinysight._util.errors import DataError
from tinysight.data.sources.cifar10 import safe_pickle

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.binary(max_size=300),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.binary(max_size=9), inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
    ),
    max_leaves=12,
)
TYPE_CODES = ["u1", "i1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8", "b1"]


class Python2Pickler(pickle._Pickler):
    """Python's own pickler, which writes bytes and arrays like Python 2."""

    dispatch: ClassVar = dict(pickle._Pickler.dispatch)

    def save_bytes(self, value):
        short = len(value) < 256
        self.write(b"U" + bytes([len(value)]) if short else b"T" + struct.pack("<i", len(value)))
        self.write(value)
        self.memoize(value)

    def save_array(self, value):
        self.write(b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\n")
        self.write(b"K\x00\x85U\x01b\x87R(K\x01")
        self.save(value.shape)
        self.write(b"cnumpy\ndtype\n")
        self.save((value.dtype.str[1:].encode(), 0, 1))
        order = b"|" if value.dtype.itemsize == 1 else b"<"
        self.write(b"R(K\x03U\x01" + order + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89")
        self.save(value.tobytes())
        self.write(b"tb")

    dispatch[bytes] = save_bytes
    dispatch[np.ndarray] = save_array


def dump(value):
    buffer = io.BytesIO()
    Python2Pickler(buffer, protocol=2).dump(value)
    return buffer.getvalue()


@pytest.fixture
def load(tmp_path):
    def load(content, limit=1_000_000):
        path = tmp_path / "data_batch_1"
        path.write_bytes(content)
        return safe_pickle.load(path, limit)

    return load


in_one_folder = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@in_one_folder
@given(PLAIN)
def test_plain_values_equal_those_of_pickle(load, value):
    content = dump(value)
    assert load(content) == value == pickle.loads(content, encoding="bytes")


@pytest.mark.parametrize("code", TYPE_CODES)
@pytest.mark.parametrize("shape", [(6,), (2, 3), (1, 2, 3)])
def test_arrays_equal_those_of_pickle(load, code, shape):
    value = np.arange(6).astype(f"<{code}").reshape(shape)
    content = dump({b"data": value})
    actual, expected = load(content)[b"data"], pickle.loads(content, encoding="bytes")[b"data"]
    np.testing.assert_array_equal(actual, expected)
    assert actual.dtype == expected.dtype == value.dtype


def test_shared_values_keep_their_identity(load):
    inner = [1]
    first, second = load(dump([inner, inner]))
    assert first is second


def test_a_file_over_the_limit_is_an_error(load):
    with pytest.raises(DataError, match="data_batch_1: more than 10 bytes"):
        load(dump(b"a longer text"), limit=10)


def test_a_missing_file_is_an_error(tmp_path):
    with pytest.raises(DataError, match=r"data_batch_9: cannot be read \(No such file"):
        safe_pickle.load(tmp_path / "data_batch_9", 100)


@in_one_folder
@given(PLAIN, st.integers(0, 10_000))
def test_a_truncated_file_is_an_error(load, value, length):
    content = dump({b"value": value, b"data": np.arange(5)})
    with pytest.raises(DataError, match="data_batch_1"):
        load(content[: length % len(content)])


@in_one_folder
@given(st.data())
def test_a_damaged_file_is_read_or_a_data_error(load, data):
    content = bytearray(dump({b"data": np.arange(5), b"labels": [1, 2, 300], b"names": (b"a" * 300, None)}))
    for _ in range(data.draw(st.integers(1, 5))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    try:
        load(bytes(content))
    except DataError as error:
        assert "data_batch_1" in str(error)  # noqa: PT017


@in_one_folder
@given(st.lists(st.sampled_from(b"(tu]}aesKMJUTNqrhjcRb.)\x85\x86\x87\x88\x8a\x00\x01\x02"), max_size=40).map(bytes))
def test_random_instructions_are_read_or_a_data_error(load, instructions):
    try:
        load(b"\x80\x02" + instructions)
    except DataError as error:
        assert "data_batch_1" in str(error)  # noqa: PT017
