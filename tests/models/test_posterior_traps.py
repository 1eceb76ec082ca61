"""Targets that mislead fits: the verdict on each is right, or it is "not reliable"."""

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_flows as tff
from tfp_flows.distributions.posterior_report import VERDICTS

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


def _flat():
    return (lambda x: -0.5 * x[..., 0] ** 2), np.zeros(2), np.full(2, np.nan)


_FIVE = np.random.default_rng(0).normal(size=(5, 4))
TRAPS = {
    "two modes": lambda: _mixture(
        [0.8, 0.2], [[-5, 0, 0], [5, 2, 1]], [[1, 1, 1], [0.5, 1, 2]]
    ),
    "two modes far apart": lambda: _mixture(
        [0.7, 0.3], [[-30, 0], [30, 20]], [[1, 1], [0.5, 1]]
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
}


@pytest.mark.slow
@pytest.mark.parametrize("name", TRAPS)
def test_verdict_is_right_or_not_reliable(name):
    log_prob, mean, deviation = TRAPS[name]()
    posterior = tff.fit_posterior(
        len(mean), target_log_prob_fn=log_prob, seed=0, max_gradients=3_000_000
    )
    verdict = posterior.report.verdict
    if verdict == VERDICTS[2]:
        assert posterior.report.reasons
        return
    draws = posterior.resample if verdict == VERDICTS[1] else posterior.sample
    x = draws(20000, seed=1).numpy()
    known = np.isfinite(deviation)
    if name == "student":  # which has no variance: quantiles, in their distances
        shares = [0.05, 0.25, 0.5, 0.75, 0.95]
        expected = scipy.stats.t(2.0).ppf(shares)[:, None]
        assert np.abs(np.quantile(x, shares, axis=0) - expected).max() < 0.2
        return
    errors = np.abs(x.mean(axis=0) - mean)[known] / deviation[known]
    assert errors.max() < 0.1
    np.testing.assert_allclose(x.std(axis=0)[known], deviation[known], rtol=0.05)
    if name in ("two modes", "five modes", "banana"):
        assert posterior.report.log_evidence == pytest.approx(0.0, abs=0.05)


def test_density_without_an_integral_is_never_reliable():
    log_prob, mean, _ = _flat()
    posterior = tff.fit_posterior(
        len(mean), target_log_prob_fn=log_prob, seed=0, max_gradients=20_000
    )
    assert posterior.report.verdict == "not reliable"
    assert any("without an integral" in reason for reason in posterior.report.reasons)
