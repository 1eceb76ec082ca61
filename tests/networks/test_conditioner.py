import keras
import numpy as np
import pytest
import tensorflow as tf

import tfp_flows as tff


@pytest.mark.parametrize("batch_shape", [(), (7,), (2, 3)])
def test_vectors_of_every_batch_rank(batch_shape):
    conditioner = tff.Conditioner(keras.layers.Dense(5), 3, context_size=2)
    x, context = tf.ones([*batch_shape, 3]), tf.ones([*batch_shape, 2])
    assert conditioner(x, context).shape == (*batch_shape, 5)


@pytest.mark.parametrize("batch_shape", [(), (7,), (2, 3)])
def test_images_of_every_batch_rank_get_the_context_as_maps(batch_shape):
    network = keras.layers.Conv2D(5, 1, kernel_initializer="ones")
    conditioner = tff.Conditioner(network, (4, 6, 2), context_size=3)
    x, context = tf.zeros([*batch_shape, 4, 6, 2]), tf.ones([*batch_shape, 3])
    output = conditioner(x, context)
    assert output.shape == (*batch_shape, 4, 6, 5)
    np.testing.assert_allclose(output, 3.0)


def test_lists_the_variables_of_the_network_at_once():
    network = keras.Sequential([keras.layers.Dense(4), keras.layers.Dense(5)])
    conditioner = tff.Conditioner(network, 3)
    assert all(isinstance(v, tf.Variable) for v in conditioner.variables)
    assert {id(v) for v in conditioner.variables} == {
        id(v.value) for v in network.variables
    }


def test_network_is_always_called_in_evaluation_mode():
    conditioner = tff.Conditioner(keras.layers.Dropout(0.5), 100)
    np.testing.assert_array_equal(conditioner(tf.ones([3, 100])), 1.0)


def test_plain_data_rebuilds_it():
    conditioner = tff.Conditioner(tff.MLP(4, (8,), seed=1), 3, context_size=2, name="c")
    twin = tff.Conditioner.from_config(
        {**conditioner.get_config(), "network": tff.MLP(4, (8,), seed=1)}
    )
    assert (twin.name, twin.context_size) == ("c", 2)
    x = tf.ones([5, 3]), tf.ones([5, 2])
    np.testing.assert_array_equal(twin(*x), conditioner(*x))
