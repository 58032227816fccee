"""Tensor files: checksums, and rejection of foreign and damaged files."""

import json
import pickle
import struct

import pytest
import safetensors.torch
import torch

from tinysight._util.errors import RunError
from tinysight.runs import weights
from tinysight.runs.weights import check_finite, read_tensors, write_tensors


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.safetensors"


def test_checksum_depends_on_values_names_shapes_dtypes_and_state(path):
    base = {"a": torch.zeros(2, 2)}
    variants = [
        (base, {}),
        (base, {"step": 1}),
        ({"b": torch.zeros(2, 2)}, {}),
        ({"a": torch.zeros(4)}, {}),
        ({"a": torch.zeros(2, 2, dtype=torch.int32)}, {}),
        ({"a": torch.tensor([[0.0, 0.0], [0.0, -0.0]])}, {}),
    ]
    checksums = [write_tensors(tensors, state, path) for tensors, state in variants]
    assert len(set(checksums)) == len(variants)
    assert write_tensors(base, {}, path) == checksums[0]
    assert read_tensors(path)[2] == checksums[0]


def test_foreign_safetensors_are_rejected(path):
    safetensors.torch.save_file({"a": torch.zeros(3)}, path)
    with pytest.raises(RunError, match=f"{path}: damaged or not written by tinysight"):
        read_tensors(path)


def test_pickle_is_rejected_without_loading(path):
    class Bomb:
        def __reduce__(self):
            return (pytest.fail, ("the pickle ran",))

    path.write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(RunError, match="not written by tinysight"):
        read_tensors(path)


HEADERS = {
    "no bytes": b"",
    "header longer than the file": struct.pack("<Q", 2**40) + b"{}",
    "longest possible header": struct.pack("<Q", 2**64 - 1) + b"{}",
    "not JSON": struct.pack("<Q", 4) + b"{{{{",
    "deeply nested JSON": struct.pack("<Q", 90_000) + b"[" * 90_000,
    "not an object": struct.pack("<Q", 2) + b"[]",
    "empty object": struct.pack("<Q", 2) + b"{}",
    "metadata not an object": struct.pack("<Q", 20) + b'{"__metadata__":"x"}',
}


@pytest.mark.parametrize("content", HEADERS.values(), ids=HEADERS)
def test_malformed_header_is_rejected(path, content):
    path.write_bytes(content)
    with pytest.raises(RunError, match=str(path)):
        read_tensors(path)


@pytest.mark.parametrize("state", ["", "{", "[" * 90_000, "NaN" * 2])
def test_state_that_is_not_json_is_rejected(path, state):
    path.write_bytes(safetensors.torch.save({"a": torch.zeros(3)}, {"state": state, "sha256": "0" * 64}))
    with pytest.raises(RunError, match=str(path)):
        read_tensors(path)


def test_overlapping_tensors_are_rejected(path):
    """Two names refer to the same bytes, as in published attacks on the format."""
    entry = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}
    header = json.dumps({"a": entry, "b": entry, "__metadata__": {"state": "{}", "sha256": ""}}).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header + bytes(4))
    with pytest.raises(RunError, match=str(path)):
        read_tensors(path)


def test_read_rejects_large_files(path, monkeypatch):
    monkeypatch.setattr(weights, "MAX_FILE_BYTES", 1000)
    with path.open("wb") as file:
        file.truncate(1001)
    with pytest.raises(RunError, match="larger than 1,000 bytes"):
        read_tensors(path)


def test_nan_and_infinity_are_rejected(path):
    check_finite({"float": torch.zeros(3), "half": torch.ones(2).bfloat16(), "int": torch.tensor(3)}, path)
    with pytest.raises(RunError, match=f"{path}: the weights 'b' contain NaN or infinity. Train again"):
        check_finite({"a": torch.zeros(3), "b": torch.tensor([0.0, float("nan")])}, path)
