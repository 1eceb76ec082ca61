"""`Whiten`: its covariance, its digits in float32, and what it refuses."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from subject import close

import tfp_flows as tff

MEAN, FACTOR = [3.0, -1.0], [[2.0, 0.0], [-1.0, 0.5]]


def test_standard_normal_becomes_the_normal_of_mean_and_covariance():
    whiten = tff.Whiten(2, dtype=tf.float64)
    whiten.assign(MEAN, FACTOR)
    assert not whiten.trainable_variables
    flow = tff.FlowDistribution(tff.standard_normal(2, dtype=tf.float64), whiten)
    mean, factor = (np.array(value, np.float64) for value in (MEAN, FACTOR))
    oracle = tfp.distributions.MultivariateNormalTriL(mean, factor)
    x = np.random.default_rng(0).normal(size=(5, 2))
    close(flow.log_prob(x), oracle.log_prob(x))


def test_is_the_identity_until_assigned_and_no_data_change_it():
    whiten = tff.Whiten(2)
    x = np.random.default_rng(0).normal(size=(5, 2)).astype(np.float32)
    whiten.initialize(10.0 * x)
    np.testing.assert_array_equal(whiten.forward(x), x)


@pytest.mark.parametrize(
    ("mean", "factor", "message"),
    [
        ([1.0], FACTOR, r"`mean` of shape \[2\]; got \[1\.\]"),
        ([1.0, np.nan], FACTOR, "finite `mean`"),
        (MEAN, np.eye(3), r"`factor` of shape \[2, 2\]"),
        (MEAN, [[1.0, 0.5], [0.0, 1.0]], "lower triangular"),
        (MEAN, [[1.0, 0.0], [0.0, 0.0]], "positive diagonal"),
        (MEAN, [[1.0, 0.0], [np.inf, 1.0]], "finite `factor`"),
    ],
)
def test_refusals(mean, factor, message):
    with pytest.raises(ValueError, match=message):
        tff.Whiten(2).assign(mean, factor)
