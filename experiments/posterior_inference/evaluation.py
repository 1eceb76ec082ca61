"""What is measured of a surrogate posterior: bounds, weights, and errors of moments."""

import dataclasses

import numpy as np
import tensorflow as tf

from experiments.posterior_inference import importance
from experiments.posterior_inference.reference import Reference
from experiments.posterior_inference.reference import exact
from experiments.posterior_inference.reference import nuts
from experiments.reports import provenance

__all__ = ["MEAN_BOUND", "RATIO_BOUND", "draw", "find_reference", "measure"]

# What counts as right: means within 0.1 standard deviations, deviations within 5 %.
MEAN_BOUND = 0.1
RATIO_BOUND = 1.05
_DRAWS_AT_ONCE = 5000


def measure(found, entry, reference, settings):
    """Returns the numbers as plain data.

    Args:
      found: a `Found`.
      entry: the `Target`.
      reference: a `Reference`; or None.
      settings: a `PosteriorSettings`.
    """
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
        **provenance.of_run(settings),
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
        "elbo": dataclasses.asdict(importance.elbo(log_weights)),
        "importance_weighted": dataclasses.asdict(
            importance.importance_weighted(log_weights)
        ),
        "effective_share": importance.effective_share(log_weights),
        "pareto_k": importance.pareto_k(log_weights),
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
        return exact(entry)
    return nuts(
        settings.target,
        data_dir=settings.data_dir,
        num_chains=settings.num_chains,
        num_draws=-(-settings.num_draws // settings.num_chains),
        num_adaptation_steps=settings.num_adaptation_steps,
        seed=settings.seed,
    )


def _comparison(draws, reference):
    """How far means and deviations are off, in standard deviations of the reference."""
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
