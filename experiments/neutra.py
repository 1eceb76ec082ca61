"""NUTS through a trained flow (NeuTra) beside plain NUTS: effective samples a gradient."""

import dataclasses
import time

import numpy as np

from experiments.command_line import program, training_settings
from experiments.command_line.flag_settings import check_kind
from experiments.posterior_inference import training
from experiments.posterior_inference.chains import Lengths, flow_nuts
from experiments.posterior_inference.settings import PosteriorSettings
from experiments.posterior_inference.surrogates import POSTERIORS
from experiments.posterior_inference.target_names import choices, find
from experiments.reports import facts, page, plots
from experiments.reports.estimate import estimate
from experiments.runs import resuming

_ELBO_DRAWS = 20_000
_MAX_VARIABLES = 4
_CAPTIONS = {
    "pairs.png": "Pairs of variables: plain NUTS above the diagonal, NeuTra below it."
}
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
_changed = PosteriorSettings.changed


@dataclasses.dataclass(frozen=True)
class NeutraSettings(PosteriorSettings):
    """The settings of `posterior_inference`, with other defaults, for the funnel."""

    PROGRAM = "neutra"

    target: str = _changed("target", "funnel", "Model or density.", one_of=choices())
    posterior: str = _changed(
        "posterior",
        "iaf",
        "Flow to train and to sample through.",
        one_of=["iaf", "real_nvp"],
    )
    method: str = _changed("method", "", "Not used here.", one_of=[""])
    reference: str = _changed("reference", "none", "Not used here.", one_of=["none"])
    strategy: str = _changed("strategy", "none", "Not used here.", one_of=["none"])
    run_dir: str = _changed("run_dir", "runs/neutra")
    num_steps: int = _changed("num_steps", 2, "Number of steps of the flow.")
    # With these the flow can represent the funnel: its log-scales are linear in v.
    direct: bool = _changed("direct", True)
    whiten: bool = _changed("whiten", False)
    activation: str = _changed("activation", "elu")
    scale: str = _changed("scale", "exp")
    training_steps: int = _changed("training_steps", 4000)
    sample_size: int = _changed("sample_size", 512, "Draws of the flow per training step.")
    learning_rate: float = _changed("learning_rate", 3e-3)
    num_chains: int = _changed(
        "num_chains", 64, "Chains of each sampler; share `num_draws`."
    )
    num_draws: int = _changed("num_draws", 32000, "Draws of all chains together.")


def run(settings):
    """Trains a flow, samples twice, and writes everything into `settings.run_dir`.

    Returns:
      What `results.json` holds. The results of a finished run are read; an interrupted
      run goes on from its last block of steps, or after its training.
    """
    check_kind("settings", settings, NeutraSettings)
    training_settings.check_activation(settings.activation)
    if resuming.is_finished(settings):
        return resuming.finished(settings)
    with resuming.unfinished(settings) as run_dir:
        entry = find(settings.target, settings.data_dir)
        pinned = entry.pinned()
        posterior = POSTERIORS[settings.posterior](pinned, settings)
        start = time.perf_counter()
        _, earlier = training.train(posterior, pinned.unnormalized_log_prob, settings)
        seconds = earlier + time.perf_counter() - start
        chains = sample(posterior, entry, settings)
        results = measure(posterior, chains, entry, settings)
        results["training_seconds"] = seconds
        _draw(chains, entry, posterior.support, run_dir / "pairs.png")
        page.write(report(results, settings), _CAPTIONS, results, run_dir)
        return results


@program.command(NeutraSettings, description=__doc__)
def cli(settings):
    """Samples, and prints the report."""
    program.stop_at_once()
    print(report(run(settings), settings).text())
    print(f"Written to {settings.run_dir}: report.html, results.json, pairs.png.")


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


def _draw(chains, entry, support, path):
    rng = np.random.default_rng(0)
    rows = [rng.permutation(entry.rows(support.forward(c.rows))) for c in chains.values()]
    first = slice(_MAX_VARIABLES)
    names = entry.labels()[first]
    plots.pairs(*(r[:, first] for r in rows), path, labels=names, names=list(chains))


def report(results, settings):
    """Returns the report as a `Page`."""
    known = results["moments_of_first"]
    return page.Page(
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
    worth = found.get("worth_per_1000_gradients", {}).values()
    return (
        name,
        f"{found['smallest_effective_size']:.0f}",
        f"{found['num_gradients']:,}",
        f"{found['smallest_effective_size_per_1000_gradients']:.2f}",
        f"{found['mean_of_first']:.2f}",
        f"{found['standard_deviation_of_first']:.2f}",
        *([f"{w:.2f}" for w in worth] or ["-", "-"]),
        f"{found['divergences']:.2%}",
    )
