"""Arguments of layers: widths, activations, dropout and seeds."""

import operator
from collections.abc import Callable, Sequence

import keras
import numpy as np
import tensorflow as tf

from tfp_flows.core.arguments import (
    check_callable,
    check_seed,
    check_share,
    check_widths,
    require,
)


def check_hidden_units(
    hidden_units: int | Sequence[int], residual: bool
) -> tuple[int, ...]:
    """Returns `hidden_units`, equal ones if `residual`, as a tuple of integers."""
    hidden_units = check_widths("hidden_units", hidden_units)
    are_equal = not residual or len(set(hidden_units)) == 1
    words = "equal `hidden_units`, at least one, in a residual network"
    require(are_equal, words, hidden_units)
    return hidden_units


def get_activation(activation: str | dict | Callable | None) -> Callable:
    """Returns `activation`, a function or its Keras name; None is the identity."""
    if activation is not None and not isinstance(activation, (str, dict)):
        check_callable("activation", activation, "a function or the name of one of Keras's")
    try:
        return keras.activations.get(activation)
    except ValueError as error:
        raise ValueError(
            f"Expected `activation`, a function or the name of one of Keras's; got "
            f"{activation!r}."
        ) from error


def get_elementwise_activation(
    activation: str | dict | Callable | None, dtype: str
) -> Callable:
    """Returns `get_activation(activation)` if it maps each unit by itself.

    Others, such as softmax and glu, would let units see inputs that the masks hide.
    """
    function = get_activation(activation)
    rows = np.array([[-0.5, 0.7], [-0.5, -1.7]], np.float32)
    with tf.init_scope():
        values = np.asarray(function(tf.constant(rows, dtype)), np.float64)
    is_elementwise = values.shape == rows.shape and np.isclose(*values[:, 0])
    words = "`activation` that maps each unit by itself, since masks hide others"
    require(is_elementwise, words, repr(activation))
    return function


class PhiloxDropout(keras.layers.Dropout):
    """Keras's dropout, with the generator that TensorFlow takes without XLA.

    On processors, the one that it takes under XLA is 25 to 100 times as slow.
    """

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Drops units in training, and scales the others."""
        if not training:
            return inputs
        state = self.seed_generator.next()  # 64 bits, of which XLA takes 32
        seed = tf.cast(state % (tf.int32.max - 1), tf.int32)
        return tf.nn.experimental.stateless_dropout(
            inputs, self.rate, seed, rng_alg="philox"
        )


def dropout_layer(dropout: float, seed: int | None, dtype: str) -> keras.Layer:
    """Returns a layer that drops a fraction of the units in training; stateless at 0."""
    check_share("dropout", dropout, may_be_zero=True)
    if not dropout:
        return keras.layers.Identity(dtype=dtype)
    return PhiloxDropout(dropout, seed=seed, dtype=dtype)


def split_seed(seed: int | None, count: int) -> list:
    """Returns `count` independent seeds derived from `seed`; Nones if it is None."""
    check_seed("seed", seed)
    if seed is None:
        return [None] * count
    return np.random.SeedSequence(operator.index(seed)).generate_state(count).tolist()
