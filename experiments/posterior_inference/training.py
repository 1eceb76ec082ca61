"""Fits a surrogate posterior with TFP's `minimize` and a Keras optimizer."""

import time

import keras
import numpy as np
import tensorflow_probability as tfp

import tfp_flows
from experiments.runs.fitting import TrainingError

__all__ = ["train"]


def train(posterior, target_log_prob, settings):
    """Minimises the variational loss.

    Args:
      posterior: a `tfd.Distribution` with trainable variables.
      target_log_prob: function of the parts of a draw.
      settings: a `PosteriorSettings`.

    Returns:
      The loss of each step, `[training_steps]` in nats, and the seconds taken,
      compilation included.

    Raises:
      TrainingError: if a loss is not finite.
    """
    keras.utils.set_random_seed(settings.seed)
    weights = posterior.trainable_variables
    optimizer = keras.optimizers.Adam(
        keras.optimizers.schedules.CosineDecay(
            settings.learning_rate, settings.training_steps
        ),
        global_clipnorm=settings.gradient_clip_norm,
    )
    optimizer.build(weights)

    def loss(seed):
        return tfp_flows.variational_loss(
            target_log_prob,
            posterior,
            sample_size=settings.sample_size,
            importance_sample_size=settings.importance_sample_size,
            sticking_the_landing=settings.sticking_the_landing,
            seed=seed,
        )

    start = time.perf_counter()
    losses = tfp.math.minimize(
        loss,
        num_steps=settings.training_steps,
        optimizer=optimizer,
        trainable_variables=weights,
        jit_compile=settings.jit_compile,
        seed=(2, settings.seed),
    ).numpy()
    if not np.isfinite(losses).all():
        raise TrainingError(
            f"The loss of {settings.name_of_method} on {settings.target} is not finite at "
            f"step {np.argmin(np.isfinite(losses)) + 1}; try a smaller --learning_rate."
        )
    return losses, time.perf_counter() - start
