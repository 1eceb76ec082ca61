import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from derivatives import op_by_op
from small_estimator import anew
from small_estimator import estimator
from small_estimator import fit
from small_estimator import of
from small_estimator import plain_descent

import tfp_flows as tff

tfd = tfp.distributions


def test_fit_lowers_the_loss_and_reports_nats(banana):
    model = anew()
    history = fit(model, banana, epochs=8, validation_data=(banana,))
    assert history["loss"][-1] < history["loss"][0] - 0.1
    nll = -np.mean(model.distribution.log_prob(banana))
    assert history["val_loss"][-1] == pytest.approx(nll, abs=1e-5)
    assert model.evaluate(banana, verbose=0) == pytest.approx(nll, abs=1e-5)
    assert model.predict(banana, verbose=0).shape == (512,)


def test_first_loss_is_that_of_the_untrained_distribution(banana):
    model = anew()
    model.initialize(banana)
    expected = -np.mean(model.distribution.log_prob(banana))
    loss = fit(model, banana, epochs=1, batch_size=512)["loss"][0]
    assert loss == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(
    "compiled", [{"jit_compile": True}, {"steps_per_execution": 2}, {"run_eagerly": True}]
)
def test_ways_to_run_a_step_agree(banana, compiled):
    usual = fit(anew(), banana)["loss"]
    other = fit(estimator(**compiled), banana)["loss"]
    np.testing.assert_allclose(other, usual, rtol=1e-4)


def test_integer_weights_equal_repeated_rows(banana):
    x = banana[:64]
    counts = np.arange(64) % 3
    repeated = np.repeat(x, counts, axis=0)
    model, twin = (plain_descent() for _ in range(2))
    for network, rows, weight in ((model, x, counts), (twin, repeated, None)):
        weight = None if weight is None else weight * len(x) / counts.sum()
        fit(network, rows, batch_size=512, sample_weight=weight)
    for a, b in zip(model.get_weights(), twin.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


def test_rows_of_weight_zero_do_not_matter(banana):
    x = banana[:64]
    spoiled = np.concatenate([x, 50.0 + x])
    weight = np.repeat([1.0, 0.0], 64).astype(np.float32)
    models = [plain_descent() for _ in range(2)]
    fit(models[0], spoiled, batch_size=512, sample_weight=2 * weight)
    fit(models[1], x, batch_size=512)
    for a, b in zip(*(model.get_weights() for model in models), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


def test_evaluate_weighs_the_rows(banana):
    model = anew()
    # Batches of very different sums of weights.
    weight = np.linspace(0.0, 2.0, 512).astype(np.float32) ** 4
    expected = -np.average(model.distribution.log_prob(banana), weights=weight)
    loss = model.evaluate(banana, sample_weight=weight, batch_size=32, verbose=0)
    assert loss == pytest.approx(expected, abs=1e-4)
    with pytest.raises(ValueError, match="`sample_weight` with a sum above 0; got 0"):
        model.evaluate(banana, sample_weight=0.0 * weight, verbose=0)


def test_context_is_the_second_input(rng):
    context = rng.normal(size=(256, 1)).astype(np.float32)
    x = (5.0 * context + rng.normal(size=(256, 2))).astype(np.float32)
    model = estimator(context_size=1, act_norm=True, num_steps=2)
    history = fit(model, (x, context), epochs=25, validation_split=0.1)
    assert np.isfinite(history["val_loss"]).all()
    assert history["loss"][-1] < history["loss"][0] - 0.1
    with op_by_op():
        high, low = (model.distribution.sample(200, 0, context=[c]) for c in (2.0, -2.0))
    assert np.all(np.mean(high, axis=0) - np.mean(low, axis=0) > 5.0)


def test_rows_of_weight_zero_set_no_statistics(banana):
    found = []
    weight = np.repeat([1.0, 0.0], [512, 128])
    spoiled = np.concatenate([banana, np.full([128, 2], 1e6, np.float32)])
    for x, given in ((banana, None), (spoiled, weight)):
        model = anew()
        fit(model, x, epochs=1, sample_weight=given)
        found.append([w.numpy() for w in model.non_trainable_weights])
    for a, b in zip(*found, strict=True):
        np.testing.assert_array_equal(a, b)


def test_losses_of_many_rows_fit_a_shorter_float_of_keras(banana):
    x = np.tile(banana, [140, 1])  # more than float16 counts
    keras.config.set_floatx("float16")
    try:
        loss = estimator(num_steps=1).evaluate(x, batch_size=2**15, verbose=0)
    finally:
        keras.config.set_floatx("float32")
    expected = -np.mean(anew(num_steps=1).distribution.log_prob(banana))
    assert loss == pytest.approx(expected, rel=2e-3)


def test_statistics_come_from_training_rows_only(banana):
    model = anew()
    spoiled = np.concatenate([banana, np.full([128, 2], 1e6, np.float32)])
    fit(model, spoiled, epochs=1, validation_split=0.2)
    mean = next(v for v in model.distribution.variables if v.name.startswith("mean"))
    np.testing.assert_allclose(mean, banana.mean(axis=0), atol=1e-5)


def test_no_retracing_for_other_batch_sizes(banana):
    class Counting(tf.Module):
        count = 0

        def __init__(self):
            super().__init__()
            self.conditioner = tff.Conditioner(tff.MLP(2, (4,), seed=0), 1)

        def __call__(self, x, context=None):
            Counting.count += 1
            return self.conditioner(x, context)

    model = of(tff.Coupling(tff.masks.half(2), Counting()))
    fit(model, banana, batch_size=100, validation_data=(banana,))
    traces = Counting.count
    fit(model, banana[:77], batch_size=50, validation_data=(banana[:33],))
    assert Counting.count == traces


def test_early_stopping_restores_the_best_weights(banana):
    model = anew()
    model.optimizer.learning_rate = 0.5
    stopping = keras.callbacks.EarlyStopping(patience=2, restore_best_weights=True)
    history = fit(model, banana, epochs=30, validation_split=0.25, callbacks=[stopping])
    assert len(history["loss"]) < 30
    best = min(history["val_loss"])
    assert model.evaluate(banana[384:], verbose=0) == pytest.approx(best, abs=1e-4)


def test_moving_average_of_weights_is_what_the_distribution_has_after_fit(banana):
    averaged = estimator(optimizer=keras.optimizers.Adam(1e-2, use_ema=True))
    plain = anew()
    losses = [fit(model, banana, epochs=4)["loss"] for model in (averaged, plain)]
    np.testing.assert_allclose(*losses, rtol=1e-6)
    pairs = zip(averaged.get_weights(), plain.get_weights(), strict=True)
    assert any(np.abs(a - b).max() > 1e-3 for a, b in pairs)
    nll = -np.mean(averaged.distribution.log_prob(banana))
    assert averaged.evaluate(banana, verbose=0) == pytest.approx(nll, abs=1e-5)


def test_plain_loop_in_a_function(banana):
    distribution = anew().distribution
    distribution.initialize(banana)
    optimizer = keras.optimizers.Adam(1e-2)
    weights = distribution.trainable_variables
    optimizer.build(weights)

    @tf.function
    def step(x):
        with tf.GradientTape() as tape:
            loss = -tf.reduce_mean(distribution.log_prob(x))
        optimizer.apply(tape.gradient(loss, weights), weights)
        return loss

    losses = [float(step(banana)) for _ in range(30)]
    assert losses[-1] < losses[0] - 0.1


def test_trainable_base_is_trained(banana):
    loc = tf.Variable([0.0, 0.0], name="loc")
    base = tfd.MultivariateNormalDiag(loc, tf.ones(2))
    fit(of(tff.NICE(2, num_steps=2, hidden_units=(4,)), base=base), banana)
    assert np.all(loc.numpy() != 0)


def test_stock_distribution_trains_too(banana):
    flow = tff.RealNVP(2, num_steps=2, hidden_units=(8,), standardize=False, seed=0)
    stock = tfd.TransformedDistribution(tff.standard_normal(2), flow)
    model = tff.DensityEstimator(stock)
    model.compile(keras.optimizers.Adam(1e-2), jit_compile=False)
    history = fit(model, banana, epochs=4)
    assert history["loss"][-1] < history["loss"][0]


COLUMNS = {
    "names": ["a", "b"],
    "facts": [{"name": "a", "kind": "real", "position": 1}, {"name": "b", "low": None}],
    "a tuple": ("a",),
}


@pytest.mark.parametrize("kind", COLUMNS)
def test_columns_are_saved_with_the_model(kind, tmp_path):
    distribution = anew().distribution
    model = tff.DensityEstimator(distribution, columns=COLUMNS[kind])
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert model.columns == loaded.columns == list(COLUMNS[kind])
    loaded.columns.append("c")
    assert loaded.columns == model.columns
    assert tff.DensityEstimator(distribution).columns is None


class Frame:
    """What the library sees of a frame of pandas."""

    def __init__(self, array, columns):
        self.array, self.columns, self.shape = array, columns, array.shape

    def __array__(self, dtype=None, copy=None):
        return np.asarray(self.array, dtype)


def test_a_table_of_other_columns_is_refused_by_name():
    flow = tff.RealNVP(2, num_steps=1, hidden_units=(4,), context_size=1, seed=0)
    distribution = tff.FlowDistribution(tff.standard_normal(2), flow)
    names = [("a", "modelled"), ("c", "dropped"), ("b", "modelled"), ("d", "context")]
    columns = [{"name": name, "role": role} for name, role in names]
    model = tff.DensityEstimator(distribution, columns=columns)
    rng = np.random.default_rng(0)
    x, context = rng.normal(size=(8, 2)), rng.normal(size=(8, 1))
    right = model.predict((Frame(x, ["a", "b"]), Frame(context, ["d"])), verbose=0)
    np.testing.assert_array_equal(model.predict((x, context), verbose=0), right)
    with pytest.raises(ValueError, match=r"`x` of the columns \['a', 'b'\].*\['b', 'a'\]"):
        model.predict((Frame(x, ["b", "a"]), context), verbose=0)
    with pytest.raises(ValueError, match=r"`context` of the columns \['d'\].*\['c'\]"):
        model.predict((x, Frame(context, ["c"])), verbose=0)


@pytest.mark.parametrize(
    "columns", ["ab", 3, [1, 2], [{"a": np.ones(2)}], {"a": 1}, [None]]
)
def test_columns_that_no_file_could_hold_are_refused(columns):
    with pytest.raises(ValueError, match="Expected `columns`, a sequence of names or of"):
        tff.DensityEstimator(anew().distribution, columns=columns)
