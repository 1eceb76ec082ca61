"""The weights of the components of a mixture, by held-out rows."""

from __future__ import annotations

import numpy as np

from tfp_flows.core.rows import effective_count, take_rows
from tfp_flows.density.data import Data
from tfp_flows.distributions.mixture import Mixture

# Pseudo-rows that all components share (a Dirichlet prior).
_PRIOR_ROWS = 2.0
_LEAST_WEIGHT = 0.02  # a component of less weight gets none
_UPDATES = 200  # number of updates of the weights; each raises the likelihood


def log_prob_of_components(mixture: Mixture, data: Data) -> np.ndarray:
    """Returns log-densities of rows under each component, `[n, K]`, in float64."""
    each = data.by_parts(lambda x, c: mixture.log_prob_of_components(x, context=c))
    return each.astype(np.float64)


def mixture_weights(
    log_probs: np.ndarray, row_weight: np.ndarray | None = None
) -> np.ndarray:
    """Returns the weights, `[K]`, under which rows are most probable, by EM.

    Log-densities of rows are `[n, K]`, and weights of rows `[n]`, if they have any. A
    component of less weight than 0.02 gets none.
    """
    num_components = log_probs.shape[1]
    num_rows = effective_count(row_weight, len(log_probs))
    counts = 1.0 if row_weight is None else num_rows * row_weight / row_weight.sum()
    weights = np.full(num_components, 1.0 / num_components)
    log_probs = np.maximum(log_probs, -1e9)  # a row may have density zero under all
    for _ in range(_UPDATES):
        shares = log_probs + np.log(weights)
        shares = np.exp(shares - np.logaddexp.reduce(shares, axis=1, keepdims=True))
        weights = np.sum(shares.T * counts, axis=1) + _PRIOR_ROWS / num_components
        weights /= num_rows + _PRIOR_ROWS
    weights = np.where(weights < min(_LEAST_WEIGHT, 1.0 / num_components), 0.0, weights)
    return weights / weights.sum()


def scored_by_other_half(
    log_probs: np.ndarray, row_weight: np.ndarray | None = None
) -> np.ndarray:
    """Returns log-densities of rows, `[n]`, by weights from the other half of the rows."""
    half = len(log_probs) // 2
    halves = slice(half), slice(half, None)
    scores = []
    for scored, other in (halves, halves[::-1]):
        weights = mixture_weights(log_probs[other], take_rows(row_weight, other))
        scores.append(mixture_log_prob(log_probs[scored], weights))
    return np.concatenate(scores)


def mixture_log_prob(log_probs: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Returns log-densities of a mixture, `[n]`, from those of its components, `[n, K]`."""
    with np.errstate(divide="ignore"):  # a weight may be 0
        return np.logaddexp.reduce(log_probs + np.log(weights), axis=1)
