"""Tensor files: checksums, and rejection of foreign and damaged files."""

import hashlib
import json
import pickle
import struct

import pytest
import safetensors
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


def test_the_checksum_is_the_sha256_of_state_names_types_shapes_and_bytes(path):
    tensors = {"b": torch.arange(6, dtype=torch.int16).reshape(2, 3), "a": torch.tensor([1.5, -2.0])}
    expected = hashlib.sha256(
        b'{"step": 3}'
        + b"a\0torch.float32\0(2,)\0"
        + struct.pack("<2f", 1.5, -2.0)
        + b"b\0torch.int16\0(2, 3)\0"
        + struct.pack("<6h", *range(6))
    ).hexdigest()
    assert write_tensors(tensors, {"step": 3}, path) == expected
    with safetensors.safe_open(path, "numpy") as file:
        assert file.metadata() == {"state": '{"step": 3}', "sha256": expected}
        assert file.get_tensor("b").tolist() == [[0, 1, 2], [3, 4, 5]]


def test_a_file_of_exactly_the_limit_is_read(path, monkeypatch):
    write_tensors({"a": torch.zeros(3)}, {}, path)
    monkeypatch.setattr(weights, "MAX_FILE_BYTES", path.stat().st_size)
    assert read_tensors(path)[0]["a"].tolist() == [0, 0, 0]


def test_files_above_8_gibibytes_are_refused(path):
    with path.open("wb") as file:
        file.truncate(8 * 1024**3 + 1)  # sparse
    with pytest.raises(RunError) as refusal:
        read_tensors(path)
    assert str(refusal.value) == f"{path}: larger than 8,589,934,592 bytes. It was not written by tinysight."


def test_a_missing_file_is_refused_with_a_fix(path):
    with pytest.raises(RunError) as refusal:
        read_tensors(path)
    assert str(refusal.value) == f"{path}: missing. Restore it from a copy or train again."


@pytest.mark.parametrize("change", ["tensor", "name", "state", "shape", "type"])
def test_a_valid_file_with_a_changed_part_is_refused(path, change):
    """The file is rewritten with the safetensors library, and keeps the checksum of the original."""
    checksum = write_tensors({"a": torch.ones(4)}, {"step": 1}, path)
    tensor, name, state = torch.ones(4), "a", '{"step": 1}'
    if change == "tensor":
        tensor[3] = 2
    elif change == "name":
        name = "b"
    elif change == "state":
        state = '{"step": 2}'
    elif change == "shape":
        tensor = tensor.reshape(2, 2)
    else:
        tensor = tensor.view(torch.int32)
    path.write_bytes(safetensors.torch.save({name: tensor}, {"state": state, "sha256": checksum}))
    with pytest.raises(RunError) as refusal:
        read_tensors(path)
    assert str(refusal.value) == f"{path}: modified after it was written. Restore it from a copy or train again."


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_a_state_that_is_not_json_is_not_written(path, number):
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_tensors({}, {"loss": number}, path)
    assert not path.exists()


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_every_non_finite_value_of_every_type_is_refused(path, number, dtype):
    with pytest.raises(RunError) as refusal:
        check_finite({"a": torch.tensor([[1.0, 2.0], [3.0, number]], dtype=dtype)}, path)
    assert str(refusal.value) == f"{path}: the weights 'a' contain NaN or infinity. Train again."


def test_parameters_with_gradients_are_written(path):
    write_tensors({"a": torch.nn.Parameter(torch.tensor([1.0, 2.0]))}, {}, path)
    assert read_tensors(path)[0]["a"].tolist() == [1, 2]
