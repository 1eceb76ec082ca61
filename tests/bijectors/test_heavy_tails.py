"""`HeavyTails`: a density, the identity at first, and what far rows cost."""

import numpy as np
import pytest
import tensorflow as tf
from subject import close

import tfp_flows as tff

KINDS = pytest.mark.parametrize("kind", ["student", "sinh"])


def heavy(size, dtype="float64", kind="student"):
    tails = tff.HeavyTails(size, kind=kind, dtype=dtype)
    tails.initialize(np.zeros([1, size]))
    return tails


def on_normal(size, kind="student"):
    base = tff.standard_normal(size, dtype=tf.float64)
    return tff.FlowDistribution(base, heavy(size, kind=kind))


def test_is_the_identity_until_initialized():
    tails, x = tff.HeavyTails(3), np.float32([[0.1, -50.0, 3.0]])
    assert not tails.is_initialized
    np.testing.assert_array_equal(tails.inverse(x), x)
    np.testing.assert_array_equal(tails.forward(x), x)
    assert float(tails.inverse_log_det_jacobian(x)[0]) == 0.0
    tails.initialize(x)
    assert tails.is_initialized
    assert np.all(np.abs(tails.inverse(x)) < np.abs(x))


@KINDS
@pytest.mark.parametrize("size", [1, 2])
def test_densities_integrate_to_one(size, kind):
    # The grid reaches far out and is dense at the centre.
    line = np.sinh(np.linspace(-40.0, 40.0, 8001) if size == 1 else np.linspace(-8, 8, 401))
    points = np.stack(np.meshgrid(*[line] * size), axis=-1)
    mass = on_normal(size, kind).prob(points).numpy()
    for _ in range(size):
        mass = np.trapezoid(mass, line)
    assert mass == pytest.approx(1.0, abs=1e-3)


@KINDS
@pytest.mark.parametrize("size", [1, 30])
def test_a_row_far_out_costs_the_logarithm_of_its_distance(size, kind):
    flow = on_normal(size, kind)
    for direction in (np.eye(size)[0], np.ones(size)):
        far = flow.log_prob([10.0 * direction, 100.0 * direction]).numpy()
        # Under a normal, the costs are about 50 and 5000 nats for each far variable.
        assert far[0] - far[1] < 150.0
        # If a row is ten times as large, the log-det of the steps may grow by this much.
        assert far[0] - far[1] > direction.sum() * np.log(10.0)


def test_a_standard_normal_hardly_notices():
    rows = np.random.default_rng(0).normal(size=(4000, 20))
    flow = on_normal(20)
    loss = flow.distribution.log_prob(rows) - flow.log_prob(rows)
    assert 0.0 < float(tf.reduce_mean(loss)) < 1.5


@pytest.mark.parametrize(
    ("dtype", "jit_compile"), [("float32", True), ("float32", False), ("float64", False)]
)
@KINDS
def test_values_and_gradients_of_extreme_rows_are_finite(dtype, jit_compile, kind):
    tails = heavy(3, dtype, kind)
    points = np.array([0.0, 1e-30, 1e-6, 1.9, 2.1, 40.0, 1e5, 1e30])[:, None]
    rows = tf.constant(np.concatenate([points * [1, -1, 1], points * [1, 0, 0]]), dtype)

    @tf.function(jit_compile=jit_compile, autograph=False)
    def answers(method):
        with tf.GradientTape() as tape:
            tape.watch(rows)
            value, log_det = method(rows)
            # The normal log-density of such large latents is not finite.
            total = tf.reduce_sum(tf.math.log1p(tf.abs(value))) + tf.reduce_sum(log_det)
        return value, log_det, *tape.gradient(total, [rows, *tails.trainable_variables])

    for method in (tails.inverse_and_log_det, tails.forward_and_log_det):
        assert all(np.isfinite(result).all() for result in answers(method))


@KINDS
@pytest.mark.parametrize("size", [1, 2, 5, 1000])
def test_rows_far_out_come_back(size, kind):
    tails = heavy(size, "float32", kind)
    rows = np.zeros([4, size], np.float32)
    rows[:, 0] = 1e6, 1e9, 1e12, -1e14
    close(tails.forward(tails.inverse(rows)) / rows[:, :1], rows / rows[:, :1], 1e-3)


def test_student_tails_are_a_students():
    tails = heavy(3)
    y = np.array([[1e-9, 0.3, -0.9]])  # so short that the factor of the length is 1
    degrees = 0.3**-2
    expected = np.sign(y) * np.sqrt(degrees * np.log1p(y**2 / degrees))
    np.testing.assert_allclose(tails.inverse(y), expected, rtol=1e-9)


@pytest.mark.usefixtures("op_by_op")
def test_second_derivatives_exist_where_a_latent_is_zero():
    flow = tff.RealNVP(2, num_steps=1, hidden_units=(4,), seed=0)
    flow.initialize(np.float32([[1.0, 2.0], [3.0, 4.0], [5.0, 9.0]]))
    distribution = tff.FlowDistribution(tff.standard_normal(2), flow)
    mean = tf.constant([3.0, 5.0])
    with tf.GradientTape(persistent=True) as outer:
        outer.watch(mean)
        with tf.GradientTape() as inner:
            inner.watch(mean)
            log_prob = distribution.log_prob(mean)
        gradient = tf.unstack(inner.gradient(log_prob, mean))
    hessian = np.stack([outer.gradient(part, mean) for part in gradient])
    assert np.isfinite(hessian).all()
    assert (np.diag(hessian) < 0.0).all()
