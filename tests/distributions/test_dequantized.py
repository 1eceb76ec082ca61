import json

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from random_weights import randomize

import tfp_flows as tff
from tfp_flows.core.serialization import deserialize
from tfp_flows.core.serialization import serialize

tfd = tfp.distributions


def uniform(event_shape):
    return tfd.Independent(
        tfd.Uniform(tf.zeros(event_shape), 1.0), reinterpreted_batch_ndims=len(event_shape)
    )


def logit_normal(scale=1.0, dtype=tf.float32):
    """A density on the unit interval, of one entry, whose bins one can integrate."""
    scaled = tff.bijectors.TFPBijector(tfp.bijectors.Scale(tf.cast(scale, dtype)), 1)
    flow = tff.FlowChain([tff.Logit(0.0, dtype=dtype), scaled])
    return tff.FlowDistribution(tff.standard_normal(1, dtype=dtype), flow)


def true_log_probs(num_bins, scale=1.0):
    edges = np.linspace(0.0, 1.0, num_bins + 1)
    with np.errstate(divide="ignore"):
        cdf = tfd.Normal(np.float64(0.0), 1.0).cdf(
            (np.log(edges) - np.log1p(-edges)) / scale
        )
    return np.log(np.diff(cdf))


@pytest.mark.parametrize("num_bits", [5, 8])
@pytest.mark.parametrize("event_shape", [(12,), (2, 3, 1)])
def test_uniform_model_has_exactly_as_many_bits_as_the_data(num_bits, event_shape):
    model = tff.Dequantized(uniform(event_shape), 2**num_bits)
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, size=(9, *event_shape)).astype(np.uint8)
    images[0], images[1] = 0, 255
    result = model.bits_per_dimension(
        tff.distributions.reduce_bits(images, num_bits), seed=0
    )
    assert result.bits == pytest.approx(num_bits, abs=1e-6)


def test_reduced_bits_are_the_leading_ones():
    np.testing.assert_array_equal(
        tff.distributions.reduce_bits([0, 7, 8, 255], 5), [0, 0, 1, 31]
    )
    with pytest.raises(ValueError, match="`num_bits` from 1 to 8; got 9"):
        tff.distributions.reduce_bits([0], 9)


def test_many_importance_samples_give_the_integral_over_the_bin():
    model = tff.Dequantized(logit_normal(), 4)
    value = np.arange(4)[:, None]
    estimate = model.importance_weighted_log_prob(value, 4000, seed=1)
    np.testing.assert_allclose(estimate, true_log_probs(4), atol=0.03)


def test_bound_is_below_the_truth_and_tightens_with_samples():
    model = tff.Dequantized(logit_normal(0.3), 3)
    value = np.repeat(np.arange(3), 3000)[:, None]
    truth = true_log_probs(3, 0.3).mean()
    one, ten = (
        float(np.mean(model.importance_weighted_log_prob(value, n, seed=2)))
        for n in (1, 10)
    )
    assert one < ten < truth + 0.01
    assert ten - one > 0.05


def variational():
    """A learned dequantiser of one entry, conditional on the bin."""
    network = keras.layers.Dense(2, use_bias=False, kernel_initializer="zeros")
    conditioner = tff.Conditioner(network, 1)
    noise = tff.FlowChain(
        [
            tff.Logit(0.0),
            tff.bijectors.Elementwise(1, tff.Affine(), conditioner, context_size=1),
        ]
    )
    dequantizer = tff.FlowDistribution(tff.standard_normal(1), noise)
    return tff.Dequantized(logit_normal(0.3), 3, dequantizer=dequantizer)


def test_learned_dequantizer_tightens_the_bound():
    value = np.repeat(np.arange(3), 300)[:, None].astype(np.float32)
    model = variational()
    before = float(np.mean(model.log_prob(np.tile(value, (10, 1)), seed=0)))
    estimator = tff.DensityEstimator(model)
    estimator.compile(keras.optimizers.Adam(0.05), jit_compile=False)
    estimator.fit(value, epochs=40, batch_size=300, verbose=0)
    after = float(np.mean(model.log_prob(np.tile(value, (10, 1)), seed=0)))
    truth = true_log_probs(3, 0.3).mean()
    assert before < after < truth + 0.01
    uniform_bound = np.mean(
        tff.Dequantized(logit_normal(0.3), 3).log_prob(np.tile(value, (10, 1)), seed=0)
    )
    assert after > uniform_bound + 0.05


@pytest.mark.usefixtures("op_by_op")
def test_weights_of_flow_and_dequantizer_are_listed_once():
    model = variational()
    expected = [*model.distribution.variables, *model.dequantizer.variables]
    assert {id(v) for v in model.variables} == {id(v) for v in expected}
    assert len(tff.DensityEstimator(model).trainable_weights) == 2


@pytest.mark.usefixtures("op_by_op")
def test_image_flow_under_integers_and_an_encoder():
    shape = (4, 4, 1)
    tiny = {"num_levels": 1, "num_steps": 1, "hidden_channels": 2, "seed": 0}
    base = tff.standard_normal(16)
    flow = tff.FlowDistribution(base, tff.Glow(shape, logit_alpha=0.05, **tiny))
    noise = tff.Glow(shape, logit_alpha=0.0, context_size=3, **tiny)
    layers = [keras.layers.Flatten(), keras.layers.Dense(3)]
    encoder = tff.Conditioner(keras.Sequential(layers), shape)
    model = tff.Dequantized(
        flow, 16, dequantizer=tff.FlowDistribution(base, noise), encoder=encoder
    )
    images = np.random.default_rng(0).integers(0, 16, size=(8, *shape))
    assert not model.is_initialized
    model.initialize(images)
    assert model.is_initialized
    assert np.isfinite(model.log_prob(images, seed=0)).all()
    samples = model.sample(3, seed=0).numpy()
    assert samples.shape == (3, *shape)
    np.testing.assert_array_equal(samples, np.clip(np.floor(samples), 0, 15))
    with tf.GradientTape() as tape:
        bound = tf.reduce_mean(model.log_prob(images, training=True))
    gradients = tape.gradient(bound, model.trainable_variables)
    assert all(gradient is not None for gradient in gradients)


@pytest.mark.slow_ids("options2")
@pytest.mark.parametrize("options", [None, {}, {"jit_compile": True}])
def test_what_is_no_bin_has_probability_zero_and_spoils_no_gradient(options):
    model = randomize(variational())
    value = np.array([[0], [3], [2], [255], [-1], [0.5], [np.nan]], np.float32)

    def answer(value):
        with tf.GradientTape() as tape:
            log_prob = model.log_prob(value, seed=0)
            from_bins = tf.reduce_sum(tf.where(tf.math.is_finite(log_prob), log_prob, 0.0))
        return log_prob, tape.gradient(from_bins, model.trainable_variables)

    call = answer if options is None else tf.function(answer, **options)
    log_prob, gradients = call(tf.constant(value))
    assert np.isfinite(log_prob).tolist() == [True, False, True] + 4 * [False]
    assert np.all(log_prob.numpy()[[1, 3, 4, 5]] == -np.inf)
    assert np.isnan(log_prob[6])
    assert all(np.isfinite(gradient).all() for gradient in gradients)
    assert any(np.any(gradient != 0.0) for gradient in gradients)


def test_one_entry_outside_the_bins_rules_out_the_event():
    model = tff.Dequantized(uniform((2, 1, 1)), 32)
    value = np.zeros((3, 2, 1, 1), np.uint8)
    value[1, 1] = 32
    log_prob = model.importance_weighted_log_prob(value, 4, seed=0)
    np.testing.assert_allclose(log_prob, -2.0 * np.log([32.0, np.inf, 32.0]), rtol=1e-5)


@pytest.mark.parametrize("entry", [32, 255, -1, 0.25, np.nan])
def test_data_outside_the_bins_are_refused_by_value(entry):
    model = tff.Dequantized(uniform((2,)), 32)
    value = np.array([[0, 31], [3, entry]])
    message = f"of integers from 0 to 31; got {entry:g}"
    with pytest.raises(ValueError, match=f"`data` {message}"):
        model.initialize(value)
    with pytest.raises(ValueError, match=f"`value` {message}"):
        model.bits_per_dimension(value)


def test_same_seed_draws_the_same_noise():
    model = tff.Dequantized(logit_normal(), 4)
    value = np.arange(4)[:, None]
    first, same, other = (model.log_prob(value, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, same)
    assert np.any(first != other)


@pytest.mark.usefixtures("op_by_op")
def test_plain_data_rebuilds_it():
    model = randomize(variational())
    rebuilt = deserialize(json.loads(json.dumps(serialize(model))))
    for new, old in zip(rebuilt.variables, model.variables, strict=True):
        new.assign(old)
    value = np.arange(3)[:, None]
    np.testing.assert_array_equal(
        rebuilt.log_prob(value, seed=0), model.log_prob(value, seed=0)
    )


def test_wrong_arguments_are_refused():
    with pytest.raises(ValueError, match="`num_bins` of at least 2; got 1"):
        tff.Dequantized(uniform((2,)), 1)
    with pytest.raises(ValueError, match="`dequantizer` with an `encoder`; got None"):
        tff.Dequantized(uniform((2,)), encoder=lambda x: x)


@pytest.mark.parametrize(("size", "num_bins"), [(1, 4), (2, 3)])
def test_probabilities_are_those_of_samples_and_sum_to_one(size, num_bins):
    flow = tff.MAF(size, num_steps=2, hidden_units=(8,), standardize=False, seed=0)
    flow = tff.FlowChain([tff.Logit(0.05), randomize(flow, stddev=0.5)])
    distribution = tff.FlowDistribution(tff.standard_normal(size), flow)
    scaled = distribution.sample(100_000, seed=2)
    assert np.mean(np.all((scaled >= 0) & (scaled <= 1), axis=-1)) < 0.95
    model = tff.Dequantized(distribution, num_bins)
    bins = np.array(list(np.ndindex(*[num_bins] * size)))
    probabilities = np.exp(model.importance_weighted_log_prob(bins, 40_000, seed=1))
    samples = model.sample(100_000, seed=2).numpy().astype(int)
    cells = np.ravel_multi_index(samples.T, [num_bins] * size)
    frequencies = np.bincount(cells, minlength=len(bins)) / len(samples)
    np.testing.assert_allclose(probabilities, frequencies, atol=0.02)
    assert probabilities.sum() == pytest.approx(1.0, abs=0.02)


def test_temperature_and_paths_of_integers():
    tiny = {"num_steps": 1, "hidden_units": (4,), "seed": 0, "standardize": False}
    flow = tff.FlowChain([tff.Logit(0.05), randomize(tff.MAF(3, **tiny))])
    model = tff.Dequantized(tff.FlowDistribution(tff.standard_normal(3), flow), 16)
    cold = tff.at_temperature(model, 0.1)
    assert isinstance(cold, tff.Dequantized)
    assert np.std(cold.sample(500, seed=1)) < np.std(model.sample(500, seed=1))
    assert {id(v) for v in cold.variables} == {id(v) for v in model.variables}
    start, end = np.array([[0, 3, 15]]), np.array([[15, 7, 0]])
    path = tff.distributions.interpolate(model, start, end, 5).numpy()
    np.testing.assert_array_equal(path[0], start)
    np.testing.assert_array_equal(path[-1], end)
    np.testing.assert_array_equal(path, np.clip(np.floor(path), 0, 15))
    direction = tff.distributions.attribute_direction(model, end, start)
    moved = tff.distributions.move_along(model, start, direction, [0.0, 1.0])
    np.testing.assert_array_equal(moved, [start, end])


@pytest.mark.parametrize(("size", "most"), [(1, 0.02), (2, 0.1)])
@pytest.mark.parametrize("alpha", [0.0, 0.05])
def test_end_bins_are_as_certain_as_they_can_be(alpha, size, most):
    scaled = tff.bijectors.TFPBijector(tfp.bijectors.Scale(3.0), 1)
    flow = tff.FlowChain([tff.Logit(alpha), scaled])
    model = tff.Dequantized(tff.FlowDistribution(tff.standard_normal(size), flow), 64)
    edge = alpha + (1.0 - 2.0 * alpha) / 64.0
    z = np.float64(np.log(edge) - np.log1p(-edge)) / 3.0
    truth = size * float(tfd.Normal(np.float64(0.0), 1.0).log_cdf(z))
    for end in (0.0, 63.0):  # with all that is beyond
        value = np.full([40, size], end)
        estimate = model.importance_weighted_log_prob(value, 1000, seed=1).numpy()
        errors = np.exp(estimate.astype(np.float64) - truth) - 1.0
        assert np.std(errors) < most
        assert abs(np.mean(errors)) < 4.0 * most / np.sqrt(40)
    inner = model.importance_weighted_log_prob(np.full([40, size], 20.0), 1000, seed=1)
    assert np.std(inner) < 1e-3
