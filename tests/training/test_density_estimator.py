"""`DensityEstimator`: Keras's `fit` with its options, weights, contexts and columns."""

import keras
import numpy as np
import pandas
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from small_estimator import anew, estimator, fit, from_flow, plain_descent
from subject import all_close

import tfp_flows as tff
from tfp_flows.training.shared_variables import shared_variables

tfd = tfp.distributions


@pytest.mark.usefixtures("op_by_op")
def test_batches_may_vary_less_than_all_rows():
    times = np.linspace(1.6999e9, 1.7e9, 640)
    times = np.stack([times, np.random.default_rng(0).permutation(times)], axis=1)
    model = from_flow(tff.MAF(2, num_steps=1, hidden_units=(4,)))
    model.initialize(times)
    batches = (times[i : i + 32] for i in range(0, 640, 32))
    assert np.isfinite(fit(model, batches, epochs=1, steps_per_epoch=10)["loss"][0])


def test_fit_lowers_the_loss_and_reports_nats(banana):
    model = anew()
    model.initialize(banana)
    first = -np.mean(model.distribution.log_prob(banana))
    for loss in (
        fit(anew(), banana, epochs=1, batch_size=512)["loss"][0],
        anew().train_on_batch(banana.tolist(), return_dict=True)["loss"],
    ):
        assert loss == pytest.approx(first, abs=1e-5)
    history = fit(model, banana, epochs=8, validation_data=(banana,))
    assert history["loss"][-1] < first - 0.1
    nll = -np.mean(model.distribution.log_prob(banana))
    assert history["val_loss"][-1] == pytest.approx(nll, abs=1e-5)
    assert model.evaluate(banana, verbose=0) == pytest.approx(nll, abs=1e-5)
    assert model.predict(banana, verbose=0).shape == (512,)


@pytest.mark.slow_ids("compiled1")
@pytest.mark.parametrize(
    "compiled", [{"jit_compile": True}, {"steps_per_execution": 2}, {"run_eagerly": True}]
)
def test_ways_to_run_a_step_agree(banana, compiled):
    usual = fit(anew(), banana)["loss"]
    other = fit(estimator(**compiled), banana)["loss"]
    np.testing.assert_allclose(other, usual, rtol=1e-4)


@pytest.mark.usefixtures("op_by_op")
def test_integer_weights_equal_repeated_rows(banana):
    x, counts = banana[:64], np.arange(64) % 3
    model, twin = (plain_descent() for _ in range(2))
    fit(model, x, batch_size=512, sample_weight=counts * len(x) / counts.sum())
    fit(twin, np.repeat(x, counts, axis=0), batch_size=512)
    all_close(model.get_weights(), twin.get_weights(), 1e-5)


def test_evaluate_weighs_the_rows(banana):
    model = anew()
    # The sums of weights differ much between batches.
    weight = np.linspace(0.0, 2.0, 512).astype(np.float32) ** 4
    expected = -np.average(model.distribution.log_prob(banana), weights=weight)
    loss = model.evaluate(banana, sample_weight=weight, batch_size=32, verbose=0)
    assert loss == pytest.approx(expected, abs=1e-4)
    spoiled = np.where(weight[:, None] > 0.0, banana, np.nan)
    assert np.isnan(spoiled).any()
    again = model.evaluate(spoiled, sample_weight=weight, batch_size=32, verbose=0)
    assert again == loss  # a row of weight 0 counts as none
    with pytest.raises(ValueError, match="`sample_weight` with a sum above 0; got 0"):
        model.evaluate(banana, sample_weight=0.0 * weight, verbose=0)


def test_statistics_come_from_training_rows_only(banana):
    model = anew()
    spoiled = np.concatenate([banana, np.full([128, 2], 1e6, np.float32)])
    fit(model, spoiled, epochs=1, validation_split=0.2)
    mean = next(v for v in model.distribution.variables if v.name.startswith("mean"))
    np.testing.assert_allclose(mean, banana.mean(axis=0), atol=1e-5)


@pytest.mark.usefixtures("op_by_op")
def test_moving_average_of_weights_is_what_the_distribution_has_after_fit(banana):
    averaged = estimator(optimizer=keras.optimizers.Adam(1e-2, use_ema=True))
    plain = estimator()
    losses = [fit(model, banana, epochs=2)["loss"] for model in (averaged, plain)]
    np.testing.assert_allclose(*losses, rtol=1e-6)
    pairs = zip(averaged.get_weights(), plain.get_weights(), strict=True)
    assert any(np.abs(a - b).max() > 1e-3 for a, b in pairs)
    nll = -np.mean(averaged.distribution.log_prob(banana))
    assert averaged.evaluate(banana, verbose=0) == pytest.approx(nll, abs=1e-5)


def stock_flow():
    flow = tff.RealNVP(2, num_steps=2, hidden_units=(8,), standardize=False, seed=0)
    return tfd.TransformedDistribution(tff.standard_normal(2), flow)


def stock_normal():
    return tfd.Normal(tf.Variable([3.0, -3.0]), [2.0, 2.0])


STOCK = {
    "flow": stock_flow,
    "independent": lambda: tfd.Independent(stock_normal(), 1),
    "diagonal": lambda: tfd.MultivariateNormalDiag(tf.Variable([3.0, -3.0])),
    "mixture": lambda: tfd.MixtureSameFamily(
        tfd.Categorical(logits=tf.Variable([0.0, 1.0])),
        tfd.MultivariateNormalDiag(tf.Variable([[3.0, -3.0], [1.0, 1.0]])),
    ),
}


@pytest.mark.usefixtures("op_by_op")
@pytest.mark.parametrize("kind", STOCK)
def test_stock_distribution_trains_too(banana, kind):
    model = tff.DensityEstimator(STOCK[kind]())
    model.compile(keras.optimizers.Adam(1e-2))
    first, last = fit(model, banana, epochs=2)["loss"]
    assert last < first


@pytest.mark.usefixtures("op_by_op")
def test_a_stock_flow_drops_units_in_training_and_must_be_initialized(banana):
    def stock(**options):
        flow = tff.RealNVP(2, num_steps=1, hidden_units=(8,), seed=0, **options)
        return tff.DensityEstimator(
            tfd.TransformedDistribution(tff.standard_normal(2), flow)
        )

    model = stock(dropout=0.5, standardize=False)
    model.compile(keras.optimizers.Adam(1e-2))
    fit(model, banana, epochs=1)
    dropped = np.abs(model(banana, training=True) - model(banana))
    assert dropped.max() > 1e-3
    other = stock()
    other.compile("adam")
    for call in (other.fit, other.initialize):
        with pytest.raises(
            ValueError, match=r"flows are initialized; got .*FlowDistribution\("
        ):
            call(banana)


@pytest.mark.usefixtures("op_by_op")
def test_layers_that_are_frozen_or_constrained_stay_so(banana, tmp_path):
    def network(**options):
        return keras.Sequential(
            [keras.layers.Dense(4, "tanh"), keras.layers.Dense(2, **options)]
        )

    frozen = network()
    positive = network(kernel_constraint="non_neg", kernel_initializer="ones")
    steps = [
        tff.Coupling(mask, tff.Conditioner(own, input_shape=1))
        for mask, own in (([True, False], frozen), ([False, True], positive))
    ]
    distribution = tff.FlowDistribution(tff.standard_normal(2), tff.FlowChain(steps))
    model = tff.DensityEstimator(distribution)
    frozen.trainable = False
    assert len(model.trainable_weights) == 4
    model.save(tmp_path / "model.keras")
    loaded = tff.load(tmp_path / "model.keras")
    assert len(loaded.trainable_weights) == 4
    np.testing.assert_array_equal(loaded(banana), model(banana))
    before = frozen.get_weights()
    model.compile(keras.optimizers.SGD(1.0, clipnorm=1.0))
    fit(model, banana, epochs=2)
    all_close(frozen.get_weights(), before, 0)
    kernel = positive.layers[1].kernel.numpy()
    assert (kernel >= 0.0).all()
    assert (kernel != 1.0).any()


@pytest.mark.usefixtures("op_by_op")
def test_what_has_no_switch_refuses_to_be_frozen_and_weights_of_a_model_are(banana):
    flow = tff.RealNVP(2, num_steps=2, hidden_units=(4,), act_norm=True, seed=0)
    distribution = tff.FlowDistribution(tff.standard_normal(2), flow)
    step = next(part for part in flow.bijectors if isinstance(part, tff.Coupling))
    for part in (distribution, flow, step, step.conditioner):
        assert part.trainable
        with pytest.raises(ValueError, match=r"network\.trainable = False.*model\.weights"):
            part.trainable = False
    model = tff.DensityEstimator(distribution)
    step.conditioner.network.trainable = False
    for weight in model.weights:
        if "log_scale" in weight.path:
            weight.trainable = False
    frozen = [*step.trainable_variables, *step.variables]
    frozen += [v for v in flow.variables if "log_scale" in v.name]
    flow.initialize(banana)
    before = [v.numpy() for v in frozen]
    model.compile(keras.optimizers.SGD(1.0, clipnorm=1.0))
    others = [w.numpy() for w in model.trainable_weights]
    fit(model, banana, epochs=1)
    all_close(frozen, before, 0)
    for weight, value in zip(model.trainable_weights, others, strict=True):
        assert (weight.numpy() != value).any()


@pytest.mark.usefixtures("op_by_op")
def test_a_metric_of_ones_own_needs_a_tracker(banana):
    class InBits(tff.DensityEstimator):
        def nats_of_rows(self, rows, batch, *, training=False):
            nats = super().nats_of_rows(rows, batch, training=training)
            return {**nats, "bits": nats["loss"] / np.log(2.0)}

    flow = tff.NICE(2, num_steps=1, hidden_units=(4,), seed=0)
    model = InBits(tff.FlowDistribution(tff.standard_normal(2), flow))
    model.compile("sgd")
    words = r"names of the metrics \['loss'\]; got \['bits', 'loss'\].*metrics\.Mean"
    with pytest.raises(ValueError, match=words):
        fit(model, banana, epochs=1)
    model.tracker = keras.metrics.Mean(name="bits")
    model.compile("sgd")
    logs = fit(model, banana, epochs=1)
    assert logs["bits"][0] == pytest.approx(logs["loss"][0] / np.log(2.0), rel=1e-5)


def test_modules_that_share_variables_train_each_once():
    flow = tff.NICE(2, num_steps=1, hidden_units=(4,), seed=0)
    assert len(shared_variables(flow, flow)) == len(flow.variables)


def test_validation_rows_without_weight_are_no_result(banana):
    weight = np.zeros(len(banana), np.float32)
    batches = tf.data.Dataset.from_tensors((banana, weight))
    batches = batches.map(lambda x, weight: (x, None, weight))
    for call in (anew().evaluate, lambda data: fit(anew(), banana, validation_data=data)):
        with pytest.raises(ValueError, match="`sample_weight` with a sum above 0"):
            call(batches)


FACTS = [{"name": "a", "kind": "real", "position": 1}, {"name": "b", "low": None}]


@pytest.mark.parametrize("columns", [["a", "b"], FACTS, ("a",)])
def test_columns_are_saved_with_the_model(columns, tmp_path):
    distribution = anew().distribution
    model = tff.DensityEstimator(distribution, columns=columns)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert model.columns == loaded.columns == list(columns)
    loaded.columns.append("c")
    assert loaded.columns == model.columns
    assert tff.DensityEstimator(distribution).columns is None


@pytest.mark.parametrize(
    "columns", ["ab", 3, [1, 2], [{"a": np.ones(2)}], {"a": 1}, [None]]
)
def test_columns_that_no_file_could_hold_are_refused(columns):
    with pytest.raises(ValueError, match="Expected `columns`, a sequence of names or of"):
        tff.DensityEstimator(anew().distribution, columns=columns)


def test_a_table_of_other_columns_is_refused_by_name(rng):
    names = [("a", "modelled"), ("c", "dropped"), ("b", "modelled"), ("d", "context")]
    columns = [{"name": name, "role": role} for name, role in names]
    distribution = anew(context_size=1).distribution
    model = tff.DensityEstimator(distribution, columns=columns)
    x, context = rng.normal(size=(8, 2)), rng.normal(size=(8, 1))

    def predict(*columns):
        frames = map(pandas.DataFrame, (x, context))
        named = (f.set_axis(c, axis=1) for f, c in zip(frames, columns, strict=True))
        return model.predict(tuple(named), verbose=0)

    right = model.predict((x, context), verbose=0)
    np.testing.assert_array_equal(predict(["a", "b"], ["d"]), right)
    with pytest.raises(ValueError, match=r"`x` of the columns \['a', 'b'\].*\['b', 'a'\]"):
        predict(["b", "a"], ["d"])
    model.compile("adam")
    with pytest.raises(ValueError, match=r"`x` of the columns \['a', 'b'\]"):
        model.test_on_batch((pandas.DataFrame(x, columns=["b", "a"]), context))
    with pytest.raises(ValueError, match=r"`x` of the columns \['a', 'b'\]"):
        model.fit(iter([(pandas.DataFrame(x, columns=["b", "a"]), context)]), verbose=0)
    with pytest.raises(ValueError, match=r"`context` of the columns \['d'\].*\['c'\]"):
        predict(["a", "b"], ["c"])


def test_no_retracing_for_other_batch_sizes(banana):
    class Counting(tf.Module):
        count = 0

        def __init__(self):
            super().__init__()
            self.conditioner = tff.Conditioner(tff.MLP(2, (4,), seed=0), 1)

        def __call__(self, x, context=None):
            Counting.count += 1
            return self.conditioner(x, context)

    model = from_flow(tff.Coupling(tff.masks.half(2), Counting()))
    fit(model, banana, batch_size=100, validation_data=(banana,))
    traces = Counting.count
    fit(model, banana[:77], batch_size=50, validation_data=(banana[:33],))
    assert Counting.count == traces


def test_models_one_after_another_bring_no_warnings_of_tensorflow(caplog):
    logger = tf.get_logger()
    logger.addHandler(caplog.handler)
    try:
        for _ in range(5):
            estimator().evaluate(np.ones([2, 2]), verbose=0)
    finally:
        logger.removeHandler(caplog.handler)
    assert not caplog.records
    assert not logger.filters
