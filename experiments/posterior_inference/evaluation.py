"""What is measured of a surrogate posterior: bounds, weights, and errors of moments."""

import dataclasses
import math

import numpy as np
import tensorflow as tf

from experiments.posterior_inference import importance
from experiments.posterior_inference.reference import Reference
from experiments.posterior_inference.reference import nuts
from experiments.reports import provenance

__all__ = ["draw", "find_reference", "measure"]

_DRAWS_AT_ONCE = 5000


def measure(posterior, entry, drawn, reference, settings):
    """Returns the numbers as plain data.

    Args:
      posterior: a trained surrogate posterior.
      entry: the `Target`.
      drawn: what `draw` returns.
      reference: a `Reference`; or None.
      settings: a `PosteriorSettings`.
    """
    draws, log_weights = drawn
    results = {
        "target": settings.target,
        "posterior": settings.posterior,
        **_quality(log_weights),
        "evidence": entry.evidence() if entry.evidence else None,
        "moments": _moments(draws, entry.labels()),
        "num_parameters": sum(math.prod(w.shape) for w in posterior.trainable_variables),
        **provenance.of_run(settings),
    }
    return results if reference is None else results | _comparison(draws, reference)


def draw(posterior, pinned, entry, settings):
    """Returns draws, `[N, D]`, and their log-weights, `[N]`."""

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


def _quality(log_weights):
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
        "greatest_error_of_a_mean": float(
            np.abs((draws.mean(axis=0) - means) / deviations).max()
        ),
        "greatest_ratio_of_deviations": float(
            np.exp(np.abs(np.log(draws.std(axis=0) / deviations)).max())
        ),
    }
