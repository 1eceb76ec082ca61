"""How good a surrogate posterior is, from the importance weights of its draws."""

import dataclasses

import numpy as np
import scipy.stats

__all__ = ["Bound", "effective_share", "elbo", "importance_weighted", "pareto_k"]


@dataclasses.dataclass(frozen=True)
class Bound:
    """An estimate of the log-evidence, or of a bound on it, with two standard errors."""

    nats: float
    two_standard_errors: float


def elbo(log_weights):
    """Returns the evidence lower bound of log-weights, `[N]`."""
    error = log_weights.std(ddof=1) / np.sqrt(len(log_weights))
    return Bound(float(log_weights.mean()), float(2.0 * error))


def importance_weighted(log_weights):
    """Returns the log of the mean weight; its error is the relative one of that mean.

    Args:
      log_weights: `[N]`, log-density of the target less that of the posterior.

    Reference:
      Burda, Grosse, Salakhutdinov (2016), Importance weighted autoencoders.
      https://arxiv.org/abs/1509.00519
    """
    largest = log_weights.max()
    weights = np.exp(log_weights - largest)
    error = weights.std(ddof=1) / (np.sqrt(len(weights)) * weights.mean())
    return Bound(float(largest + np.log(weights.mean())), float(2.0 * error))


def effective_share(log_weights):
    """Returns the effective sample size over the number of draws, in (0, 1]."""
    weights = np.exp(log_weights - log_weights.max())
    return float(weights.sum() ** 2 / (weights**2).sum() / len(weights))


def pareto_k(log_weights):
    """Returns the shape of the weights' tail; above 0.7 nothing above can be relied on.

    A generalised Pareto distribution is fitted to the `3 sqrt(N)` largest weights.

    Args:
      log_weights: `[N]`.

    Reference:
      Vehtari et al. (2024), Pareto smoothed importance sampling.
      https://arxiv.org/abs/1507.02646
    """
    count = int(min(0.2 * len(log_weights), 3.0 * np.sqrt(len(log_weights))))
    tail = np.sort(np.exp(log_weights - log_weights.max()))[-count - 1 :]
    excess = tail[1:] - tail[0]
    if not excess[-1] > 0.0:  # all weights alike: a perfect posterior
        return -np.inf
    return float(scipy.stats.genpareto.fit(excess / excess.mean(), floc=0.0)[0])
