"""The images of a run, found again where they lay."""

import pytest

from tinysight.data import cifar10
from tinysight.evaluation.images import at_hand
from tinysight.runs.run import Run


@pytest.mark.parametrize(
    ("recorded", "there", "expected"), [("pictures", "pictures", True), ("gone", "pictures", False), (None, "", False)]
)
def test_cifar10_is_at_hand_where_it_lay_and_nothing_is_downloaded(
    finished_run, tmp_path, monkeypatch, recorded, there, expected
):
    run, lies = Run(finished_run), tmp_path / there
    environment = run.environment()
    dataset = environment.dataset.model_copy(
        update={"argument": "cifar10", "data_dir": str(tmp_path / recorded) if recorded else None}
    )
    run.write_environment(environment.model_copy(update={"dataset": dataset}))
    monkeypatch.setattr(cifar10, "find", lambda folder=None: folder if folder == lies else None)
    assert at_hand(run) is expected


def test_what_is_drawn_is_always_at_hand(finished_run):
    assert at_hand(Run(finished_run))
