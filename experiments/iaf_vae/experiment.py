"""Fits a variational autoencoder, whose posterior may be a flow, to images."""

import tfp_flows
from experiments.command_line import program
from experiments.command_line.flag_settings import check_kind
from experiments.data import DataError
from experiments.iaf_vae import evaluation
from experiments.iaf_vae import models
from experiments.iaf_vae import pictures
from experiments.iaf_vae import report
from experiments.iaf_vae import training
from experiments.iaf_vae.data import load_images
from experiments.iaf_vae.settings import VAESettings
from experiments.reports import page
from experiments.runs import fitting
from experiments.runs import resuming
from experiments.runs.starting_weights import load_start


def run(settings, strategy=None):
    """Trains, evaluates and writes everything, as `resuming.run`, into the run's folder.

    Args:
      settings: a `VAESettings`.
      strategy: what `make_strategy` returns for these settings, if called already.

    Returns:
      What `results.json` holds; None in a worker that is not the chief.
    """
    check_kind("settings", settings, VAESettings)
    return resuming.run(
        settings, strategy, prepare=_prepare, train=training.train, finish=_finish
    )


def cli(argv):
    """Runs a command line and returns its exit status, as `density_estimation` does."""
    refusals = (DataError, *resuming.REFUSALS)
    return program.run(argv, _main, VAESettings, description=__doc__, refusals=refusals)


def _main(settings):
    resuming.run_and_print(settings, run, check=models.check, table=report.table)


def _prepare(settings, strategy):
    images = load_images(settings)
    start = None
    if settings.init_from:
        start = load_start(
            settings,
            strategy,
            kind=tfp_flows.VAE,
            architecture=models.ARCHITECTURE,
            facts=evaluation.shape_of(images),
        )
    with strategy.scope():
        parts = models.vae_parts(settings, images)
    if start:
        parts |= {name: getattr(start, name) for name in models.TRAINED_PARTS}
    return parts, images, settings, strategy


def _finish(run_dir, trained, prepared):
    model, history, notes = trained
    _, images, settings, _ = prepared
    outcome = fitting.outcome(history)
    model.save(run_dir / "model.keras")
    results = evaluation.measure(model, images, settings) | outcome | notes
    results["best_validation_elbo"] = history["val_elbo"][outcome["best_epoch"] - 1]
    captions = pictures.draw(model, images, history, settings)
    page.write(report.page(results), captions, results, run_dir)
    return results
