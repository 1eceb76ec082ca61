"""`HeavyTails`: a density, the identity at first, and what far rows cost."""

import numpy as np
import pytest
import tensorflow as tf
from random_weights import randomize
from subject import close

import tfp_flows as tff

KINDS = pytest.mark.parametrize("kind", ["student", "sinh"])


def heavy(size, dtype="float64", kind="student"):
    tails = tff.HeavyTails(size, kind=kind, dtype=dtype)
    tails.initialize(np.zeros([1, size]))
    return tails


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
def test_densities_integrate_to_one(kind):
    line = np.sinh(np.linspace(-40.0, 40.0, 8001))  # far out, and dense at the centre
    flow = tff.FlowDistribution(
        tff.standard_normal(1, dtype=tf.float64), heavy(1, kind=kind)
    )
    density = flow.prob(line[:, None]).numpy()
    assert np.trapezoid(density, line) == pytest.approx(1.0, abs=1e-4)
    line = np.sinh(np.linspace(-8.0, 8.0, 401))
    plane = np.stack(np.meshgrid(line, line), axis=-1).reshape(-1, 2)
    flow = tff.FlowDistribution(
        tff.standard_normal(2, dtype=tf.float64), heavy(2, kind=kind)
    )
    density = flow.prob(plane).numpy().reshape(401, 401)
    mass = np.trapezoid(np.trapezoid(density, line), line)
    assert mass == pytest.approx(1.0, abs=1e-3)


@KINDS
@pytest.mark.parametrize("size", [1, 2, 30])
def test_a_row_far_out_costs_the_logarithm_of_its_distance(size, kind):
    base = tff.standard_normal(size, dtype=tf.float64)
    flow = tff.FlowDistribution(base, heavy(size, kind=kind))
    one, all_of_them = np.zeros(size), np.ones(size)
    one[0] = 1.0
    for direction in (one, all_of_them):
        far = flow.log_prob([10.0 * direction, 100.0 * direction]).numpy()
        # Those of the normal are some 50 and 5000 nats, times the number of variables.
        assert far[0] - far[1] < 150.0
        # Scaled up by ten in all variables, a row gains that in the log-det of the steps.
        assert far[0] - far[1] > direction.sum() * np.log(10.0)


def test_a_standard_normal_hardly_notices():
    base = tff.standard_normal(20, dtype=tf.float64)
    rows = np.random.default_rng(0).normal(size=(4000, 20))
    loss = base.log_prob(rows) - tff.FlowDistribution(base, heavy(20)).log_prob(rows)
    assert 0.0 < float(tf.reduce_mean(loss)) < 1.5


@pytest.mark.slow_ids("*-True-float64", "*-False-float32")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("jit_compile", [False, True])
@KINDS
def test_values_and_gradients_of_extreme_rows_are_finite(dtype, jit_compile, kind):
    tails = heavy(3, dtype, kind)
    points = [0.0, 1e-30, 1e-6, 1.9, 2.1, 40.0, 1e5, 1e30]
    rows = [[p, -p, p] for p in points] + [[p, 0.0, 0.0] for p in points]
    rows = tf.constant(rows, dtype)

    @tf.function(jit_compile=jit_compile, autograph=False)
    def answers(rows):
        results = []
        for method in (tails.inverse_and_log_det, tails.forward_and_log_det):
            with tf.GradientTape() as tape:
                tape.watch(rows)
                value, log_det = method(rows)
                # Of latents of such a size a normal's density has no finite logarithm.
                total = tf.reduce_sum(tf.math.log1p(tf.abs(value))) + tf.reduce_sum(log_det)
            results += [
                value,
                log_det,
                *tape.gradient(total, [rows, *tails.trainable_variables]),
            ]
        return results

    for result in answers(rows):
        assert np.isfinite(result).all()


@KINDS
def test_samples_come_back(kind):
    base = tff.standard_normal(5, dtype=tf.float64)
    tails = randomize(heavy(5, kind=kind))
    x = base.sample(200, seed=0)
    close(tails.inverse(tails.forward(x)), x, 1e-8)


@KINDS
@pytest.mark.parametrize("size", [1, 2, 5, 1000])
def test_rows_far_out_come_back(size, kind):
    tails = heavy(size, "float32", kind)
    rows = np.zeros([4, size], np.float32)
    rows[:, 0] = 1e6, 1e9, 1e12, -1e14
    close(tails.forward(tails.inverse(rows)) / rows[:, :1], rows / rows[:, :1], 1e-3)


@pytest.mark.parametrize("size", [1, 2, 20, 100, 1000])
def test_fresh_tails_leave_samples_near(size):
    """So that moments of samples exist, and pictures show them."""
    tails = tff.HeavyTails(size)
    tails.initialize(np.zeros([2, size]))
    normal = np.random.default_rng(0).normal(size=(min(100_000, 2_000_000 // size), size))
    far = np.abs(tails.forward(normal.astype(np.float32))).max(axis=1) > 30.0
    assert far.mean() < 1e-3


def test_student_tails_are_a_students():
    tails = heavy(3)
    y = np.array([[1e-9, 0.3, -0.9]])  # short enough for the length's part to do nothing
    degrees = 0.3**-2
    expected = np.sign(y) * np.sqrt(degrees * np.log1p(y**2 / degrees))
    np.testing.assert_allclose(tails.inverse(y), expected, rtol=1e-9)


def test_one_far_variable_costs_less_than_under_the_sinh_and_a_near_one_as_much():
    base = tff.standard_normal(30, dtype=tf.float64)
    rows = np.ones([2, 30])
    rows[:, 0] = [1.0, 30.0]
    student, sinh = (
        tff.FlowDistribution(base, heavy(30, kind=kind)).log_prob(rows).numpy()
        for kind in ("student", "sinh")
    )
    assert abs(student[0] - sinh[0]) < 1.0
    assert student[1] - sinh[1] > 3.0


def test_kinds_are_named():
    for make in (tff.HeavyTails, tff.MAF):
        key = "kind" if make is tff.HeavyTails else "heavy_tails"
        with pytest.raises(ValueError, match=f"`{key}` of 'student', 'sinh'.*got 'cauchy'"):
            make(2, **{key: "cauchy"})


@pytest.mark.parametrize("size", [1, 2, 5, 30])
def test_fresh_tails_leave_the_deviation_of_samples_near_one(size):
    """The sinh's of 30 variables are 9, since a few rows lie tens of thousands out."""
    normal = np.random.default_rng(0).normal(size=(400_000 // size, size))
    samples = heavy(size).forward(normal).numpy()
    assert 1.0 < samples.std() < 2.0
    assert np.abs(samples).max() < 3000.0


def test_one_variable_is_fitted():
    flow = tff.MAF(1, num_steps=1, seed=0)
    model = tff.DensityEstimator(tff.FlowDistribution(tff.standard_normal(1), flow))
    model.compile("adam")
    rows = np.random.default_rng(0).normal(size=(64, 1))
    assert np.isfinite(model.fit(rows, epochs=1, verbose=0).history["loss"]).all()
