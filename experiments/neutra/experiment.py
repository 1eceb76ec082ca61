"""NUTS through a trained flow (NeuTra) beside plain NUTS: effective samples a gradient."""

import time

import numpy as np

from experiments.command_line import program, training_settings
from experiments.command_line.flag_settings import check_kind
from experiments.neutra import evaluation, report
from experiments.neutra.settings import NeutraSettings
from experiments.posterior_inference import training
from experiments.posterior_inference.models import POSTERIORS
from experiments.posterior_inference.posteriordb import find
from experiments.reports import page, plots
from experiments.runs import resuming

_MAX_VARIABLES = 4
_CAPTIONS = {
    "pairs.png": "Pairs of variables: plain NUTS above the diagonal, NeuTra below it."
}


def run(settings):
    """Trains a flow, samples twice, and writes everything into `settings.run_dir`.

    Returns:
      What `results.json` holds. The results of a finished run are read; an interrupted
      run goes on from its last block of steps, or after its training.

    Raises:
      RunDirectoryError: if the folder belongs to another process or another run.
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
        chains = evaluation.sample(posterior, entry, settings)
        results = evaluation.measure(posterior, chains, entry, settings)
        results["training_seconds"] = seconds
        _draw(chains, entry, posterior.support, run_dir / "pairs.png")
        page.write(report.page(results, settings), _CAPTIONS, results, run_dir)
        return results


@program.command(NeutraSettings, description=__doc__)
def cli(settings):
    """Samples, and prints the report."""
    program.stop_at_once()
    print(report.page(run(settings), settings).text())
    print(f"Written to {settings.run_dir}: report.html, results.json, pairs.png.")


def _draw(chains, entry, support, path):
    rng = np.random.default_rng(0)
    rows = [rng.permutation(entry.rows(support.forward(c.rows))) for c in chains.values()]
    first = slice(_MAX_VARIABLES)
    names = entry.labels()[first]
    plots.pairs(*(r[:, first] for r in rows), path, labels=names, names=list(chains))
