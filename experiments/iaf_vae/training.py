"""Fits a VAE to images with Keras's `fit`."""

import functools

import keras
import tensorflow as tf

import tfp_flows
from experiments.iaf_vae import pictures as vae_pictures
from experiments.reports import progress
from experiments.runs import extending
from experiments.runs import fitting
from experiments.runs import strategies
from experiments.runs import workers
from experiments.runs.epochs import EpochRows

__all__ = ["train"]


def train(parts, images, settings, strategy=None):
    """Fits a `VAE` and returns it, Keras's history, and `extending.notes`.

    Where `run_dir` holds checkpoints of the same run, it goes on from the last one, and
    ends at the numbers of a run without a pause.

    Args:
      parts: what the `VAE` is constructed of, by name.
      images: the `Images` to fit.
      settings: a `VAESettings`; checkpoints and `metrics.csv` go to its `run_dir`, which
        only the chief of several workers reads and writes.
      strategy: the `tf.distribute.Strategy` that the parts were built under.
    """
    strategy = strategy or tf.distribute.get_strategy()
    num_replicas = strategy.num_replicas_in_sync
    dataset = images.dataset
    keras.utils.set_random_seed(settings.seed)
    with strategy.scope():
        model = strategies.make_vae(parts, strategy)
        fitting.compile_model(model, settings, len(dataset.train), strategy)
    rows = EpochRows(
        dataset.train,
        batch_size=settings.batch_size,
        seed=settings.seed,
        bin_width=dataset.bin_width,
        binarize=images.redrawn,
    )
    validation = tf.data.Dataset.from_tensor_slices(dataset.validation)
    save_run = fitting.fit(
        model,
        rows,
        validation.batch(settings.evaluation_batch_size),
        settings,
        metrics=keras.callbacks.Callback(),
        stateful=fitting.make_callbacks(
            settings, [tfp_flows.KLWarmUp(settings.warm_up_epochs)]
        ),
        displays=progress.make_callbacks(
            settings,
            functools.partial(vae_pictures.draw_fit, model, images, settings),
            is_writer=workers.is_chief(strategy),
        ),
        strategy=strategy,
    )
    # What is evaluated and saved has no more to do with replicas.
    trained = tfp_flows.VAE(**parts) if num_replicas > 1 else model
    return trained, save_run.history(), extending.notes(save_run, settings)
