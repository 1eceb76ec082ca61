"""Samples of NUTS, plain and through a flow, and their measurements."""

import numpy as np

from experiments.posterior_inference.chains import Lengths, flow_nuts
from experiments.reports import facts
from experiments.reports.estimate import estimate

_ELBO_DRAWS = 20_000


def sample(posterior, entry, settings):
    """Returns the `Chains` of plain NUTS and of NUTS through the flow, by name."""
    names = {"plain NUTS": False, f"NUTS through {settings.posterior}": True}
    return {
        name: flow_nuts(
            posterior,
            entry,
            posterior.support.inverse,
            Lengths.shared(settings),
            precondition=precondition,
            seed=settings.seed,
        )
        for name, precondition in names.items()
    }


def measure(posterior, chains, entry, settings):
    """Returns the numbers of a posterior and the results of `sample` as plain data."""
    samplers = {name: summary(each, entry.first) for name, each in chains.items()}
    parts, log_prob = posterior.sample_and_log_prob(_ELBO_DRAWS, seed=(5, settings.seed))
    log_weights = entry.pinned().unnormalized_log_prob(parts) - log_prob
    return {
        "target": settings.target,
        "samplers": samplers,
        "moments_of_first": entry.first and list(entry.first),
        "elbo": estimate(log_weights),
        "training_gradients": settings.training_gradients,
        **facts.provenance(settings),
    }


def summary(chains, known):
    """Returns the measurements of `Chains` as plain data.

    `known` are true mean and standard deviation of the first variable; or None.
    """
    sizes, first = chains.effective_sizes, chains.draws[..., 0].astype(np.float64)
    found = {
        "effective_size_of_first": float(sizes[0]),
        "smallest_effective_size": float(sizes.min()),
        "num_gradients": chains.num_gradients,
        "smallest_effective_size_per_1000_gradients": float(
            1e3 * sizes.min() / chains.num_gradients
        ),
        "mean_of_first": float(first.mean()),
        "standard_deviation_of_first": float(first.std()),
        "divergences": chains.divergences,
    }
    if known is None:
        return found
    per_draw = 1e3 / chains.num_gradients
    worth = {name: per_draw * draws for name, draws in _worth(first, *known).items()}
    return found | {"worth_per_1000_gradients": worth}


def _worth(first, mean, deviation):
    """Returns the numbers of independent draws with the same error as `first`.

    These are draws of the first variable, `[draws, chains]`, of known mean and deviation.
    """
    z = (first - mean) / deviation
    errors = {  # of each chain, in standard deviations of one draw
        "mean": z.mean(axis=0),
        "mean_square": ((z**2).mean(axis=0) - 1.0) / np.sqrt(2.0),
    }
    return {n: float(len(e) / np.mean(e**2)) for n, e in errors.items()}
