"""Gradients of splines, which are written out, against those of the paper's formulas."""

import numpy as np
import pytest
import tensorflow as tf

from tfp_flows.transformers import spline

RNG = np.random.default_rng(0)
COUNT = 200


def rise_and_log_slope(t, s, d_0, d_1):
    """Equations 4 and 5 of Durkan et al. (2019)."""
    p = s + (d_1 + d_0 - 2.0 * s) * t * (1.0 - t)
    rise = (s * t**2 + d_0 * t * (1.0 - t)) / p
    slope = s**2 * (d_1 * t**2 + 2.0 * s * t * (1.0 - t) + d_0 * (1.0 - t) ** 2) / p**2
    return rise, tf.math.log(slope)


def place_of_rise(r, s, d_0, d_1):
    """Equations 6 to 8 of Durkan et al. (2019), for a bin of height and width 1 and s."""
    a = s - d_0 + r * (d_1 + d_0 - 2.0 * s)
    b = d_0 - r * (d_1 + d_0 - 2.0 * s)
    c = -s * r
    return 2.0 * c / (-b - tf.sqrt(b**2 - 4.0 * a * c))


def first_and_second(function, arguments, weights):
    """Values, gradients of a weighted sum, and gradients of a sum of these gradients."""
    with tf.GradientTape() as outer:
        outer.watch(arguments)
        with tf.GradientTape() as inner:
            inner.watch(arguments)
            values = tf.nest.flatten(function(*arguments))
            loss = sum(tf.reduce_sum(w * v) for w, v in zip(weights, values, strict=False))
        gradients = inner.gradient(loss, arguments)
        again = sum(tf.reduce_sum(weights[0] * gradient) for gradient in gradients)
    return values, gradients, outer.gradient(again, arguments)


@pytest.mark.parametrize("is_graph", [False, True])
@pytest.mark.parametrize(
    ("function", "formula"),
    [
        (spline._rise_and_log_slope, rise_and_log_slope),
        (spline._place_of_rise, place_of_rise),
    ],
)
def test_gradients_are_those_of_the_formulas(function, formula, is_graph):
    place = RNG.uniform(0.01, 0.99, size=COUNT)
    slopes = np.exp(RNG.normal(size=[3, COUNT]))
    arguments = [tf.constant(array) for array in (place, *slopes)]
    weights = [tf.constant(array) for array in RNG.normal(size=[2, COUNT])]
    call = tf.function(function, autograph=False) if is_graph else function
    found = first_and_second(call, arguments, weights)
    expected = first_and_second(formula, arguments, weights)
    for actual, desired in zip(
        tf.nest.flatten(found), tf.nest.flatten(expected), strict=True
    ):
        np.testing.assert_allclose(actual, desired, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("inverse", [False, True])
def test_no_gradient_is_a_sum_of_three_in_any_order(inverse):
    transformer = spline.RationalQuadraticSpline(4)
    method = "inverse_and_log_det" if inverse else "forward_and_log_det"

    @tf.function(autograph=False)
    def gradients(x, parameters):
        with tf.GradientTape() as tape:
            tape.watch([x, parameters])
            y, log_det = getattr(transformer, method)(x, parameters)
            loss = tf.reduce_sum(y * log_det)
        return tape.gradient(loss, [x, parameters])

    shapes = [5, 2], [5, transformer.num_parameters, 2]
    graph = gradients.get_concrete_function(*map(tf.TensorSpec, shapes)).graph
    definition = graph.as_graph_def()
    nodes = [*definition.node]
    for function in definition.library.function:
        nodes += function.node_def
    sizes = [node.attr["N"].i for node in nodes if node.op == "AddN"]
    assert nodes
    assert max(sizes, default=0) <= 2
