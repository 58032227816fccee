import pytest
import torch

from tinysight.errors import InputError
from tinysight.models.registry import NOTEBOOK, build
from tinysight.progress import Silent
from tinysight.recipes.schema import Model, Recipe
from tinysight.training import precision

RECIPE = Recipe(name="tiny", data={"image_size": 16}, model={"architecture": "early-stopping"})
WRONG = "convolutions like Conv2d(3, 32)"


@pytest.fixture
def machine(monkeypatch):
    """Pretend that bfloat16 is native, right and fast, or not."""

    def pretend(native=True, right=True, fast=True):
        seconds = {"bf16": 1.0 if fast else 3.0, "fp32": 2.0}
        monkeypatch.setattr(precision, "native_bf16", lambda: native)
        monkeypatch.setattr(precision, "wrong_convolution", lambda *_: "" if right else WRONG)
        monkeypatch.setattr(precision, "step_seconds", lambda network, size, names: [seconds[name] for name in names])

    return pretend


@pytest.mark.parametrize(
    ("asked", "here", "chosen"),
    [
        ("fp32", {}, "fp32"),
        ("auto", {}, "bf16"),
        ("auto", {"right": False}, "fp32"),
        ("auto", {"native": False}, "fp32"),
        ("auto", {"fast": False}, "fp32"),
        ("bf16", {}, "bf16"),
        ("bf16", {"native": False, "fast": False}, "bf16"),
    ],
)
def test_bf16_is_taken_where_it_is_asked_for_or_native_and_faster_and_always_right(machine, asked, here, chosen):
    machine(**here)

    assert precision.choose(asked, RECIPE) == chosen


def test_falling_back_is_said_with_the_layer_that_is_wrong(machine):
    machine(right=False)
    progress, notes = Silent(), []
    progress.note = notes.append
    precision.choose("auto", RECIPE, progress=progress)

    assert notes == [f"bfloat16 gives wrong results on this machine in {WRONG}: training in float32."]


def test_bf16_by_name_is_refused_where_its_convolutions_are_wrong(machine):
    machine(right=False)

    with pytest.raises(
        InputError, match=r"wrong results on this machine in convolutions like .*; use --precision fp32"
    ):
        precision.choose("bf16", RECIPE)


@pytest.mark.parametrize("name", [*NOTEBOOK, "fast"])
def test_torch_as_installed_here_has_right_convolutions(name):
    widths = {"stem": "fine", "widths": [16, 32]} if name == "fast" else {}
    assert precision.wrong_convolution(build(Model(architecture=name, **widths), 10, 32), 32) == ""


@pytest.mark.parametrize("wrong", ["forward", "backward"])
@pytest.mark.parametrize("inputs", [3, 32])
def test_a_wrong_bf16_convolution_is_named(monkeypatch, wrong, inputs):
    right = torch.nn.functional.conv2d

    def conv2d(images, weight, *arguments, **settings):
        if images.dtype == torch.float32 or weight.shape[1] != inputs:
            return right(images, weight, *arguments, **settings)
        if wrong == "forward":
            return right(images, weight, **settings).roll(1, 0)
        return right(images, weight.detach().roll(1, 0), **settings) + 0 * right(images, weight, **settings)

    monkeypatch.setattr(torch.nn.functional, "conv2d", conv2d)

    network = build(Model(architecture="deep"), 10, 16)
    assert f"Conv2d({inputs}, 32" in precision.wrong_convolution(network, 16)


def test_a_step_takes_time_in_either_precision():
    network = build(RECIPE.model, 10, 16)
    assert all(seconds > 0 for seconds in precision.step_seconds(network, 16, ["fp32", "bf16"]))


@pytest.mark.parametrize(("name", "dtype"), [("fp32", torch.float32), ("bf16", torch.bfloat16)])
def test_inside_autocast_layers_compute_in_the_precision(name, dtype):
    with precision.autocast(name):
        assert torch.nn.Linear(2, 2)(torch.zeros(1, 2)).dtype == dtype
