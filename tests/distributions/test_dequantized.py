"""Densities of integers: exact bits, and bounds that more samples or training tighten."""

import json

import keras
import numpy as np
import pytest
import scipy.special
import scipy.stats
import tensorflow as tf
import tensorflow_probability as tfp
from random_weights import randomize
from subject import close, differ

import tfp_flows as tff
from tfp_flows.core.serialization import deserialize, serialize

tfd = tfp.distributions
THREE_BINS = np.arange(3)[:, None]


def uniform(event_shape):
    return tfd.Independent(tfd.Uniform(tf.zeros(event_shape), 1.0), len(event_shape))


def logit_normal(scale, size=1, alpha=0.0):
    """Independent entries in (0, 1), whose bins have known probabilities."""
    scaled = tff.bijectors.TFPBijector(tfp.bijectors.Scale(scale), 1)
    flow = tff.FlowChain([tff.Logit(alpha), scaled])
    return tff.FlowDistribution(tff.standard_normal(size), flow)


@pytest.mark.parametrize("num_bits", [5, 8])
def test_uniform_model_has_exactly_as_many_bits_as_the_data(num_bits):
    model = tff.Dequantized(uniform((2, 3, 1)), 2**num_bits)
    images = np.random.default_rng(0).integers(0, 256, size=(9, 2, 3, 1)).astype(np.uint8)
    images[0], images[1] = 0, 255
    images = tff.distributions.reduce_bits(images, num_bits)
    bits = model.bits_per_dimension(images, seed=0).bits
    assert bits == pytest.approx(num_bits, abs=1e-6)
    leading = tff.distributions.reduce_bits([0, 7, 8, 255], 5)
    np.testing.assert_array_equal(leading, [0, 0, 1, 31])


def variational():
    """A learned dequantiser of one entry, conditional on the bin."""
    network = keras.layers.Dense(2, use_bias=False, kernel_initializer="zeros")
    affine = tff.bijectors.Elementwise(
        1, tff.Affine(), tff.Conditioner(network, 1), context_size=1
    )
    noise = tff.FlowChain([tff.Logit(0.0), affine])
    dequantizer = tff.FlowDistribution(tff.standard_normal(1), noise)
    return tff.Dequantized(logit_normal(0.3), 3, dequantizer=dequantizer)


def test_bound_is_below_the_truth_and_tightens_with_samples_and_learning():
    model, learned = tff.Dequantized(logit_normal(0.3), 3), variational()
    many = np.repeat(THREE_BINS, 3000, axis=0)

    def bound(model, num_samples=1):
        return np.mean(model.importance_weighted_log_prob(many, num_samples, seed=2))

    estimator = tff.DensityEstimator(learned)
    estimator.compile(keras.optimizers.Adam(0.05), jit_compile=False)
    estimator.fit(np.repeat(THREE_BINS, 300, axis=0), epochs=40, batch_size=300, verbose=0)
    # The context of the noise is the bin, which is standardised.
    (mean,) = [v for v in learned.variables if v.name.startswith("context_mean")]
    np.testing.assert_allclose(mean, [1.0 / 3.0], rtol=1e-5)
    ends = scipy.special.logit(np.linspace(0.0, 1.0, 4)) / 0.3
    truth = np.log(np.diff(scipy.stats.norm.cdf(ends)))
    assert bound(model) + 0.05 < bound(learned) < truth.mean() + 0.01
    assert bound(model) + 0.05 < bound(model, 10) < truth.mean() + 0.01
    each = model.importance_weighted_log_prob(THREE_BINS, 4000, seed=1)
    np.testing.assert_allclose(each, truth, atol=0.03)


@pytest.mark.usefixtures("op_by_op")
def test_weights_are_listed_once_and_plain_data_rebuild_it_with_its_noise():
    model = randomize(variational())
    expected = [*model.distribution.variables, *model.dequantizer.variables]
    assert {id(v) for v in model.variables} == {id(v) for v in expected}
    assert len(tff.DensityEstimator(model).trainable_weights) == 2
    rebuilt = deserialize(json.loads(json.dumps(serialize(model))))
    for new, old in zip(rebuilt.variables, model.variables, strict=True):
        new.assign(old)
    log_prob = model.log_prob(THREE_BINS, seed=0)
    np.testing.assert_array_equal(rebuilt.log_prob(THREE_BINS, seed=0), log_prob)
    assert np.any(model.log_prob(THREE_BINS, seed=1) != log_prob)


@pytest.mark.usefixtures("op_by_op")
def test_image_flow_under_integers_with_an_encoder_and_a_context():
    tiny = {"num_levels": 1, "num_steps": 1, "hidden_channels": 2, "seed": 0}
    base, noise = (
        tff.FlowDistribution(
            tff.standard_normal(16),
            tff.Glow((4, 4, 1), logit_alpha=alpha, context_size=size, **tiny),
        )
        for alpha, size in ((0.05, 1), (0.0, 3))
    )
    layers = [keras.layers.Flatten(), keras.layers.Dense(3)]
    encoder = tff.Conditioner(keras.Sequential(layers), (4, 4, 1))
    model = tff.Dequantized(base, 16, dequantizer=noise, encoder=encoder)
    images = np.random.default_rng(0).integers(0, 16, size=(8, 4, 4, 1))
    context = {"context": np.linspace(0.0, 1.0, 8)[:, None]}
    assert not model.is_initialized
    model.initialize(images, **context)
    assert model.is_initialized
    with tf.GradientTape() as tape:
        bound = model.log_prob(images, training=True, **context)
    assert np.isfinite(bound).all()
    gradients = tape.gradient(bound, model.trainable_variables)
    assert all(gradient is not None for gradient in gradients)
    (mean,) = [v for v in noise.variables if v.name.startswith("context_mean")]
    np.testing.assert_array_equal(mean, np.zeros(3))  # they stay as they are
    randomize(model, stddev=0.1)
    samples = model.sample(3, seed=0, **context).numpy()
    assert samples.shape == (3, 8, 4, 4, 1)
    np.testing.assert_array_equal(samples, np.clip(np.floor(samples), 0, 15))
    one, other = (model.log_prob(images, seed=0, context=[c]) for c in (0.0, 1.0))
    assert np.all(one != other)


@pytest.mark.usefixtures("op_by_op")
def test_an_encoder_is_given_rows_for_any_number_of_draws():
    flow = tff.MAF(2, num_steps=1, hidden_units=(4,), context_size=1, seed=0)
    noise, base = (
        tff.FlowDistribution(tff.standard_normal(2), bijector)
        for bijector in (tff.FlowChain([tff.Logit(0.0), randomize(flow)]), tff.Logit(0.05))
    )
    values = np.array([[0, 1], [2, 3], [1, 1]])

    def bound(encoder, value, num_samples=3):
        model = tff.Dequantized(base, 4, dequantizer=noise, encoder=encoder)
        return model.importance_weighted_log_prob(value, num_samples, seed=0)

    def of_rows(scaled):
        return tf.reshape(scaled, [tf.shape(scaled)[0], -1])[:, :1]

    for num_samples in (3, 4):
        expected = bound(lambda scaled: scaled[..., :1], values, num_samples)
        close(bound(of_rows, values, num_samples), expected, 1e-5)
    assert bound(of_rows, values[0]).shape == ()


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
    # One entry outside makes the whole event impossible.
    log_prob = tff.Dequantized(uniform((2,)), 32).log_prob([[0, 0], [0, 32], [0, 31]])
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


def test_probabilities_are_those_of_samples_and_sum_to_one():
    size, num_bins = 2, 3
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
    model = tff.Dequantized(logit_normal(3.0, size, alpha), 64)
    z = scipy.special.logit(alpha + (1.0 - 2.0 * alpha) / 64.0) / 3.0
    truth = size * scipy.stats.norm.logcdf(z)
    for end in (0.0, 63.0):  # the end bins include everything beyond them
        value = np.full([40, size], end)
        estimate = model.importance_weighted_log_prob(value, 1000, seed=1).numpy()
        errors = np.exp(estimate.astype(np.float64) - truth) - 1.0
        assert np.std(errors) < most
        assert abs(np.mean(errors)) < 4.0 * most / np.sqrt(40)
    inner = model.importance_weighted_log_prob(np.full([40, size], 20.0), 1000, seed=1)
    assert np.std(inner) < 1e-3


def test_nice_on_mnist_has_the_bits_that_others_quote_of_it():
    # 1980.50 nats on data scaled to [0, 1] are quoted as 4.36 bits per dimension; 5371.78
    # nats on CIFAR-10 scaled to [-1, 1], as 4.48.
    mnist = tff.bits_per_dimension(1980.50, 28 * 28, bins_per_unit=256)
    cifar = tff.bits_per_dimension(5371.78, 32 * 32 * 3, bins_per_unit=128)
    assert round(mnist.bits, 2) == 4.36
    assert round(cifar.bits, 2) == 4.48


def test_rows_of_bits_may_have_any_batch_axes():
    nats = np.random.default_rng(0).normal(size=(3, 4))
    found, flat = (
        tff.bits_per_dimension(rows, 2, bins_per_unit=8) for rows in (nats, nats.ravel())
    )
    assert found == flat
    assert found.num_rows == 12


def test_a_seed_determines_draws_and_their_bounds():
    model = tff.Dequantized(logit_normal(1.0, size=2), 4)
    first, again, other = (model.sample_and_log_prob(5, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first[0], model.sample(5, seed=1))
    np.testing.assert_array_equal(first[1], again[1])
    assert differ(first[1], other[1])


def test_draws_of_one_event_are_not_dealt_to_contexts():
    flow = randomize(tff.MAF(2, num_steps=1, hidden_units=(4,), context_size=1, seed=0))
    model = tff.Dequantized(tff.FlowDistribution(tff.standard_normal(2), flow), 3)
    contexts = np.float32([[-1.0], [0.0], [2.0]])
    event = np.array([1, 2])
    together = model.importance_weighted_log_prob(event, 3000, context=contexts, seed=0)
    for context, found in zip(contexts, together, strict=True):
        own = model.importance_weighted_log_prob(event, 3000, context=context, seed=1)
        assert float(found) == pytest.approx(float(own), abs=0.02)
    few = model.importance_weighted_log_prob(event, 5, context=contexts, seed=0)
    assert few.shape == (3,)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_importance_weights_are_the_same_in_a_graph(dtype):
    base = tff.standard_normal(1, dtype=dtype)
    model = tff.Dequantized(tff.FlowDistribution(base, tff.Logit(0.05, dtype=dtype)), 8)

    def estimate():
        return model.importance_weighted_log_prob([[0], [7]], 20, seed=1)

    np.testing.assert_allclose(tf.function(estimate)(), estimate(), rtol=1e-5)
