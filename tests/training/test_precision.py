import pytest
import torch

from tinysight.errors import InputError
from tinysight.training import precision


@pytest.fixture
def machine(monkeypatch):
    """Pretend that bfloat16 is native, and right, or not."""

    def pretend(native, right):
        monkeypatch.setattr(precision, "native_bf16", lambda: native)
        monkeypatch.setattr(precision, "convolutions_agree", lambda: right)

    return pretend


@pytest.mark.parametrize(
    ("asked", "native", "right", "chosen"),
    [
        ("fp32", True, True, "fp32"),
        ("auto", True, True, "bf16"),
        ("auto", True, False, "fp32"),
        ("auto", False, True, "fp32"),
        ("bf16", True, True, "bf16"),
        ("bf16", False, True, "bf16"),
    ],
)
def test_bf16_is_taken_where_it_is_asked_for_or_native_and_always_right(machine, asked, native, right, chosen):
    machine(native, right)

    assert precision.choose(asked) == chosen


def test_bf16_by_name_is_refused_where_its_convolutions_are_wrong(machine):
    machine(native=True, right=False)

    with pytest.raises(InputError, match="wrong results on this machine; use --precision fp32"):
        precision.choose("bf16")


def test_torch_as_installed_here_has_right_convolutions():
    assert precision.convolutions_agree()


@pytest.mark.parametrize("wrong", ["forward", "backward"])
def test_wrong_bf16_convolutions_are_noticed(monkeypatch, wrong):
    right = torch.nn.functional.conv2d

    def conv2d(images, weight, **settings):
        if images.dtype == torch.float32:
            return right(images, weight, **settings)
        if wrong == "forward":
            return right(images, weight, **settings).roll(1, 0)
        return right(images, weight.detach().roll(1, 0), **settings) + 0 * right(images, weight, **settings)

    monkeypatch.setattr(torch.nn.functional, "conv2d", conv2d)

    assert not precision.convolutions_agree()


@pytest.mark.parametrize(("name", "dtype"), [("fp32", torch.float32), ("bf16", torch.bfloat16)])
def test_inside_autocast_layers_compute_in_the_precision(name, dtype):
    with precision.autocast(name):
        assert torch.nn.Linear(2, 2)(torch.zeros(1, 2)).dtype == dtype
