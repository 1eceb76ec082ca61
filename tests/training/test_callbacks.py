import keras
import numpy as np
import pytest
from small_estimator import anew

import tfp_flows as tff


def model_of(flow, learning_rate=1e-2):
    model = tff.DensityEstimator(tff.FlowDistribution(tff.standard_normal(2), flow))
    model.compile(keras.optimizers.Adam(learning_rate), jit_compile=False)
    return model


@pytest.mark.usefixtures("op_by_op")
def test_full_data_batch_statistics_are_exact(banana):
    flow = tff.RealNVP(2, num_steps=2, hidden_units=(4,), batch_norm=True, seed=0)
    model = model_of(flow)
    callback = tff.training.FullDataBatchStatistics(banana)
    model.fit(banana, epochs=2, batch_size=200, verbose=0, callbacks=[callback])
    rows = banana
    for step in flow.bijectors:
        if isinstance(step, tff.BatchNorm):
            statistics = {v.name.split(":")[0]: v.numpy() for v in step.variables}
            np.testing.assert_allclose(statistics["mean"], rows.mean(axis=0), atol=1e-4)
            np.testing.assert_allclose(statistics["variance"], rows.var(axis=0), rtol=1e-3)
        rows = step.inverse_and_log_det(rows)[0].numpy()


def test_validation_uses_full_data_batch_statistics(banana):
    flow = tff.RealNVP(2, num_steps=1, hidden_units=(4,), batch_norm=True, seed=0)
    model = model_of(flow)
    callback = tff.training.FullDataBatchStatistics(banana)
    history = model.fit(
        banana, validation_data=(banana,), verbose=0, callbacks=[callback]
    ).history
    nll = -np.mean(model.distribution.log_prob(banana))
    assert history["val_loss"][-1] == pytest.approx(nll, abs=1e-4)


def small_model():
    # Heavy tails would make finite densities of rows that are far beyond all others.
    options = {"hidden_units": (4,), "heavy_tails": False, "seed": 0}
    return model_of(tff.RealNVP(2, num_steps=1, **options))


@pytest.fixture
def small():
    """Untrained, and the same for all tests, so that it is traced once."""
    return anew(small_model)


@pytest.fixture
def own(op_by_op):
    """Another one, for what a test adds to it."""
    return small_model()


def test_a_batch_with_nan_stops_with_the_best_weights(small, banana, capsys):
    small.fit(banana, epochs=3, verbose=0)
    kept = small.get_weights()
    spoiled = banana.copy()
    spoiled[-1] = 1e30  # whose density is too small for a float
    callback = tff.StopOnNaN()
    history = small.fit(spoiled, epochs=5, verbose=0, callbacks=[callback], shuffle=False)
    assert callback.stopped_epoch == 1
    assert len(history.history["loss"]) == 1
    assert "epoch 1" in capsys.readouterr().out
    for now, then in zip(small.get_weights(), kept, strict=True):
        np.testing.assert_array_equal(now, then)


def test_fit_stops_on_nan_without_being_asked(small, banana, capsys):
    class Spoil(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 2:
                weight = self.model.trainable_weights[0]
                weight.assign(weight * np.nan)

    history = small.fit(banana, epochs=5, verbose=0, callbacks=[Spoil()]).history
    assert len(history["loss"]) == 3
    printed = capsys.readouterr().out
    assert "batch 1 of epoch 3" in printed
    assert np.isfinite(small.evaluate(banana, verbose=0))


def test_averages_that_are_not_finite_do_not_come_over_the_best_weights(own, banana):
    own.fit(banana, batch_size=128, verbose=0)
    own.compile(keras.optimizers.Adam(1e-2, use_ema=True), jit_compile=False)
    spoiled = banana.copy()
    spoiled[-1] = 1e30  # whose density is too small for a float
    options = {"batch_size": 128, "shuffle": False, "callbacks": [tff.StopOnNaN()]}
    own.fit(spoiled, epochs=5, verbose=0, **options)
    assert np.isfinite(own.evaluate(banana, batch_size=512, verbose=0))


def test_the_weights_kept_are_those_of_the_best_epoch(small, banana):
    losses = []

    class Spoil(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            losses.append(logs["val_loss"])
            value = 1e3 if epoch == 1 else np.nan if epoch == 2 else None
            if value is not None:
                self.model.trainable_weights[0].assign_add(
                    np.full(self.model.trainable_weights[0].shape, value)
                )

    small.fit(banana, epochs=6, validation_data=(banana,), verbose=0, callbacks=[Spoil()])
    best = min(losses[:2])
    assert small.evaluate(banana, verbose=0) == pytest.approx(best, abs=1e-4)


class SpoilOneWeight(keras.callbacks.Callback):
    """Makes NaN of weights that no row needs, after some epoch."""

    def __init__(self, epoch):
        super().__init__()
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        if self.params["epochs"] and self.seen == self.epoch:
            self.model.unused.assign(self.model.unused * np.nan)

    def on_epoch_begin(self, epoch, logs=None):
        self.seen = epoch


def test_weights_that_are_not_finite_stop_it_beside_a_finite_loss(own, banana, capsys):
    # The last weight is a fixed one, which no loss depends on here.
    own.unused = own.add_weight(name="unused", initializer="ones", trainable=False)
    callback = tff.StopOnNaN()
    options = {"batch_size": 128, "callbacks": [SpoilOneWeight(2), callback]}
    history = own.fit(banana, epochs=5, verbose=0, **options).history
    assert np.isfinite(history["loss"]).all()
    assert callback.stopped_epoch == 3
    assert "weight is not finite after epoch 3; stopped" in capsys.readouterr().out
    assert all(np.isfinite(weight).all() for weight in own.get_weights())


def test_weights_that_begin_infinite_may_be_so(own, banana):
    infinite = keras.initializers.Constant(np.inf)
    own.add_weight(name="bound", shape=(), initializer=infinite, trainable=False)
    history = own.fit(banana, epochs=2, batch_size=128, verbose=0).history
    assert len(history["loss"]) == 2


@pytest.mark.usefixtures("op_by_op")
def test_rows_for_batch_statistics_are_refused_before_anything_is_set(banana):
    flow = tff.RealNVP(2, num_steps=1, hidden_units=(4,), batch_norm=True, seed=0)
    model = model_of(flow)
    before = model.get_weights()
    callbacks = [tff.training.FullDataBatchStatistics(banana[:, :1])]
    with pytest.raises(ValueError, match=r"`data` of shape \[N, 2\]"):
        model.fit(banana, verbose=0, callbacks=callbacks)
    assert not flow.is_initialized
    for now, then in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(now, then)
