import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from random_weights import randomize
from subject import close
from transformer_cases import CASES as TRANSFORMERS

import tfp_flows as tff
from tfp_flows import masks
from tfp_flows import transformers

tfb = tfp.bijectors
X = np.random.default_rng(0).normal(size=(7, 5))


def coupling(mask, transformer, **kwargs):
    units = transformer.num_parameters * int((~mask).sum())
    network = tff.MLP(units, (4,), activation="tanh", dtype="float64", seed=0)
    conditioner = tff.Conditioner(network, int(mask.sum()))
    return randomize(
        tff.Coupling(mask, conditioner, transformer, dtype=tf.float64, **kwargs)
    )


def test_equals_stock_real_nvp_with_the_same_network():
    ours = coupling(masks.half(5), tff.Affine(transformers.exp_scale))

    def shift_and_log_scale(x, output_units):
        return tf.split(ours.conditioner(x), 2, axis=-1)

    stock = tfb.RealNVP(num_masked=2, shift_and_log_scale_fn=shift_and_log_scale)
    y, log_det = ours.forward_and_log_det(X)
    close(y, stock.forward(X))
    close(log_det, stock.forward_log_det_jacobian(X, event_ndims=1))
    x, log_det = ours.inverse_and_log_det(X)
    close(x, stock.inverse(tf.constant(X)))
    close(log_det, stock.inverse_log_det_jacobian(tf.constant(X), event_ndims=1))


@pytest.mark.parametrize("name", ["affine", "spline"])
def test_formula_with_an_irregular_mask(name):
    mask = np.array([True, False, False, True, False])
    transformer = TRANSFORMERS[name].build()
    ours = coupling(mask, transformer)
    outputs = ours.conditioner(tf.constant(X[:, mask]))
    parameters = tf.split(outputs, transformer.num_parameters, axis=-1)
    changed, each_log_det = TRANSFORMERS[name].plain(tf.constant(X[:, ~mask]), *parameters)
    y, log_det = ours.forward_and_log_det(X)
    close(np.asarray(y)[:, mask], X[:, mask])
    close(np.asarray(y)[:, ~mask], changed)
    close(log_det, tf.reduce_sum(each_log_det, axis=-1))


def test_checkerboard_conditioner_sees_zeros_in_place_of_what_changes():
    mask = np.indices((2, 4, 1))[:2].sum(axis=0) % 2 == 0
    seen = []

    def conditioner(x, context):
        seen.append(x)
        return tf.concat([x, x], axis=-1)

    ours = tff.Coupling(mask, conditioner)
    image = np.random.default_rng(0).normal(size=(3, 2, 4, 1)).astype(np.float32)
    y = tf.function(lambda: (ours.forward_and_log_det(image)[0], seen[-1]))
    y, zeroed = y()
    np.testing.assert_array_equal(zeroed, np.where(mask, image, 0.0))
    np.testing.assert_array_equal(np.where(mask, y, 0.0), zeroed)


def dense(seen_shape, units):
    return tff.Conditioner(keras.layers.Dense(units), seen_shape)


CHECKERBOARD = masks.checkerboard((2, 4, 3))
CHANNELS = masks.channel_half((2, 4, 3))  # one passes, two change


@pytest.mark.parametrize(
    ("mask", "conditioner", "message"),
    [
        (masks.half(4), dense(2, 2), r"`output_shape` \(4,\).*`Affine`; got \(2,\)"),
        (masks.half(4), dense(3, 4), r"`input_shape` \(2,\).*got \(3,\)"),
        (CHANNELS, dense((2, 4, 1), 2), r"`output_shape` \(2, 4, 4\).*got \(2, 4, 2\)"),
        (CHANNELS, dense((2, 4, 3), 4), r"`input_shape` \(2, 4, 1\).*got \(2, 4, 3\)"),
        (CHECKERBOARD, dense((2, 4, 3), 2), r"\(2, 4, 6\).*got \(2, 4, 2\)"),
        (CHECKERBOARD, dense((1, 4, 3), 6), r"\(2, 4, 3\).*got \(1, 4, 3\)"),
    ],
)
def test_conditioner_of_another_shape_is_refused(mask, conditioner, message):
    """It might broadcast: such a density of four variables integrated to 1.33."""
    with pytest.raises(ValueError, match=message):
        tff.Coupling(mask, conditioner)


def test_layer_that_does_not_tell_its_output_shape_is_checked_too():
    class Repeated(keras.layers.Layer):
        def call(self, x):
            return tf.repeat(x, 4, axis=-1)

    conditioner = tff.Conditioner(Repeated(), 1)
    assert tff.Coupling(masks.half(3), conditioner).forward(tf.ones([2, 3])).shape == (2, 3)
    with pytest.raises(ValueError, match=r"`output_shape` \(2,\).*got \(4,\)"):
        tff.Coupling(masks.half(2), conditioner)
