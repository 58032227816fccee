"""Every data source meets the same contract; a new one adds an example here and nothing else."""

import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tinysight._util.errors import DataError
from tinysight.data.dataset import IN_MEMORY, Provenance
from tinysight.data.load import data_sources, find_source, load, resolve_source

SIZE = 16


def paint(folder):
    """Write five images of each of two classes."""
    random = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (folder / name).mkdir(parents=True)
        for number in range(5):
            Image.fromarray(random.integers(0, 256, (20, 24, 3), np.uint8)).save(folder / name / f"{number}.png")
    return folder


@dataclass
class Example:
    """A spec of one source.

    Attributes:
        spec: what `load` takes.
        others: other specs of the same images.
        size: the side that the images are loaded at.
        is_saved: whether the images can be loaded again from the recorded argument.
        options: further arguments of `load`.
    """

    spec: Any
    others: list[Any] = field(default_factory=list)
    size: int = SIZE
    is_saved: bool = True
    options: dict[str, Any] = field(default_factory=dict)


def folder_example(tmp_path, _):
    folder = paint(tmp_path / "pets")
    return Example(folder, [str(folder), os.path.relpath(folder)])


def arrays_example(_, __):
    images = np.random.default_rng(0).integers(0, 256, (12, 20, 20, 3), np.uint8)
    labels = ["cat", "dog"] * 6
    return Example((images, labels), [(list(images), np.array(labels))], is_saved=False)


def shapes_example(_, __):
    return Example("shapes:train=30,test=10")


def cifar10_example(_, request):
    folder = request.getfixturevalue("binary_folder")
    return Example("cifar10", size=32, options={"data_dir": folder})


def table_example(tmp_path, _):
    paint(tmp_path / "pets")
    lines = [f"pets/{name}/{number}.png,{name}" for number in range(5) for name in ("cat", "dog")]
    table = tmp_path / "pets.csv"
    table.write_text("\n".join(["image,label", *lines]))
    return Example(table, [str(table), os.path.relpath(table)])


def zip_example(tmp_path, _):
    archive = shutil.make_archive(str(tmp_path / "pets"), "zip", paint(tmp_path / "pets"))
    return Example(archive, [Path(archive), os.path.relpath(archive)])


EXAMPLES = {
    "arrays": arrays_example,
    "cifar10": cifar10_example,
    "folder": folder_example,
    "shapes": shapes_example,
    "table": table_example,
    "zip": zip_example,
}


def check_source(source, example, tmp_path, monkeypatch):
    """Check the contract of `DataSource` with one example."""
    for spec in (example.spec, *example.others):
        assert [candidate.name for candidate in data_sources() if candidate.matches(spec)] == [source.name]
        assert find_source(spec) is source
    dataset = load(example.spec, example.size, **example.options)

    count = len(dataset.class_names)
    assert count == len(set(dataset.class_names)) >= 2
    for split in dataset.splits.values():
        assert split.pixels.shape == (len(split), 3, example.size, example.size)
        assert (split.pixels.dtype, split.labels.dtype) == (np.uint8, np.int64)
        assert 0 <= split.labels.min() <= split.labels.max() < count
        assert len(split.files) in (0, len(split))
        assert len(split.groups) in (0, len(split))
        if dataset.folder:
            assert all((dataset.folder / file).is_file() for file in split.files)
    assert len(dataset.train)
    assert len(dataset.test)
    assert dataset.name
    assert dataset.source
    assert dataset.provenance is source.provenance
    assert all((dataset.provenance.source, dataset.provenance.consent, dataset.provenance.license))

    fingerprints = {load(spec, example.size, **example.options).fingerprint for spec in example.others}
    assert fingerprints <= {dataset.fingerprint}
    assert dataset.argument == resolve_source(example.spec) == resolve_source(dataset)
    monkeypatch.chdir(tmp_path)
    if example.is_saved:
        assert resolve_source(dataset.argument) == dataset.argument
        again = load(dataset.argument, example.size, **example.options)
        assert again.fingerprint == dataset.fingerprint
        assert again.notes == dataset.notes
    else:
        assert dataset.argument == IN_MEMORY
        with pytest.raises(DataError, match="In-memory dataset"):
            resolve_source(dataset.argument)


@pytest.mark.parametrize("source", data_sources(), ids=lambda source: source.name)
def test_a_source_meets_the_contract(source, tmp_path, request, monkeypatch):
    check_source(source, EXAMPLES[source.name](tmp_path, request), tmp_path, monkeypatch)


@pytest.mark.parametrize("source", data_sources(), ids=lambda source: source.name)
@pytest.mark.parametrize("spec", ["", "nothing", "a" * 5000, "a\0b", Path("nothing"), None, 3, (), object(), [1, 2]])
def test_a_source_does_not_match_what_it_cannot_load(source, spec):
    assert not source.matches(spec)


def test_every_source_has_its_own_name_and_provenance():
    names = [source.name for source in data_sources()]
    assert sorted(names) == sorted(EXAMPLES)
    stated = [source.provenance for source in data_sources() if "Not stated" not in source.provenance.consent]
    assert stated == [source.provenance for source in data_sources() if source.is_builtin]


@pytest.mark.parametrize("name", ["cifar10", "shapes"])
def test_a_folder_named_like_a_built_in_dataset_is_a_folder(name, tmp_path, monkeypatch):
    paint(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    for spec in (f"./{name}", Path(name)):
        dataset = load(spec, SIZE)
        assert dataset.argument == str(tmp_path / name)
        assert dataset.provenance.consent.startswith("Not stated")
        assert dataset.provenance.license.startswith("Not stated")
    assert resolve_source(name) == name


def test_a_dataset_is_returned_unchanged():
    dataset = load("shapes:train=20,test=10", SIZE)
    assert load(dataset) is dataset


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("shape", r"'shape': no such dataset or folder. Did you mean 'shapes'"),
        (Path("nothing"), "'nothing': no such dataset or folder"),
        (None, r"dataset: cannot be a NoneType. Pass a name, a path, a Dataset, arrays \(X, y\) or a DataFrame."),
        (np.zeros((2, 8, 8, 3), np.uint8), "dataset: cannot be a ndarray"),
        (":memory:", "In-memory dataset"),
    ],
)
def test_what_is_no_dataset_is_an_error(spec, message):
    with pytest.raises(DataError, match=message):
        load(spec)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([0, 1], r"y: shape \(2,\) for 6 images"),
        (np.zeros((6, 1, 1), np.int64), r"y: shape \(6, 1, 1\) for 6 images"),
        ([1] * 6, "y: has the single class"),
        ([0, 0, 0, 0, 1, 1], "Class 1: 2 usable images, but 3 are needed"),
    ],
)
def test_labels_that_do_not_fit_the_images_are_an_error(labels, message):
    with pytest.raises(DataError, match=message):
        load((np.zeros((6, 8, 8, 3), np.uint8), labels), 8)


def test_labels_become_class_names_and_each_image_keeps_its_own():
    images = np.repeat(np.arange(20, dtype=np.uint8), 8 * 8 * 3).reshape(20, 8, 8, 3)
    dataset = load((images, np.arange(20) % 2 * 5), 8)
    assert dataset.class_names == ("0", "5")
    for split in dataset.splits.values():
        assert (split.pixels[:, 0, 0, 0] % 2 == split.labels).all()
    assert sorted([*dataset.train.pixels[:, 0, 0, 0], *dataset.test.pixels[:, 0, 0, 0]]) == [*range(20)]


def test_the_default_provenance_states_nothing():
    assert set(vars(Provenance()).values()) == {Provenance().consent}
    assert Provenance().consent.startswith("Not stated")
