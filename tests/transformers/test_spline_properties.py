"""Splines of any number of bins, bound, dtype and parameters, at any point."""

import math

import hypothesis
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import strategies as st
from property_settings import examples

from tfp_flows import transformers

SETTINGS = examples(15)
# Bins and bounds.
SHAPES = {"several": (5, 0.75), "few": (2, 3.0), "many": (8, 100.0)}
EPS = {"float32": 1.2e-7, "float64": 2.3e-16}
DTYPES = pytest.mark.parametrize("dtype", EPS)
METHODS = ["forward_and_log_det", "inverse_and_log_det"]
ROWS = 16


def splines(num_bins, bound):
    return {
        "line": transformers.RationalQuadraticSpline(num_bins, bound),
        "circle": transformers.CircularSpline(num_bins, bound),
    }


def with_gradients(function, x, parameters):
    """Value and log-det, and all of their gradients."""
    with tf.GradientTape(persistent=True) as tape:
        tape.watch([x, parameters])
        results = function(x, parameters)
    gradients = [tape.gradient(r, [x, parameters]) for r in results]
    return *results, *gradients[0], *gradients[1]


def knots(spline, parameters):
    """Positions of knots in x and in y, and slopes, `[K + 1, ROWS]` each."""
    return [np.asarray(part) for part in spline.constrain(parameters)[:3]]


parameters_of = st.one_of(
    st.sampled_from([0.0, 1.0, -50.0, 50.0, 1e4, -1e4, 1e30, -1e30]).map(
        lambda value: ("constant", value, 0)
    ),
    st.tuples(
        st.just("drawn"), st.sampled_from([0.1, 1.0, 5.0, 100.0]), st.integers(0, 2**20)
    ),
)
points_of = st.lists(
    st.one_of(
        st.floats(-2.0, 2.0),  # in units of the bound
        st.sampled_from([-1e30, 1e30, 1e-30, 0.0, -1.0, 1.0]),
    ),
    min_size=ROWS,
    max_size=ROWS,
)


def arrays(spec, spline, dtype):
    kind, size, seed = spec
    shape = [spline.num_parameters, ROWS]
    values = np.full(shape, size)
    if kind == "drawn":
        values = np.random.default_rng(seed).normal(scale=size, size=shape)
    return tf.constant(values, dtype)


@pytest.mark.slow_ids("circle-f*", "circle-*32", "line-*64", "line-inverse*")
@DTYPES
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", ["line", "circle"])
@SETTINGS
@hypothesis.given(shape=st.sampled_from(list(SHAPES)), spec=parameters_of, points=points_of)
def test_values_and_gradients_are_finite(kind, method, dtype, shape, spec, points):
    num_bins, bound = SHAPES[shape]
    spline = splines(num_bins, bound)[kind]
    parameters = arrays(spec, spline, dtype)
    x = np.array(points) * bound
    # Also at the knots themselves.
    axis = METHODS.index(method)
    at_knots = knots(spline, parameters)[axis][: ROWS // 2, 0]
    x[: len(at_knots)] = at_knots
    x = tf.constant(x, dtype)
    with_knots = tf.concat([parameters[:, :1]] * ROWS, axis=1)
    plain = with_gradients(getattr(spline, method), x, with_knots)
    for result in plain:
        assert np.isfinite(result).all()
    value, log_det = (np.asarray(part) for part in plain[:2])
    if kind == "line":
        outside = np.abs(x) > np.asarray(bound, dtype)
        np.testing.assert_array_equal(value[outside], np.asarray(x)[outside])
        np.testing.assert_array_equal(log_det[outside], 0.0)
        value = value[~outside]
    assert (np.abs(value) <= bound * (1.0 + 8.0 * EPS[dtype])).all()


@DTYPES
@SETTINGS
@hypothesis.given(
    num_bins=st.integers(2, 40),
    bound=st.floats(1e-3, 1e3),
    spec=parameters_of,
    seed=st.integers(0, 2**20),
)
def test_rises_and_is_undone_as_far_as_numbers_of_its_dtype_tell(
    dtype, num_bins, bound, spec, seed
):
    spline = transformers.RationalQuadraticSpline(num_bins, bound)
    parameters = tf.tile(arrays(spec, spline, dtype)[:, :1], [1, 64])
    x = np.sort(np.random.default_rng(seed).uniform(-1.1 * bound, 1.1 * bound, size=64))
    x = tf.constant(x, dtype)
    y, log_det = (np.asarray(a) for a in spline.forward_and_log_det(x, parameters))
    rounding = 8.0 * num_bins * EPS[dtype] * bound
    assert np.diff(y).min() >= -rounding
    points = tf.stack([tf.constant(y + d * rounding, dtype) for d in (-1.0, 0.0, 1.0)])
    back, minus_log_det = spline.inverse_and_log_det(points, parameters)
    low, back, high = np.asarray(back)
    # What is near to y goes to what is near to x, in proportion to the slopes there.
    x = np.asarray(x)
    assert (low - rounding <= np.minimum(x, back)).all()
    assert (high + rounding >= np.maximum(x, back)).all()
    known = high - low < 1e-3 * bound / num_bins
    if dtype == "float64" and spec[1] <= 1.0:
        np.testing.assert_allclose(-minus_log_det[1][known], log_det[known], atol=1e-5)


@SETTINGS
@hypothesis.given(
    num_bins=st.integers(2, 40),
    scale=st.sampled_from([0.1, 1.0, 2.0]),
    seed=st.integers(0, 2**20),
)
def test_a_circle_is_mapped_to_the_circle_once(num_bins, scale, seed):
    spline = transformers.CircularSpline(num_bins)
    parameters = tf.tile(arrays(("drawn", scale, seed), spline, "float64")[:, :1], [1, 400])
    angles = tf.constant(np.linspace(-math.pi, math.pi, 400, endpoint=False))
    y, log_det = spline.forward_and_log_det(angles, parameters)
    turns = np.diff(np.append(y, y[0]))
    assert np.sum(turns < 0.0) == 1  # where it starts anew
    np.testing.assert_allclose(np.sum(np.mod(turns, 2.0 * math.pi)), 2.0 * math.pi)
    turned, same = spline.forward_and_log_det(angles + 4.0 * math.pi, parameters)
    np.testing.assert_allclose(np.cos(turned), np.cos(y), atol=1e-9)
    np.testing.assert_allclose(same, log_det, atol=1e-6)
    back, _ = spline.inverse_and_log_det(y, parameters)
    known = np.abs(log_det) < 5.0
    np.testing.assert_allclose(np.cos(back)[known], np.cos(angles)[known], atol=1e-9)


@pytest.mark.parametrize("kind", ["RationalQuadraticSpline", "CircularSpline"])
def test_other_variables_and_numbers_of_bins_are_refused(kind):
    make = getattr(transformers, kind)
    for num_bins in (1, 501, 2.0):
        with pytest.raises(ValueError, match="integer `num_bins` from 2 to 500; got"):
            make(num_bins)
    for leading in ([], [5]):
        parameters = tf.zeros([*leading, make(4).num_parameters, 3])
        words = r"parameters` of shape .* D variables; got .*, 3\) for values \(5, 2\)"
        with pytest.raises(ValueError, match=words):
            make(4).forward_and_log_det(tf.zeros([5, 2]), parameters)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("num_bins", [2, 8])
def test_slopes_at_knots_and_at_their_neighbours_are_not_lost(num_bins, method):
    # Sums of shares round in two ways, so that a value may lie before its bin's left end.
    spline = transformers.RationalQuadraticSpline(num_bins, 3.0)
    drawn = np.random.default_rng(num_bins).normal(size=(spline.num_parameters, 1))
    parameters = tf.constant(drawn, tf.float32)
    at_knots = knots(spline, parameters)[METHODS.index(method)][1:-1, 0]
    x = np.concatenate([np.nextafter(at_knots, at_knots + d) for d in (-1, 0, 1)])
    x = tf.constant(x[:, None], tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y, log_det = getattr(spline, method)(x, parameters)
    np.testing.assert_allclose(tape.gradient(y, x), np.exp(log_det), rtol=1e-4)
