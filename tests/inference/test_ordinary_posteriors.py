"""Ordinary models: verdicts are right, and flags are rare.

Each model has a reference that shares no code with the fit: a conjugate formula, the
midpoint rule on a grid of the model's own variables, or exact draws.
"""

import dataclasses
import pickle
from collections.abc import Callable

import fresh_process
import numpy as np
import pytest
import scipy.interpolate
import scipy.special
import scipy.stats
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_flows as tff
from tfp_flows.inference import initial_flow
from tfp_flows.inference.checks.verdict import VERDICTS

tfb, tfd = tfp.bijectors, tfp.distributions


@dataclasses.dataclass(frozen=True)
class Model:
    """A target with the exact moments of its posterior.

    Attributes:
      target: a pinned joint distribution, or another target of `fit_posterior`.
      reference: function to the means and standard deviations of all entries, `[E]` each.
      options: further arguments of `fit_posterior`.
    """

    target: object
    reference: Callable
    options: dict = dataclasses.field(default_factory=dict)


def pinned(parts, y):
    joint = tfd.JointDistributionCoroutineAutoBatched(parts)
    return joint.experimental_pin(y=np.float32(y))


def observed(distribution, ndims=1):
    return tfd.Independent(distribution, ndims, name="y")


def rows(parts):
    """The entries of all parts, `[N, E]`."""
    flat = [np.reshape(part, [len(part), -1]) for part in tf.nest.flatten(parts)]
    return np.concatenate(flat, axis=1).astype(np.float64)


def from_grid(log_prob, *intervals, count=61, to_parts=lambda *x: x):
    """Means and deviations of all entries, by the midpoint rule.

    Args:
      log_prob: function of the parts, of N draws each, to `[N]`.
      *intervals: ends of each variable, beyond which there is no mass. Ends of -1, 0 and 1
        may be those of the support.
      count: cells along each variable.
      to_parts: function from the variables, `[N]` each, to the parts.
    """
    middles = (np.arange(count) + 0.5) / count
    axes = [np.float32(low + (high - low) * middles) for low, high in intervals]
    x = np.stack([axis.ravel() for axis in np.meshgrid(*axes, indexing="ij")])
    chunks = np.array_split(x, 20, axis=1)
    log_p = np.concatenate([log_prob(*to_parts(*chunk)) for chunk in chunks])
    weights = scipy.special.softmax(log_p.astype(np.float64))
    for variable, axis, interval in zip(x, axes, intervals, strict=True):
        for end, cell in zip(interval, axis[[0, -1]], strict=True):
            assert end in (-1, 0, 1) or weights[variable == cell].sum() < 1e-4
    entries = rows(to_parts(*x))
    mean = weights @ entries
    return mean, np.sqrt(weights @ (entries - mean) ** 2)


def on_grid(parts, y, *intervals, **options):
    """The model of these parts, whose reference is `from_grid`."""
    target = pinned(parts, y)
    return Model(
        target, lambda: from_grid(target.unnormalized_log_prob, *intervals, **options)
    )


def linear_regression():
    rng = np.random.default_rng(1)
    x = np.column_stack([np.ones(40), rng.normal(size=(40, 3))])
    x[:, 2] += 0.8 * x[:, 1]
    y = x @ [1.0, -2.0, 0.5, 0.0] + 0.7 * rng.normal(size=40)

    def parts():
        b = yield tfd.Sample(tfd.Normal(0.0, 2.0), 4, name="b")
        yield observed(tfd.Normal(tf.linalg.matvec(np.float32(x), b), 0.7))

    covariance = np.linalg.inv(x.T @ x / 0.49 + np.eye(4) / 4.0)
    known = covariance @ x.T @ y / 0.49, np.sqrt(np.diag(covariance))
    return Model(pinned(parts, y), lambda: known)


SCHOOLS = np.array([28.0, 8.0, -3.0, 7.0, -1.0, 1.0, 18.0, 12.0])
ERRORS = np.array([15.0, 10.0, 16.0, 11.0, 9.0, 11.0, 10.0, 18.0])


def exact_schools(effects, size=400_000):
    """Moments of draws: tau is drawn from a grid, and given tau, all else is normal."""
    rng = np.random.default_rng(0)

    def mean_and_precision(tau):  # of mu
        variance = tau**2 + ERRORS**2  # of the mean of each school around mu, [T, 8]
        precision = 1.0 / 25.0 + (1.0 / variance).sum(axis=1, keepdims=True)
        mean = (SCHOOLS / variance).sum(axis=1, keepdims=True) / precision
        return variance, mean, precision

    tau = np.exp(np.linspace(-9.0, 6.0, 3001))[:, None]
    variance, mean, precision = mean_and_precision(tau)
    log_p = -0.5 * (np.log(variance) + SCHOOLS**2 / variance).sum(axis=1, keepdims=True)
    log_p += 0.5 * precision * mean**2 - 0.5 * np.log(precision)
    log_p += np.log(tau) - np.log1p(tau**2 / 25.0)
    tau = rng.choice(tau, size=size, p=scipy.special.softmax(log_p)[:, 0])
    variance, mean, precision = mean_and_precision(tau)
    mu = mean + rng.normal(size=[size, 1]) / np.sqrt(precision)
    z = tau / variance * (SCHOOLS - mu)
    z += ERRORS / np.sqrt(variance) * rng.normal(size=[size, 8])
    x = np.concatenate([mu, tau, {"z": z, "theta": mu + tau * z}[effects]], axis=1)
    return x.mean(axis=0), x.std(axis=0)


def eight_schools(effects):
    def parts():
        mu = yield tfd.Normal(0.0, 5.0, name="mu")
        tau = yield tfd.HalfCauchy(0.0, 5.0, name="tau")
        if effects == "theta":
            theta = yield tfd.Sample(tfd.Normal(mu, tau), 8, name="theta")
        else:
            theta = mu + tau * (yield tfd.Sample(tfd.Normal(0.0, 1.0), 8, name="z"))
        yield observed(tfd.Normal(theta, np.float32(ERRORS)))

    return Model(pinned(parts, SCHOOLS), lambda: exact_schools(effects))


def centred_schools():
    return eight_schools("theta")


def non_centred_schools():
    return eight_schools("z")


def dirichlet_shares():
    y = np.array([3.0, 12.0, 0.0, 7.0])

    def parts():
        p = yield tfd.Dirichlet(np.full(4, 1.5, np.float32), name="p")
        yield tfd.Multinomial(22.0, probs=p, name="y")

    found = scipy.stats.dirichlet(1.5 + y)
    return Model(pinned(parts, y), lambda: (found.mean(), np.sqrt(found.var())))


def autoregression():
    rng = np.random.default_rng(6)
    y = np.zeros(41)
    for t in range(40):
        y[t + 1] = 0.4 + 0.7 * y[t] + 0.5 * rng.normal()

    def parts():
        c = yield tfd.Normal(0.0, 1.0, name="c")
        phi = yield tfd.Uniform(-1.0, 1.0, name="phi")
        scale = yield tfd.HalfNormal(1.0, name="scale")
        yield observed(tfd.Normal(c + phi * np.float32(y[:-1]), scale))

    return on_grid(parts, y[1:], (-0.5, 1.5), (-0.5, 1), (0.2, 1.2), count=81)


def ordered_mixture():
    rng = np.random.default_rng(7)
    y = np.where(rng.uniform(size=80) < 0.3, -1.5, 1.5) + rng.normal(size=80)

    def parts():
        low = yield tfd.Normal(0.0, 3.0, name="low")
        gap = yield tfd.HalfNormal(4.0, name="gap")
        share = yield tfd.Beta(2.0, 2.0, name="share")
        means = tf.stack([low, low + gap])
        probs = tf.stack([share, 1.0 - share])
        mixture = tfd.MixtureSameFamily(
            tfd.Categorical(probs=probs), tfd.Normal(means, 1.0)
        )
        yield tfd.Sample(mixture, 80, name="y")

    return on_grid(parts, y, (-4, 2), (0, 6), (0, 1))


def weibull_survival():
    rng = np.random.default_rng(8)
    time = 3.0 * rng.weibull(1.5, size=30)
    died = time < 4.0
    time = np.float32(np.minimum(time, 4.0))

    def log_prob(scale, shape):
        weibull = tfd.Weibull(shape[:, None], scale[:, None])
        each = tf.where(died, weibull.log_prob(time), weibull.log_survival_function(time))
        prior = tfd.HalfNormal(2.0).log_prob(shape) + tfd.HalfNormal(5.0).log_prob(scale)
        return prior + tf.reduce_sum(each, axis=-1)

    options = {
        "support": {"shape": tfb.Softplus(), "scale": tfb.Exp()},
        "target_log_prob_fn": log_prob,
    }
    reference = lambda: from_grid(log_prob, (0.5, 10), (0, 4), count=201)  # noqa: E731
    return Model({"shape": [], "scale": []}, reference, options)


def gaussian_process():
    rng = np.random.default_rng(9)
    x = np.linspace(0.0, 5.0, 12)
    y = np.sin(1.5 * x) + 0.2 * rng.normal(size=12)
    squares = np.subtract.outer(x, x) ** 2

    def parts():
        amplitude = yield tfd.HalfNormal(2.0, name="amplitude")
        length = yield tfd.LogNormal(0.0, 0.5, name="length")
        noise = yield tfd.HalfNormal(0.5, name="noise")
        kernel = amplitude**2 * tf.exp(-0.5 * np.float32(squares) / length**2)
        covariance = kernel + (noise**2 + 1e-4) * tf.eye(12)
        factor = tf.linalg.cholesky(covariance)
        yield tfd.MultivariateNormalTriL(tf.zeros(12), factor, name="y")

    return on_grid(parts, y, (0, 8), (0, 6), (0, 2))


def correlation():
    rng = np.random.default_rng(10)
    y = rng.normal(size=(25, 2)) @ np.array([[1.0, 0.6], [0.0, 1.6]])

    def parts():
        scale = yield tfd.Sample(tfd.HalfNormal(2.0), 2, name="scale")
        factor = yield tfd.CholeskyLKJ(2, 2.0, name="factor")
        normal = tfd.MultivariateNormalTriL(tf.zeros(2), scale[:, None] * factor)
        yield tfd.Sample(normal, 25, name="y")

    def to_parts(first, second, rho):
        factor = [np.ones_like(rho), np.zeros_like(rho), rho, np.sqrt(1.0 - rho**2)]
        return np.stack([first, second], 1), np.stack(factor, 1).reshape(-1, 2, 2)

    return on_grid(parts, y, (0.3, 3.5), (0.5, 6), (-1, 1), to_parts=to_parts)


def directions():
    rng = np.random.default_rng(11)
    y = rng.vonmises(0.8, 2.0, size=25)

    def parts():
        loc = yield tfd.Uniform(-np.float32(np.pi), np.float32(np.pi), name="loc")
        concentration = yield tfd.Gamma(2.0, 0.5, name="concentration")
        yield observed(tfd.VonMises(loc * tf.ones(25), concentration))

    return on_grid(parts, y, (-1.5, 3), (0, 9), count=201)


def ordinal_regression():
    rng = np.random.default_rng(12)
    x = rng.normal(size=50)
    latent = 1.2 * x + rng.logistic(size=50)
    y = (latent > -0.5).astype(float) + (latent > 1.0)

    def parts():
        slope = yield tfd.Normal(0.0, 2.0, name="slope")
        first = yield tfd.Normal(0.0, 2.0, name="first")
        gap = yield tfd.HalfNormal(2.0, name="gap")
        cuts = tf.stack([first, first + gap])
        loc = slope * np.float32(x)
        yield observed(tfd.OrderedLogistic(cuts, loc, dtype=tf.float32))

    return on_grid(parts, y, (-0.5, 4), (-2.5, 1.5), (0.2, 5.5))


def negative_binomial_groups():
    rng = np.random.default_rng(14)
    means = np.exp(1.2 + 0.6 * rng.normal(size=8))
    y = rng.poisson(means[:, None] * rng.gamma(3.0, 1.0 / 3.0, size=(8, 12)))

    def parts():
        mu = yield tfd.Normal(0.0, 2.0, name="mu")
        tau = yield tfd.HalfNormal(1.0, name="tau")
        z = yield tfd.Sample(tfd.Normal(0.0, 1.0), 8, name="z")
        size = yield tfd.Gamma(2.0, 0.5, name="size")
        logits = (mu + tau * z - tf.math.log(size))[:, None] * tf.ones(12)
        yield observed(tfd.NegativeBinomial(size, logits=logits), 2)

    return Model(pinned(parts, y), lambda: groups_moments(y))


def groups_moments(y):
    """Moments by sums over grids: given mu, tau and size, groups are independent."""
    mu, log_tau = np.linspace(-0.5, 3.0, 41), np.linspace(-6.5, 1.3, 61)
    log_size = np.linspace(-0.8, 3.3, 25)
    z, eta = np.linspace(-6.0, 6.0, 181), np.linspace(-24.0, 26.0, 2001)
    at = mu[:, None, None] + np.exp(log_tau)[:, None] * z  # [M, T, Z]
    prior = -(mu[:, None] ** 2) / 8.0 - 0.5 * np.exp(2.0 * log_tau) + log_tau
    log_p = np.zeros([len(log_size), *prior.shape])
    first, second = (np.zeros([8, *log_p.shape]) for _ in range(2))
    for i, size in enumerate(np.exp(log_size)):
        log_p[i] = prior + 2.0 * np.log(size) - 0.5 * size
        share = 1.0 / (1.0 + np.exp(eta) / size)
        for j, row in enumerate(y):
            likelihood = scipy.stats.nbinom.logpmf(row[:, None], size, share).sum(axis=0)
            log_z = scipy.interpolate.CubicSpline(eta, likelihood)(at) - 0.5 * z**2
            mass = scipy.special.logsumexp(log_z, axis=-1)
            weights = np.exp(log_z - mass[..., None])
            log_p[i] += mass
            first[j, i], second[j, i] = weights @ z, weights @ z**2
    weights = scipy.special.softmax(log_p)
    size = np.exp(log_size)[:, None, None]
    means = [mu[:, None], np.exp(log_tau), *first, size]
    squares = [mu[:, None] ** 2, np.exp(2.0 * log_tau), *second, size**2]
    mean, square = (np.array([(v * weights).sum() for v in x]) for x in (means, squares))
    return mean, np.sqrt(square - mean**2)


MODELS = (
    linear_regression,
    centred_schools,
    non_centred_schools,
    dirichlet_shares,
    autoregression,
    ordered_mixture,
    weibull_survival,
    gaussian_process,
    correlation,
    directions,
    ordinal_regression,
    negative_binomial_groups,
)


@pytest.mark.slow
@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_verdict_is_right_and_no_needless_flag(model):
    case = model()
    posterior = tff.fit_posterior(case.target, seed=0, **case.options)
    verdict = posterior.report.verdict
    assert verdict in VERDICTS[:2], str(posterior.report)
    draws = posterior.sample if verdict == VERDICTS[0] else posterior.resample
    x = rows(draws(20_000, seed=1))
    mean, deviation = (np.atleast_1d(known) for known in case.reference())
    varies = deviation > 1e-6
    assert (np.abs(x.mean(axis=0) - mean)[varies] < 0.1 * deviation[varies]).all()
    changes = np.log(x.std(axis=0)[varies] / deviation[varies])
    assert np.abs(changes).max() < np.log(1.05)


def _draw(path, num_threads):
    """Fits and draws in a fresh process, on the model with most gradients to sum."""
    tf.config.threading.set_inter_op_parallelism_threads(1)
    tf.config.threading.set_intra_op_parallelism_threads(num_threads)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(initial_flow, "_MOST_PAIRS", 1)
        posterior = tff.fit_posterior(
            negative_binomial_groups().target, seed=0, max_gradients=50_000
        )
    draws = rows([posterior.sample(100, seed=1), posterior.resample(100, seed=1)])
    report = dataclasses.replace(posterior.report, seconds=0.0)
    path.write_bytes(pickle.dumps((report, draws)))


@pytest.mark.slow
def test_two_processes_with_one_thread_between_operations_draw_the_same_bits(tmp_path):
    paths = [tmp_path / name for name in ("first", "second")]
    for path in paths:
        fresh_process.run(_draw, path, 4, output=tmp_path / "output")
    (report, draws), (other, again) = (pickle.loads(path.read_bytes()) for path in paths)
    assert report == other
    np.testing.assert_array_equal(draws, again)
