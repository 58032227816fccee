import math

import numpy as np
import pytest

from tinysight.recipes import loading
from tinysight.training.lr_schedule import lr_scale

STEPS = 40  # of 4 epochs


def scales(*changes):
    """Return the factor before each step of a training of 4 epochs of 10 steps, and at its end."""
    recipe = loading.load_recipe("simple", ["training.epochs=4", *changes])
    return [lr_scale(recipe, step / STEPS, STEPS) for step in range(STEPS + 1)]


def test_a_constant_rate_does_not_change():
    assert scales() == [1.0] * 41


def test_a_linear_schedule_falls_evenly_to_zero():
    assert scales("optimizer.lr_schedule=linear") == [1 - step / 40 for step in range(41)]


def test_a_cosine_schedule_is_half_a_cosine():
    values = scales("optimizer.lr_schedule=cosine")
    assert values == pytest.approx([0.5 + 0.5 * math.cos(math.pi * step / 40) for step in range(41)])
    assert values[0] == 1
    assert values[20] == pytest.approx(0.5)
    assert values[40] == pytest.approx(0)


@pytest.mark.parametrize(("schedule", "middle"), [("constant", 1.0), ("linear", 0.5), ("cosine", 0.5)])
def test_the_rate_rises_in_the_warm_up_and_then_follows_the_schedule(schedule, middle):
    values = scales(f"optimizer.lr_schedule={schedule}", "optimizer.warmup_epochs=2")

    assert values[:20] == pytest.approx(np.linspace(0.05, 1, 20))
    assert values[20] == 1
    assert values[30] == pytest.approx(middle)
    assert values[40] == pytest.approx(1.0 if schedule == "constant" else 0.0)


def test_the_warm_up_may_end_within_an_epoch():
    values = scales("optimizer.warmup_epochs=0.25")
    assert values[:4] == pytest.approx([0.4, 0.8, 1.0, 1.0])


def test_under_a_time_budget_the_warm_up_is_the_same_fraction_of_the_time():
    recipe = loading.load_recipe(
        "simple",
        ["training.epochs=4", "training.minutes=1", "optimizer.warmup_epochs=1", "optimizer.lr_schedule=linear"],
    )
    assert lr_scale(recipe, 0.125, 10_000) == pytest.approx(0.5, abs=1e-3)
    assert lr_scale(recipe, 0.25, 10_000) == 1
    assert lr_scale(recipe, 0.625, 10_000) == pytest.approx(0.5)
