"""A checkpoint survives whatever happens to the machine: there is always a good one, the newest or the one before."""

import errno

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tinysight.errors import RunError, StorageError
from tinysight.runs.checkpoint import LATEST, PREVIOUS, Checkpoint, load, save
from tinysight.runs.weights import write_tensors


def checkpoint(step):
    return Checkpoint({"weights": torch.full((3, 2), float(step)), "steps": torch.tensor(step)}, {"step": step})


def step_of(found):
    """Return which checkpoint `found` is, after making sure that it is whole."""
    step = found.state["step"]
    assert found.state == {"step": step}
    assert set(found.tensors) == {"weights", "steps"}
    assert torch.equal(found.tensors["weights"], checkpoint(step).tensors["weights"])
    assert found.tensors["steps"] == step
    return step


@pytest.fixture
def folder(tmp_path):
    """A folder with checkpoints 1 and 2 in it."""
    for step in (1, 2):
        save(checkpoint(step), tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def module_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("checkpoints")
    for step in (1, 2):
        save(checkpoint(step), folder)
    return folder, (folder / LATEST).read_bytes()


def test_the_newest_comes_back_and_the_one_before_is_kept(folder):
    assert step_of(load(folder)) == 2
    assert sorted(path.name for path in folder.iterdir()) == [LATEST, PREVIOUS]
    (folder / LATEST).unlink()
    assert step_of(load(folder)) == 1


@pytest.mark.parametrize("state", [{}, {"format": 1}, [], "format", None])
def test_a_state_of_another_format_is_refused_by_name(tmp_path, state):
    write_tensors({}, state, tmp_path / LATEST)
    with pytest.raises(RunError, match=r"latest\.safetensors has format .*; this tinysight reads format 3"):
        load(tmp_path)


def test_where_none_was_written_there_is_none(tmp_path):
    assert load(tmp_path) is None
    assert load(tmp_path / "nowhere") is None


def test_tensors_of_every_kind_and_size_come_back_to_the_bit(tmp_path):
    tensors = {
        "bf16": torch.randn(3, 4).bfloat16(),
        "nan": torch.tensor([float("nan"), -0.0, float("inf")]),
        "empty": torch.empty(0, 3),
        "scalar": torch.tensor(2**40),
        "bool": torch.tensor([True, False]),
        "channels last": torch.randn(2, 3, 4, 5).contiguous(memory_format=torch.channels_last),
        "a view": torch.arange(12).reshape(3, 4).T,
    }
    save(Checkpoint(tensors, {"text": "žluťoučký", "nested": [1, {"a": None}]}), tmp_path)
    found = load(tmp_path)
    assert found.state == {"text": "žluťoučký", "nested": [1, {"a": None}]}
    assert set(found.tensors) == set(tensors)
    for name, tensor in tensors.items():
        assert (found.tensors[name].dtype, found.tensors[name].shape) == (tensor.dtype, tensor.shape)
        assert torch.equal(found.tensors[name].nan_to_num(7.0), tensor.nan_to_num(7.0))


def test_a_power_cut_at_any_moment_leaves_the_old_checkpoint_or_the_new(folder, power_cuts):
    found = []
    for _ in power_cuts(lambda: save(checkpoint(3), folder)):
        found.append(step_of(load(folder)))
        save(checkpoint(1), folder)
        save(checkpoint(2), folder)
    assert len(found) > 5
    assert set(found) == {2, 3}
    assert found == sorted(found)


def test_the_new_name_is_on_disk_before_the_next_step_is_trained(folder, disk):
    save(checkpoint(3), folder)
    assert disk.calls[-4:] == ["replace", "replace", "open", "fsync"]


def test_a_power_cut_at_the_very_first_save_leaves_none_or_the_new(tmp_path, power_cuts):
    for _ in power_cuts(lambda: save(checkpoint(1), tmp_path / "checkpoint")):
        found = load(tmp_path / "checkpoint")
        assert found is None or step_of(found) == 1
    assert step_of(load(tmp_path / "checkpoint")) == 1


@pytest.mark.parametrize("call", ["open", "fsync", "replace"])
def test_a_full_disk_keeps_the_checkpoints_there_are(folder, disk, call):
    disk.fails[call] = errno.ENOSPC
    with pytest.raises(StorageError, match="the disk is full"):
        save(checkpoint(3), folder)
    assert step_of(load(folder)) == 2


def test_a_newest_one_cut_short_anywhere_gives_way_to_the_one_before(folder):
    whole = (folder / LATEST).read_bytes()
    for length in range(len(whole)):
        (folder / LATEST).write_bytes(whole[:length])
        assert step_of(load(folder)) == 1


@given(position=st.integers(0, 10**6), flip=st.integers(1, 255))
def test_no_altered_byte_goes_unnoticed(module_folder, position, flip):
    folder, whole = module_folder
    altered = bytearray(whole)
    altered[position % len(whole)] ^= flip
    (folder / LATEST).write_bytes(altered)
    # White space between the names in the file's head may become other white space: nothing is altered by that.
    assert step_of(load(folder)) in (1, 2)


@given(junk=st.binary(max_size=200))
def test_junk_in_its_place_goes_not_unnoticed(module_folder, junk):
    folder, whole = module_folder
    for content in (junk, junk + whole, whole + junk + b"x"):
        (folder / LATEST).write_bytes(content)
        assert step_of(load(folder)) == (2 if content == whole else 1)


def test_if_none_is_good_the_newest_is_named(folder):
    for name in (LATEST, PREVIOUS):
        (folder / name).write_bytes((folder / name).read_bytes()[:-1])
    with pytest.raises(RunError, match=str(folder / LATEST)):
        load(folder)
