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


def test_bounds_equal_stock_bijectors():
    bounds = tff.Bounds(LOW, HIGH, dtype=tf.float64)
    minus = tfb.Scale(np.float64(-1.0))
    minus_exp = tfb.Chain([tfb.Shift(np.float64(5.0)), minus, tfb.Exp(), minus])
    sigmoid = tfb.Sigmoid(low=np.float64(0.0), high=np.float64(2.0))
    above = tfb.Chain([tfb.Shift(np.float64(-3.0)), tfb.Exp()])
    stock = [sigmoid, minus_exp, above, tfb.Identity()]
    x, log_det = bounds.inverse_and_log_det(INSIDE)
    columns = [tf.constant(column) for column in INSIDE.T]
    pairs = list(zip(stock, columns, strict=True))
    close(x, np.stack([b.inverse(c) for b, c in pairs], axis=-1))
    parts = [b.inverse_log_det_jacobian(c, 0) * np.ones(2) for b, c in pairs]
    close(log_det, np.sum(parts, axis=0))


def test_gradients_of_draws_in_large_units_are_finite():
    x = tf.constant([[500.0, 0.0, 0.0, 500.0], [-500.0, 0.0, 0.0, -500.0]])
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = tff.Bounds(LOW, HIGH).forward(x)
    np.testing.assert_array_equal(tape.gradient(y, x), [[0.0, 1.0, 1.0, 1.0]] * 2)


@pytest.mark.parametrize("alpha", [0.0, 0.05])
def test_logit_is_the_stock_sigmoid_on_a_wider_interval(alpha):
    y = np.random.default_rng(0).uniform(0.01, 0.99, size=(7, 3))
    x, log_det = tff.Logit(alpha, dtype=tf.float64).inverse_and_log_det(y)
    u = tf.constant(alpha + (1 - 2 * alpha) * y)
    close(x, tfb.Sigmoid().inverse(u))
    slope = tfb.Sigmoid().inverse_log_det_jacobian(u, event_ndims=1)
    close(log_det, slope + 3 * np.log(1 - 2 * alpha))


# Only the last point of each list is inside.
BEYOND_BOUNDS = [[-0.1, 0, 0, 0], [2.1, 0, 0, 0], [1, 5.1, 0, 0], [1, 0, -3.1, 0], [1] * 4]
BEYOND_UNIT = [[-0.1, 0.5], [0.5, 1.2], [9.0, -9.0], [0.5, 0.5]]


@pytest.mark.parametrize(
    ("bijector", "points"),
    [(tff.Bounds(LOW, HIGH), BEYOND_BOUNDS), (tff.Logit(0.0), BEYOND_UNIT)],
)
@pytest.mark.usefixtures("op_by_op")
def test_points_outside_have_density_zero_and_finite_gradients(bijector, points):
    rows = tf.constant(points, tf.float32)
    options = {"num_steps": 1, "hidden_units": (4,), "standardize": False, "seed": 0}
    flow = tff.FlowChain([bijector, tff.RealNVP(len(points[0]), **options)])
    distribution = tff.FlowDistribution(tff.standard_normal(len(points[0])), flow)
    with tf.GradientTape() as tape:
        tape.watch(rows)
        log_prob = distribution.log_prob(rows)
        loss = tf.reduce_sum(tf.where(tf.math.is_finite(log_prob), log_prob, 0.0))
    assert np.all(log_prob[:-1] == -np.inf)
    assert np.isfinite(log_prob[-1])
    for gradient in tape.gradient(loss, [rows, *distribution.trainable_variables]):
        assert np.isfinite(gradient).all()


def test_ends_of_intervals_are_finite_and_samples_never_leave_them():
    bounds = tff.Bounds(LOW, HIGH)
    ends = np.array([[0.0, 5.0, -3.0, 0.0], [2.0, 5.0, -3.0, 0.0]], np.float32)
    assert all(np.isfinite(answer).all() for answer in bounds.inverse_and_log_det(ends))
    latent = np.array([[-1e4] * 4, [-50.0] * 4, [0.0] * 4, [50.0] * 4], np.float32)
    y = bounds.forward(latent)
    assert np.all((y >= LOW) & (y <= HIGH))
    y = tff.Logit(0.0).forward(latent)
    assert np.all((y >= 0.0) & (y <= 1.0))


ALPHAS = [0.0, *np.geomspace(1e-9, 0.499, 50), *(5.0 / 10 ** np.arange(2, 9))]
ALPHAS += [d / 10.0**k for k in range(2, 9) for d in (1, 3)]


# XLA compiles each logit for up to a second.
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
    # XLA rounds denormal numbers to zero.
    margin = np.maximum(8 * np.finfo(y.dtype).eps * np.abs(ends_by_hand), 1e-30)
    beyond = (ends_by_hand + margin * [-1.0, 1.0]).astype(y.dtype)
    assert np.all(log_dets(beyond) == -np.inf)


def test_rows_outside_the_range_of_a_tfp_bijector_have_no_density():
    part = tff.FlowDistribution(tff.standard_normal(1), tfp.bijectors.Exp())
    found = part.log_prob([[-1.0], [0.0], [np.inf], [2.0], [np.nan]]).numpy()
    np.testing.assert_array_equal(found[:3], [-np.inf] * 3)
    assert np.isfinite(found[3])
    assert np.isnan(found[4])
    with pytest.raises(ValueError, match=r"`value` of shape \[..., 1\]; got \(3,\)"):
        part.log_prob([1.0, 2.0, 3.0])
    normal = tff.FlowDistribution(tff.standard_normal(1), tfp.bijectors.Scale(2.0))
    mixture = tff.distributions.Mixture([part, normal], [0.5, 0.5])
    assert np.isfinite(mixture.log_prob([[-1.0]])).all()
