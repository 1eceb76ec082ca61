"""Maxima of a density from dispersed starts, their curvature, and far tails."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from densities import density

from tfp_flows.inference import modes
from tfp_flows.inference.checks.chains import rank_r_hat
from tfp_flows.inference.checks.missing_mass import narrowest_modes, points_on_rays
from tfp_flows.inference.checks.tails import improper_ray, improper_slice
from tfp_flows.inference.support import JointSupport

tfb, tfd = tfp.bijectors, tfp.distributions


def mixture(probs, means, scales):
    return tfd.MixtureSameFamily(
        tfd.Categorical(probs=np.float64(probs)),
        tfd.MultivariateNormalDiag(np.float64(means), np.float64(scales)),
    )


MODES = {
    # Shares, means and scales of the parts, and starts.
    "far apart": (
        [0.5, 0.3, 0.2],
        [[-9.0, 0.0], [9.0, 20.0], [40.0, -8.0]],
        [[1.0, 0.5], [0.5, 1.0], [1.0, 3.0]],
        modes.dispersed_starts(2, 32, np.random.default_rng(0)),
    ),
    "narrow beside wide": (
        [0.5, 0.5],
        [[-9.0, 0.0], [9.0, 20.0]],
        [[1.0, 1.0], [0.02, 0.5]],
        20.0 * np.random.default_rng(0).normal(size=(120, 2)),
    ),
    "narrow in wide": (
        [0.5, 0.5],
        [[0.0, 0.0], [1.0, 0.0]],
        [[3.0, 3.0], [0.05, 0.05]],
        np.array([[-3.0, 2.0], [1.1, 0.1]]),
    ),
}


@pytest.mark.parametrize("name", MODES)
def test_all_modes_are_found_with_their_masses(name):
    probs, means, scales, starts = MODES[name]
    search = modes.find_modes(density(mixture(probs, means, scales).log_prob, 2), starts)
    order = np.argsort([gaussian.mean[0] for gaussian in search.gaussians])
    masses = np.exp([gaussian.log_mass for gaussian in search.gaussians])
    np.testing.assert_allclose(masses[order], probs, rtol=1e-3)
    for k, mean, scale in zip(order, means, scales, strict=True):
        found = search.gaussians[k]
        np.testing.assert_allclose(found.mean, mean, atol=1e-3)
        np.testing.assert_allclose(np.linalg.norm(found.factor, axis=1), scale, rtol=1e-3)


def test_a_density_without_a_maximum_has_no_modes():
    starts = modes.dispersed_starts(2, 8, np.random.default_rng(0))
    for log_prob in (lambda x: x[..., 0], lambda x: 0.0 * x[..., 0]):
        assert not modes.find_modes(density(log_prob, 2), starts).gaussians


@pytest.mark.parametrize("at_once", [2, 1])
def test_starts_outside_the_support_stay_where_they_are(at_once, monkeypatch):
    monkeypatch.setattr(modes, "_MOST_ENTRIES", 4 * at_once)  # D^2 entries a start

    def log_prob(x):
        inside = tf.reduce_all(x > 0.0, axis=-1)
        return tf.where(inside, -tf.reduce_sum((x - 2.0) ** 2, axis=-1), -np.inf)

    starts = np.array([[1.0, 1.0], [-1.0, 1.0]])
    ends, values, _ = modes.quasi_newton(density(log_prob, 2), starts)
    np.testing.assert_allclose(ends, [[2.0, 2.0], [-1.0, 1.0]], atol=0.02)
    assert values[1] == -np.inf


FLAT = {
    "flat": lambda x: -0.5 * x[..., 0] ** 2,
    "slope 1": lambda x: -0.5 * x[..., 0] ** 2 - 0.5 * tf.math.log1p(x[..., 1] ** 2),
    "one side": lambda x: -0.5 * x[..., 0] ** 2 - tf.math.softplus(-x[..., 1]),
}
PROPER = {
    "normal": lambda x: -0.5 * tf.reduce_sum(x**2, axis=-1),
    "cauchy": lambda x: -tf.reduce_sum(tf.math.log1p(x**2), axis=-1),
    "laplace": lambda x: -tf.reduce_sum(tf.abs(x), axis=-1),
    # In a regression, the ratio of residuals to sigma is constant along rays.
    "rays": lambda x: (
        -20.0 * tf.math.log(tf.math.softplus(x[..., 1]))
        - 1e3 * (x[..., 0] / tf.math.softplus(x[..., 1])) ** 2
        - 1.0 / tf.math.softplus(x[..., 1])
    ),
    # Here sigma outgrows the residuals only far away, where the density rises.
    "growing scale": lambda x: (
        tfd.Normal(0.0, tf.exp(x[..., 1])).log_prob(30.0 * x[..., 0])
        + 20.0 * tfd.Normal(0.0, tf.exp(x[..., 1])).log_prob(tf.ones_like(x[..., 0]))
        - 0.5 * x[..., 1] ** 2
    ),
}


@pytest.mark.parametrize("dtype", [tf.float32, tf.float64], ids=["32", "64"])
@pytest.mark.parametrize("name", [*FLAT, *PROPER])
def test_far_tails_tell_improper_densities_from_heavy_ones(name, dtype):
    target = density((FLAT | PROPER)[name], 2, dtype)
    ends = np.array([[1e3, 3.0]])
    centre = modes.Gaussian(np.zeros(2), np.eye(2))
    ray = improper_ray(target, centre, ends, np.random.default_rng(0))
    assert (ray is not None) == (name in FLAT)


def product(x):
    return -0.5 * (1.0 - x[..., 0] * x[..., 1]) ** 2


def collinear(x):
    column = np.float32([0.0, 1.0, 2.0, 3.0])
    total = x[..., :1] + (x[..., 1:2] + 2.0 * x[..., 2:]) * column
    return -0.5 * tf.reduce_sum((total - [0.1, 1.2, 1.8, 3.1]) ** 2, axis=-1)


SLICES = {
    # Log-density, number of variables, and variables to blame; None if it is proper.
    "product": (product, 2, {0, 1}),
    "collinear": (collinear, 3, {1, 2}),
    "hyperbola": (lambda x: product(x) - 0.05 * tf.reduce_sum(x**2, axis=-1), 2, None),
    "vague": (lambda x: product(x) - 5e-7 * tf.reduce_sum(x**2, axis=-1), 2, None),
    "ridge": (lambda x: collinear(x) - 1e-4 * tf.reduce_sum(x**2, axis=-1), 3, None),
    "student": (lambda x: -1.5 * tf.reduce_sum(tf.math.log1p(x**2), axis=-1), 2, None),
    "one variable": (lambda x: -0.5 * tf.reduce_sum(x**2, axis=-1), 1, None),
}


@pytest.mark.slow_ids("ridge", "student", "vague")
@pytest.mark.parametrize("name", SLICES)
def test_slices_tell_improper_densities_whose_variables_shrink_as_others_grow(name, rng):
    log_prob, size, causes = SLICES[name]
    x = rng.normal(size=(2000, size))
    if name in ("product", "hyperbola", "vague"):
        x[:, 1] = (1.0 + x[:, 1]) / (3.0 * x[:, 0])
        x[:, 0] *= 3.0
        x = x[np.abs(x[:, 1]) < 10.0]
    target = density(log_prob, size, tf.float32)
    assert improper_slice(target, x, 40.0) is None  # far below a posterior's mass
    found = improper_slice(target, x, -20.0)
    assert (found is None) == (causes is None)
    if found is not None:
        assert found.variable in causes
        names = [f"v{i}" for i in range(size)]
        assert f"Give a proper prior to v{found.variable}." in found.sentence(names)


def test_slices_that_rise_from_a_bad_start_and_end_near_to_it_show_no_tail(rng):
    # Log-scales of effects and of errors. From a larger scale of effects, that of errors
    # has no maximum, since effects may be equal to their data.
    data = np.float32(0.3) * rng.normal(size=10).astype(np.float32)

    def log_prob(x):
        effects, scale, error = x[..., 2:], tf.exp(x[..., :1]), tf.exp(x[..., 1:2])
        likelihood = tfd.Normal(effects, error).log_prob(data)
        prior = tfd.Normal(0.0, scale).log_prob(effects)
        hyperprior = tfd.Normal(0.0, 2.0).log_prob(x[..., :2])
        return sum(tf.reduce_sum(p, axis=-1) for p in (likelihood, prior, hyperprior))

    start = [-3.5, -1.2] + [0.0] * 10
    start += np.array([0.3] * 2 + [0.03] * 10) * rng.normal(size=(2000, 12))
    assert improper_slice(density(log_prob, 12, tf.float32), start, -np.inf) is None


def beside(direction, width):
    """A mixture of 0.7 N(0, 1) and 0.3 of a narrower mode; and whether a point is known."""
    size = len(direction)
    target = mixture(
        [0.7, 0.3], [np.zeros(size), direction], [[1.0] * size, [width] * size]
    )
    known = tfd.MultivariateNormalDiag(np.zeros(size), np.ones(size))

    def is_known(x):
        return target.log_prob(x).numpy() < known.log_prob(x).numpy() + 1.0

    return density(target.log_prob, size), is_known


def is_found(target, is_known, seed):
    rng, size = np.random.default_rng(seed), target.event_size
    centre = modes.Gaussian(np.zeros(size), np.eye(size))
    starts = points_on_rays(target, [centre], np.zeros([0, size]), is_known, rng)
    if not len(starts):
        return False
    found = modes.find_modes(target, starts, is_known=is_known)
    masses = [gaussian.log_mass for gaussian in found.gaussians]
    return len(masses) == 1 and abs(np.exp(masses[0]) - 0.3) < 0.01


@pytest.mark.slow_ids("direction[23]-*")
@pytest.mark.parametrize(
    ("direction", "width"),
    [
        ([6.0, 6.0], 0.05),
        ([3.0, -5.0, 2.0, 4.0], 0.3),
        ([4.0] * 20, 0.3),
        ([0.0] * 12 + [-15.0] + [0.0] * 12, 0.1),
    ],
)
def test_rays_lead_to_narrow_modes_far_away(direction, width):
    assert is_found(*beside(np.array(direction), width), seed=0)


@pytest.mark.slow
@pytest.mark.parametrize("size", [2, 4, 8])
def test_modes_of_the_width_that_is_told_are_found_in_any_direction(size, rng):
    _, width = narrowest_modes(size)
    directions = rng.normal(size=(10, size))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    directions *= rng.uniform(6.0, 30.0, (10, 1))
    found = [is_found(*beside(d, width), seed=k) for k, d in enumerate(directions)]
    assert sum(found) >= 8
    # Much narrower modes are not all found, so the width is no overestimate.
    missed = [is_found(*beside(d, 0.1 * width), seed=0) for d in directions[:4]]
    assert not all(missed)


def test_draws_of_the_prior_are_those_of_a_pinned_model_where_nothing_is_observed():
    def model():
        scale = yield tfd.LogNormal(1.0, 0.5, name="scale")
        mean = yield tfd.Normal(5.0, 2.0, name="mean")
        yield tfd.Normal(mean, scale, name="y")

    pinned = tfd.JointDistributionCoroutineAutoBatched(model).experimental_pin(y=99.0)
    support = JointSupport.from_distribution(pinned)
    x = support.prior_draws(pinned, 200, seed=0)
    assert x.shape == (200, 2)
    scale, mean = support.bijector.forward(tf.constant(x, tf.float32))
    assert np.mean(np.log(scale)) == pytest.approx(1.0, abs=0.2)
    assert np.mean(mean) == pytest.approx(5.0, abs=0.5)
    np.testing.assert_array_equal(x, support.prior_draws(pinned, 200, seed=0))
    assert support.prior_draws(object(), 3, seed=0).shape == (0, 2)


def test_r_hat_sees_other_means_and_other_spreads_but_no_order_of_equal_draws():
    groups = np.random.default_rng(0).normal(size=(6, 500, 3))
    shifted, spread = groups.copy(), groups.copy()
    shifted[0, :, 1] += 1.0
    spread[0, :, 1] *= 3.0
    assert rank_r_hat(shifted) > 1.05
    assert rank_r_hat(spread) > 1.05
    # The ranks are the same after a monotone map, even with infinite moments.
    assert rank_r_hat(np.sinh(5.0 * groups)) < 1.01
    assert rank_r_hat(np.round(groups)) < 1.01


def test_change_of_variables_counts():
    """The logarithm of a Gamma variable has its mode at log(shape / rate)."""
    gamma = tfd.Gamma(*np.float64([3.0, 0.5]))
    found = modes.laplace(
        density(lambda x: gamma.log_prob(x[:, 0]), 1, support=tfb.Exp()), [0.0]
    )
    np.testing.assert_allclose(found.mean, [np.log(6.0)], atol=1e-5)
    np.testing.assert_allclose(found.factor, [[3.0**-0.5]], rtol=1e-4)


def test_differences_stand_in_where_there_is_no_second_derivative():
    """TensorFlow has no second derivative of `igamma` by its first argument."""
    limit = tf.constant(3.0, tf.float64)

    def log_prob(a):  # largest where half of the mass is on each side of the limit
        shares = tf.math.igamma(a[:, 0], limit), tf.math.igammac(a[:, 0], limit)
        return 1e3 * (tf.math.log(shares[0]) + tf.math.log(shares[1]))

    found = modes.laplace(density(log_prob, 1, support=tfb.Exp()), [0.0])
    half = tf.math.igamma(np.exp(found.mean), limit)
    assert half.numpy() == pytest.approx(0.5, abs=1e-3)
    assert np.isfinite(found.factor).all()


def test_more_directions_than_a_batch_holds():
    scales = np.exp(np.random.default_rng(0).normal(0.0, 2.0, size=70))
    normal = tfd.MultivariateNormalDiag(np.arange(70.0), scales)
    found = modes.laplace(density(normal.log_prob, 70), np.zeros(70))
    np.testing.assert_allclose(found.mean, np.arange(70.0), atol=1e-6)
    np.testing.assert_allclose(found.factor, np.diag(scales), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize(
    ("log_prob", "message"),
    [
        (lambda x: tf.reduce_sum(x, -1), "no maximum|not rise"),
        (lambda x: -(x[:, 0] ** 2), "not negative definite"),
        (lambda x: x[:, 0] ** 2 - x[:, 1] ** 2, "not negative definite|no maximum"),
        (lambda x: tf.reduce_sum(tf.math.log(x), -1), "not finite"),
        (lambda x: 0.0 * x[:, 0] + np.nan, "not finite"),
    ],
    ids=["unbounded", "flat", "saddle", "gradient", "density"],
)
def test_no_maximum(log_prob, message):
    with pytest.raises(modes.NoMaximumError, match=message):
        modes.laplace(density(log_prob, 2), np.zeros(2))
