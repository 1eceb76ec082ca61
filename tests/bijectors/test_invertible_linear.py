import numpy as np
import pytest
import tensorflow as tf
from random_weights import randomize
from subject import close

import tfp_flows as tff

Y = np.random.default_rng(0).normal(size=(7, 4))


@pytest.fixture
def linear():
    return randomize(tff.InvertibleLinear(4, seed=3, dtype=tf.float64))


def test_inverse_is_the_product_with_the_matrix(linear):
    x, log_det = linear.inverse_and_log_det(Y)
    matrix = linear.matrix().numpy()
    close(x, Y @ matrix.T)
    close(log_det, np.full(7, np.linalg.slogdet(matrix)[1]))


def test_forward_solves(linear):
    close(linear.forward(Y), np.linalg.solve(linear.matrix().numpy(), Y.T).T)


def test_starts_as_the_identity_or_a_rotation():
    np.testing.assert_array_equal(tff.InvertibleLinear(4).matrix(), np.eye(4))
    first, same, other = (
        tff.InvertibleLinear(4, seed=seed, dtype=tf.float64).matrix().numpy()
        for seed in (1, 1, 2)
    )
    close(first @ first.T, np.eye(4))
    np.testing.assert_array_equal(first, same)
    assert np.abs(first - other).max() > 0.1
