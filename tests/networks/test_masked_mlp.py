"""The masks of the MADE network written out, and its tiles."""

import numpy as np
import pytest
import tensorflow as tf

import tfp_flows as tff
from tfp_flows.networks.masked_mlp import MaskedDense
from tfp_flows.networks.orderings import hidden_degrees


def test_masks_of_a_network_of_three_variables_as_written_out():
    net = tff.MaskedMLP(2, (4, 4), [3, 1, 2], direct=True)
    first, second, last = (layer.mask for layer in net.layers)
    np.testing.assert_array_equal(first, [[0, 0, 0, 0], [1, 1, 1, 1], [0, 0, 1, 1]])
    low, high = [1, 1, 1, 1], [0, 0, 1, 1]
    np.testing.assert_array_equal(second, [low, low, high, high])
    # The columns are in the order of the outputs.
    low, high = [1, 0, 1, 1, 0, 1], [1, 0, 0, 1, 0, 0]
    np.testing.assert_array_equal(last, [low, low, high, high])
    np.testing.assert_array_equal(net.direct_layer.mask, [[0] * 6, low, high])
    # Units of degree 0 let the first variable depend on the context.
    net = tff.MaskedMLP(2, (32, 32), [4, 1, 6, 2, 3, 5], context_size=2)
    assert [layer.out_degrees.min() for layer in net.layers[:-1]] == [0, 0]


def tiles_of(layer, kernel):
    """Cuts a whole kernel, `[inputs, units]`, into the tiles of a layer."""
    rising = np.asarray(kernel).T[layer.rising_units][:, layer.rising_inputs]
    shapes = [part.shape for part in layer.parts()[0]]
    ends = np.cumsum([units for units, _ in shapes])[:-1]
    rows = np.split(rising, ends)
    return [tile[:, :width] for tile, (_, width) in zip(rows, shapes, strict=True)]


@pytest.mark.parametrize("ordering", ["reversed", "random"])
@pytest.mark.parametrize("strict", [True, False])
def test_tiles_change_neither_values_nor_gradients(strict, ordering):
    out_degrees, degrees = np.arange(300, 0, -1), hidden_degrees(512, 300)
    if ordering == "random":
        out_degrees = tff.networks.random_ordering(300, 2)
        degrees = np.random.default_rng(4).permutation(hidden_degrees(512, 300, seed=3))
    layer = MaskedDense(degrees, out_degrees, num_copies=2, strict=strict)
    assert len(layer.parts()[0]) == 4
    rng = np.random.default_rng(0)
    x, kernel = tf.constant(rng.normal(size=(5, 512))), rng.normal(size=layer.shape)
    tiles = [tf.constant(tile) for tile in tiles_of(layer, kernel)]
    whole, bias = tf.constant(kernel), tf.constant(rng.normal(size=layer.shape[1]))
    with tf.GradientTape(persistent=True) as tape:
        tape.watch([x, whole, *tiles])
        plain = x @ (whole * layer.mask) + bias
        tiled = layer.product(x, tiles) + bias
        losses = [tf.reduce_sum(tf.sin(y)) for y in (plain, tiled)]
    np.testing.assert_allclose(tiled, plain, atol=1e-10)
    in_order = (kernel * layer.mask).T[layer.rising_units][:, layer.rising_inputs]
    np.testing.assert_allclose(layer.transposed_kernel(tiles), in_order)
    expected_x, expected_kernel = tape.gradient(losses[0], [x, whole])
    by_x, *by_tiles = tape.gradient(losses[1], [x, *tiles])
    np.testing.assert_allclose(by_x, expected_x, atol=1e-10)
    for ours, expected in zip(by_tiles, tiles_of(layer, expected_kernel), strict=True):
        np.testing.assert_allclose(ours, expected, atol=1e-10)
