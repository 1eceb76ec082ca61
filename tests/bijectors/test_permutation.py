import numpy as np
import tensorflow_probability as tfp

import tfp_flows as tff

X = np.random.default_rng(0).normal(size=(7, 5)).astype(np.float32)


def test_equals_stock_permute():
    order = tff.bijectors.random_permutation(5, 3)
    ours, stock = tff.Permutation(order), tfp.bijectors.Permute(order)
    np.testing.assert_array_equal(ours.forward(X), stock.forward(X))
    np.testing.assert_array_equal(ours.inverse(X), stock.inverse(X))
    np.testing.assert_array_equal(ours.forward(X), X[:, order])


def test_reverse_written_out():
    np.testing.assert_array_equal(tff.bijectors.reverse_permutation(4), [3, 2, 1, 0])


def test_random_permutation_is_one_and_is_that_of_its_seed():
    order = tff.bijectors.random_permutation(20, 1)
    np.testing.assert_array_equal(np.sort(order), np.arange(20))
    np.testing.assert_array_equal(order, tff.bijectors.random_permutation(20, 1))
    assert np.any(order != tff.bijectors.random_permutation(20, 2))
