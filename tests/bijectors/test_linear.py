"""Linear mixings and permutations of variables and channels."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from random_weights import randomize
from subject import close

import tfp_flows as tff

pytestmark = pytest.mark.usefixtures("all_op_by_op")

Y = np.random.default_rng(0).normal(size=(7, 4))
IMAGES = np.random.default_rng(1).normal(size=(5, 2, 3, 4))
D = tf.float64


@pytest.fixture
def linear():
    return randomize(tff.InvertibleLinear(4, seed=3, dtype=D))


def test_inverse_is_the_product_with_the_matrix_at_every_pixel(linear):
    conv = randomize(tff.bijectors.InvertibleConv1x1(4, seed=1, dtype=D))
    for mixing, owner, y, pixels in (
        (linear, linear, Y, 1),
        (conv, conv.bijectors[0], IMAGES, 6),
    ):
        x, log_det = mixing.inverse_and_log_det(y)
        matrix = owner.matrix().numpy()
        close(x, y @ matrix.T)
        close(log_det, np.full(len(y), pixels * np.linalg.slogdet(matrix)[1]))


def test_starts_as_the_identity_a_rotation_or_a_permutation():
    np.testing.assert_array_equal(tff.InvertibleLinear(4).matrix(), np.eye(4))
    first, same, other = (
        tff.InvertibleLinear(4, seed=seed, dtype=D).matrix().numpy() for seed in (1, 1, 2)
    )
    close(first @ first.T, np.eye(4))
    np.testing.assert_array_equal(first, same)
    assert np.abs(first - other).max() > 0.1
    order = [2, 0, 3, 1]
    z, log_det = tff.InvertibleLinear(4, permutation=order, dtype=D).inverse_and_log_det(Y)
    np.testing.assert_array_equal(z, Y[:, order])
    np.testing.assert_array_equal(log_det, np.zeros(7))


def test_permutations_are_those_of_the_stock_bijector():
    order = tff.bijectors.random_permutation(4, 3)
    ours, stock = tff.Permutation(order, dtype=D), tfp.bijectors.Permute(order)
    np.testing.assert_array_equal(ours.forward(Y), stock.forward(Y))
    np.testing.assert_array_equal(ours.forward(Y), Y[:, order])
    np.testing.assert_array_equal(tff.bijectors.reverse_permutation(4), [3, 2, 1, 0])
