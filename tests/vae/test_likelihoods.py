"""Likelihoods against SciPy's distributions, and at extreme parameters."""

import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

import tfp_flows as tff

likelihoods = tff.likelihoods
CASES = {
    "bernoulli": likelihoods.Bernoulli(6),
    "bernoulli_image": likelihoods.Bernoulli((2, 3, 1)),
    "logistic": likelihoods.DiscretizedLogistic(6, 5),
    "logistic_image": likelihoods.DiscretizedLogistic((1, 2, 3), 256),
    "gaussian": likelihoods.Gaussian(6),
    "gaussian_image": likelihoods.Gaussian((3, 2, 1), min_scale=0.5),
}


def outputs_of(likelihood, batch_shape, *, flat=True, seed=0):
    rng = np.random.default_rng(seed)
    shape = (*batch_shape, likelihood.num_parameters, *likelihood.event_shape)
    parameters = rng.normal(size=shape)
    axis = len(batch_shape)
    if flat:
        return tf.constant(parameters.reshape(*batch_shape, -1)), parameters
    parts = np.moveaxis(parameters, axis, 0)
    return tf.constant(np.concatenate(parts, axis=-1)), parameters


def values_of(likelihood, rows, seed=1):
    rng = np.random.default_rng(seed)
    shape = (rows, *likelihood.event_shape)
    if isinstance(likelihood, likelihoods.Bernoulli):
        return rng.integers(0, 2, shape).astype(float)
    if isinstance(likelihood, likelihoods.DiscretizedLogistic):
        highest = likelihood.num_bins - 1
        return rng.integers(0, highest + 1, shape) / highest
    return rng.normal(size=shape)


def expected_log_prob(likelihood, x, parameters):
    """Log-probability of each entry by SciPy; `parameters` are `[N, P, *event]`."""
    if isinstance(likelihood, likelihoods.Bernoulli):
        return stats.bernoulli.logpmf(x, 1.0 / (1.0 + np.exp(-parameters[:, 0])))
    if isinstance(likelihood, likelihoods.Gaussian):
        scale = likelihood.min_scale + np.log1p(np.exp(parameters[:, 1]))
        return stats.norm.logpdf(x, parameters[:, 0], scale)
    highest = likelihood.num_bins - 1
    mean = highest * (0.5 + parameters[:, 0])
    logistic = stats.logistic(mean, highest * np.exp(np.maximum(parameters[:, 1] - 2, -7)))
    level = np.round(x * highest)
    upper = np.where(level == highest, 1.0, logistic.cdf(level + 0.5))
    lower = np.where(level == 0, 0.0, logistic.cdf(level - 0.5))
    return np.log(upper - lower)


@pytest.mark.parametrize("flat", [True, False])
@pytest.mark.parametrize("name", CASES)
def test_log_prob_is_scipys(name, flat):
    likelihood = CASES[name]
    outputs, parameters = outputs_of(likelihood, (4,), flat=flat)
    x = values_of(likelihood, 4)
    expected = expected_log_prob(likelihood, x, parameters).reshape(4, -1).sum(axis=1)
    np.testing.assert_allclose(likelihood.log_prob(x, outputs), expected, rtol=1e-6)


def test_images_of_a_decoder_explain_flat_rows():
    flat = likelihoods.Gaussian(12)
    image = likelihoods.Gaussian((2, 3, 2))
    outputs, _ = outputs_of(image, (5, 4), flat=False)
    assert outputs.shape == (5, 4, 2, 3, 4)
    x = values_of(image, 4)
    expected = image.log_prob(x, outputs)
    np.testing.assert_allclose(flat.log_prob(x.reshape(4, 12), outputs), expected)
    assert flat.mean(outputs).shape == (5, 4, 12)


@pytest.mark.parametrize("name", CASES)
def test_samples_are_of_the_support_and_have_the_mean(name):
    likelihood = CASES[name]
    outputs, _ = outputs_of(likelihood, (1,))
    samples = likelihood.sample(tf.repeat(outputs, 20_000, axis=0), (1, 2)).numpy()
    assert samples.shape == (20_000, *likelihood.event_shape)
    likelihood.check(samples)
    if "logistic" in name:  # its mean is that before rounding and clipping
        return
    error = samples.std(axis=0) / np.sqrt(len(samples))
    mean = likelihood.mean(outputs).numpy()[0]
    assert np.all(np.abs(samples.mean(axis=0) - mean) < 5.0 * error)


@pytest.mark.parametrize("name", CASES)
def test_an_integer_seed_determines_the_draws(name):
    likelihood = CASES[name]
    outputs, _ = outputs_of(likelihood, (20,))
    draws = [likelihood.sample(outputs, seed).numpy() for seed in (1, 1, 2)]
    np.testing.assert_array_equal(*draws[:2])
    assert np.any(draws[1] != draws[2])


def test_levels_have_probabilities_that_sum_to_one():
    likelihood = likelihoods.DiscretizedLogistic(1, 5)
    for shift in (-3.0, 0.0, 0.3):
        outputs = tf.constant([[shift, 0.5]] * 5, tf.float64)
        log_prob = likelihood.log_prob(np.arange(5)[:, None] / 4.0, outputs)
        assert np.exp(log_prob).sum() == pytest.approx(1.0)
        assert np.all(np.isfinite(log_prob))


@pytest.mark.parametrize("num_bins", [2, 256, 2**16])
def test_any_scale_gives_finite_probabilities_and_gradients(num_bins):
    likelihood = likelihoods.DiscretizedLogistic(1, num_bins)
    levels = tf.constant([0.0, num_bins // 2, num_bins - 1.0]) / (num_bins - 1)
    s = np.array([-1e30, -50.0, -5.0, 0.0, 5.0, 9.0, 13.0, 100.0, 1e30], np.float32)
    grid = np.meshgrid([-5.0, -0.5, 0.0, 0.3, 5.0], s)
    outputs = tf.constant(np.stack(grid, axis=-1).reshape(-1, 1, 2), tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(outputs)
        log_prob = likelihood.log_prob(levels[:, None], tf.tile(outputs, [1, 3, 1]))
    assert np.isfinite(log_prob).all()
    assert np.isfinite(tape.gradient(log_prob, outputs)).all()


def test_grey_values_of_sixteen_bits_in_float32_are_levels():
    likelihood = likelihoods.DiscretizedLogistic(4, 2**16)
    likelihood.check((np.arange(65_536) / 65_535.0).astype(np.float32))
    with pytest.raises(ValueError, match="multiples of 1/255"):
        likelihoods.DiscretizedLogistic(4, 256).check(np.array([0.3 / 255.0]))


def test_lists_and_float64_arrays_are_taken_and_rows_of_another_shape_refused():
    likelihood = likelihoods.Bernoulli(3)
    likelihood.check([[0, 1, 1]])
    x, outputs = [[0.0, 1.0, 1.0]] * 3, [[0.5, -1.0, 2.0]] * 3
    expected = likelihood.log_prob(tf.constant(x), tf.constant(outputs))
    for given in (x, np.array(x), x[0]):
        nats = likelihood.log_prob(given, outputs)
        np.testing.assert_array_equal(nats, expected)
    for likelihood, x, width in (
        (likelihoods.Gaussian(2), np.ones([3, 1]), 4),
        (likelihoods.DiscretizedLogistic((2, 1)), np.ones([3, 2]), 4),
    ):
        with pytest.raises(ValueError, match=r"Expected `x` of shape \[\.\.\., "):
            likelihood.log_prob(x, tf.zeros([3, width]))
    # Broadcasting would give [3, 3] numbers: the axis of size 1 counts as a batch axis.
    with pytest.raises(ValueError, match=r"`outputs` of shape \[\.\.\., 3, 8\], as"):
        likelihoods.Gaussian((1, 4)).log_prob(np.ones([3, 1, 4]), tf.zeros([3, 1, 8]))
    with pytest.raises(ValueError, match="`x` of float32 numbers; got float64"):
        likelihoods.Bernoulli(1).log_prob(tf.ones([1, 1], tf.float64), [[0.0]])
