"""What TFP's own helpers of tests check of bijectors and distributions, by their documents.

Scalar congruency; bijective and finite on a wide range; samples whose density, integrated
over a ball by Monte Carlo, is the ball's volume. The moments that TFP compares with samples
are those of `distributions/test_moments.py`, as flows have none in closed form.
"""

import math

import numpy as np
import pytest
import tensorflow as tf
from derivatives import op_by_op
from distribution_cases import CASES as DISTRIBUTIONS
from distribution_cases import built
from random_weights import randomize
from slow_cases import REPRESENTATIVES
from slow_cases import with_slow
from subject import ALL_CASES
from subject import close
from subject import subject_of
from transformer_cases import CASES as TRANSFORMERS

import tfp_flows as tff

# Without angles, which are equal to others outside their range.
VECTORS = [
    name
    for name, case in ALL_CASES.items()
    if len(case.event_shape) == 1 and "circular" not in name
]
# Of which the helper's integral is over a ball of few dimensions, within the support.
OF_FEW_VARIABLES = [n for n in VECTORS if 1 < ALL_CASES[n].event_shape[0] <= 3]
SLOW = set(VECTORS) - REPRESENTATIVES
MAP_ANGLES = {"circular_spline"}


@pytest.mark.parametrize("name", sorted(TRANSFORMERS.keys() - MAP_ANGLES))
@pytest.mark.usefixtures("op_by_op")
def test_scalar_congruency(name):
    """Both Jacobians are what values say: slopes add up to differences, there and back."""
    transformer = TRANSFORMERS[name].build()
    bijector = randomize(tff.Elementwise(1, transformer, dtype="float64"), seed=2)
    x = np.linspace(-2.0, 2.0, 20_001)
    y, log_det = bijector.forward_and_log_det(x[:, None])
    y = y.numpy()[:, 0]
    assert (np.diff(y) > 0.0).all()
    slopes = np.exp(log_det)
    assert np.trapezoid(slopes, x) == pytest.approx(y[-1] - y[0], rel=1e-5)
    back = np.exp(bijector.inverse_and_log_det(y[:, None])[1])
    assert np.trapezoid(back, y) == pytest.approx(x[-1] - x[0], rel=1e-5)
    # Weak: no slope is above what was found between neighbours.
    between = np.diff(y) / np.diff(x)
    assert np.abs(between - 0.5 * (slopes[1:] + slopes[:-1])).max() < 1e-2 * slopes.max()


@pytest.mark.parametrize("name", with_slow(VECTORS, SLOW))
@pytest.mark.usefixtures("op_by_op")
def test_is_bijective_and_finite_on_a_wide_range(name):
    subject = subject_of(name)
    is_free = subject.case.data.__name__ == "normal"
    for size in (1e-3, 1.0, 10.0) if is_free else (1.0,):
        # Latents that are wide are data beyond any float, where tails are heavy.
        x, z = size * subject.x, min(size, 1.0) * subject.z
        there, log_det = subject.inverse(x)
        back, minus_log_det = subject.forward(there)
        onward, other_log_det = subject.forward(z)
        returned, minus_other = subject.inverse(onward)
        for part in (there, log_det, back, minus_log_det, onward, other_log_det):
            assert np.isfinite(part).all()
        for a, b in ((back, x), (returned, z)):
            np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-6 * size)
        close(minus_log_det, -log_det, 1e-6)
        close(minus_other, -other_log_det, 1e-6)


def ball_volume(size, radius):
    return math.pi ** (size / 2) / math.gamma(size / 2 + 1) * radius**size


def check_ball(distribution, size, context):
    """TFP's check of a vector distribution: the mean of 1 / density over what is in it."""
    one = {k: tf.constant(c[:1], tf.float64) for k, c in context.items()}
    x = distribution.sample(40_000, seed=1, **one).numpy().reshape(-1, size)
    # A ball after the map that makes the inner half of the draws round.
    from_center = x - np.median(x, axis=0)
    distance = np.linalg.norm(from_center / np.median(np.abs(from_center), 0), axis=1)
    inner = from_center[distance < np.median(distance)]
    factor = np.linalg.cholesky(np.cov(inner, rowvar=False))
    is_within = np.linalg.norm(np.linalg.solve(factor, from_center.T), axis=0) < 1.0
    one = {k: c[0] for k, c in one.items()}
    density = np.exp(distribution.log_prob(x, **one))
    volume = ball_volume(size, 1.0) * np.prod(np.diag(factor))
    share = np.where(is_within, 1.0 / density, 0.0) / volume
    error = share.std() / np.sqrt(len(share))
    assert error < 0.15
    assert abs(share.mean() - 1.0) < 4.5 * error


@pytest.mark.parametrize("name", with_slow(OF_FEW_VARIABLES, SLOW))
def test_samples_are_consistent_with_log_prob(name):
    subject = subject_of(name)
    with op_by_op():
        check_ball(subject.flow, subject.x.shape[1], subject.context)


CONTINUOUS = [n for n, case in DISTRIBUTIONS.items() if case.num_values is None]


@pytest.mark.parametrize("name", with_slow(CONTINUOUS, set(CONTINUOUS) - REPRESENTATIVES))
def test_samples_of_mixtures_are_consistent_with_log_prob(name):
    case = DISTRIBUTIONS[name]
    if case.event_size == 1:
        pytest.skip("one variable is integrated in `distributions/test_mixture_made.py`")
    with op_by_op():
        check_ball(built(name), case.event_size, case.context((7,)))
