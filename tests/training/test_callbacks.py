"""Callbacks: statistics of all data, and stops at numbers that are not finite."""

import itertools
import types

import keras
import numpy as np
import pytest
from small_estimator import anew, estimator
from subject import all_close

import tfp_flows as tff


@pytest.mark.usefixtures("op_by_op")
def test_full_data_batch_statistics_are_exact_and_validation_uses_them(banana):
    model = estimator(batch_norm=True, num_steps=2)
    callback = tff.training.FullDataBatchStatistics(banana)
    options = {"batch_size": 200, "verbose": 0, "callbacks": [callback]}
    history = model.fit(banana, validation_data=(banana,), epochs=2, **options).history
    rows = banana
    for step in model.distribution.bijector.bijectors:
        if isinstance(step, tff.BatchNorm):
            statistics = {v.name.split(":")[0]: v.numpy() for v in step.variables}
            np.testing.assert_allclose(statistics["mean"], rows.mean(axis=0), atol=1e-4)
            np.testing.assert_allclose(statistics["variance"], rows.var(axis=0), rtol=1e-3)
        rows = step.inverse_and_log_det(rows)[0].numpy()
    nll = -np.mean(model.distribution.log_prob(banana))
    assert history["val_loss"][-1] == pytest.approx(nll, abs=1e-4)


@pytest.fixture
def small():
    """Untrained, and the same for all tests; without tails, far rows have no density."""
    return anew(heavy_tails=False, hidden_units=(4,))


@pytest.fixture
def own(op_by_op):
    """Another one, for what a test adds to it."""
    return estimator(heavy_tails=False, hidden_units=(4,))


@pytest.fixture
def spoiled(banana):
    """Rows of which the last one's density is too small for a float."""
    return np.where(np.arange(len(banana))[:, None] == len(banana) - 1, 1e30, banana)


class Spoil(keras.callbacks.Callback):
    """Calls a function with weights and number of each epoch that begins."""

    def __init__(self, change):
        super().__init__()
        self.change = change

    def on_epoch_begin(self, epoch, logs=None):
        self.change(self.model.trainable_weights[0], epoch)


def test_a_batch_with_nan_stops_with_the_best_weights(small, banana, spoiled, capsys):
    small.fit(banana, epochs=3, verbose=0)
    kept = small.get_weights()
    callback = tff.StopOnNaN()
    history = small.fit(spoiled, epochs=5, verbose=0, callbacks=[callback], shuffle=False)
    assert callback.stopped_epoch == 1
    assert len(history.history["loss"]) == 1
    assert "epoch 1" in capsys.readouterr().out
    all_close(small.get_weights(), kept, 0.0)


def test_fit_stops_without_being_asked_with_the_weights_of_the_best_epoch(
    small, banana, capsys
):
    def spoil(weight, epoch):
        if epoch >= 2:
            value = 3.0 if epoch == 2 else np.nan
            weight.assign_add(np.full(weight.shape, value))

    options = {"validation_data": (banana,), "verbose": 0, "callbacks": [Spoil(spoil)]}
    losses = small.fit(banana, epochs=6, **options).history["val_loss"]
    assert len(losses) < 6
    assert "batch 1 of epoch 4" in capsys.readouterr().out
    assert small.evaluate(banana, verbose=0) == pytest.approx(min(losses[:2]), abs=1e-4)


def test_epochs_without_validation_are_not_compared(small, banana, capsys):
    def spoil(weight, epoch):
        if epoch == 3:
            weight.assign(weight * np.nan)

    # These rows have a larger loss than the training rows in each epoch.
    options = {"validation_data": (4.0 * banana,), "validation_freq": 2, "verbose": 0}
    history = small.fit(banana, epochs=4, callbacks=[Spoil(spoil)], **options).history
    assert history["val_loss"][0] > max(history["loss"][:3])
    assert "with the weights of epoch 2" in capsys.readouterr().out


def test_averages_that_are_not_finite_do_not_come_over_the_best_weights(
    own, banana, spoiled
):
    own.fit(banana, batch_size=128, verbose=0)
    own.compile(keras.optimizers.Adam(1e-2, use_ema=True), jit_compile=False)
    options = {"batch_size": 128, "shuffle": False, "callbacks": [tff.StopOnNaN()]}
    own.fit(spoiled, epochs=5, verbose=0, **options)
    assert np.isfinite(own.evaluate(banana, batch_size=512, verbose=0))


def test_weights_that_are_not_finite_stop_it_beside_a_finite_loss(own, banana, capsys):
    # No loss depends on either weight; one that begins infinite may be so.
    infinite = keras.initializers.Constant(np.inf)
    own.add_weight(name="bound", shape=(), initializer=infinite, trainable=False)
    unused = own.add_weight(name="unused", initializer="ones", trainable=False)

    def spoil(weight, epoch):
        if epoch == 2:
            unused.assign(unused * np.nan)

    callback = tff.StopOnNaN()
    options = {"batch_size": 128, "callbacks": [Spoil(spoil), callback]}
    history = own.fit(banana, epochs=5, verbose=0, **options).history
    assert np.isfinite(history["loss"]).all()
    assert callback.stopped_epoch == 3
    assert "weight is not finite after epoch 3; stopped" in capsys.readouterr().out
    assert np.isfinite(unused)


def test_a_restored_backup_is_where_a_failed_training_ends(own, banana, tmp_path):
    def backup():
        return keras.callbacks.BackupAndRestore(tmp_path / "backup")

    def interrupt(weight, epoch):
        if epoch == 3:
            raise KeyboardInterrupt

    options = {"batch_size": 128, "epochs": 6, "verbose": 0}
    with pytest.raises(KeyboardInterrupt):
        own.fit(banana, callbacks=[backup(), Spoil(interrupt)], **options)
    reached = own.get_weights()
    own.set_weights([0.0 * weight for weight in reached])
    spoil = Spoil(lambda weight, epoch: weight.assign(weight * np.nan))
    own.fit(banana, callbacks=[backup(), spoil], **options)
    all_close(own.get_weights(), reached, 1e-6)


class Rates(keras.callbacks.Callback):
    """Records the learning rate of the steps of each epoch."""

    def on_train_begin(self, logs=None):
        self.rates = []

    def on_train_batch_begin(self, batch, logs=None):
        if batch == 0:
            self.rates.append(float(self.model.optimizer.learning_rate))


@pytest.mark.slow_ids("False")
@pytest.mark.parametrize("halved", [False, True])
def test_the_rate_falls_over_the_second_half_of_the_steps(own, banana, halved):
    own.compile(keras.optimizers.Adam(0.1))
    always = keras.callbacks.ReduceLROnPlateau("loss", 0.5, 1, min_delta=1e9)
    stop, seen = tff.training.StopAfter(steps=16), Rates()
    callbacks = [always, stop, seen] if halved else [stop, seen]
    expected = 0.1 * np.array([1, 1, 1, 1, 1, 0.75, 0.5, 0.25])
    # The first epoch is the best one so far, and each of the others is on a plateau.
    expected *= 0.5 ** np.maximum(np.arange(8) - 1, 0) if halved else 1.0
    for number in (1, 2):  # a second training has its own steps, and the rate as it was
        own.fit(banana[:80], batch_size=40, epochs=99, verbose=0, callbacks=callbacks)
        assert int(own.optimizer.iterations) == 16 * number
        np.testing.assert_allclose(seen.rates, expected, rtol=1e-5)
        left = 0.1 * 0.5**7 if halved else 0.1
        assert float(own.optimizer.learning_rate) == pytest.approx(left, rel=1e-5)
        own.optimizer.learning_rate = 0.1


def test_a_bound_on_the_time_ends_the_fit_and_lowers_the_rate(own, banana, monkeypatch):
    own.compile(keras.optimizers.Adam(0.1))
    ticks = itertools.count()  # a clock that is one second later at each look
    clock = types.SimpleNamespace(monotonic=lambda: float(next(ticks)))
    monkeypatch.setattr("tfp_flows.training.callbacks.time", clock)
    stop, seen = tff.training.StopAfter(seconds=8.0), Rates()
    own.fit(banana[:80], batch_size=80, epochs=99, verbose=0, callbacks=[stop, seen])
    # Looks at the beginning and the end of each epoch, of one step.
    np.testing.assert_allclose(seen.rates, [0.1, 0.1, 0.075, 0.025], rtol=1e-5)


def test_other_callbacks_never_see_the_lowered_rate(own, banana, tmp_path):
    path = str(tmp_path / "model.keras")
    own.compile(keras.optimizers.Adam(0.1))
    callbacks = [
        keras.callbacks.ModelCheckpoint(path),
        keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate),
        tff.training.StopAfter(steps=4),
    ]
    for each in (callbacks, callbacks[::-1]):
        own.fit(banana[:80], batch_size=40, epochs=9, verbose=0, callbacks=each)
        for model in (own, keras.saving.load_model(path)):
            assert float(model.optimizer.learning_rate) == pytest.approx(0.1)


def test_a_schedule_of_rates_is_left_alone(own, banana):
    own.compile(keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(0.1, 8)))
    stop = tff.training.StopAfter(steps=4)
    own.fit(banana[:80], batch_size=40, epochs=9, verbose=0, callbacks=[stop])
    assert int(own.optimizer.iterations) == 4
    assert float(own.optimizer.learning_rate) == pytest.approx(0.05)


def test_a_bound_is_needed_and_not_negative():
    for arguments, words in (({}, "got neither"), ({"steps": -1}, "`steps` 0 or more")):
        with pytest.raises(ValueError, match=words):
            tff.training.StopAfter(**arguments)
