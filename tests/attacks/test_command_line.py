"""Hostile input to the command line: exit code 2, one message, and no files left behind."""

import os
import pickle
from pathlib import Path

import pytest

SHAPES = ("--data", "shapes:train=20,test=10")
BATCHES = [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]


class Command:
    """Payload of the classic pickle attack: unpickling it runs a command."""

    def __init__(self, command):
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


@pytest.fixture
def canary(tmp_path):
    """A file that exists once a pickle has run its command."""
    return tmp_path / "canary"


@pytest.fixture
def train_on(tinysight, tmp_path):
    """Train on CIFAR-10 in a folder, check that no file is left, and return the error message."""

    def train(folder):
        outcome = tinysight("train", "early-stopping", "--data", "cifar10", "--data-dir", folder, "--out", "run")
        assert outcome.out == ""
        assert list(Path().iterdir()) == []
        return outcome.refusal()

    return train


@pytest.fixture
def binary_layout(tmp_path):
    """Six files of black images, all labeled airplane."""
    folder = tmp_path / "cifar-10-batches-bin"
    folder.mkdir()
    for name in BATCHES:
        with (folder / f"{name}.bin").open("wb") as file:
            file.truncate(30_730_000)
    return folder


def truncate(folder):
    with (folder / "data_batch_3.bin").open("r+b") as file:
        file.truncate(30_729_999)


def mislabel(folder):
    with (folder / "data_batch_3.bin").open("r+b") as file:
        file.seek(17 * 3073)
        file.write(bytes([200]))


def remove(folder):
    (folder / "data_batch_3.bin").unlink()


def rename_classes(folder):
    (folder / "batches.meta.txt").write_text("cat\n" * 10)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (truncate, "data_batch_3.bin has 30,729,999 bytes instead of 30,730,000"),
        (mislabel, "data_batch_3.bin: label 200 of image 17 is not in 0..9. Get a new copy."),
        (remove, "(missing data_batch_3.bin). Set --data-dir to a complete copy"),
        (rename_classes, "batches.meta.txt: expected ten different class names"),
    ],
)
def test_a_damaged_cifar10_folder_is_an_error(train_on, binary_layout, damage, message):
    damage(binary_layout)
    assert message in train_on(binary_layout)


def test_a_truncated_archive_is_an_error(train_on, tmp_path):
    folder = tmp_path / "archive"
    folder.mkdir()
    (folder / "cifar-10-binary.tar.gz").write_bytes(b"\x1f\x8b" + bytes(1000))
    assert "cifar-10-binary.tar.gz: incomplete CIFAR-10 (1,002 bytes instead of" in train_on(folder)


def test_a_malicious_pickle_is_refused_without_running_it(train_on, tmp_path, canary):
    content = pickle.dumps(Command(f"touch {canary}"), protocol=2)
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    for name in BATCHES:
        with (folder / name).open("wb") as file:
            file.write(content)
            file.truncate(31_000_000)  # the size of a real batch, as a sparse file
    assert "data_batch_1: unsafe or damaged pickle: import of 'posix.system'" in train_on(folder)
    assert not canary.exists()
    pickle.loads(content)
    assert canary.exists()  # the attack does work with pickle.loads


def test_an_augmentation_too_large_for_the_images_leaves_no_run(tinysight):
    outcome = tinysight("train", "deep", *SHAPES, "--set", "augmentation.crop_padding=32", "--out", "run")
    assert "augmentation.crop_padding is 32" in outcome.refusal()
    assert list(Path().iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["train", "deep", *SHAPES, "--seed", 2**63], "--seed"),
        (["train", "deep", *SHAPES, "--epochs", 10**30], "training.epochs"),
        (["train", "deep", *SHAPES, "--set", f"training.batch_size={10**30}"], "training.batch_size"),
        (["train", "deep", *SHAPES, "--set", f"data.image_size={10**400}"], "data.image_size"),
        (["train", "deep", "--data", f"shapes:train={10**400}"], "shapes"),
        (["train", "deep", "--data", f"shapes:test={'9' * 5000}"], "shapes"),
        (["preview", "deep", *SHAPES, "--seed", 2**64], "--seed"),
        (["preview", "deep", *SHAPES, "--images", 10**30], "--images"),
        (["preview", "deep", *SHAPES, "--copies", 10**30], "--copies"),
        (["summary", "deep", "--classes", 10**30], "--classes"),
        (["data", "show", 10**30, *SHAPES], "train image"),
    ],
    ids=lambda value: value if isinstance(value, str) else value[0],
)
def test_a_huge_integer_is_an_error(tinysight, arguments, text):
    outcome = tinysight(*arguments)
    assert (outcome.code, outcome.out) == (2, "")
    assert text in outcome.err
    assert len(outcome.err) < 2000
    assert list(Path().iterdir()) == []


def test_the_largest_seed_is_accepted(tinysight):
    options = ("--images", 1, "--copies", 1, "--seed", 2**63 - 1)
    assert tinysight("preview", "deep-augmented", *SHAPES, *options).code == 0
