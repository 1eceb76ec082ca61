import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from subject import close

import tfp_flows as tff

tfb = tfp.bijectors
INFINITY = np.inf
LOW, HIGH = [0.0, -INFINITY, -3.0, -INFINITY], [2.0, 5.0, INFINITY, INFINITY]
INSIDE = np.array([[0.5, 4.0, -1.0, 100.0], [1.9, -50.0, 30.0, -2.0]])
OUTSIDE = [
    [-0.1, 0.0, 0.0, 0.0],
    [2.1, 0.0, 0.0, 0.0],
    [1.0, 5.1, 0.0, 0.0],
    [1.0, 0.0, -3.1, 0.0],
]


def test_bounds_equal_stock_bijectors():
    bounds = tff.Bounds(LOW, HIGH, dtype=tf.float64)
    minus = tfb.Scale(np.float64(-1.0))
    minus_exp = tfb.Chain([tfb.Shift(np.float64(5.0)), minus, tfb.Exp(), minus])
    stock = [
        tfb.Sigmoid(low=np.float64(0.0), high=np.float64(2.0)),
        minus_exp,
        tfb.Chain([tfb.Shift(np.float64(-3.0)), tfb.Exp()]),
        tfb.Identity(),
    ]
    x, log_det = bounds.inverse_and_log_det(INSIDE)
    columns = [tf.constant(column) for column in INSIDE.T]
    pairs = list(zip(stock, columns, strict=True))
    close(x, np.stack([b.inverse(c) for b, c in pairs], axis=-1))
    parts = [b.inverse_log_det_jacobian(c, 0) * np.ones(2) for b, c in pairs]
    close(log_det, np.sum(parts, axis=0))


def test_logit_formula():
    y = np.random.default_rng(0).uniform(size=(7, 3))
    alpha = 0.05
    u = alpha + (1 - 2 * alpha) * y
    x, log_det = tff.Logit(alpha, dtype=tf.float64).inverse_and_log_det(y)
    close(x, np.log(u) - np.log1p(-u))
    close(log_det, np.sum(np.log(1 - 2 * alpha) - np.log(u) - np.log1p(-u), axis=-1))


def test_logit_without_margin_equals_stock_sigmoid():
    y = np.random.default_rng(0).uniform(0.01, 0.99, size=(7, 3))
    x, log_det = tff.Logit(0.0, dtype=tf.float64).inverse_and_log_det(y)
    close(x, tfb.Sigmoid().inverse(tf.constant(y)))
    close(log_det, tfb.Sigmoid().inverse_log_det_jacobian(tf.constant(y), event_ndims=1))


def density(bijector, size):
    flow = tff.RealNVP(size, num_steps=1, hidden_units=(4,), standardize=False, seed=0)
    base = tff.standard_normal(size)
    return tff.FlowDistribution(base, tff.FlowChain([bijector, flow]))


@pytest.mark.parametrize("point", OUTSIDE)
def test_points_outside_bounds_have_density_zero_and_finite_gradients(point):
    distribution = density(tff.Bounds(LOW, HIGH), 4)
    rows = tf.constant([point, [1.0, 1.0, 1.0, 1.0]])
    with tf.GradientTape() as tape:
        tape.watch(rows)
        log_prob = distribution.log_prob(rows)
        loss = tf.reduce_sum(tf.where(tf.math.is_finite(log_prob), log_prob, 0.0))
    weights = distribution.trainable_variables
    assert log_prob[0] == -np.inf
    assert np.isfinite(log_prob[1])
    for gradient in tape.gradient(loss, [rows, *weights]):
        assert np.isfinite(gradient).all()


@pytest.mark.parametrize("point", [[-0.1, 0.5], [0.5, 1.2], [9.0, -9.0]])
def test_points_outside_the_unit_interval_have_density_zero(point):
    log_prob = density(tff.Logit(0.0), 2).log_prob(np.array([point], np.float32))
    assert log_prob[0] == -np.inf


@pytest.mark.parametrize("edge", [[0.0, 5.0, -3.0, 0.0], [2.0, 5.0, -3.0, 0.0]])
def test_ends_of_intervals_are_finite(edge):
    x, log_det = tff.Bounds(LOW, HIGH).inverse_and_log_det(np.array([edge], np.float32))
    assert np.isfinite(x).all()
    assert np.isfinite(log_det).all()


def test_samples_never_leave_the_bounds():
    latent = np.array([[-1e4] * 4, [-50.0] * 4, [0.0] * 4, [50.0] * 4], np.float32)
    y = tff.Bounds(LOW, HIGH).forward_and_log_det(latent)[0]
    assert np.all(y >= LOW)
    assert np.all(y <= HIGH)
    y = tff.Logit(0.0).forward_and_log_det(latent)[0]
    assert np.all((y >= 0.0) & (y <= 1.0))


ALPHAS = [0.0, *np.geomspace(1e-9, 0.499, 50), *(5.0 / 10 ** np.arange(2, 9))]
ALPHAS += [d / 10.0**k for k in range(2, 9) for d in (1, 3)]


# XLA takes up to a second for each.
@pytest.mark.slow_ids("dtype0-alphas0-False", "dtype1-alphas0-False")
@pytest.mark.parametrize(
    ("alphas", "jit_compile"), [(ALPHAS, False), ([0.0, 0.05, 1e-3, 5e-4, 2e-4], True)]
)
@pytest.mark.parametrize("dtype", [tf.float32, tf.float64])
def test_saturated_values_of_a_logit_are_inside_it_and_their_neighbours_are_not(
    dtype, alphas, jit_compile
):
    logits = [tff.Logit(alpha, event_ndims=0, dtype=dtype) for alpha in alphas]
    latent = tf.constant([-np.inf, -1e4, -104.0, -17.0, 17.0, 37.0, 1e4, np.inf], dtype)

    @tf.function(jit_compile=jit_compile, autograph=False)
    def ends():
        return tf.stack([logit.forward_and_log_det(latent)[0] for logit in logits])

    @tf.function(jit_compile=jit_compile, autograph=False)
    def log_dets(points):
        pairs = zip(logits, tf.unstack(points), strict=True)
        return tf.stack([logit.inverse_and_log_det(y)[1] for logit, y in pairs])

    y = ends().numpy()
    assert np.isfinite(log_dets(y)).all()
    alphas = np.array(alphas)[:, None]
    ends_by_hand = np.concatenate([-alphas, 1.0 - alphas], axis=1) / (1.0 - 2.0 * alphas)
    np.testing.assert_allclose(y[:, [0, -1]], ends_by_hand, rtol=4 * np.finfo(y.dtype).eps)
    # XLA takes numbers too small to be normal for zero.
    margin = np.maximum(8 * np.finfo(y.dtype).eps * np.abs(ends_by_hand), 1e-30)
    beyond = (ends_by_hand + margin * [-1.0, 1.0]).astype(y.dtype)
    assert np.all(log_dets(beyond) == -np.inf)


@pytest.mark.parametrize("bijector", [tff.Logit(0.05), tff.Bounds([0.0] * 4, HIGH)])
def test_not_a_number_is_not_outside(bijector):
    rows = np.array([[0.5] * 4, [0.5, np.nan, 0.5, 0.5]], np.float32)
    x, log_det = bijector.inverse_and_log_det(rows)
    assert np.isfinite(x[0]).all()
    assert np.isnan(x[1, 1])
    assert np.isnan(log_det).tolist() == [False, True]
