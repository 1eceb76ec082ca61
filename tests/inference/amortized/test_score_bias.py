"""How many trials a learned likelihood can take: shifted normal densities, few data."""

import numpy as np
import pytest
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from tfp_flows.inference.amortized.score_bias import ScoreBias
from tfp_flows.inference.amortized.simulator import PriorSimulator


def normal(theta, seed):
    return np.random.default_rng(seed).normal(theta)


PRIOR = tfd.Sample(tfd.Normal(0.0, 10.0), 2)
SOURCE = PriorSimulator(PRIOR, normal, vectorized=True)


class Shifted:
    """The density of normal data, whose mean is off."""

    dtype = tf.float64

    def __init__(self, shift):
        self.shift = shift

    def log_prob(self, rows, context):
        return tf.reduce_sum(tfd.Normal(context + self.shift, 1.0).log_prob(rows), axis=-1)


def bias_of(shift, num_simulations):
    u = SOURCE.support.unconstrained(PRIOR.sample(num_simulations, seed=(0, 1)))
    return ScoreBias.from_simulations(
        Shifted(np.array([shift, 0.0])), SOURCE, SOURCE.form.possible_rows, u, seed=0
    )


def test_a_shift_of_one_parameter_gives_its_number_of_trials():
    bias = bias_of(0.2, 40_000)
    assert bias.mean.shape == (8, 2)
    assert bias.num_rows.tolist() == [1_000] * 8
    # The mean of T trials is off by 0.2, that is 0.2 sqrt(T) deviations: in the root mean
    # square of both parameters, 0.5 after 12.5 trials.
    for count in (1, 10, 100):
        square, error = bias.squared_error(count)
        assert abs(square / (0.5 * 0.2**2 * count) - 1.0) < 0.2
        assert error < 0.15 * square
    assert 9 <= bias.most_trials() <= 13
    assert bias.check().passed is True


@pytest.mark.parametrize("shift", [0.0, 0.2])
def test_the_standard_error_is_the_spread_over_simulations(shift):
    rng, ones = np.random.default_rng(0), np.tile(np.eye(2), [8, 1, 1])
    rows, prior = np.full(8, 500), 0.01 * np.eye(2)
    noise = rng.normal(size=(1_000, 8, 2)) / np.sqrt(500)
    biases = [ScoreBias(shift + each, ones, rows, prior) for each in noise]
    squares, errors = np.array([bias.squared_error(10) for bias in biases]).T
    assert squares.mean() == pytest.approx(10 * shift**2, rel=0.01, abs=0.002)
    assert errors.mean() == pytest.approx(squares.std(), rel=0.25)


def test_a_prior_that_knows_more_bounds_the_error():
    bias = bias_of(0.2, 40_000)
    sure = ScoreBias(bias.mean, bias.covariance, bias.num_rows, 1e6 * np.eye(2))
    assert sure.squared_error(10)[0] < 1e-3 * bias.squared_error(10)[0]


def test_exact_densities_are_known_up_to_the_noise_of_the_data():
    few, many = (bias_of(0.0, count).most_trials() for count in (2_000, 40_000))
    assert 10 < few < 100 < many < 20_000


def test_a_wrong_density_fails_for_one_trial():
    check = bias_of(2.0, 2_000).check()
    assert (check.value, check.passed) == (0, False)
    assert "off by about 1.4 posterior standard deviations" in check.advice


def test_too_few_simulations_measure_nothing():
    assert bias_of(0.2, 99) is None
    assert bias_of(0.0, 100).mean.shape == (1, 2)


def test_data_that_are_not_finite_are_left_out():
    def failing(theta, seed):
        x = normal(theta, seed)
        return np.where(x[:, :1] > theta[:, :1], np.nan, x)

    source = PriorSimulator(PRIOR, failing, vectorized=True)
    u = np.zeros([2_000, 2]) + np.random.default_rng(0).normal(size=(2_000, 2))
    bias = ScoreBias.from_simulations(
        Shifted(0.0), source, source.form.possible_rows, u, seed=None
    )
    assert (bias.num_rows < 40).all()
    assert np.isfinite(bias.mean).all()


@pytest.mark.parametrize("shape", [(), (3,)])
def test_parameters_of_other_shapes(shape):
    prior = tfd.Sample(tfd.Normal(0.0, 1.0), shape)
    source = PriorSimulator(prior, normal_of_mean, vectorized=True)
    u = source.support.unconstrained(prior.sample(1_000, seed=(0, 1)))

    class OfMean:
        dtype = tf.float64

        def log_prob(self, rows, context):
            mean = tf.reduce_mean(context, axis=-1)
            return tfd.Normal(mean, 1.0).log_prob(rows[..., 0])

    bias = ScoreBias.from_simulations(
        OfMean(), source, source.form.possible_rows, u, seed=0
    )
    assert bias.mean.shape[1] == u.shape[1]
    assert bias.most_trials() > 5


def normal_of_mean(theta, seed):
    mean = np.reshape(theta, [len(theta), -1]).mean(axis=1, keepdims=True)
    return np.random.default_rng(seed).normal(mean)
