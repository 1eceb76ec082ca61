"""Networks of columns: what each sees, and that one column alone is the same."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from random_weights import randomize

import tfp_flows as tff
from tfp_flows.tables.networks import ColumnMLPs

SEEN = np.array([[1, 0, 0, 0], [1, 1, 0, 0], [1, 1, 0, 1]], bool)
X = tf.constant(np.random.default_rng(0).normal(size=(5, 4)))


def network(**options):
    options = {"num_members": 2, "activation": "tanh", "dtype": "float64", **options}
    return ColumnMLPs(6, (8, 8), SEEN, seed=0, **options)


def conditioner(**options):
    return randomize(tff.Conditioner(network(**options), 4))


def test_outputs_depend_on_what_each_column_sees():
    with tf.GradientTape() as tape:
        tape.watch(X)
        outputs = conditioner()(X)
    assert outputs.shape == (5, 2, 6, 3)
    slopes = np.abs(tape.batch_jacobian(outputs, X)).max(axis=(0, 2))  # [M, D, F]
    for from_member in slopes:
        np.testing.assert_array_equal(from_member > 0.0, SEEN)


def test_one_column_alone_is_the_same_and_members_differ():
    made = conditioner()
    outputs = made(X)
    for column in range(3):
        alone = made.network.from_column(X, column)
        np.testing.assert_allclose(alone, outputs[..., column], rtol=1e-12)
    assert np.abs(outputs[:, 0] - outputs[:, 1]).max() > 0.0


def test_it_starts_at_zero_and_drops_units_in_training_only():
    np.testing.assert_array_equal(tff.Conditioner(network(), 4)(X), 0.0)
    made = conditioner(dropout=0.5)
    dropping = tff.Conditioner(made.network, 4, dropout_in_training=True)
    np.testing.assert_array_equal(dropping(X), made(X))
    assert np.abs(dropping(X, training=True) - made(X)).max() > 0.0


def test_config_rebuilds_it():
    made = conditioner().network
    twin = keras.layers.deserialize(keras.layers.serialize(made))
    twin.set_weights(made.get_weights())
    np.testing.assert_array_equal(twin(X), made(X))
    with pytest.raises(ValueError, match=r"`seen` of shape \[D, F\]"):
        ColumnMLPs(6, (8,), [True, False])
