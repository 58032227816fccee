"""The dataset of a run: whether it can be loaded without a download."""

import pytest

from tinysight.data.sources import cifar10
from tinysight.runs.run import Run
from tinysight.runs.run_dataset import is_local


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
