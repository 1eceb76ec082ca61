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
from tfp_flows.bijectors.partition import partition

pytestmark = pytest.mark.usefixtures("all_op_by_op")

tfb = tfp.bijectors
T, F = True, False
RNG = np.random.default_rng(0)
X = RNG.normal(size=(7, 5))


def coupling(mask, transformer, **kwargs):
    units = transformer.num_parameters * int((~mask).sum())
    network = tff.MLP(units, (4,), activation="tanh", dtype="float64", seed=0)
    conditioner = tff.Conditioner(network, int(mask.sum()))
    return randomize(
        tff.Coupling(mask, conditioner, transformer, dtype=tf.float64, **kwargs)
    )


@pytest.mark.parametrize(
    "mask",
    [
        np.arange(2) % 2 == 0,
        np.arange(6) % 2 == 0,
        np.arange(7) % 2 == 1,
        np.arange(11) // 2 % 2 == 0,
        np.arange(40) // 2 % 2 == 1,
        np.arange(9) // 4 % 2 == 1,
        np.tile(np.arange(6) % 2 == 0, [2, 3, 1]),
    ],
)
def test_split_and_join_are_those_of_boolean_indices(mask):
    x = RNG.normal(size=(3, *mask.shape))
    parts = partition(mask)
    seen, changing = parts.split(tf.constant(x))
    along = mask.reshape(-1, mask.shape[-1])[0]
    np.testing.assert_array_equal(seen, x[..., along])
    np.testing.assert_array_equal(changing, x[..., ~along])
    np.testing.assert_array_equal(parts.join(seen, changing), x)


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
    y, zeroed = ours.forward(image), seen[-1]
    np.testing.assert_array_equal(zeroed, np.where(mask, image, 0.0))
    np.testing.assert_array_equal(np.where(mask, y, 0.0), zeroed)


def test_layer_that_does_not_tell_its_output_shape_is_checked_too():
    class Repeated(keras.layers.Layer):
        def call(self, x):
            return tf.repeat(x, 4, axis=-1)

    conditioner = tff.Conditioner(Repeated(), 1)
    assert tff.Coupling(masks.half(3), conditioner).forward(tf.ones([2, 3])).shape == (2, 3)
    with pytest.raises(ValueError, match=r"`output_shape` \(2,\).*got \(4,\)"):
        tff.Coupling(masks.half(2), conditioner)


@pytest.mark.parametrize(
    ("mask", "expected"),
    [
        (masks.alternating(5), [T, F, T, F, T]),
        (masks.alternating(5, start=False), [F, T, F, T, F]),
        (masks.half(5), [T, T, F, F, F]),
        (masks.half(5, start=False), [F, F, T, T, T]),
        (masks.checkerboard((2, 3, 1))[..., 0], [[T, F, T], [F, T, F]]),
        (masks.checkerboard((1, 2, 2), start=False)[0], [[F, F], [T, T]]),
        (masks.channel_half((1, 2, 3))[0], [[T, F, F], [T, F, F]]),
        (masks.channel_half((1, 1, 3), start=False)[0, 0], [F, T, T]),
    ],
)
def test_masks_written_out(mask, expected):
    assert mask.dtype == bool
    np.testing.assert_array_equal(mask, expected)
