from dataclasses import replace

import pytest
import torch

from tinysight._util.errors import InputError
from tinysight.runs.run import Run
from tinysight.training import device


@pytest.fixture
def set_cuda(monkeypatch):
    """Return a function that sets whether CUDA is available."""
    return lambda available: monkeypatch.setattr(torch.cuda, "is_available", lambda: available)


@pytest.mark.parametrize(
    ("asked", "available", "chosen"),
    [
        ("auto", True, "cuda"),
        ("auto", False, "cpu"),
        ("cpu", True, "cpu"),
        ("cpu", False, "cpu"),
        ("cuda", True, "cuda"),
    ],
)
def test_auto_uses_cuda_when_available(set_cuda, asked, available, chosen):
    set_cuda(available)
    assert device.resolve_device(asked) == chosen


def test_unavailable_cuda_is_rejected(set_cuda):
    set_cuda(False)
    with pytest.raises(InputError, match="device cuda: torch finds no CUDA GPU"):
        device.resolve_device("cuda")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
def test_a_network_trained_on_cuda_predicts_on_the_cpu(train, plan, dataset, tmp_path):
    train(replace(plan("training.epochs=4"), device="cuda"), tmp_path / "run")
    probabilities = Run(tmp_path / "run").classifier().probabilities(dataset.test.pixels)
    assert (probabilities.argmax(1) == dataset.test.labels).mean() > 0.5
