"""Fits a variational autoencoder, whose posterior may be a flow, to images."""

import dataclasses
import math

import tfp_flows
from experiments.command_line import program as command_line
from experiments.command_line.kinds import check_kind
from experiments.data import DATASETS
from experiments.data import DataError
from experiments.data import own_images
from experiments.data import own_table
from experiments.density_estimation import report
from experiments.iaf_vae import evaluation as vae_evaluation
from experiments.iaf_vae import models as vae_choices
from experiments.iaf_vae import pictures as vae_pictures
from experiments.iaf_vae import report as vae_report
from experiments.iaf_vae import training as vae_training
from experiments.iaf_vae.images import load_images
from experiments.iaf_vae.settings import VAESettings
from experiments.reports import html_report
from experiments.reports import provenance
from experiments.runs import fitting
from experiments.runs import joint_run
from experiments.runs import strategies
from experiments.runs.starting_weights import load_start


def run(settings, strategy=None):
    """Trains, evaluates and writes everything, as `joint_run.run`, into the run's folder.

    Args:
      settings: a `VAESettings`.
      strategy: what `make_strategy` returns for these settings, if called already.

    Returns:
      What `results.json` holds; None in a worker that is not the chief.
    """
    check_kind("settings", settings, VAESettings)
    return joint_run.run(
        settings, strategy, prepare=_prepare, train=vae_training.train, finish=_finish
    )


def _prepare(settings, strategy):
    images = load_images(settings)
    start = _start(settings, images, strategy) if settings.init_from else None
    with strategy.scope():
        parts = vae_choices.vae_parts(settings, images)
    if start:
        parts |= {name: getattr(start, name) for name in vae_choices.TRAINED_PARTS}
    return parts, images, settings, strategy


def _start(settings, images, strategy):
    return load_start(
        settings,
        strategy,
        kind=tfp_flows.VAE,
        architecture=vae_choices.ARCHITECTURE,
        facts=_kind_of(images),
    )


def _finish(run_dir, trained, prepared):
    model, history, notes = trained
    _, images, settings, _ = prepared
    outcome = fitting.outcome(history)
    model.save(run_dir / "model.keras")
    results = _facts(model, images, settings) | outcome | notes
    results["best_validation_elbo"] = history["val_elbo"][outcome["best_epoch"] - 1]
    results |= vae_evaluation.measure(model, images, settings)
    captions = vae_pictures.draw(model, images, history, settings)
    page = vae_report.page(results)
    page.write_markdown(captions, run_dir / "report.md")
    html_report.write_report(page, captions, run_dir / "report.html")
    # Last, since it is what marks a run as finished.
    report.write_results(results, run_dir / "results.json")
    return results


def _facts(model, images, settings):
    dataset = images.dataset
    named = ("dataset", "posterior", "prior", "likelihood", "encoder", "latent_size")
    sets = ("train", "validation", "test")
    return {
        **{name: getattr(settings, name) for name in named},
        **_kind_of(images),
        "init_from": settings.init_from or None,
        "published": {k: dataclasses.asdict(v) for k, v in dataset.published.items()},
        "caveat": dataset.caveat,
        "num_rows": {name: len(getattr(dataset, name)) for name in sets},
        "num_parameters": sum(math.prod(w.shape) for w in model.trainable_weights),
        "command": provenance.command(settings, "iaf_vae"),
        "versions": provenance.versions(),
        "machine": provenance.machine(),
    }


def _kind_of(images):
    return {"image_shape": list(images.image_shape), "num_bins": images.num_bins}


def cli(argv):
    """Runs a command line and returns its exit status, as `density_estimation` does."""
    return command_line.exit_status(
        main, argv, name="iaf_vae", refusals=(DataError, *joint_run.REFUSALS)
    )


def main(argv):
    """Reads the flags, runs, and prints the table."""
    choices = vae_choices.CHOICES | {
        "dataset": DATASETS.keys() - own_table.ENTRIES.keys(),
        "image_fit": own_images.FITS,
        "strategy": strategies.STRATEGIES,
    }
    settings = command_line.read_settings(
        argv, VAESettings, choices=choices, description=__doc__
    )
    if settings is not None:
        joint_run.run_and_print(
            settings,
            run,
            check=vae_choices.check,
            table=lambda results: vae_report.page(results).text(),
            module="iaf_vae",
        )
