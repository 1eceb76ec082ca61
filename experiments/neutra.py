"""NUTS through a trained flow (NeuTra) beside plain NUTS: effective samples a gradient."""

import dataclasses
import sys

import numpy as np
import tensorflow_probability as tfp

from experiments import command_line
from experiments import report
from experiments import run_directory
from experiments import table_plots
from experiments.atomic_write import atomic_write
from experiments.flag_settings import field
from experiments.posterior_inference import REFUSALS
from experiments.posteriors.chains import run_nuts
from experiments.posteriors.chains import unconstrained_log_prob
from experiments.posteriors.settings import PosteriorSettings
from experiments.posteriors.surrogates import POSTERIORS
from experiments.posteriors.targets import TARGETS
from experiments.posteriors.targets import flatten
from experiments.posteriors.targets import labels
from experiments.posteriors.training import train

_FLOWS = ["iaf", "real_nvp"]
_CHOICES = {"target": list(TARGETS), "posterior": _FLOWS, "reference": ["none"]}
_MAX_VARIABLES = 4


@dataclasses.dataclass(frozen=True)
class NeutraSettings(PosteriorSettings):
    """The settings of `posterior_inference`, with defaults for chains on the funnel."""

    target: str = field("funnel", "Model, or density.")
    posterior: str = field("iaf", "Flow that is trained, and then sampled through.")
    reference: str = field("none", "Not used here.")
    run_dir: str = field("runs/neutra", "Folder that the run writes into.")
    num_draws: int = field(8000, "Draws of all chains together.")


def run(settings):
    """Trains a flow, samples twice, and writes everything into `settings.run_dir`.

    Args:
      settings: a `NeutraSettings`.

    Returns:
      What `results.json` holds; a finished run is only read.

    Raises:
      RunDirectoryError: if the folder belongs to another process or another run.
    """
    with run_directory.claim(settings) as run_dir:
        results = run_directory.finished_results(run_dir)
        return _run(settings, run_dir) if results is None else results


def _run(settings, run_dir):
    pinned = TARGETS[settings.target].pinned()
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
        "samplers": {name: _summary(sampled) for name, sampled in chains.items()},
        "training_seconds": seconds,
        "training_gradients": settings.training_steps * settings.sample_size,
        "command": report.command(settings, "neutra"),
        "versions": report.versions(),
        "machine": report.machine(),
    }
    _draw(chains, pinned, posterior.support, run_dir / "pairs.png")
    _write_report(results, run_dir / "report.md")
    report.write_results(results, run_dir / "results.json")
    return results


def _summary(chains):
    sizes, first = chains.effective_sizes, chains.draws[..., 0]
    return {
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


def table(results):
    """Returns the result as a Markdown table; "first" is the model's first variable."""
    header = "| sampler | ESS of first | least ESS | gradients | least ESS per 1,000 |"
    header += " mean of first | s.d. of first | divergences |"
    rows = [
        f"| {name} | {s['effective_size_of_first']:.0f} "
        f"| {s['smallest_effective_size']:.0f} | {s['num_gradients']:,} "
        f"| {s['smallest_effective_size_per_1000_gradients']:.2f} "
        f"| {s['mean_of_first']:.2f} | {s['standard_deviation_of_first']:.2f} "
        f"| {s['divergences']:.2%} |"
        for name, s in results["samplers"].items()
    ]
    return "\n".join([header, "|---|" + "--:|" * 7, *rows])


def _write_report(results, path):
    parts = [
        f"# NeuTra on {results['target']}",
        table(results),
        "Effective sizes are of all chains together, unconstrained. Gradients: "
        "evaluations of that of the target, without those of adaptation and of training "
        f"({results['training_gradients']:,}, in {results['training_seconds']:.0f} s, "
        "compilation included).",
        "Plain NUTS above the diagonal, NUTS through the flow below it.\n\n"
        "![pairs](pairs.png)",
        f"{results['machine']}; {results['versions']}",
        f"To repeat it:\n\n```\n{results['command']}\n```",
    ]
    atomic_write(path, "\n\n".join(parts) + "\n")


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
    print(table(run(settings)))
    print(f"Written to {settings.run_dir}: report.md, results.json, pairs.png.")


if __name__ == "__main__":
    sys.exit(cli(sys.argv))
