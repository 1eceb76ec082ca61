"""Rows solved for level by level, beside whole products repeated until nothing changes."""

import numpy as np
import pytest
import tensorflow as tf

from tfp_flows.networks import forward_substitution
from tfp_flows.networks.forward_substitution import Layer

# Level of each hidden unit: one a level, several, none at some, and one level only.
HIDDEN_LEVELS = {
    "even": np.arange(12),
    "wide": np.repeat(np.arange(12), 5),
    "uneven": np.array([0, 0, 0, 2, 3, 3, 7, 7, 7, 7, 11, 12]),
    "late": np.array([8, 8, 11]),
    "one level": np.zeros(4, int),
    "one level, none due": np.ones(4, int),
}


@pytest.mark.parametrize("bounds", [[0, 12], [0, 3, 8, 12], list(range(13)), None], ids=str)
@pytest.mark.parametrize("name", HIDDEN_LEVELS)
@pytest.mark.parametrize("rows_a_level", [1, 2])
@pytest.mark.usefixtures("op_by_op")
def test_equals_whole_products(rows_a_level, name, bounds, rng, monkeypatch):
    hidden_levels = HIDDEN_LEVELS[name]
    num_levels = 1 if name.startswith("one level") else 12
    if bounds is not None and num_levels > 1:
        monkeypatch.setattr(forward_substitution, "block_bounds", lambda _: bounds)
    levels = np.repeat(np.arange(num_levels), rows_a_level)
    first = rng.normal(size=(len(hidden_levels), len(levels)))
    first *= levels < hidden_levels[:, None]
    second = rng.normal(size=(len(levels), len(hidden_levels)))
    second *= hidden_levels <= levels[:, None]
    direct = rng.normal(size=(len(levels), len(levels))) * (levels < levels[:, None])
    inputs = rng.normal(size=(num_levels, rows_a_level, 3))
    base = rng.normal(size=(len(hidden_levels), 3))
    scale = rng.uniform(1.0, 2.0, size=base.shape)

    def solve_level(inputs, rows, total):
        values = rows + inputs[0]
        return values, total + tf.reduce_sum(values)

    hidden = Layer(
        hidden_levels, tf.constant(base), [(0, tf.constant(first))], tf.constant(scale)
    )
    zeros = tf.zeros([len(levels), 1], tf.float64)
    last = Layer(levels, zeros, [(1, tf.constant(second)), (0, tf.constant(direct))])
    rows, total = tf.function(
        lambda: forward_substitution.substitute(
            levels,
            [hidden, last],
            tf.tanh,
            [tf.constant(inputs)],
            solve_level,
            tf.zeros([], tf.float64),
        ),
        autograph=False,
    )()

    expected = np.zeros((len(levels), 3))
    for _ in range(num_levels):
        values = np.tanh((base + first @ expected) * scale)
        expected = second @ values + direct @ expected + inputs.reshape(expected.shape)
    np.testing.assert_allclose(rows, expected, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(total, expected.sum(), rtol=1e-12)
