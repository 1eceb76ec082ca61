"""What a comparison of samplers says of itself."""

import numpy as np

from experiments.reports import facts
from experiments.reports.page import Page

__all__ = ["page", "summary"]

_NOTE = (
    "Effective sizes (ESS) are of all chains together, unconstrained, the least over the "
    "variables. Gradients are evaluations of the target's, without those of adaptation and "
    "of training."
)
_KNOWN = (
    " The first variable is normal with mean {:g} and standard deviation {:g}. Worth: how "
    "many independent draws would err as much as the chains do in the mean, and in the "
    "mean square, of that variable. It comes from the spread of the chains around the "
    "truth, and so, unlike an effective size, sees where they never were."
)
_HEADER = (
    *("sampler", "least ESS", "gradients", "least ESS per 1,000", "mean of first"),
    *("s.d. of first", "worth per 1,000, mean", "mean square", "divergences"),
)


def summary(chains, known):
    """Returns what is measured of a sampler, as `results.json` holds it.

    Args:
      chains: a `Chains`.
      known: true mean and standard deviation of the first variable; or None.
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


def page(results, settings):
    """Returns the report as a `Page`.

    Args:
      results: what `neutra.run` returns.
      settings: a `NeutraSettings`.
    """
    known = results["moments_of_first"]
    return Page(
        f"NeuTra on {settings.target}, with {settings.posterior}",
        _NOTE + (_KNOWN.format(*known) if known else ""),
        _HEADER,
        [_row(*sampler) for sampler in reversed(results["samplers"].items())],
        {},
        {
            "gradients of training": f"{results['training_gradients']:,}",
            "training time, compilation included": f"{results['training_seconds']:.0f} s",
            "ELBO of the flow": f"{results['elbo']['nats']:.3f} nats",
            **facts.describe_provenance(results),
        },
        results["command"],
    )


def _worth(first, mean, deviation):
    """How many independent draws err as much as `first`, `[draws, chains]`."""
    z = (first - mean) / deviation
    errors = {  # of each chain, in standard deviations of one draw
        "mean": z.mean(axis=0),
        "mean_square": ((z**2).mean(axis=0) - 1.0) / np.sqrt(2.0),
    }
    return {n: float(len(e) / np.mean(e**2)) for n, e in errors.items()}


def _row(name, found):
    worth = found.get("worth_per_1000_gradients")
    return (
        name,
        f"{found['smallest_effective_size']:.0f}",
        f"{found['num_gradients']:,}",
        f"{found['smallest_effective_size_per_1000_gradients']:.2f}",
        f"{found['mean_of_first']:.2f}",
        f"{found['standard_deviation_of_first']:.2f}",
        *(f"{w:.2f}" for w in (worth.values() if worth else ())),
        *(() if worth else ("-", "-")),
        f"{found['divergences']:.2%}",
    )
