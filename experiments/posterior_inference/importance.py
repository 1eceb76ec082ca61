"""How good a surrogate posterior is, from the importance weights of its draws."""

import numpy as np

import tfp_flows
from experiments.reports.estimate import Estimate

__all__ = ["effective_share", "elbo", "importance_weighted", "pareto_k"]


def elbo(log_weights):
    """Returns the evidence lower bound of log-weights, `[N]`, as an `Estimate`."""
    return Estimate.of_rows(log_weights)


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
    return Estimate(float(largest + np.log(weights.mean())), float(2.0 * error))


def effective_share(log_weights):
    """Returns the effective sample size over the number of draws, in (0, 1]."""
    weights = np.exp(log_weights - log_weights.max())
    return float(weights.sum() ** 2 / (weights**2).sum() / len(weights))


def pareto_k(log_weights):
    """Returns the shape of the weights' tail; above 0.7 nothing above can be relied on.

    Args:
      log_weights: `[N]`.
    """
    return tfp_flows.pareto_smooth(log_weights)[1]
