"""The eight tasks of the benchmark of Lueckmann et al. (2021): priors and simulators.

Each simulator takes N parameters, `[N, d]`, and an integer seed, and returns N data,
`[N, k]`.

Reference:
  Lueckmann, Boelts, Greenberg, Gonçalves, Macke (2021), Benchmarking simulation-based
  inference. https://arxiv.org/abs/2101.04653
"""

import dataclasses
from collections.abc import Callable

import numpy as np
import tensorflow_probability as tfp


@dataclasses.dataclass(frozen=True)
class Task:
    """A prior and a simulator.

    Attributes:
      prior: function without arguments that returns the `tfp.distributions.Distribution`.
      simulator: function of parameters, `[N, d]`, and a seed that returns data, `[N, k]`.
    """

    prior: Callable
    simulator: Callable


def two_moons(theta, seed):
    """A crescent at a place that depends on |t1 + t2|, so that posteriors have two."""
    rng, count = np.random.default_rng(seed), len(theta)
    angle = rng.uniform(-np.pi / 2, np.pi / 2, size=count)
    radius = rng.normal(0.1, 0.01, size=count)
    crescent = np.stack([radius * np.cos(angle) + 0.25, radius * np.sin(angle)], axis=1)
    place = [-np.abs(theta[:, 0] + theta[:, 1]), theta[:, 1] - theta[:, 0]]
    return crescent + np.stack(place, axis=1) / np.sqrt(2.0)


def gaussian_linear(theta, seed):
    """A Gaussian about theta, of variance .1."""
    return np.random.default_rng(seed).normal(theta, np.sqrt(0.1))


def gaussian_mixture(theta, seed):
    """One of two Gaussians about theta, of standard deviations 1 and .1."""
    rng = np.random.default_rng(seed)
    scale = np.where(rng.uniform(size=(len(theta), 1)) < 0.5, 1.0, 0.1)
    return rng.normal(theta, scale)


def bernoulli_glm(theta, seed):
    """Sufficient statistics X^T y of 100 zeros and ones, Bernoulli(sigmoid(X theta))."""
    rows = _design()
    chance = 1.0 / (1.0 + np.exp(-theta @ rows.T))
    y = np.random.default_rng(seed).uniform(size=chance.shape) < chance
    return y @ rows


def slcp(theta, seed):
    """Four draws of a Gaussian in the plane, whose scales are squares."""
    mean = theta[:, None, :2]
    scale = theta[:, None, 2:4] ** 2
    correlation = np.tanh(theta[:, None, 4])
    noise = np.random.default_rng(seed).normal(size=(len(theta), 4, 2))
    # Cholesky factor of the covariance, with 1e-6 added to both variances.
    first = np.sqrt(scale[..., 0] ** 2 + 1e-6)
    cross = correlation * scale[..., 0] * scale[..., 1] / first
    second = np.sqrt(np.maximum(scale[..., 1] ** 2 + 1e-6 - cross**2, 0.0))
    x = mean[..., 0] + first * noise[..., 0]
    y = mean[..., 1] + cross * noise[..., 0] + second * noise[..., 1]
    return np.stack([x, y], axis=-1).reshape(len(theta), 8)


def sir(theta, seed):
    """Infected among 1,000 people at ten times of an epidemic."""
    size = 1e6
    beta, gamma = theta[:, 0], theta[:, 1]

    def rate(state):  # logarithms of the susceptible and the infected
        susceptible, infected = np.exp(state)
        return np.stack([-beta * infected / size, beta * susceptible / size - gamma])

    start = np.log([size - 1.0, 1.0])[:, None] * np.ones_like(beta)
    states = _runge_kutta(rate, start, num_times=10, interval=17.0, steps=68)
    share = np.clip(np.exp(states[:, 1].T) / size, 0.0, 1.0)
    return np.random.default_rng(seed).binomial(1_000, share).astype(np.float64)


def lotka_volterra(theta, seed):
    """Prey and predators at ten times, with log-normal noise."""
    a, b, c, e = theta.T

    def rate(state):  # logarithms of prey and predators
        prey, predators = np.exp(state)
        return np.stack([a - b * predators, e * prey - c])

    start = np.log([30.0, 1.0])[:, None] * np.ones_like(a)
    states = _runge_kutta(rate, start, num_times=10, interval=2.1, steps=210)
    noise = np.random.default_rng(seed).normal(0.0, 0.1, size=(len(theta), 20))
    means = np.concatenate([states[:, 0].T, states[:, 1].T], axis=1)
    return np.exp(means + noise)


def _uniform(low, high, size):
    uniform = tfp.distributions.Uniform(np.full(size, low, np.float32), high)
    return tfp.distributions.Independent(uniform, 1)


def _log_normal(locations, scales):
    locations, scales = np.float32(locations), np.float32(scales)
    return tfp.distributions.Independent(tfp.distributions.LogNormal(locations, scales), 1)


def _normal(size, variance):
    scales = np.full(size, variance**0.5, np.float32)
    return tfp.distributions.MultivariateNormalDiag(np.zeros(size, np.float32), scales)


def _glm_prior():
    differences = np.eye(9) - np.eye(9, k=-1)
    smooth = differences @ differences + np.diag(np.sqrt(np.arange(9) / 9.0))
    precision = np.zeros([10, 10])
    precision[0, 0] = 0.5
    precision[1:, 1:] = smooth.T @ smooth
    factor = np.linalg.cholesky(np.linalg.inv(precision)).astype(np.float32)
    return tfp.distributions.MultivariateNormalTriL(np.zeros(10, np.float32), factor)


def _design():
    """The rows of the regression, `[100, 10]`."""
    signal = np.random.RandomState(42).randn(100).astype(np.float32)
    shifted = [np.concatenate([np.zeros(k), signal[: 100 - k]]) for k in range(9)]
    return np.stack([np.ones(100), *shifted], axis=1)


def _runge_kutta(rate, state, *, num_times, interval, steps):
    """Returns the states at `num_times` times, the first of which is the start.

    Args:
      rate: function from a state to its derivative in time.
      state: the start.
      num_times: number of times.
      interval: time between two of them.
      steps: number of steps of the method, of fourth order, between two of them.
    """
    states, step = [state], interval / steps
    for _ in range(num_times - 1):
        for _ in range(steps):
            first = rate(state)
            second = rate(state + 0.5 * step * first)
            third = rate(state + 0.5 * step * second)
            fourth = rate(state + step * third)
            state = state + step / 6.0 * (first + 2.0 * second + 2.0 * third + fourth)
        states.append(state)
    return np.stack(states)


# Name -> task.
TASKS = {
    "two_moons": Task(lambda: _uniform(-1.0, 1.0, 2), two_moons),
    "gaussian_linear": Task(lambda: _normal(10, 0.1), gaussian_linear),
    "gaussian_linear_uniform": Task(lambda: _uniform(-1.0, 1.0, 10), gaussian_linear),
    "gaussian_mixture": Task(lambda: _uniform(-10.0, 10.0, 2), gaussian_mixture),
    "bernoulli_glm": Task(_glm_prior, bernoulli_glm),
    "slcp": Task(lambda: _uniform(-3.0, 3.0, 5), slcp),
    "sir": Task(lambda: _log_normal([np.log(0.4), np.log(0.125)], [0.5, 0.2]), sir),
    "lotka_volterra": Task(
        lambda: _log_normal([-0.125, -3.0, -0.125, -3.0], [0.5] * 4), lotka_volterra
    ),
}
