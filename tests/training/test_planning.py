"""Which network some minutes are spent on: with a law and a machine of the test's own making."""

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
    """Return a function from minutes to a recipe that leaves the network to them."""
    return lambda minutes: loading.load("fast", [f"training.minutes={minutes}"])


@pytest.fixture(autouse=True)
def _machine(monkeypatch):
    """A machine that learns from 640 images a second with the small network, and from 64 with the large one."""

    def seconds(network, image_size, precisions):
        return [0.2 if network[0].filters.shape[0] == STEM_CHANNELS["coarse"] else 2.0]

    monkeypatch.setattr(planning, "step_seconds", seconds)
    monkeypatch.setattr(precision, "choose", lambda *asked: "fp32")
    monkeypatch.setattr(planning.time, "perf_counter", lambda: NOW)


def test_epochs_are_what_the_machine_makes_of_the_time(recipe):
    outlook = plan(recipe(10), WORK, law=law(SMALL, setup=1.5))
    learning = (600 - 1.5 - ENDING) * 640  # images that there would be time for, if nobody looked at others
    trial = 6 * min(300, batch_size(32)) / 3

    assert outlook.images_per_second == pytest.approx(640)
    assert outlook.epochs == pytest.approx((learning - 300 - trial) / (900 + 300 / 3))
    assert outlook.accuracy == pytest.approx(1 - 0.2 - 10 / (outlook.epochs * 900) ** 0.5)


def test_what_is_over_already_is_not_spent_again(recipe):
    late = plan(recipe(10), WORK, begun=NOW - 300, law=LAW)
    assert late.epochs == pytest.approx(plan(recipe(5), WORK, law=LAW).epochs)


def test_what_the_probes_take_is_not_spent_again(recipe, monkeypatch):
    seconds = iter(range(1000, 2000, 100))
    monkeypatch.setattr(planning.time, "perf_counter", lambda: float(next(seconds)))
    probed = plan(recipe(10), WORK, begun=900.0, law=law(SMALL))
    monkeypatch.setattr(planning.time, "perf_counter", lambda: NOW)

    assert probed.epochs == pytest.approx(plan(recipe(10), WORK, begun=NOW - 100, law=law(SMALL)).epochs)


def test_a_training_is_as_slow_as_measured_ones_were_beside_their_probe(recipe):
    half = Rung("coarse", (16, 32), 0.2, 10.0, 0.5, efficiency=0.5)
    assert plan(recipe(1), WORK, law=law(half)).images_per_second == pytest.approx(320)


@pytest.mark.parametrize(("minutes", "widths"), [(1, [16, 32]), (100, [32, 64])])
def test_a_larger_network_is_taken_once_there_is_time_for_it(recipe, minutes, widths):
    outlook = plan(recipe(minutes), WORK, law=LAW)

    assert outlook.recipe.model.widths == widths
    assert not outlook.recipe.model.is_open
    assert outlook.recipe.training.minutes == minutes


def test_networks_too_large_for_the_time_are_not_even_probed(recipe, monkeypatch):
    probed = []
    monkeypatch.setattr(planning, "step_seconds", lambda network, *rest: probed.append(len(network)) or [1.0])
    plan(recipe(1), WORK, law=law(SMALL, LARGE, LARGE, LARGE))

    assert len(probed) == 2


@pytest.mark.parametrize("gone", [59.9, 60, 1000])
def test_no_time_left_is_still_an_answer(recipe, gone):
    assert 0 <= plan(recipe(1), WORK, begun=NOW - gone, law=LAW).accuracy <= 1


def test_it_says_what_is_to_come_and_how_sure_that_is(recipe):
    words = plan(recipe(10), WORK, law=law(SMALL, spread=0.012)).words()
    assert words.startswith("coarse stem, 16/32 channels, about 382.5 epochs at 640 images/s; about 78.3% ± 1.2")


@pytest.mark.parametrize(("pace_spread", "seen"), [(0.5, 900.0), (2.0, 90_000.0)])
def test_how_sure_that_is_goes_by_the_accuracy_and_by_the_pace(pace_spread, seen):
    slower = SMALL.accuracy(seen) - SMALL.accuracy(seen / math.e**pace_spread)
    expected = (0.01**2 + slower**2) ** 0.5
    assert law(SMALL, spread=0.01, pace_spread=pace_spread).spread_of(SMALL, seen) == pytest.approx(expected)


def test_brief_trainings_take_higher_rates():
    rate = loading.load("fast").optimiser.learning_rate
    rates = [paced(loading.load("fast"), epochs).optimiser.learning_rate for epochs in (0.1, BRIEF - 0.1, BRIEF, 9)]
    assert rates == pytest.approx([BRISK * rate, BRISK * rate, rate, rate])


def test_the_plan_has_the_rate_that_its_epochs_ask_for(recipe):
    cifar10 = Work(45_000, 5_000, measured=True)
    brief, long = (plan(recipe(minutes), cifar10, law=law(SMALL)) for minutes in (2, 20))
    assert brief.epochs < BRIEF < long.epochs
    assert brief.recipe.optimiser.learning_rate == pytest.approx(BRISK * long.recipe.optimiser.learning_rate)


def test_a_chosen_network_that_does_not_bear_bf16_is_timed_without(recipe, monkeypatch):
    probed = []
    monkeypatch.setattr(planning, "step_seconds", lambda network, size, kinds: probed.append(kinds) or [0.2])
    kinds = iter(["bf16", "fp32"])
    monkeypatch.setattr(precision, "choose", lambda *asked: next(kinds))
    outlook = plan(recipe(100), WORK, law=LAW)

    assert outlook.recipe.model.widths == [32, 64]
    assert outlook.precision == "fp32"
    assert probed == [["bf16"], ["bf16"], ["fp32"]]


def test_of_images_that_the_law_was_not_measured_on_it_foretells_no_accuracy(recipe):
    words = plan(recipe(10), Work(900, 300, measured=False), law=LAW).words()
    assert "nobody has measured" in words
    assert "±" not in words


def test_a_recipe_that_leaves_the_network_to_the_time_needs_one():
    with pytest.raises(RecipeError, match="say it by --minutes M"):
        plan(loading.load("fast"), WORK, law=LAW)


def test_the_work_on_a_dataset_is_what_its_split_leaves(dataset, recipe):
    assert Work.of(dataset, recipe(1)) == Work(learn=180, validation=20, measured=False)


@pytest.mark.parametrize(("size", "widths"), [(17, [32, 64]), (18, [16, 16, 16])])
def test_networks_that_the_images_are_too_small_for_are_passed_over(size, widths):
    small = loading.load("fast", ["training.minutes=0.5", f"data.image_size={size}"])
    best = Rung("coarse", (16, 16, 16), floor=0.0, scale=0.1, power=0.5, efficiency=1.0)  # from 18 pixels on

    assert plan(small, WORK, law=law(best, LARGE)).recipe.model.widths == widths


def test_images_too_small_for_every_network_are_refused():
    tiny = loading.load("fast", ["training.minutes=1", "data.image_size=8"])
    with pytest.raises(RecipeError, match="Images of 8x8 are too small for every network of the recipe fast"):
        plan(tiny, WORK, law=law(Rung("coarse", (16, 16, 16), 0.2, 1.0, 0.5, 1.0)))


@pytest.mark.parametrize("change", ["optimiser.learning_rate=0.1", "training.batch_size=100"])
def test_of_a_recipe_that_was_changed_it_foretells_no_accuracy(change):
    changed = loading.load("fast", ["training.minutes=1", change])
    assert not plan(changed, WORK, law=LAW).measured


@pytest.mark.parametrize(("split", "learn"), [("stratified", 45_000), ("last-20%", 40_000), ("first-10000", 40_000)])
def test_the_work_on_cifar10_is_what_its_split_leaves(split, learn):
    settled = loading.load("fast", ["training.minutes=1", f"data.split={split}"])
    assert Work.of_cifar10(settled) == Work(learn, 50_000 - learn, measured=True)


def test_the_law_that_is_shipped_goes_from_cheap_and_rough_to_dear_and_fine():
    shipped = Law.read()
    assert 0 < shipped.spread < 0.03
    assert 0 < shipped.pace_spread < 0.5
    assert 0 < shipped.setup < 10
    for rung in shipped.rungs:
        assert 0.3 < rung.accuracy(45_000) < rung.accuracy(450_000) < 1
        assert 0.5 < rung.efficiency < 2
    ends = [rung.accuracy(10_000_000) for rung in shipped.rungs]
    assert ends == sorted(ends)
