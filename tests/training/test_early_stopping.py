import os
import warnings
from types import SimpleNamespace
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinysight.recipes.schema import EarlyStoppingSection
from tinysight.runs.records import EpochRecord
from tinysight.training.early_stopping import EarlyStoppingState

# Multiples of 1/16 have exact sums and differences in the float32 of Keras, so that ties are real.
metric_values = st.lists(st.integers(0, 32).map(lambda n: n / 16), min_size=1, max_size=12)
configs = st.builds(
    EarlyStoppingSection,
    monitor=st.sampled_from(get_args(EarlyStoppingSection.model_fields["monitor"].annotation)),
    patience=st.integers(0, 4),
    min_delta=st.sampled_from([0.0, 1 / 16, 0.25]),
)


@pytest.fixture(scope="module")
def keras_early_stopping():
    os.environ.setdefault("KERAS_BACKEND", "torch")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("keras", reason="the extra 'keras' is not installed").callbacks.EarlyStopping


def epoch(number, monitor, value):
    others = dict.fromkeys(EpochRecord.model_fields, 0.5) | {"epoch": number, monitor: value}
    return EpochRecord(**others)


def stop_ours(config, values):
    """Return (epochs trained, best epoch)."""
    watch = EarlyStoppingState(config)
    for number, value in enumerate(values, 1):
        watch.update(epoch(number, config.monitor, value))
        if watch.should_stop:
            break
    return number, watch.best_epoch


def stop_keras(callback, values):
    callback.set_model(SimpleNamespace(stop_training=False, get_weights=list, set_weights=lambda weights: None))
    callback.on_train_begin()
    for number, value in enumerate(values, 1):
        callback.on_epoch_end(number - 1, {callback.monitor: value})
        if callback.model.stop_training:
            break
    return number, callback.best_epoch + 1


@given(config=configs, values=metric_values)
def test_stopping_and_best_epoch_match_keras(keras_early_stopping, config, values):
    mode = "max" if config.monitor.endswith(("accuracy", "f1")) else "min"
    callback = keras_early_stopping(config.monitor, config.min_delta, config.patience, mode=mode)

    assert stop_ours(config, values) == stop_keras(callback, values)


@given(config=configs, values=metric_values, restore_at=st.integers(0, 12))
def test_a_restored_state_continues_identically(config, values, restore_at):
    watch = EarlyStoppingState(config)
    for number, value in enumerate(values, 1):
        if number == restore_at:
            watch = EarlyStoppingState(**(vars(watch) | {"config": config}))
        best = watch.update(epoch(number, config.monitor, value))
        assert best == (watch.best_epoch == number)
        assert watch.wait == number - watch.best_epoch


@pytest.mark.parametrize(("restore", "kept"), [(True, "epoch 2"), (False, "the last epoch")])
def test_the_description_names_the_metric_and_the_kept_weights(restore, kept):
    config = EarlyStoppingSection(monitor="val_accuracy", patience=2, restore_best_weights=restore)
    watch = EarlyStoppingState(config)
    for number, value in enumerate([0.25, 0.5, 0.5, 0.375], 1):
        watch.update(epoch(number, config.monitor, value))

    assert watch.should_stop
    assert watch.describe() == (
        "Early stopping: val_accuracy has not improved for 2 epochs, since 0.5000 in epoch 2. "
        f"Kept the weights of {kept}."
    )


def test_it_returns_whether_an_epoch_is_the_best_so_far():
    watch = EarlyStoppingState(EarlyStoppingSection(monitor="val_loss", patience=2))
    losses = [1.0, 0.7, 0.8, 0.6, 0.65, 0.6]

    assert [watch.update(epoch(i, "val_loss", loss)) for i, loss in enumerate(losses, 1)] == [1, 1, 0, 1, 0, 0]
    assert watch.should_stop
    assert (watch.best, watch.best_epoch, watch.wait) == (0.6, 4, 2)
