import pytest
import torch

from tinysight._util.errors import InputError
from tinysight._util.progress import SilentProgress
from tinysight.models.registry import build_network
from tinysight.recipes.schema import ModelSection, Recipe
from tinysight.training import precision

RECIPE = Recipe(name="tiny", data={"image_size": 16}, model={"architecture": "early-stopping"})
FAULT = "convolutions like Conv2d(3, 32)"


@pytest.fixture
def machine(monkeypatch):
    """Return a function that fakes whether bfloat16 is native, correct and fast."""

    def fake(native=True, correct=True, fast=True):
        seconds = {"bf16": 1.0 if fast else 3.0, "fp32": 2.0}
        monkeypatch.setattr(precision, "native_bf16", lambda: native)
        monkeypatch.setattr(precision, "find_bf16_fault", lambda *_: "" if correct else FAULT)
        monkeypatch.setattr(precision, "step_seconds", lambda network, size, names: [seconds[name] for name in names])

    return fake


@pytest.mark.parametrize(
    ("asked", "here", "chosen"),
    [
        ("fp32", {}, "fp32"),
        ("auto", {}, "bf16"),
        ("auto", {"correct": False}, "fp32"),
        ("auto", {"native": False}, "fp32"),
        ("auto", {"fast": False}, "fp32"),
        ("bf16", {}, "bf16"),
        ("bf16", {"native": False, "fast": False}, "bf16"),
    ],
)
def test_auto_uses_bf16_where_it_is_native_correct_and_faster(machine, asked, here, chosen):
    machine(**here)

    assert precision.resolve_precision(asked, RECIPE) == chosen


def test_a_network_with_a_fixed_number_of_outputs_is_probed_with_it(machine):
    machine()
    layers = [{"kind": "flatten"}, {"kind": "dense", "outputs": 3}]
    recipe = Recipe(name="three", data={"image_size": 16}, model={"architecture": "layers", "layers": layers})

    assert precision.resolve_precision("auto", recipe, num_classes=3) == "bf16"


def test_falling_back_to_fp32_is_reported_with_the_faulty_layer(machine):
    machine(correct=False)
    progress, notes = SilentProgress(), []
    progress.note = notes.append
    precision.resolve_precision("auto", RECIPE, progress=progress)

    assert notes == [f"precision bf16: results on this machine are wrong in {FAULT}. Training in float32."]


def test_requested_bf16_with_faulty_convolutions_is_rejected(machine):
    machine(correct=False)

    message = r"precision bf16: results on this machine are wrong in convolutions like .*\. Use precision fp32\."
    with pytest.raises(InputError, match=message):
        precision.resolve_precision("bf16", RECIPE)


def test_the_installed_torch_has_correct_convolutions(family_model):
    assert precision.find_bf16_fault(build_network(family_model(10), 10, 32), 32) == ""


@pytest.mark.parametrize("fault", ["forward", "backward"])
@pytest.mark.parametrize("inputs", [3, 32])
def test_a_faulty_bf16_convolution_is_named(monkeypatch, fault, inputs):
    original = torch.nn.functional.conv2d

    def conv2d(images, weight, *arguments, **settings):
        if images.dtype == torch.float32 or weight.shape[1] != inputs:
            return original(images, weight, *arguments, **settings)
        if fault == "forward":
            return original(images, weight, **settings).roll(1, 0)
        return original(images, weight.detach().roll(1, 0), **settings) + 0 * original(images, weight, **settings)

    monkeypatch.setattr(torch.nn.functional, "conv2d", conv2d)

    network = build_network(ModelSection(architecture="deep"), 10, 16)
    assert f"Conv2d({inputs}, 32" in precision.find_bf16_fault(network, 16)


def test_step_seconds_are_positive_in_both_precisions():
    network = build_network(RECIPE.model, 10, 16)
    assert all(seconds > 0 for seconds in precision.step_seconds(network, 16, ["fp32", "bf16"]))


@pytest.mark.parametrize(("name", "dtype"), [("fp32", torch.float32), ("bf16", torch.bfloat16)])
def test_autocast_layers_compute_in_the_precision(name, dtype):
    with precision.autocast(name):
        assert torch.nn.Linear(2, 2)(torch.zeros(1, 2)).dtype == dtype
