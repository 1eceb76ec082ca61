"""Measurements of a surrogate posterior: bounds, weights, and errors of moments."""

import dataclasses
import functools

import numpy as np
import tensorflow as tf

import tfp_flows
from experiments.posterior_inference.chains import Lengths, windowed_nuts
from experiments.posterior_inference.target_names import find
from experiments.reports import facts
from experiments.reports.estimate import estimate

# A posterior counts as right with means within 0.1 standard deviations of the reference
# and standard deviations within 5 %.
MEAN_BOUND = 0.1
RATIO_BOUND = 1.05
_DRAWS_AT_ONCE, _EXACT_DRAWS = 5000, 20_000


def measure(found, entry, reference, settings):
    """Returns the numbers of a `Found`, and of a `Reference` if any, as plain data."""
    results = {
        "target": settings.target,
        "posterior": settings.name_of_method,
        **_quality(found),
        "evidence": entry.evidence() if entry.evidence else None,
        "moments": _moments(found.rows, entry.labels()),
        "num_parameters": found.num_parameters,
        "num_gradients": found.num_gradients,
        "says": found.says,
        "reasons": list(found.reasons),
        **facts.provenance(settings),
    }
    return results if reference is None else results | _comparison(found.rows, reference)


def draw(posterior, entry, settings):
    """Returns draws of the parameters, `[N, D]`, and their log-weights, `[N]`."""
    pinned = entry.pinned()

    @tf.function(autograph=False)
    def draw_at_once(seed):
        parts, log_prob = posterior.experimental_sample_and_log_prob(
            _DRAWS_AT_ONCE, seed=seed
        )
        return parts, pinned.unnormalized_log_prob(parts) - log_prob

    rows, log_weights = [], []
    for i in range(-(-settings.num_draws // _DRAWS_AT_ONCE)):
        parts, weights = draw_at_once(tf.constant([3 + i, settings.seed]))
        rows.append(entry.rows(parts))
        log_weights.append(weights.numpy().astype(np.float64))
    count = slice(settings.num_draws)
    return np.concatenate(rows)[count], np.concatenate(log_weights)[count]


def _quality(found):
    if found.log_weights is None:
        return {"effective_share": found.effective_share, "num_draws": len(found.rows)}
    log_weights = found.log_weights
    return {
        "elbo": estimate(log_weights),
        "importance_weighted": importance_weighted(log_weights),
        "effective_share": effective_share(log_weights),
        "pareto_k": tfp_flows.inference.pareto_smooth(log_weights)[1],
        "num_draws": len(log_weights),
    }


def _moments(draws, names):
    means, deviations = draws.mean(axis=0), draws.std(axis=0)
    return {
        name: {"mean": float(mean), "standard_deviation": float(deviation)}
        for name, mean, deviation in zip(names, means, deviations, strict=True)
    }


def find_reference(entry, settings):
    """Returns the `Reference` that the settings ask for; None without one."""
    if settings.reference == "none":
        return None
    if settings.reference == "own" and entry.reference is not None:
        return Reference(entry.reference, "posteriordb")
    if settings.reference == "own" and not entry.observed:
        draws = entry.build().sample(_EXACT_DRAWS, seed=(6, 0))
        return Reference(entry.rows(draws), "exact draws")
    return nuts(settings.target, settings.data_dir, Lengths.shared(settings), settings.seed)


def _comparison(draws, reference):
    """Facts of the reference, and the greatest errors of means and deviations."""
    means, deviations = reference.draws.mean(axis=0), reference.draws.std(axis=0)
    error = float(np.abs((draws.mean(axis=0) - means) / deviations).max())
    ratio = float(np.exp(np.abs(np.log(draws.std(axis=0) / deviations)).max()))
    return {
        "reference": {
            "means": means.tolist(),
            "standard_deviations": deviations.tolist(),
            "origin": reference.origin,
            "r_hat": reference.r_hat,
            "effective_size": reference.effective_size,
            "divergences": reference.divergences,
            "num_draws": len(reference.draws),
        },
        "greatest_error_of_a_mean": error,
        "greatest_ratio_of_deviations": ratio,
        "is_right": error <= MEAN_BOUND and ratio <= RATIO_BOUND,
    }


def importance_weighted(log_weights):
    """Returns the log of the mean weight, with the relative error of this mean.

    A log-weight is the log-density of the target less that of the posterior.

    Reference:
      Burda, Grosse, Salakhutdinov (2016), Importance weighted autoencoders.
      https://arxiv.org/abs/1509.00519
    """
    largest = log_weights.max()
    weights = np.exp(log_weights - largest)
    error = weights.std(ddof=1) / (np.sqrt(len(weights)) * weights.mean())
    nats = float(largest + np.log(weights.mean()))
    return {"nats": nats, "two_standard_errors": float(2.0 * error)}


def effective_share(log_weights):
    """Returns the effective sample size over the number of draws, in (0, 1]."""
    weights = np.exp(log_weights - log_weights.max())
    return float(weights.sum() ** 2 / (weights**2).sum() / len(weights))


@dataclasses.dataclass(frozen=True)
class Reference:
    """Reference draws, with the diagnostics of the chains that made them.

    Attributes:
      draws: `[N, D]`, of all chains, in the parts' own units.
      origin: their source, in words.
      r_hat: potential scale reduction, the largest of all variables; None without chains.
      effective_size: effective sample size, the smallest of all variables, or None.
      divergences: share of the steps that diverged, or None.
    """

    draws: np.ndarray
    origin: str
    r_hat: float | None = None
    effective_size: float | None = None
    divergences: float | None = None


@functools.cache
def nuts(target, data_dir, lengths, seed):
    """Returns the `Reference` of a target of `find` by NUTS; equal arguments share one."""
    chains = windowed_nuts(find(target, data_dir), lengths, seed=(1, seed))
    return Reference(
        chains.rows,
        "NUTS",
        chains.r_hat,
        float(chains.effective_sizes.min()),
        chains.divergences,
    )
