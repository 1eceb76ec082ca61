"""`Standardize` and `Whiten`: statistics, warnings and refusals."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from subject import close

import tfp_flows as tff

ROWS = (np.random.default_rng(0).normal(size=(400, 3)) * [1, 5, 0.1] + [0, 20, -3]).astype(
    np.float32
)
MEAN, FACTOR = [3.0, -1.0], [[2.0, 0.0], [-1.0, 0.5]]


def test_standardize_has_the_statistics_of_the_data():
    standardize = tff.Standardize(3)
    standardize.initialize(ROWS)
    z, log_det = standardize.inverse_and_log_det(ROWS)
    mean, scale = ROWS.mean(axis=0, dtype=np.float64), ROWS.std(axis=0, dtype=np.float64)
    close(z, (ROWS - mean) / scale, 1e-4)
    close(log_det, np.full(400, -np.log(scale).sum()), 1e-5)
    assert not standardize.trainable_variables


def test_constant_columns_keep_their_scale_with_a_warning():
    standardize = tff.Standardize(2)
    data = np.stack([ROWS[:, 0], np.full(400, 0.1)], axis=-1).astype(np.float32)
    with pytest.warns(UserWarning, match=r"Columns \[1\].*constant"):
        standardize.initialize(data)
    z = standardize.inverse_and_log_det(data)[0].numpy()
    np.testing.assert_allclose(z[:, 1], 0.0, atol=1e-6)


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
