"""Fits a variational autoencoder, whose posterior may be a flow, to images."""

from experiments.command_line import program
from experiments.command_line.flag_settings import check_kind
from experiments.iaf_vae import evaluation, models, pictures, report
from experiments.iaf_vae.data import load_images
from experiments.iaf_vae.settings import VAESettings
from experiments.reports import page
from experiments.runs import resuming, workers


def run(settings, strategy=None):
    """Trains, evaluates and writes everything, as `density_estimation.run` does.

    Returns:
      What `results.json` holds; None in a worker that is not the chief.
    """
    # TensorFlow, once the flags are read.
    from experiments.iaf_vae import training
    from experiments.runs import fitting

    check_kind("settings", settings, VAESettings)
    strategy = strategy or workers.make_strategy(settings.strategy)
    if resuming.is_finished(settings, strategy):
        return resuming.finished(settings, strategy)
    images = load_images(settings)
    build = models.for_images(settings, images, strategy)
    with resuming.unfinished(settings, strategy) as run_dir:
        model, history, notes = training.train(build, images, settings, strategy)
        if run_dir is None:
            return None
        outcome = fitting.outcome(history)
        model.save(run_dir / "model.keras")
        results = evaluation.measure(model, images, settings) | outcome | notes
        best = history["val_elbo"][results["best_epoch"] - 1]
        results["best_validation_elbo"] = best
        captions = pictures.draw(model, images, history, settings)
        page.write(report.page(results), captions, results, run_dir)
        return results


@program.command(VAESettings, description=__doc__)
def cli(settings):
    """Fits, and prints the report."""
    # A process must join its cluster before it runs any operation of TensorFlow.
    strategy = workers.make_strategy(settings.strategy)
    models.check(settings)
    with resuming.stoppable(settings, strategy):
        results = run(settings, strategy)
    resuming.tell_written(settings, results and report.page(results).text())
