"""HDF5 files are read without links, external files, and arrays of a different shape or type."""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes

from tinysight._util.errors import ModelError
from tinysight.interop.keras import hdf5

h5py = pytest.importorskip("h5py")
SAVED = "Give a weights file that Keras saved."


@pytest.fixture
def file():
    """An empty HDF5 file in memory."""
    with h5py.File("memory.h5", "w", driver="core", backing_store=False) as opened:
        yield opened


def refusal(read, *arguments):
    with pytest.raises(ModelError) as caught:
        read(*arguments)
    return str(caught.value)


@given(shape=array_shapes(max_dims=4, max_side=4), kind=st.sampled_from(["<f2", "<f4", ">f4", "<f8"]))
def test_floating_point_arrays_of_any_shape_are_read_as_float32(shape, kind):
    values = np.random.default_rng(0).normal(size=shape).astype(kind)
    with h5py.File("memory.h5", "w", driver="core", backing_store=False) as opened:
        opened["a/b"] = values
        array = hdf5.read_array(opened, "a/b", shape)
    assert array.dtype == np.float32
    np.testing.assert_array_equal(array, values.astype(np.float32))


@pytest.mark.parametrize("shape", [(2, 3, 1), (3, 2), (6,), ()])
def test_another_shape_is_refused_with_both_shapes(file, shape):
    file["kernel"] = np.zeros((2, 3), np.float32)
    assert refusal(hdf5.read_array, file, "kernel", shape) == (
        f"/kernel: its shape is (2, 3), but the architecture needs {shape}. Give the weights of this architecture."
    )


@pytest.mark.parametrize("dtype", ["int32", "uint8", "bool", "S4", "complex64"])
def test_another_type_is_refused_with_the_type(file, dtype):
    stored = file.create_dataset("kernel", (2,), dtype).dtype
    assert refusal(hdf5.read_array, file, "kernel", (2,)) == (
        f"/kernel: its type is {stored}, not floating point. {SAVED}"
    )


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_refused(file, value):
    file["layer/kernel"] = np.array([0, value], np.float32)
    assert refusal(hdf5.read_array, file["layer"], "kernel", (2,)) == (
        "/layer/kernel: contains values that are not finite. Give weights of a training run that converged."
    )


LINKS = {
    "soft link": lambda: h5py.SoftLink("/real"),
    "dangling soft link": lambda: h5py.SoftLink("/nothing"),
    "external link": lambda: h5py.ExternalLink("other.h5", "/real"),
}


@pytest.mark.parametrize("link", LINKS)
def test_links_are_not_followed_to_arrays_or_through_groups(file, link):
    file["real/kernel"] = np.zeros(2, np.float32)
    file["linked"] = LINKS[link]()
    for name in ("linked", "linked/kernel"):
        problem = refusal(hdf5.read_array, file, name, (2,))
        if link == "soft link":
            assert problem == f"/{name}: a link, which is not followed. Save the weights without links."
        else:
            assert problem.startswith(f"/{name}: ")
    assert refusal(hdf5.get_group, file, "linked").startswith("/linked: ")


@pytest.mark.parametrize("name", ["", ".", "..", "a/../a", "a//b", "/a", "none", "a/b/c"])
def test_a_path_that_leaves_the_group_is_missing(file, name):
    file["a/b"] = np.zeros(2, np.float32)
    assert refusal(hdf5.read_array, file, name, (2,)) == f"/{name}: missing. Give the weights of this architecture."


def test_arrays_are_not_groups_and_groups_are_not_arrays(file):
    file["a/b"] = np.zeros(2, np.float32)
    assert refusal(hdf5.get_group, file, "a/b") == f"/a/b: not a group. {SAVED}"
    assert refusal(hdf5.read_array, file, "a", (2,)) == f"/a: not an array stored in this file. {SAVED}"
    assert hdf5.get_group(file, "a").name == "/a"


def test_external_and_virtual_arrays_are_refused(tmp_path):
    (tmp_path / "secret").write_bytes(bytes(8))
    with h5py.File(tmp_path / "a.h5", "w") as opened:
        opened.create_dataset("external", (2,), "f4", external=[(str(tmp_path / "secret"), 0, 8)])
        layout = h5py.VirtualLayout((2,), "f4")
        layout[:] = h5py.VirtualSource("other.h5", "x", shape=(2,))
        opened.create_virtual_dataset("virtual", layout)
        for name in ("external", "virtual"):
            problem = refusal(hdf5.read_array, opened, name, (2,))
            assert problem == f"/{name}: not an array stored in this file. {SAVED}"


@given(st.lists(st.text("abc_0123/", min_size=1), max_size=8), st.integers(1, 4))
def test_names_are_the_same_in_one_attribute_and_split_over_several(names, parts):
    with h5py.File("memory.h5", "w", driver="core", backing_store=False) as opened:
        opened.attrs["whole"] = [name.encode() for name in names]
        for index, part in enumerate(np.array_split(np.array(names, object), parts)):
            opened.attrs[f"split{index}"] = [name.encode() for name in part]
        assert hdf5.read_names(opened, "whole") == names
        assert hdf5.read_names(opened, "split") == names
        assert hdf5.read_names(opened, "none") == []


@pytest.mark.parametrize("content", [b"", b"no HDF5", b"\x89HDF\r\n\x1a\n" + bytes(100)])
def test_other_content_is_refused_from_a_file_and_from_memory(tmp_path, content):
    (tmp_path / "a.h5").write_bytes(content)
    for source in (tmp_path / "a.h5", io.BytesIO(content)):
        with pytest.raises(ModelError) as caught, hdf5.open_hdf5(source, "mine.h5"):
            pass
        assert str(caught.value) == f"mine.h5: missing, damaged or not an HDF5 file. {SAVED}"


def test_a_file_larger_than_the_limit_is_refused_unread(tmp_path):
    with (tmp_path / "a.h5").open("wb") as opened:
        opened.truncate(hdf5.MAX_BYTES + 1)  # sparse: takes no space
    with pytest.raises(ModelError) as caught, hdf5.open_hdf5(tmp_path / "a.h5", "mine.h5"):
        pass
    assert str(caught.value) == "mine.h5: larger than 4 GiB. Give a smaller weights file."
