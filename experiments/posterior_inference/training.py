"""Fits a surrogate posterior with a Keras optimizer, from the last block of a killed run."""

import functools

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_flows
from experiments.runs import step_blocks
from experiments.runs import unfinished
from experiments.runs.fitting import TrainingError

__all__ = ["train"]


def train(posterior, target_log_prob, settings):
    """Minimises the variational loss, from the last checkpoint in `run_dir` if there is one.

    Args:
      posterior: a `tfd.Distribution` with trainable variables.
      target_log_prob: function of the parts of a draw.
      settings: a `PosteriorSettings`.

    Returns:
      The loss of each step, `[training_steps]` in nats, and the seconds that earlier
      starts of the run have trained.

    Raises:
      RunDirectoryError: if the checkpoint is of another posterior, data or version.
      TrainingError: if a loss is not finite.
    """
    folder = unfinished.checkpoints(settings.run_dir)
    keras.utils.set_random_seed(settings.seed)
    optimizer = keras.optimizers.Adam(
        keras.optimizers.schedules.CosineDecay(
            settings.learning_rate, settings.training_steps
        ),
        global_clipnorm=settings.gradient_clip_norm,
    )
    optimizer.build(posterior.trainable_variables)
    # Those of `tfp.math.minimize`: each step takes one half and leaves the other.
    seed = tf.Variable(tfp.random.sanitize_seed((2, settings.seed), salt="minimize"))
    block = _block(posterior, _with_own_gradient(target_log_prob), optimizer, seed, settings)

    def take(num_steps):
        losses = block(tf.constant(num_steps)).numpy()[:num_steps]
        if not np.isfinite(losses).all():
            first = int(optimizer.iterations.numpy()) - num_steps
            raise TrainingError(
                f"The loss of {settings.name_of_method} on {settings.target} is not finite "
                f"at step {first + np.argmin(np.isfinite(losses)) + 1}; try a smaller "
                "--learning_rate."
            )
        return losses

    parts, log_prob = posterior.experimental_sample_and_log_prob(4, seed=(8, settings.seed))
    return step_blocks.train_in_blocks(
        take,
        [*posterior.variables, *optimizer.variables, seed],
        settings.training_steps,
        folder,
        known=np.concatenate([log_prob, target_log_prob(parts)]),
    )


def _block(posterior, target_log_prob, optimizer, seed, settings):
    """Returns the function that takes a number of steps, and returns `STEPS` losses."""
    weights = posterior.trainable_variables

    def step(i, losses):
        of_step, of_others = tfp.random.split_seed(seed)
        seed.assign(of_others)
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(weights)
            loss = tfp_flows.variational_loss(
                target_log_prob,
                posterior,
                sample_size=settings.sample_size,
                importance_sample_size=settings.importance_sample_size,
                sticking_the_landing=settings.sticking_the_landing,
                seed=of_step,
            )
        optimizer.apply(tape.gradient(loss, weights), weights)
        return i + 1, losses.write(i, loss)

    @functools.partial(tf.function, autograph=False, jit_compile=settings.jit_compile)
    def block(num_steps):
        losses = tf.TensorArray(weights[0].dtype, step_blocks.STEPS)
        return tf.while_loop(lambda i, _: i < num_steps, step, (0, losses))[1].stack()

    return block


def _with_own_gradient(log_prob):
    """Returns `log_prob`, evaluated with its gradient in a loop of one pass.

    XLA takes all that the gradient of an auto-batched joint distribution depends on for
    constants, the weights included, and so would compile each block anew; what a loop
    changes it does not.
    """

    @tf.custom_gradient
    def of_parts(*parts):
        def body(i, parts, *_):
            parts = [part + 0.0 for part in parts]
            with tf.GradientTape() as tape:
                tape.watch(parts)
                value = log_prob(*parts)
            zero = tf.UnconnectedGradients.ZERO
            return i + 1, parts, value, tape.gradient(value, parts, None, zero)

        parts = list(parts)
        value = tf.zeros(tf.shape(parts[0])[:1], parts[0].dtype)
        start = 0, parts, value, [tf.zeros_like(part) for part in parts]
        *_, value, slopes = tf.while_loop(lambda i, *_: i < 1, body, start)

        def gradient(upstream):
            ranks = [slope.shape.rank - upstream.shape.rank for slope in slopes]
            axes = [(..., *[None] * rank) for rank in ranks]
            return [upstream[a] * s for a, s in zip(axes, slopes, strict=True)]

        return value, gradient

    return of_parts
