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


def test_log_det_on_images_is_that_of_the_matrix_at_every_pixel():
    mixing = randomize(tff.bijectors.InvertibleConv1x1(4, seed=1, dtype=tf.float64))
    (matrix,) = mixing.bijectors
    images = np.random.default_rng(1).normal(size=(5, 2, 3, 4))
    x, log_det = mixing.inverse_and_log_det(images)
    close(x, images @ matrix.matrix().numpy().T)
    close(log_det, np.full(5, 6 * np.linalg.slogdet(matrix.matrix())[1]))


def test_factors_stay_triangular_whatever_training_does(linear):
    lower, upper, log_det = linear._factors()
    np.testing.assert_array_equal(lower, np.tril(lower))
    np.testing.assert_array_equal(np.diag(lower), np.ones(4))
    np.testing.assert_array_equal(upper, np.triu(upper))
    close(log_det, np.log(np.abs(np.diag(upper))).sum())


def test_starts_as_the_permutation_that_it_is_given():
    order = [2, 0, 3, 1]
    x = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
    z, log_det = tff.InvertibleLinear(4, permutation=order).inverse_and_log_det(x)
    np.testing.assert_array_equal(z, x[:, order])
    np.testing.assert_array_equal(log_det, np.zeros(5))
