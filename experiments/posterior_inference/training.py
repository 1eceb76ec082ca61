"""Fits a surrogate posterior with a Keras optimizer, block of steps by block of steps."""

import functools

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_flows
from experiments.runs import step_blocks
from experiments.runs import unfinished
from experiments.runs import workers

__all__ = ["train"]


def train(posterior, target_log_prob, settings, strategy=None):
    """Minimises the variational loss, from the checkpoint in `run_dir` if there is one.

    Args:
      posterior: a `tfd.Distribution` with trainable variables.
      target_log_prob: function of the parts of a draw.
      settings: a `PosteriorSettings`.
      strategy: the `tf.distribute.Strategy` among whose replicas the draws of a step are
        divided; the chief of its workers alone reads and writes `run_dir`.

    Returns:
      The loss of each step, `[training_steps]` in nats, and the seconds that earlier
      starts of the run have trained.

    Raises:
      RunDirectoryError: if the checkpoint is of another posterior, data or version.
      TrainingError: if a loss is not finite.
    """
    strategy = strategy or tf.distribute.get_strategy()
    folder = settings.run_dir
    if workers.is_chief(strategy):
        folder = unfinished.checkpoints(folder)
    keras.utils.set_random_seed(settings.seed)
    optimizer = keras.optimizers.Adam(
        keras.optimizers.schedules.CosineDecay(
            settings.learning_rate, settings.training_steps
        ),
        global_clipnorm=settings.gradient_clip_norm,
    )
    optimizer.build(posterior.trainable_variables)
    # As in `tfp.math.minimize`: a step draws by one half of it, and leaves the other.
    seed = tf.Variable(tfp.random.sanitize_seed((2, settings.seed), salt="minimize"))
    variables = [*posterior.variables, *(v.value for v in optimizer.variables), seed]
    workers.share(strategy, variables)
    start = [v.numpy() for v in variables]
    loss = _loss(posterior, target_log_prob, settings, strategy)
    block = _block(loss, posterior, optimizer, seed, variables, settings.jit_compile)

    def take(values, num_steps):
        # XLA compiles anew for each value that a variable has before the block, where
        # TFP's graphs make it believe that shapes depend on it.
        _assign(variables, start)
        values, losses = block(values, tf.constant(num_steps))
        return values, losses.numpy()[:num_steps]

    parts, log_prob = posterior.experimental_sample_and_log_prob(4, seed=(8, settings.seed))
    values, losses, seconds = step_blocks.train_in_blocks(
        take,
        start,
        settings.training_steps,
        folder,
        name=f"{settings.name_of_method} on {settings.target}",
        known=np.concatenate([log_prob, target_log_prob(parts)]),
        strategy=strategy,
    )
    _assign(variables, values)
    return losses, seconds


def _assign(variables, values):
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


def _loss(posterior, target_log_prob, settings, strategy):
    """Returns a function of a seed: the loss, and its gradient by the weights.

    Each replica takes an equal share of the draws.
    """
    weights, num_replicas = posterior.trainable_variables, strategy.num_replicas_in_sync

    def from_replica(seed):
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(weights)
            loss = tfp_flows.variational_loss(
                target_log_prob,
                posterior,
                sample_size=settings.sample_size // num_replicas,
                importance_sample_size=settings.importance_sample_size,
                sticking_the_landing=settings.sticking_the_landing,
                seed=seed,
            )
        return loss, tape.gradient(loss, weights)

    def mean_of_replicas(seeds):
        replica = tf.distribute.get_replica_context()
        found = from_replica(seeds[replica.replica_id_in_sync_group])
        return replica.all_reduce("MEAN", found)

    def from_all(seed):
        seeds = tf.stack(tfp.random.split_seed(seed, num_replicas))
        found = strategy.run(mean_of_replicas, (seeds,))
        return tf.nest.map_structure(
            lambda value: strategy.experimental_local_results(value)[0], found
        )

    return from_replica if num_replicas == 1 else from_all


def _block(loss_and_gradients, posterior, optimizer, seed, variables, jit_compile):
    """Returns the function that takes a number of steps, and returns `STEPS` losses."""
    weights = posterior.trainable_variables

    def step(i, losses):
        from_step, from_others = tfp.random.split_seed(seed)
        seed.assign(from_others)
        loss, gradients = loss_and_gradients(from_step)
        optimizer.apply(gradients, weights)
        return i + 1, losses.write(i, loss)

    @functools.partial(tf.function, autograph=False, jit_compile=jit_compile)
    def block(values, num_steps):
        _assign(variables, values)
        losses = tf.TensorArray(weights[0].dtype, step_blocks.STEPS)
        losses = tf.while_loop(lambda i, _: i < num_steps, step, (0, losses))[1].stack()
        return [tf.identity(variable) for variable in variables], losses

    return block
