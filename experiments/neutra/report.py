"""The report of a comparison of samplers."""

from experiments.reports import facts
from experiments.reports.page import Page

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


def page(results, settings):
    """Returns the report as a `Page`."""
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
