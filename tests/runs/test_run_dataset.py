"""The dataset of a run: loaded again from its source and compared with the images of the training."""

import re
from dataclasses import replace

import numpy as np
import pytest

from tinysight._util.errors import DataError, InputError
from tinysight.data.load import load
from tinysight.data.sources import cifar10
from tinysight.runs import run_dataset
from tinysight.runs.run import Run
from tinysight.runs.run_dataset import check_test_indices, is_dataset_of, is_local, open_dataset


@pytest.mark.parametrize(
    ("recorded", "existing", "expected"), [("images", "images", True), ("missing", "images", False), (None, "", False)]
)
def test_cifar10_is_local_if_recorded_folder_exists(finished_run, tmp_path, monkeypatch, recorded, existing, expected):
    run, folder_with_data = Run(finished_run), tmp_path / existing
    environment = run.environment()
    dataset = environment.dataset.model_copy(
        update={"argument": "cifar10", "data_dir": str(tmp_path / recorded) if recorded else None}
    )
    run.write_environment(environment.model_copy(update={"dataset": dataset}))
    monkeypatch.setattr(cifar10, "find", lambda folder=None: folder if folder == folder_with_data else None)
    assert is_local(run) is expected


def test_shapes_are_always_local(finished_run):
    assert is_local(Run(finished_run))


@pytest.fixture(scope="module")
def shapes():
    return load("shapes:train=100,test=30")


def test_the_images_are_loaded_again_from_the_recorded_argument(trained, shapes):
    opened = open_dataset(Run(trained))
    assert opened.fingerprint == shapes.fingerprint
    np.testing.assert_array_equal(opened.test.pixels, shapes.test.pixels)


def test_a_given_dataset_of_the_same_images_is_returned(trained, shapes):
    renamed = replace(shapes, name="others", source="elsewhere")
    assert is_dataset_of(Run(trained), renamed)
    assert open_dataset(Run(trained), renamed) is renamed


def inverted(split):
    return replace(split, pixels=255 - split.pixels)


@pytest.mark.parametrize(
    "change",
    [
        lambda dataset: replace(dataset, class_names=dataset.class_names[::-1]),
        lambda dataset: replace(dataset, train=inverted(dataset.train), test=inverted(dataset.test)),
        lambda dataset: replace(dataset, train=replace(dataset.train, labels=(dataset.train.labels + 1) % 10)),
    ],
)
def test_other_images_are_refused(trained, shapes, change):
    run, other = Run(trained), replace(change(shapes), source="another source")
    assert not is_dataset_of(run, other)
    with pytest.raises(DataError) as refusal:
        open_dataset(run, other)
    recorded = run.environment().dataset.source
    assert str(refusal.value) == (
        f"another source: not the images that {run.path} was trained on ({recorded}). Restore those images, or train "
        "again on these."
    )


def test_images_of_the_recipe_size_are_loaded_and_changed_files_are_noticed(finished_run, photos, tmp_path):
    run = Run(finished_run)
    environment, size = run.environment(), run.recipe().data.image_size
    fingerprint = load(str(photos), size).fingerprint
    record = environment.dataset.model_copy(update={"argument": str(photos), "fingerprint": fingerprint})
    run.write_environment(environment.model_copy(update={"dataset": record}))
    assert open_dataset(run).image_size == (size, size)
    run.write_environment(
        environment.model_copy(update={"dataset": record.model_copy(update={"fingerprint": "0" * 64})})
    )
    with pytest.raises(DataError, match=re.escape(f"not the images that {run.path} was trained on")):
        open_dataset(run)


def test_indices_of_test_images_are_accepted(shapes):
    check_test_indices([], shapes.test)
    check_test_indices([0, 29, 0], shapes.test)


@pytest.mark.parametrize("index", [-1, 30, 10**9])
def test_other_indices_are_refused(shapes, index):
    with pytest.raises(InputError) as refusal:
        check_test_indices([0, index], shapes.test)
    assert str(refusal.value) == f"test index {index}: not in the test set. Use an index from 0 to 29."


@pytest.mark.parametrize(("recorded", "exists"), [("images", True), ("missing", False), (None, False)])
def test_the_recorded_folder_is_searched_only_if_it_still_has_the_images(
    finished_run, shapes, tmp_path, monkeypatch, recorded, exists
):
    run, folders = Run(finished_run), []
    environment = run.environment()
    data_dir = str(tmp_path / recorded) if recorded else None
    record = environment.dataset.model_copy(update={"data_dir": data_dir})
    run.write_environment(environment.model_copy(update={"dataset": record}))

    def load_from(argument, size, folder, skip_unreadable, progress, needs_splits):
        folders.append(folder)
        assert (argument, size, skip_unreadable) == (record.argument, run.recipe().data.image_size, True)
        return shapes

    monkeypatch.setattr(run_dataset, "load", load_from)
    monkeypatch.setattr(cifar10, "find", lambda folder=None: folder if folder == tmp_path / "images" else None)
    open_dataset(run)
    open_dataset(run, data_dir=tmp_path / "mine")
    assert folders == [tmp_path / "images" if exists else None, tmp_path / "mine"]
