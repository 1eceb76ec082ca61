"""NUTS through a trained flow (NeuTra) beside plain NUTS: effective samples a gradient."""

import dataclasses

import numpy as np
import tensorflow_probability as tfp

from experiments.command_line import program as command_line
from experiments.command_line.flag_settings import field
from experiments.command_line.kinds import check_kind
from experiments.density_estimation import report
from experiments.density_estimation.models import SCALES
from experiments.density_estimation.models import choose
from experiments.neutra import report as neutra_report
from experiments.posterior_inference import importance
from experiments.posterior_inference.chains import run_nuts
from experiments.posterior_inference.chains import unconstrained_log_prob
from experiments.posterior_inference.experiment import REFUSALS
from experiments.posterior_inference.models import POSTERIORS
from experiments.posterior_inference.settings import PosteriorSettings
from experiments.posterior_inference.targets import TARGETS
from experiments.posterior_inference.targets import flatten
from experiments.posterior_inference.targets import labels
from experiments.posterior_inference.training import train
from experiments.reports import html_report
from experiments.reports import provenance
from experiments.reports import table_plots
from experiments.runs import run_directory

_FLOWS = ["iaf", "real_nvp"]
_CHOICES = {"target": list(TARGETS), "posterior": _FLOWS, "reference": ["none"]}
_CHOICES |= {"scale": ["own", *SCALES]}
_MAX_VARIABLES = 4
_CAPTIONS = {
    "pairs.png": "Pairs of variables: plain NUTS above the diagonal, NeuTra below it."
}


@dataclasses.dataclass(frozen=True)
class NeutraSettings(PosteriorSettings):
    """The settings of `posterior_inference`, with defaults for chains on the funnel."""

    target: str = field("funnel", "Model, or density.")
    posterior: str = field("iaf", "Flow that is trained, and then sampled through.")
    reference: str = field("none", "Not used here.")
    run_dir: str = field("runs/neutra", "Folder that the run writes into.")
    num_steps: int = field(2, "Number of steps of the flow.")
    # With these the funnel is among the posteriors: log-scales are linear in v.
    direct: bool = field(
        True, "Whether the networks of iaf also connect inputs to outputs directly."
    )
    whiten: bool = field(
        False, "Whether flows start at the target's Laplace approximation."
    )
    activation: str = field("elu", "Keras name of the conditioners' activation.")
    training_steps: int = field(4000, "Steps of Adam.")
    scale: str = field("exp", "How a step makes scales of its network's output.")
    learning_rate: float = field(3e-3, "Adam's step size, which falls to 0 along a cosine.")
    sample_size: int = field(512, "Draws of the flow in a training step.")
    num_chains: int = field(64, "Chains of each sampler, which share `num_draws`.")
    num_draws: int = field(32000, "Draws of all chains together.")


def run(settings):
    """Trains a flow, samples twice, and writes everything into `settings.run_dir`.

    Args:
      settings: a `NeutraSettings`.

    Returns:
      What `results.json` holds; a finished run is only read.

    Raises:
      RunDirectoryError: if the folder belongs to another process or another run.
    """
    check_kind("settings", settings, NeutraSettings)
    choose("target", settings.target, TARGETS)
    choose("posterior", settings.posterior, dict.fromkeys(_FLOWS))
    with run_directory.claim(settings) as run_dir:
        results = run_directory.finished_results(run_dir)
        return _run(settings, run_dir) if results is None else results


def _run(settings, run_dir):
    entry = TARGETS[settings.target]
    pinned = entry.pinned()
    posterior = POSTERIORS[settings.posterior](pinned, settings)
    _, seconds = train(posterior, pinned.unnormalized_log_prob, settings)
    bijectors = {
        "plain NUTS": tfp.bijectors.Identity(),
        f"NUTS through {settings.posterior}": posterior.distribution.bijector,
    }
    start = posterior.distribution.sample(settings.num_chains, seed=settings.seed)
    chains = {
        name: run_nuts(
            unconstrained_log_prob(pinned, posterior.support),
            bijector,
            start,
            num_draws=-(-settings.num_draws // settings.num_chains),
            num_adaptation_steps=settings.num_adaptation_steps,
            seed=(4, settings.seed),
        )
        for name, bijector in bijectors.items()
    }
    results = {
        "target": settings.target,
        "samplers": {
            name: neutra_report.summary(sampled, entry.first)
            for name, sampled in chains.items()
        },
        "moments_of_first": entry.first and list(entry.first),
        "elbo": dataclasses.asdict(_elbo(posterior, pinned, settings)),
        "training_seconds": seconds,
        "training_gradients": settings.training_steps * settings.sample_size,
        "command": provenance.command(settings, "neutra"),
        "versions": provenance.versions(),
        "machine": provenance.machine(),
    }
    _draw(chains, pinned, posterior.support, run_dir / "pairs.png")
    page = neutra_report.page(results, settings.target, settings.posterior)
    page.write_markdown(_CAPTIONS, run_dir / "report.md")
    html_report.write_report(page, _CAPTIONS, run_dir / "report.html")
    report.write_results(results, run_dir / "results.json")
    return results


def _elbo(posterior, pinned, settings):
    parts, log_prob = posterior.sample_and_log_prob(20000, seed=(5, settings.seed))
    log_weights = pinned.unnormalized_log_prob(parts) - log_prob
    return importance.elbo(log_weights.numpy().astype(np.float64))


def _draw(chains, pinned, support, path):
    rng = np.random.default_rng(0)
    rows = [
        rng.permutation(flatten(support.forward(c.draws.reshape(-1, c.draws.shape[-1]))))
        for c in chains.values()
    ]
    first = slice(_MAX_VARIABLES)
    names = labels(pinned.event_shape)[first]
    table_plots.pairs(*(r[:, first] for r in rows), path, labels=names, names=list(chains))


def cli(argv):
    """Runs a command line and returns its exit status.

    It is 2 for wrong use, and 1 for a run that came to nothing.
    """
    return command_line.exit_status(main, argv, name="neutra", refusals=REFUSALS)


def main(argv):
    """Reads the flags, runs, and prints the table."""
    settings = command_line.read_settings(
        argv,
        NeutraSettings,
        choices=_CHOICES,
        description=__doc__,
        lists_datasets=False,
    )
    if settings is None:
        return
    print(neutra_report.page(run(settings), settings.target, settings.posterior).table())
    print(f"Written to {settings.run_dir}: report.html, results.json, pairs.png.")
