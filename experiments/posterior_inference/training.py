"""Fit of a surrogate posterior with a Keras optimizer, in blocks of steps."""

import functools
import time

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_flows
from experiments.command_line.flag_settings import TrainingError
from experiments.runs import resuming, workers
from experiments.runs.checkpoints import Checkpoint, CheckpointFolder
from experiments.runs.run_directory import RunDirectoryError

STEPS = 100


def train(posterior, target_log_prob, settings, strategy=None):
    """Minimises the variational loss, from the checkpoint in `run_dir` if there is one.

    `target_log_prob` is a function of the parts of a draw. Replicas share the draws of a
    step, and only the chief of several workers reads and writes `run_dir`.

    Returns:
      The loss of each step, `[training_steps]` in nats, and the seconds of training before
      an interruption.

    Raises:
      RunDirectoryError: if the checkpoint belongs to another posterior, data or version.
      TrainingError: if a loss is not finite.
    """
    strategy = strategy or tf.distribute.get_strategy()
    folder = settings.run_dir
    if workers.is_chief(strategy):
        folder = resuming.checkpoints(folder)
    keras.utils.set_random_seed(settings.seed)
    optimizer = keras.optimizers.Adam(
        keras.optimizers.schedules.CosineDecay(
            settings.learning_rate, settings.training_steps
        ),
        global_clipnorm=settings.gradient_clip_norm,
    )
    optimizer.build(posterior.trainable_variables)
    # As in `tfp.math.minimize`, a step uses one half of the seed and keeps the other.
    seed = tf.Variable(tfp.random.sanitize_seed((2, settings.seed), salt="minimize"))
    variables = [*posterior.variables, *(v.value for v in optimizer.variables), seed]
    workers.share(strategy, variables)
    start = [v.numpy() for v in variables]
    loss = _loss(posterior, target_log_prob, settings, strategy)
    block = _block(loss, posterior, optimizer, seed, variables, settings.jit_compile)

    def take(values, num_steps):
        # In some graphs of TFP, XLA compiles again for new initial values of variables. So
        # they always start equal, and the block gets the values as an argument.
        _assign(variables, start)
        values, losses = block(values, tf.constant(num_steps))
        return values, losses.numpy()[:num_steps]

    parts, log_prob = posterior.experimental_sample_and_log_prob(4, seed=(8, settings.seed))
    values, losses, seconds = train_in_blocks(
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
    """Returns a function from a seed to the loss and its gradient by the weights.

    The replicas share the draws equally.
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
    """Returns a function that does some steps and returns values and `STEPS` losses."""
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
        losses = tf.TensorArray(weights[0].dtype, STEPS)
        losses = tf.while_loop(lambda i, _: i < num_steps, step, (0, losses))[1].stack()
        return [tf.identity(variable) for variable in variables], losses

    return block


def train_in_blocks(take, start, num_steps, path, *, name, known, strategy=None):
    """Does training steps, from the last block in a folder if there is one.

    A resumed training ends with the same numbers as an uninterrupted one.

    Args:
      take: function of values of variables and of a number of steps, at most `STEPS`;
        returns the values and the losses after these steps.
      start: the values before the first step.
      num_steps: number of steps.
      path: path of the folder of checkpoints.
      name: name of the training, for errors.
      known: numbers, `[N]`, that identify this training, up to rounding.
      strategy: the `tf.distribute.Strategy` of the workers; only their chief reads and
        writes the folder.

    Returns:
      The values, the loss of each step, `[num_steps]`, and the seconds before an
      interruption.

    Raises:
      RunDirectoryError: if the folder belongs to another training.
      TrainingError: if a loss is not finite.
    """
    folder, begin = CheckpointFolder(path), time.perf_counter()
    values, losses, earlier_seconds = start, np.zeros(0), 0.0
    if found := workers.chiefs_newest(strategy, folder):
        _refuse_another(found, start, known, path)
        values, (losses,) = found.arrays["values"], found.arrays["losses"]
        earlier_seconds = found.facts["seconds"]
        print(f"Training goes on from step {len(losses)} of {num_steps}.", flush=True)
    while len(losses) < num_steps:
        values, further = take(values, min(STEPS, num_steps - len(losses)))
        losses = np.append(losses, further)
        if not np.isfinite(losses).all():
            raise TrainingError(
                f"The loss of {name} is not finite at step "
                f"{np.argmin(np.isfinite(losses)) + 1}; try a smaller --learning_rate."
            )
        seconds = earlier_seconds + time.perf_counter() - begin
        arrays = {"values": list(map(np.asarray, values))}
        arrays |= {"losses": [losses], "known": [known]}
        number = -(-len(losses) // STEPS)
        if workers.is_chief(strategy):
            folder.save(Checkpoint(number, {"seconds": seconds}, arrays))
    return values, losses, earlier_seconds


def _refuse_another(found, start, known, path):
    shapes = [[np.shape(value) for value in v] for v in (found.arrays["values"], start)]
    (there,) = found.arrays["known"]
    if shapes[0] != shapes[1] or not np.allclose(there, known, rtol=1e-3, equal_nan=True):
        raise RunDirectoryError(
            f"{path} holds the training of another posterior, or on other data. Choose "
            "another --run_dir, or the same data."
        )
