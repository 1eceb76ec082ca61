"""Fits a VAE to images with Keras's `fit`."""

import functools

import keras
import tensorflow as tf

import tfp_flows
from experiments import progress
from experiments import training
from experiments import vae_pictures
from experiments.epochs import EpochRows

__all__ = ["train"]


def train(model, images, settings):
    """Fits `model` and returns Keras's history and the seconds taken.

    Where `run_dir` holds checkpoints of the same run, it goes on from the last one, and
    ends at the numbers of a run without a pause.

    Args:
      model: a `VAE`.
      images: the `Images` to fit.
      settings: a `VAESettings`.
    """
    dataset = images.dataset
    keras.utils.set_random_seed(settings.seed)
    model.compile(
        training.make_optimizer(settings, len(dataset.train)),
        jit_compile=settings.jit_compile,
        steps_per_execution=settings.steps_per_execution,
    )
    model.optimizer.build(model.trainable_variables)
    rows = EpochRows(
        dataset.train,
        batch_size=settings.batch_size,
        seed=settings.seed,
        binarize=images.redrawn,
    )
    validation = tf.data.Dataset.from_tensor_slices(dataset.validation)
    save_run = training.fit(
        model,
        rows,
        validation.batch(settings.evaluation_batch_size),
        settings,
        metrics=keras.callbacks.Callback(),
        stateful=training.make_callbacks(
            settings, [tfp_flows.KLWarmUp(settings.warm_up_epochs)]
        ),
        displays=progress.make_callbacks(
            settings, functools.partial(vae_pictures.draw_fit, model, images, settings)
        ),
    )
    return save_run.history(), save_run.seconds
