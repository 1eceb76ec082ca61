"""Targets that mislead fits: the verdict on each is right, or it is "not reliable"."""

import numpy as np
import pytest
import scipy.special
import scipy.stats
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_flows as tff
from tfp_flows.inference import initial_flow
from tfp_flows.inference.checks.verdict import VERDICTS

tfd = tfp.distributions


def _mixture(probs, means, scales):
    target = tfd.MixtureSameFamily(
        tfd.Categorical(probs=np.float32(probs)),
        tfd.MultivariateNormalDiag(np.float32(means), np.float32(scales)),
    )
    probs, means, scales = map(np.asarray, (probs, means, scales))
    mean = probs @ means
    variance = probs @ (scales**2 + means**2) - mean**2
    return target.log_prob, mean, np.sqrt(variance)


def _funnel():
    def log_prob(x):
        v, rest = x[..., 0], x[..., 1:]
        others = tfd.Normal(0.0, tf.exp(0.5 * v)[..., None]).log_prob(rest)
        return tfd.Normal(0.0, 3.0).log_prob(v) + tf.reduce_sum(others, axis=-1)

    # Only the first variable's moments can be estimated.
    return log_prob, np.zeros(10), np.r_[3.0, np.full(9, np.nan)]


def _banana():
    def log_prob(x):
        normal = tfd.Normal(0.03 * (x[..., 0] ** 2 - 100.0), 1.0)
        return tfd.Normal(0.0, 10.0).log_prob(x[..., 0]) + normal.log_prob(x[..., 1])

    return log_prob, np.zeros(2), np.array([10.0, np.sqrt(19.0)])


def _ring():
    def log_prob(x):
        return -0.5 * ((tf.norm(x, axis=-1) - 5.0) / 0.2) ** 2

    return log_prob, np.zeros(2), np.full(2, np.sqrt(0.5 * (25.0 + 3.0 * 0.04)))


def _corner():
    def log_prob(x):
        inside = tf.reduce_all(x > 0.0, axis=-1)
        return tf.where(inside, -tf.reduce_sum(x, axis=-1), -np.inf)

    return log_prob, np.ones(3), np.ones(3)


def _ill_conditioned():
    q = np.linalg.qr(np.random.default_rng(0).normal(size=(10, 10)))[0]
    scales = np.logspace(-1.5, 1.5, 10)  # variances from 1 to 10^6
    precision = ((q / scales**2) @ q.T).astype(np.float32)
    deviations = np.sqrt(np.diag((q * scales**2) @ q.T))

    def log_prob(x):
        return -0.5 * tf.einsum("...i,ij,...j->...", x, precision, x)

    return log_prob, np.zeros(10), deviations


def _student():
    def log_prob(x):
        return tf.reduce_sum(tfd.StudentT(2.0, 0.0, 1.0).log_prob(x), axis=-1)

    return log_prob, np.zeros(3), np.full(3, np.nan)


def _on_grid(log_prob, low, high):
    """A density of two variables, with its moments by quadrature."""
    axes = [np.linspace(a, b, 1501) for a, b in zip(low, high, strict=True)]
    x = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 2)
    log_p = log_prob(tf.constant(x, tf.float32)).numpy().astype(np.float64)
    weights = np.exp(log_p - log_p.max())
    weights /= weights.sum()
    mean = weights @ x
    return log_prob, mean, np.sqrt(weights @ (x - mean) ** 2)


def _step():
    """A density that jumps by a factor of 10."""

    def log_prob(x):
        jump = tf.where(x[..., 0] > 1.0, 2.302585, 0.0)
        return -0.5 * tf.reduce_sum(x**2, axis=-1) + jump

    return _on_grid(log_prob, [-6, -6], [6, 6])


def _edges():
    """Two betas with mass at both ends, on the unconstrained scale."""

    def log_prob(x):
        return 0.3 * tf.reduce_sum(-tf.math.softplus(x) - tf.math.softplus(-x), axis=-1)

    # The variance of a beta variable's logit is twice the trigamma function.
    return log_prob, np.zeros(2), np.full(2, np.sqrt(2.0 * scipy.special.polygamma(1, 0.3)))


def _not_a_number():
    """A normal density that is NaN in a third of the plane."""

    def log_prob(x):
        value = -0.5 * tf.reduce_sum(x**2, axis=-1)
        return tf.where(x[..., 0] < -0.5, np.nan, value)

    half = scipy.stats.truncnorm(-0.5, np.inf)
    return log_prob, np.array([half.mean(), 0.0]), np.array([half.std(), 1.0])


def _labels():
    """Means of two clusters, whose labels can be swapped."""
    data = np.float32([-2.1, -1.8, -2.4, -1.9, 1.6, 2.2, 2.0])

    def log_prob(x):
        each = tfd.Normal(x[..., None, :], 0.5).log_prob(data[:, None]) - np.log(2.0)
        likelihood = tf.reduce_sum(tf.reduce_logsumexp(each, axis=-1), axis=-1)
        return likelihood + tf.reduce_sum(tfd.Normal(0.0, 5.0).log_prob(x), axis=-1)

    return _on_grid(log_prob, [-6, -6], [6, 6])


def _heavy_and_narrow():
    def log_prob(x):
        wide = tf.reduce_sum(tfd.StudentT(5.0, 0.0, 1.0).log_prob(x), axis=-1)
        narrow = tf.reduce_sum(tfd.Normal([9.0, -13.0], 0.3).log_prob(x), axis=-1)
        terms = tf.stack([wide + np.log(0.7), narrow + np.log(0.3)])
        return tf.reduce_logsumexp(terms, axis=0)

    mean = 0.3 * np.array([9.0, -13.0])
    second = 0.7 * 5.0 / 3.0 + 0.3 * (0.09 + np.array([9.0, -13.0]) ** 2)
    return log_prob, mean, np.sqrt(second - mean**2)


def _in_direction(size, distance, width, seed):
    """30 % of the mass is in a mode of this width, in a random direction."""
    u = np.random.default_rng(seed).normal(size=size)
    u *= distance / np.linalg.norm(u)
    return _mixture([0.7, 0.3], [np.zeros(size), u], [np.ones(size), np.full(size, width)])


def _product():
    """Improper: only the product of two variables is observed."""

    def log_prob(x):
        return -0.5 * (1.0 - x[..., 0] * x[..., 1]) ** 2

    return log_prob, np.full(2, np.nan), np.full(2, np.nan)


def _schools():
    """Improper: eight schools whose deviation tau has the prior 1 / tau."""
    y = np.float32([28.0, 8.0, -3.0, 7.0, -1.0, 1.0, 18.0, 12.0])
    sigma = np.float32([15.0, 10.0, 16.0, 11.0, 9.0, 11.0, 10.0, 18.0])

    def log_prob(x):  # log tau, mu, effects
        tau = tf.exp(x[..., :1])
        effects = tfd.Normal(x[..., 1:2], tau).log_prob(x[..., 2:])
        likelihood = tfd.Normal(x[..., 2:], sigma).log_prob(y)
        return tf.reduce_sum(effects + likelihood, axis=-1)

    return log_prob, np.full(10, np.nan), np.full(10, np.nan)


def _collinear():
    """Improper: a regression on two equal columns, without a prior."""
    rng = np.random.default_rng(0)
    column = rng.normal(size=20)
    design = np.float32(np.stack([np.ones(20), column, 2.0 * column], axis=1))
    y = np.float32(1.0 + column + 0.5 * rng.normal(size=20))

    def log_prob(x):
        residual = y - tf.einsum("...i,ni->...n", x, design)
        return -2.0 * tf.reduce_sum(residual**2, axis=-1)

    return log_prob, np.full(3, np.nan), np.full(3, np.nan)


IMPROPER = {"product": _product, "schools": _schools, "collinear": _collinear}
# Variables of which one lacks a proper prior.
BLAMED = {"product": "01", "schools": "0", "collinear": "12"}
_FIVE = np.random.default_rng(0).normal(size=(5, 4))
TRAPS = {
    "two modes": lambda: _mixture(
        [0.8, 0.2], [[-5, 0, 0], [5, 2, 1]], [[1, 1, 1], [0.5, 1, 2]]
    ),
    "five modes": lambda: _mixture(
        [0.4, 0.3, 0.15, 0.1, 0.05], 8.0 * _FIVE, 0.5 + 0.5 * np.abs(_FIVE)
    ),
    "narrow beside wide": lambda: _mixture(
        [0.5, 0.5], [[0, 0], [1, 0]], [[3, 3], [0.05] * 2]
    ),
    "narrow in wide": lambda: _mixture(
        [0.5, 0.5], np.zeros([2, 10]), [[1] * 10, [0.1] * 10]
    ),
    "funnel": _funnel,
    "banana": _banana,
    "student": _student,
    "ring": _ring,
    "corner": _corner,
    "ill-conditioned": _ill_conditioned,
    "narrow at 8.5 deviations": lambda: _mixture(
        [0.7, 0.3], [[0, 0], [6, 6]], [[1, 1], [0.05] * 2]
    ),
    "diagonal of 20 variables": lambda: _mixture(
        [0.7, 0.3], [[0] * 20, [4] * 20], [[1] * 20, [0.3] * 20]
    ),
    "random direction of 3 variables": lambda: _in_direction(3, 10.0, 0.15, 1),
    "random direction of 30 variables": lambda: _in_direction(30, 20.0, 1.0, 3),
    "heavy and narrow": _heavy_and_narrow,
    "step": _step,
    "edges": _edges,
    "not a number": _not_a_number,
    "labels": _labels,
    **IMPROPER,
}


def fitted(log_prob, size, max_gradients=20_000):
    """A fit of a density; by default too short to end well."""
    return tff.fit_posterior(
        size, target_log_prob_fn=log_prob, seed=0, max_gradients=max_gradients
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", TRAPS)
def test_verdict_is_right_or_not_reliable(name):
    log_prob, mean, deviation = TRAPS[name]()
    posterior = fitted(log_prob, len(mean), max_gradients=3_000_000)
    verdict = posterior.report.verdict
    if name == "funnel":
        assert "scales that depend on others" in posterior.report.fit
    if verdict == VERDICTS[2]:
        reason = posterior.report.reasons[0]
        blamed = BLAMED.get(name, "")
        found = [f"Give a proper prior to x[{k}]." in reason for k in blamed]
        assert any(found) or not blamed, reason
        return
    assert name not in IMPROPER
    draws = posterior.resample if verdict == VERDICTS[1] else posterior.sample
    x = draws(20000, seed=1).numpy()
    known = np.isfinite(deviation)
    assert known.any()
    if name == "student":  # it has no variance, so quantiles are compared
        shares = [0.05, 0.25, 0.5, 0.75, 0.95]
        expected = scipy.stats.t(2.0).ppf(shares)[:, None]
        assert np.abs(np.quantile(x, shares, axis=0) - expected).max() < 0.2
        return
    errors = np.abs(x.mean(axis=0) - mean)[known] / deviation[known]
    assert errors.max() < 0.1
    np.testing.assert_allclose(x.std(axis=0)[known], deviation[known], rtol=0.05)
    if name in ("two modes", "five modes", "banana"):
        assert posterior.report.log_evidence == pytest.approx(0.0, abs=0.05)


def test_a_narrow_mode_far_away_that_is_not_fitted_is_reported(monkeypatch):
    monkeypatch.setattr(initial_flow, "_MOST_PAIRS", 1)  # fewer couplings to compile
    report = fitted(TRAPS["narrow at 8.5 deviations"]()[0], 2).report
    assert "1 regions have mass" in report.reasons[0]


@pytest.mark.slow
def test_the_report_tells_the_width_of_modes_that_no_search_sees():
    needle = _mixture([0.5, 0.5], [[0, 0], [2.7, -3.1]], [[1, 1], [1e-4] * 2])
    report = fitted(needle[0], 2).report
    assert min(report.narrowest_modes) > 1e-4
    assert f"narrower than about {report.narrowest_modes[0]:.2g}" in str(report)
