"""Tensors on disk are ours, whole and unaltered, or refused by the name of the file."""

import json
import pickle
import struct

import pytest
import safetensors.torch
import torch

from tinysight.errors import RunError
from tinysight.runs import weights
from tinysight.runs.weights import read_tensors, require_finite, write_tensors


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.safetensors"


def test_the_seal_tells_tensors_names_shapes_types_and_state_apart(path):
    base = {"a": torch.zeros(2, 2)}
    variants = [
        (base, {}),
        (base, {"step": 1}),
        ({"b": torch.zeros(2, 2)}, {}),
        ({"a": torch.zeros(4)}, {}),
        ({"a": torch.zeros(2, 2, dtype=torch.int32)}, {}),
        ({"a": torch.tensor([[0.0, 0.0], [0.0, -0.0]])}, {}),
    ]
    seals = [write_tensors(tensors, state, path) for tensors, state in variants]
    assert len(set(seals)) == len(variants)
    assert write_tensors(base, {}, path) == seals[0]
    assert read_tensors(path)[2] == seals[0]


def test_safetensors_of_somebody_else_are_refused(path):
    safetensors.torch.save_file({"a": torch.zeros(3)}, path)
    with pytest.raises(RunError, match=f"{path} is damaged or not written by tinysight"):
        read_tensors(path)


def test_a_pickle_is_not_opened(path):
    class Bomb:
        def __reduce__(self):
            return (pytest.fail, ("the pickle ran",))

    path.write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(RunError, match="not written by tinysight"):
        read_tensors(path)


HEADS = {
    "no bytes": b"",
    "a head longer than the file": struct.pack("<Q", 2**40) + b"{}",
    "the longest head there can be": struct.pack("<Q", 2**64 - 1) + b"{}",
    "no JSON": struct.pack("<Q", 4) + b"{{{{",
    "JSON in JSON in JSON": struct.pack("<Q", 90_000) + b"[" * 90_000,
    "no object": struct.pack("<Q", 2) + b"[]",
    "nothing in it": struct.pack("<Q", 2) + b"{}",
    "metadata that are no object": struct.pack("<Q", 20) + b'{"__metadata__":"x"}',
}


@pytest.mark.parametrize("content", HEADS.values(), ids=HEADS)
def test_an_odd_head_is_refused(path, content):
    path.write_bytes(content)
    with pytest.raises(RunError, match=str(path)):
        read_tensors(path)


@pytest.mark.parametrize("state", ["", "{", "[" * 90_000, "NaN" * 2])
def test_a_state_that_is_no_json_is_refused(path, state):
    path.write_bytes(safetensors.torch.save({"a": torch.zeros(3)}, {"state": state, "sha256": "0" * 64}))
    with pytest.raises(RunError, match=str(path)):
        read_tensors(path)


def test_tensors_that_reach_into_each_other_are_refused(path):
    """As in the published attacks on the format: two names for the same bytes."""
    entry = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}
    head = json.dumps({"a": entry, "b": entry, "__metadata__": {"state": "{}", "sha256": ""}}).encode()
    path.write_bytes(struct.pack("<Q", len(head)) + head + bytes(4))
    with pytest.raises(RunError, match=str(path)):
        read_tensors(path)


def test_a_file_far_too_large_is_not_read(path, monkeypatch):
    monkeypatch.setattr(weights, "LARGEST_FILE", 1000)
    with path.open("wb") as file:
        file.truncate(1001)
    with pytest.raises(RunError, match="far too large"):
        read_tensors(path)


def test_only_finite_floats_are_let_through(path):
    require_finite({"float": torch.zeros(3), "half": torch.ones(2).bfloat16(), "int": torch.tensor(3)}, path)
    with pytest.raises(RunError, match=f"{path}: the weights 'b' hold NaN or infinity; train again"):
        require_finite({"a": torch.zeros(3), "b": torch.tensor([0.0, float("nan")])}, path)
