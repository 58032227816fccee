"""Choice of a network for a time budget, with a made-up scaling law and speed."""

import math

import pytest

from tinysight.errors import RecipeError
from tinysight.models.classifier import batch_size
from tinysight.models.fast import STEM_CHANNELS
from tinysight.recipes import loading
from tinysight.training import planning, precision
from tinysight.training.clock import ENDING
from tinysight.training.planning import BRIEF, BRISK, Law, Rung, Work, paced, plan

SMALL = Rung("coarse", (16, 32), floor=0.2, scale=10.0, power=0.5, efficiency=1.0)
LARGE = Rung("fine", (32, 64), floor=0.05, scale=40.0, power=0.5, efficiency=1.0)
NOW = 1000.0


def law(*rungs, spread=0.01, pace_spread=0.0, setup=0.0):
    return Law(rungs, spread, pace_spread, setup)


LAW = law(SMALL, LARGE)
WORK = Work(learn=900, validation=300, measured=True)


@pytest.fixture
def recipe():
    """Return a function from minutes to a recipe with an open network."""
    return lambda minutes: loading.load("fast", [f"training.minutes={minutes}"])


@pytest.fixture(autouse=True)
def _machine(monkeypatch):
    """Fake a machine that trains 640 images/s with the small network and 64 with the large one."""

    def seconds(network, image_size, precisions):
        return [0.2 if network[0].filters.shape[0] == STEM_CHANNELS["coarse"] else 2.0]

    monkeypatch.setattr(planning, "step_seconds", seconds)
    monkeypatch.setattr(precision, "choose", lambda *asked: "fp32")
    monkeypatch.setattr(planning.time, "perf_counter", lambda: NOW)


def test_epochs_follow_from_time_and_speed(recipe):
    outlook = plan(recipe(10), WORK, law=law(SMALL, setup=1.5))
    images = (600 - 1.5 - ENDING) * 640  # without validation
    warmup = 6 * min(300, batch_size(32)) / 3

    assert outlook.images_per_second == pytest.approx(640)
    assert outlook.epochs == pytest.approx((images - 300 - warmup) / (900 + 300 / 3))
    assert outlook.accuracy == pytest.approx(1 - 0.2 - 10 / (outlook.epochs * 900) ** 0.5)


def test_elapsed_time_is_subtracted(recipe):
    late = plan(recipe(10), WORK, begun=NOW - 300, law=LAW)
    assert late.epochs == pytest.approx(plan(recipe(5), WORK, law=LAW).epochs)


def test_probe_time_is_subtracted(recipe, monkeypatch):
    seconds = iter(range(1000, 2000, 100))
    monkeypatch.setattr(planning.time, "perf_counter", lambda: float(next(seconds)))
    probed = plan(recipe(10), WORK, begun=900.0, law=law(SMALL))
    monkeypatch.setattr(planning.time, "perf_counter", lambda: NOW)

    assert probed.epochs == pytest.approx(plan(recipe(10), WORK, begun=NOW - 100, law=law(SMALL)).epochs)


def test_speed_is_scaled_by_the_measured_efficiency(recipe):
    half = Rung("coarse", (16, 32), 0.2, 10.0, 0.5, efficiency=0.5)
    assert plan(recipe(1), WORK, law=law(half)).images_per_second == pytest.approx(320)


@pytest.mark.parametrize(("minutes", "widths"), [(1, [16, 32]), (100, [32, 64])])
def test_a_longer_budget_chooses_a_larger_network(recipe, minutes, widths):
    outlook = plan(recipe(minutes), WORK, law=LAW)

    assert outlook.recipe.model.widths == widths
    assert not outlook.recipe.model.is_open
    assert outlook.recipe.training.minutes == minutes


def test_probing_stops_at_the_first_network_too_large_for_the_time(recipe, monkeypatch):
    probed = []
    monkeypatch.setattr(planning, "step_seconds", lambda network, *rest: probed.append(len(network)) or [1.0])
    plan(recipe(1), WORK, law=law(SMALL, LARGE, LARGE, LARGE))

    assert len(probed) == 2


@pytest.mark.parametrize("elapsed", [59.9, 60, 1000])
def test_an_exhausted_budget_still_gives_a_forecast(recipe, elapsed):
    assert 0 <= plan(recipe(1), WORK, begun=NOW - elapsed, law=LAW).accuracy <= 1


def test_the_forecast_text_has_network_epochs_accuracy_and_spread(recipe):
    words = plan(recipe(10), WORK, law=law(SMALL, spread=0.012)).words()
    assert words.startswith("coarse stem, 16/32 channels, about 382.5 epochs at 640 images/s; about 78.3% ± 1.2")


@pytest.mark.parametrize(("pace_spread", "seen"), [(0.5, 900.0), (2.0, 90_000.0)])
def test_the_spread_combines_accuracy_and_speed(pace_spread, seen):
    slower = SMALL.accuracy(seen) - SMALL.accuracy(seen / math.e**pace_spread)
    expected = (0.01**2 + slower**2) ** 0.5
    assert law(SMALL, spread=0.01, pace_spread=pace_spread).spread_of(SMALL, seen) == pytest.approx(expected)


def test_short_runs_use_higher_learning_rates():
    rate = loading.load("fast").optimiser.learning_rate
    rates = [paced(loading.load("fast"), epochs).optimiser.learning_rate for epochs in (0.1, BRIEF - 0.1, BRIEF, 9)]
    assert rates == pytest.approx([BRISK * rate, BRISK * rate, rate, rate])


def test_the_forecast_recipe_has_the_learning_rate_for_its_epochs(recipe):
    cifar10 = Work(45_000, 5_000, measured=True)
    short, long = (plan(recipe(minutes), cifar10, law=law(SMALL)) for minutes in (2, 20))
    assert short.epochs < BRIEF < long.epochs
    assert short.recipe.optimiser.learning_rate == pytest.approx(BRISK * long.recipe.optimiser.learning_rate)


def test_a_chosen_network_with_a_bf16_fault_is_probed_again_in_fp32(recipe, monkeypatch):
    probed = []
    monkeypatch.setattr(planning, "step_seconds", lambda network, size, kinds: probed.append(kinds) or [0.2])
    kinds = iter(["bf16", "fp32"])
    monkeypatch.setattr(precision, "choose", lambda *asked: next(kinds))
    outlook = plan(recipe(100), WORK, law=LAW)

    assert outlook.recipe.model.widths == [32, 64]
    assert outlook.precision == "fp32"
    assert probed == [["bf16"], ["bf16"], ["fp32"]]


def test_no_accuracy_forecast_for_other_datasets(recipe):
    words = plan(recipe(10), Work(900, 300, measured=False), law=LAW).words()
    assert words.endswith("; no accuracy forecast for this dataset")
    assert "±" not in words


def test_an_open_network_without_a_time_budget_is_rejected():
    with pytest.raises(RecipeError, match=r"Set training\.minutes, or model\.stem and model\.widths\."):
        plan(loading.load("fast"), WORK, law=LAW)


def test_the_workload_of_a_dataset_is_the_size_of_its_split(dataset, recipe):
    assert Work.of(dataset, recipe(1)) == Work(learn=180, validation=20, measured=False)


@pytest.mark.parametrize(("size", "widths"), [(17, [32, 64]), (18, [16, 16, 16])])
def test_networks_that_need_larger_images_are_skipped(size, widths):
    small = loading.load("fast", ["training.minutes=0.5", f"data.image_size={size}"])
    best = Rung("coarse", (16, 16, 16), floor=0.0, scale=0.1, power=0.5, efficiency=1.0)  # from 18 pixels on

    assert plan(small, WORK, law=law(best, LARGE)).recipe.model.widths == widths


def test_images_too_small_for_every_network_are_rejected():
    tiny = loading.load("fast", ["training.minutes=1", "data.image_size=8"])
    with pytest.raises(RecipeError, match="recipe fast: images of 8x8 are too small for every network"):
        plan(tiny, WORK, law=law(Rung("coarse", (16, 16, 16), 0.2, 1.0, 0.5, 1.0)))


@pytest.mark.parametrize("change", ["optimiser.learning_rate=0.1", "training.batch_size=100"])
def test_no_accuracy_forecast_for_a_changed_recipe(change):
    changed = loading.load("fast", ["training.minutes=1", change])
    assert not plan(changed, WORK, law=LAW).measured


@pytest.mark.parametrize(("split", "learn"), [("stratified", 45_000), ("last-20%", 40_000), ("first-10000", 40_000)])
def test_the_workload_of_cifar10_is_the_size_of_its_split(split, learn):
    settled = loading.load("fast", ["training.minutes=1", f"data.split={split}"])
    assert Work.of_cifar10(settled) == Work(learn, 50_000 - learn, measured=True)


def test_the_shipped_law_orders_networks_by_final_accuracy():
    shipped = Law.read()
    assert 0 < shipped.spread < 0.03
    assert 0 < shipped.pace_spread < 0.5
    assert 0 < shipped.setup < 10
    for rung in shipped.rungs:
        assert 0.3 < rung.accuracy(45_000) < rung.accuracy(450_000) < 1
        assert 0.5 < rung.efficiency < 2
    ends = [rung.accuracy(10_000_000) for rung in shipped.rungs]
    assert ends == sorted(ends)
