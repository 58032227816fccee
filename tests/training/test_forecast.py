"""Choice of a network for a time budget, with a made-up scaling law and speed."""

import math

import pytest
import torch

from tinysight._util.errors import RecipeError
from tinysight._util.progress import SilentProgress
from tinysight._util.timing import Deadline
from tinysight.models.classifier import batch_size
from tinysight.models.families.fast import STEM_CHANNELS
from tinysight.models.layers import GlobalMaxPool
from tinysight.models.registry import build_network
from tinysight.recipes import loading
from tinysight.training import forecast, precision
from tinysight.training.budget import EXIT_SECONDS
from tinysight.training.forecast import (
    SHORT_RUN_EPOCHS,
    SHORT_RUN_LR_FACTOR,
    Candidate,
    ScalingLaw,
    Workload,
    forecast_training,
    scale_lr_for_short_run,
)

SMALL = Candidate(2, (16, 32), floor=0.2, scale=10.0, power=0.5, efficiency=1.0)
LARGE = Candidate(1, (32, 64), floor=0.05, scale=40.0, power=0.5, efficiency=1.0)
NOW = 1000.0


def law(*rungs, spread=0.01, pace_spread=0.0, setup=0.0):
    return ScalingLaw(rungs, spread, pace_spread, setup)


LAW = law(SMALL, LARGE)
WORK = Workload(n_train=900, n_validation=300, is_cifar10=True)


@pytest.fixture
def recipe():
    """Return a function from minutes to a recipe with an open network."""
    return lambda minutes: loading.load_recipe("fast", [f"training.minutes={minutes}"])


@pytest.fixture(autouse=True)
def _machine(monkeypatch):
    """Fake a machine that trains 640 images/s with the small network and 64 with the large one."""

    def seconds(network, image_size, precisions):
        return [0.2 if network.body[0].filters.shape[0] == STEM_CHANNELS[2] else 2.0]

    monkeypatch.setattr(forecast, "step_seconds", seconds)
    monkeypatch.setattr(precision, "resolve_precision", lambda *asked: "fp32")
    monkeypatch.setattr(forecast.time, "perf_counter", lambda: NOW)


def test_epochs_follow_from_time_and_speed(recipe):
    outlook = forecast_training(recipe(10), WORK, law=law(SMALL, setup=1.5))
    images = (600 - 1.5 - EXIT_SECONDS) * 640  # without validation
    warmup = 6 * min(300, batch_size(32)) / 3

    assert outlook.images_per_second == pytest.approx(640)
    assert outlook.epochs == pytest.approx((images - 300 - warmup) / (900 + 300 / 3))
    assert outlook.accuracy == pytest.approx(1 - 0.2 - 10 / (outlook.epochs * 900) ** 0.5)


def test_elapsed_time_is_subtracted(recipe):
    late = forecast_training(recipe(10), WORK, deadline=Deadline(NOW - 300, 600), law=LAW)
    assert late.epochs == pytest.approx(forecast_training(recipe(5), WORK, law=LAW).epochs)


def test_probe_time_is_subtracted(recipe, monkeypatch):
    seconds = iter(range(1000, 2000, 100))
    monkeypatch.setattr(forecast.time, "perf_counter", lambda: float(next(seconds)))
    probed = forecast_training(recipe(10), WORK, deadline=Deadline(900.0, 600), law=law(SMALL))
    monkeypatch.setattr(forecast.time, "perf_counter", lambda: NOW)

    assert probed.epochs == pytest.approx(
        forecast_training(recipe(10), WORK, deadline=Deadline(NOW - 100, 600), law=law(SMALL)).epochs
    )


def test_speed_is_scaled_by_the_measured_efficiency(recipe):
    half = Candidate(2, (16, 32), 0.2, 10.0, 0.5, efficiency=0.5)
    assert forecast_training(recipe(1), WORK, law=law(half)).images_per_second == pytest.approx(320)


@pytest.mark.parametrize(("minutes", "widths"), [(1, [16, 32]), (100, [32, 64])])
def test_a_longer_budget_chooses_a_larger_network(recipe, minutes, widths):
    outlook = forecast_training(recipe(minutes), WORK, law=LAW)

    assert outlook.recipe.model.channels == widths
    assert not outlook.recipe.model.needs_time_budget
    assert outlook.recipe.training.minutes == minutes


def test_probing_stops_at_the_first_network_too_large_for_the_time(recipe, monkeypatch):
    probed = []
    monkeypatch.setattr(forecast, "step_seconds", lambda network, *rest: probed.append(network) or [1.0])
    forecast_training(recipe(1), WORK, law=law(SMALL, LARGE, LARGE, LARGE))

    assert len(probed) == 2


@pytest.mark.parametrize("elapsed", [59.9, 60, 1000])
def test_an_exhausted_budget_still_gives_a_forecast(recipe, elapsed):
    assert 0 <= forecast_training(recipe(1), WORK, deadline=Deadline(NOW - elapsed, 60), law=LAW).accuracy <= 1


def test_the_forecast_text_has_network_epochs_accuracy_and_spread(recipe):
    words = forecast_training(recipe(10), WORK, law=law(SMALL, spread=0.012)).describe()
    assert words.startswith(
        "stem stride 2, channels 16/32, about 382.5 epochs at 640 images/s; about 78.3% ± 1.2 points"
    )


@pytest.mark.parametrize(("pace_spread", "seen"), [(0.5, 900.0), (2.0, 90_000.0)])
def test_the_spread_combines_accuracy_and_speed(pace_spread, seen):
    slower = SMALL.accuracy(seen) - SMALL.accuracy(seen / math.e**pace_spread)
    expected = (0.01**2 + slower**2) ** 0.5
    assert law(SMALL, spread=0.01, pace_spread=pace_spread).expected_spread(SMALL, seen) == pytest.approx(expected)


def test_short_runs_use_higher_learning_rates():
    rate = loading.load_recipe("fast").optimizer.learning_rate
    rates = [
        scale_lr_for_short_run(loading.load_recipe("fast"), epochs).optimizer.learning_rate
        for epochs in (0.1, SHORT_RUN_EPOCHS - 0.1, SHORT_RUN_EPOCHS, 9)
    ]
    assert rates == pytest.approx([SHORT_RUN_LR_FACTOR * rate, SHORT_RUN_LR_FACTOR * rate, rate, rate])


def test_the_forecast_recipe_has_the_learning_rate_for_its_epochs(recipe):
    cifar10 = Workload(45_000, 5_000, is_cifar10=True)
    short, long = (forecast_training(recipe(minutes), cifar10, law=law(SMALL)) for minutes in (2, 20))
    assert short.epochs < SHORT_RUN_EPOCHS < long.epochs
    assert short.recipe.optimizer.learning_rate == pytest.approx(
        SHORT_RUN_LR_FACTOR * long.recipe.optimizer.learning_rate
    )


def test_a_chosen_network_with_a_bf16_fault_is_probed_again_in_fp32(recipe, monkeypatch):
    probed = []
    monkeypatch.setattr(forecast, "step_seconds", lambda network, size, kinds: probed.append(kinds) or [0.2])
    kinds = iter(["bf16", "fp32"])
    monkeypatch.setattr(precision, "resolve_precision", lambda *asked: next(kinds))
    outlook = forecast_training(recipe(100), WORK, law=LAW)

    assert outlook.recipe.model.channels == [32, 64]
    assert outlook.precision == "fp32"
    assert probed == [["bf16"], ["bf16"], ["fp32"]]


def test_no_accuracy_forecast_for_other_datasets(recipe):
    words = forecast_training(recipe(10), Workload(900, 300, is_cifar10=False), law=LAW).describe()
    assert words.endswith("; no accuracy forecast for this dataset")
    assert "±" not in words


def test_an_open_network_without_a_time_budget_is_rejected():
    with pytest.raises(RecipeError, match=r"Set training\.minutes, or model\.stem_stride and model\.channels\."):
        forecast_training(loading.load_recipe("fast"), WORK, law=LAW)


def test_the_workload_of_a_dataset_is_the_size_of_its_split(dataset, recipe):
    assert Workload.from_dataset(dataset, recipe(1)) == Workload(n_train=180, n_validation=20, is_cifar10=False)


@pytest.mark.parametrize(("size", "widths"), [(17, [32, 64]), (18, [16, 16, 16])])
def test_networks_that_need_larger_images_are_skipped(size, widths):
    small = loading.load_recipe("fast", ["training.minutes=0.5", f"data.image_size={size}"])
    best = Candidate(2, (16, 16, 16), floor=0.0, scale=0.1, power=0.5, efficiency=1.0)  # from 18 pixels on

    assert forecast_training(small, WORK, law=law(best, LARGE)).recipe.model.channels == widths


def test_images_too_small_for_every_network_are_rejected():
    tiny = loading.load_recipe("fast", ["training.minutes=1", "data.image_size=8"])
    with pytest.raises(RecipeError, match="recipe fast: images of 8x8 are too small for every network"):
        forecast_training(tiny, WORK, law=law(Candidate(2, (16, 16, 16), 0.2, 1.0, 0.5, 1.0)))


@pytest.mark.parametrize("change", ["optimizer.learning_rate=0.1", "training.batch_size=100"])
def test_no_accuracy_forecast_for_a_changed_recipe(change):
    changed = loading.load_recipe("fast", ["training.minutes=1", change])
    assert not forecast_training(changed, WORK, law=LAW).has_accuracy


@pytest.mark.parametrize(("split", "learn"), [("stratified", 45_000), ("last-20%", 40_000), ("first-10000", 40_000)])
def test_the_workload_of_cifar10_is_the_size_of_its_split(split, learn):
    settled = loading.load_recipe("fast", ["training.minutes=1", f"data.split={split}"])
    assert Workload.for_cifar10(settled) == Workload(learn, 50_000 - learn, is_cifar10=True)


def test_the_shipped_law_orders_networks_by_final_accuracy():
    shipped = ScalingLaw.load()
    assert 0 < shipped.accuracy_spread < 0.03
    assert 0 < shipped.log_speed_spread < 0.5
    assert 0 < shipped.setup_seconds < 10
    for rung in shipped.candidates:
        assert 0.3 < rung.accuracy(45_000) < rung.accuracy(450_000) < 1
        assert 0.5 < rung.efficiency < 2
    ends = [rung.accuracy(10_000_000) for rung in shipped.candidates]
    assert ends == sorted(ends)


@pytest.mark.parametrize(
    ("size", "stride", "channels"),
    [
        (32, 1, [32, 64, 128]),
        (47, 1, [32, 64, 128]),
        (48, 2, [32, 64, 128]),
        (64, 2, [32, 64, 128]),
        (96, 2, [32, 64, 128, 128]),
        (224, 2, [32, 64, 128, 128, 128]),
    ],
)
def test_networks_for_larger_images_see_them_as_a_whole(size, stride, channels):
    model = Candidate(1, (32, 64, 128), 0.0, 1.0, 0.5, 1.0).model(size)
    assert (model.stem_stride, model.channels) == (stride, channels)
    network = build_network(model, 3, size)
    shapes = []
    pool = next(layer for layer in network.modules() if isinstance(layer, GlobalMaxPool))
    pool.register_forward_pre_hook(lambda layer, inputs: shapes.append(inputs[0].shape[2:]))
    with torch.no_grad():
        network(torch.zeros(1, 3, size, size))
    assert shapes[0][0] <= (5 if size == 47 else 3)


def test_larger_images_have_one_network_per_width():
    large = loading.load_recipe("fast", ["training.minutes=100", "data.image_size=64"])
    chosen = forecast_training(large, WORK, law=law(SMALL, LARGE)).recipe.model
    assert (chosen.stem_stride, chosen.channels[:2]) == (2, [32, 64])
    only = forecast_training(large, WORK, law=law(SMALL)).recipe.model
    assert (only.stem_stride, only.channels[:2]) == (2, [16, 32])


def test_a_small_dataset_is_adapted_and_noted(dataset, recipe):
    progress = Notes()
    small, _ = forecast.resolve_recipe(recipe(1), dataset, progress=progress)
    assert small.training.batch_size == 64
    assert progress.notes[0].startswith("Small dataset (180 training images): batches of 64, at most 1,000 epochs")


class Notes(SilentProgress):
    """Progress that keeps the notes."""

    def __init__(self):
        self.notes = []

    def note(self, text):
        self.notes.append(text)
