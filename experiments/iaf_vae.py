"""Fits a variational autoencoder, whose posterior may be a flow, to images."""

import dataclasses
import math
import pathlib
import sys

import numpy as np

from experiments import command_line
from experiments import html_report
from experiments import interruption
from experiments import report
from experiments import run_directory
from experiments import vae_choices
from experiments import vae_evaluation
from experiments import vae_pictures
from experiments import vae_report
from experiments import vae_training
from experiments.checkpointing import CheckpointFolder
from experiments.data import DATASETS
from experiments.data import DataError
from experiments.run_directory import RunDirectoryError
from experiments.vae_data import load_images
from experiments.vae_settings import VAESettings


def run(settings):
    """Trains, evaluates and writes everything into `settings.run_dir`.

    A run that was interrupted goes on; a finished one is only read.

    Args:
      settings: a `VAESettings`.

    Returns:
      What `results.json` holds.

    Raises:
      DataError: if the data are not to be had, or of no use; the folder is untouched.
      RunDirectoryError: if the folder belongs to another process or another run.
    """
    is_finished = run_directory.finished_results(settings.run_dir) is not None
    images = None if is_finished else load_images(settings)
    with run_directory.claim(settings) as run_dir:
        results = run_directory.finished_results(run_dir)
        if results is not None:
            print(f"{run_dir} holds this run, finished; to repeat it, delete the folder.")
            return results
        results = _run(images or load_images(settings), settings)
        CheckpointFolder(run_dir / "checkpoints").delete()
        return results


def _run(images, settings):
    run_dir = pathlib.Path(settings.run_dir)
    model = vae_choices.build_vae(settings, images)
    history, seconds = vae_training.train(model, images, settings)
    model.save(run_dir / "model.keras")
    results = _facts(model, images, history, settings) | {"training_seconds": seconds}
    results |= vae_evaluation.measure(model, images, settings)
    captions = vae_pictures.draw(model, images, history, settings)
    page = vae_report.page(results)
    page.write_markdown(captions, run_dir / "report.md")
    html_report.write_report(page, captions, run_dir / "report.html")
    # Last, since it is what marks a run as finished.
    report.write_results(results, run_dir / "results.json")
    return results


def _facts(model, images, history, settings):
    dataset, validation = images.dataset, np.asarray(history["val_elbo"])
    named = ("dataset", "posterior", "prior", "likelihood", "encoder", "latent_size")
    sets = ("train", "validation", "test")
    return {
        **{name: getattr(settings, name) for name in named},
        "published": {k: dataclasses.asdict(v) for k, v in dataset.published.items()},
        "num_rows": {name: len(getattr(dataset, name)) for name in sets},
        "num_parameters": sum(math.prod(w.shape) for w in model.trainable_weights),
        "num_epochs": len(validation),
        "best_epoch": int(np.nanargmax(validation)) + 1,
        "best_validation_elbo": float(np.nanmax(validation)),
        "command": report.command(settings, "iaf_vae"),
        "versions": report.versions(),
        "machine": report.machine(),
    }


def cli(argv):
    """Runs a command line and returns its exit status, as `density_estimation` does."""
    return command_line.exit_status(
        main, argv, name="iaf_vae", refusals=(DataError, RunDirectoryError)
    )


def main(argv):
    """Reads the flags, runs, and prints the table."""
    choices = vae_choices.CHOICES | {"dataset": DATASETS}
    settings = command_line.read_settings(
        argv, VAESettings, choices=choices, description=__doc__
    )
    if settings is not None:
        _run_and_print(settings)


def _run_and_print(settings):
    vae_choices.check(settings)
    how = interruption.how_to_go_on(settings, "iaf_vae")
    interruption.stop_at_once(how)
    try:
        results = run(settings)
    except OSError as error:
        raise RunDirectoryError(f"{error}. {how}") from error
    print(vae_report.page(results).table())
    print(f"Written to {settings.run_dir}: report.html, report.md, results.json.")


if __name__ == "__main__":
    sys.exit(cli(sys.argv))
