from dataclasses import replace

import pytest
import torch

from tinysight.errors import InputError
from tinysight.runs.run import Run
from tinysight.training import device
from tinysight.training.train import train


@pytest.fixture
def card(monkeypatch):
    """Return a function that says whether there is a graphics card."""
    return lambda there: monkeypatch.setattr(torch.cuda, "is_available", lambda: there)


@pytest.mark.parametrize(
    ("asked", "there", "chosen"),
    [
        ("auto", True, "cuda"),
        ("auto", False, "cpu"),
        ("cpu", True, "cpu"),
        ("cpu", False, "cpu"),
        ("cuda", True, "cuda"),
    ],
)
def test_a_graphics_card_is_taken_where_there_is_one_unless_the_processor_is_asked_for(card, asked, there, chosen):
    card(there)
    assert device.choose(asked) == chosen


def test_a_graphics_card_that_is_not_there_is_refused(card):
    card(False)
    with pytest.raises(InputError, match="--device cuda: there is no graphics card"):
        device.choose("cuda")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a graphics card")
def test_what_was_trained_on_a_card_predicts_on_the_processor(plan, dataset, tmp_path):
    train(replace(plan("training.epochs=4"), device="cuda"), tmp_path / "run")
    probabilities = Run(tmp_path / "run").classifier().probabilities(dataset.test.pixels)
    assert (probabilities.argmax(1) == dataset.test.labels).mean() > 0.5
