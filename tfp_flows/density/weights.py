"""The weights of the components of a mixture, by held-out rows."""

from __future__ import annotations

import numpy as np

from tfp_flows.core.rows import by_parts
from tfp_flows.density.data import Data
from tfp_flows.distributions.mixture import Mixture

# Pseudo-rows that all components share (a Dirichlet prior).
_PRIOR_ROWS = 2.0
_LEAST_WEIGHT = 0.02  # a component of less weight gets none
_UPDATES = 200  # number of updates of the weights; each raises the likelihood


def log_prob_of_components(mixture: Mixture, data: Data) -> np.ndarray:
    """Returns log-densities of rows under each component, `[n, K]`, in float64."""
    each = by_parts(lambda x, c: mixture.log_prob_of_components(x, context=c), *data)
    return each.astype(np.float64)


def mixture_weights(log_probs: np.ndarray) -> np.ndarray:
    """Returns the weights, `[K]`, under which rows are most probable, by EM.

    Log-densities of rows are `[n, K]`. A component of less weight than 0.02 gets none.
    """
    count = log_probs.shape[1]
    weights = np.full(count, 1.0 / count)
    log_probs = np.maximum(log_probs, -1e9)  # a row may have density zero under all
    for _ in range(_UPDATES):
        shares = log_probs + np.log(weights)
        shares = np.exp(shares - np.logaddexp.reduce(shares, axis=1, keepdims=True))
        weights = shares.sum(axis=0) + _PRIOR_ROWS / count
        weights /= len(shares) + _PRIOR_ROWS
    weights = np.where(weights < min(_LEAST_WEIGHT, 1.0 / count), 0.0, weights)
    return weights / weights.sum()


def scored_by_other_half(log_probs: np.ndarray) -> np.ndarray:
    """Returns log-densities of rows, `[n]`, by weights from the other half of the rows."""
    half = len(log_probs) // 2
    first, second = log_probs[:half], log_probs[half:]
    parts = [mixed(a, mixture_weights(b)) for a, b in ((first, second), (second, first))]
    return np.concatenate(parts)


def mixed(log_probs: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Returns log-densities of a mixture, `[n]`, from those of its components, `[n, K]`."""
    with np.errstate(divide="ignore"):  # a weight may be 0
        return np.logaddexp.reduce(log_probs + np.log(weights), axis=1)
