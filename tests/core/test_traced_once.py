"""What a graph does many times is traced once, with the same results and gradients."""

import numpy as np
import pytest
import tensorflow as tf
from subject import close

import tfp_flows as tff
from tfp_flows.core.compiled import traced_once
from tfp_flows.networks.forward_substitution import block_bounds


class Cubes:
    """A function that counts its traces; all are equal."""

    def __init__(self, counts):
        self._counts = counts

    def __eq__(self, other):
        return type(self) is type(other)

    def __hash__(self):
        return 0

    def __call__(self, factor, x):
        self._counts.append(x.shape)
        return factor * x**3


@pytest.mark.parametrize("inline", [True, False])
def test_equal_calls_of_a_graph_share_a_trace(inline):
    counts, factors = [], []

    def call(x, factor):
        factors.append(factor)
        return traced_once(Cubes(counts), (factor,), (x,), inline=inline)

    @tf.function(autograph=False)
    def both(x):
        y = call(call(x, 2.0), 2.0)
        z = tf.while_loop(lambda i, _: i < 3, lambda i, z: (i + 1, call(z, 0.5)), (0, x))
        return y, z[1], call(x[:1], 2.0)

    x = tf.constant([1.0, -0.5])
    y, z, first = both(x)
    # Two factors, and another shape.
    assert len(factors) == 4
    assert len(counts) == 3
    close(y, 2.0 * (2.0 * x**3) ** 3)
    close(z, 0.5 * (0.5 * (0.5 * x**3) ** 3) ** 3)
    close(first, 2.0 * x[:1] ** 3)


def test_eager_calls_and_xla_share_nothing():
    counts = []
    x = tf.constant([1.0, -0.5])

    def twice(x):
        y = traced_once(Cubes(counts), (2.0,), (x,), inline=True)
        return traced_once(Cubes(counts), (2.0,), (y,), inline=True)

    for function in (twice, tf.function(twice, autograph=False, jit_compile=True)):
        counts.clear()
        close(function(x), 2.0 * (2.0 * x**3) ** 3)
        assert len(counts) == 2


def test_gradients_pass_through_a_shared_trace():
    def gradient(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = traced_once(Cubes([]), (2.0,), (x,), inline=True)
            y = traced_once(Cubes([]), (2.0,), (y,), inline=True)
        return tape.gradient(y, x)

    x = tf.constant([1.0, -0.5])
    close(tf.function(gradient, autograph=False)(x), gradient(x))


@pytest.mark.parametrize("coupling", [False, True])
def test_maps_of_splines_are_traced_once_for_all_steps(coupling):
    def nodes(num_steps):
        flow = tff.NeuralSplineFlow(
            4, coupling=coupling, num_steps=num_steps, standardize=False, seed=0
        )
        call = tf.function(flow.inverse_and_log_det, autograph=False)
        graph = call.get_concrete_function(tf.TensorSpec([None, 4])).graph.as_graph_def()
        return [node.op for node in graph.node], len(graph.library.function)

    # A coupling has a second spline, whose parameters all rows share.
    num_maps = 2 if coupling else 1
    (few, functions), (many, same_functions) = nodes(1), nodes(4)
    assert (functions, same_functions) == (num_maps, num_maps)
    calls = [ops.count("PartitionedCall") for ops in (few, many)]
    assert calls == [num_maps, 4 * num_maps]


@pytest.mark.parametrize(
    ("num_levels", "width", "num_blocks"),
    [(6, 64, 1), (43, 64, 1), (63, 64, 2), (63, 512, 4), (784, 2048, 8), (43, 1, 1)],
)
def test_small_substitutions_have_fewer_blocks(num_levels, width, num_blocks):
    bounds = block_bounds(num_levels, width)
    assert len(bounds) == num_blocks + 1
    np.testing.assert_array_equal(bounds, np.unique(bounds))
    assert (bounds[0], bounds[-1]) == (0, num_levels)


def test_noise_is_traced_once_for_all_components_of_a_mixture():
    def nodes(num_components):
        normal = tff.standard_normal(2)
        flows = [tff.RealNVP(2, num_steps=1, seed=k) for k in range(num_components)]
        mixture = tff.distributions.Mixture(
            [tff.FlowDistribution(normal, f) for f in flows]
        )
        signature = [tf.TensorSpec([], tf.int32), tf.TensorSpec([2], tf.int32)]
        draw = tf.function(mixture.draw_rows, signature, autograph=False)
        graph = draw.get_concrete_function().graph.as_graph_def()
        return [node.op for node in graph.node], len(graph.library.function)

    (few, functions), (many, same_functions) = nodes(1), nodes(3)
    assert (functions, same_functions) == (1, 1)
    assert (few.count("PartitionedCall"), many.count("PartitionedCall")) == (1, 3)
