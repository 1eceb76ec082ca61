"""Training on several devices: each batch is divided among them, and counts as one."""

import os
import signal

import keras
import tensorflow as tf

import tfp_flows
from experiments.runs import cluster
from experiments.runs import workers


def make_strategy(name):
    """Returns the `tf.distribute.Strategy` that a flag names.

    With `multi_worker`, nothing of TensorFlow may have run before in this process, and the
    call lasts until all workers of TF_CONFIG have come.

    Raises:
      UsageError: if TF_CONFIG does not describe a cluster with this process in it.
      WorkersError: if its address is taken, or the others do not come within an hour.
    """
    return STRATEGIES[name]()


def _mirrored():
    # One replica a GPU; without any, one a logical CPU, of which there is usually one.
    gpus = tf.config.list_logical_devices("GPU")
    devices = gpus or tf.config.list_logical_devices("CPU")
    return tf.distribute.MirroredStrategy([device.name for device in devices])


def _multi_worker():
    own, *others = cluster.addresses(os.environ.get("TF_CONFIG"))
    if others:
        print(f"Worker {own} waits for {', '.join(others)}.", flush=True)
    # TensorFlow keeps Python, and so a handler of Python's, from running while it waits.
    handler = signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        return tf.distribute.MultiWorkerMirroredStrategy()
    except tf.errors.OpError as error:
        raise workers.WorkersError(
            f"Worker {own} cannot join the others: {error.message}."
        ) from error
    finally:
        signal.signal(signal.SIGINT, handler)


STRATEGIES = {
    "none": tf.distribute.get_strategy,
    "mirrored": _mirrored,
    "multi_worker": _multi_worker,
}


def make_model(distribution, strategy, columns=None):
    """Returns the `DensityEstimator` that trains `distribution` under `strategy`.

    Args:
      distribution: what is fitted.
      strategy: a `tf.distribute.Strategy`.
      columns: what is saved with the model of the columns of its table, dicts; or None.
    """
    if strategy.num_replicas_in_sync == 1:
        return tfp_flows.DensityEstimator(distribution, columns=columns)
    return ReplicatedEstimator(distribution, columns=columns)


def make_vae(parts, strategy):
    """Returns the `VAE` that trains its `parts`, by name, under `strategy`."""
    if strategy.num_replicas_in_sync == 1:
        return tfp_flows.VAE(**parts)
    return ReplicatedVAE(**parts)


class _Replicated:
    """Takes means over the whole batch, however its rows fall to the replicas.

    Keras averages the replicas' means, which is something else where the last batch does
    not divide evenly, and clips gradients before it adds them up. Here each replica hands
    the optimizer the gradient of the whole batch over the number of replicas, which the
    optimizer then adds up to the gradient itself; its clipping norm must be divided
    likewise.

    The model says of its rows, by `nats_of_rows`, what its metrics are means of.
    """

    def train_step(self, data):
        """One gradient step for the whole batch."""
        weights = self.trainable_weights
        with tf.GradientTape() as tape:
            nats = self.nats_of_rows(*self.rows_of(data), training=True)
            sums = tf.nest.map_structure(tf.reduce_sum, nats)
        gradients = tape.gradient(sums["loss"], weights)
        context = tf.distribute.get_replica_context()
        gradients, sums, count = context.all_reduce("SUM", [gradients, sums, _count(nats)])
        scale = count * context.num_replicas_in_sync
        gradients = [gradient / scale for gradient in gradients]
        self.optimizer.apply_gradients(zip(gradients, weights, strict=True))
        return self._measured_of_all(sums, count)

    def test_step(self, data):
        """Measures a batch."""
        nats = self.nats_of_rows(*self.rows_of(data))
        sums = tf.nest.map_structure(tf.reduce_sum, nats)
        context = tf.distribute.get_replica_context()
        return self._measured_of_all(*context.all_reduce("SUM", [sums, _count(nats)]))

    def _measured_of_all(self, sums, count):
        strategy = self.distribute_strategy
        # Every replica notes the mean over the whole batch, as its share of the rows.
        share = count / strategy.num_replicas_in_sync
        trackers = {metric.name: metric for metric in self.metrics}
        for name, total in sums.items():
            trackers[name].update_state(total / count, sample_weight=share)
        metrics = self.get_metrics_result()
        if workers.has_others(strategy):
            # Of several workers, Keras takes means along an axis that a scalar lacks.
            return {name: value[tf.newaxis] for name, value in metrics.items()}
        return metrics

    def _maybe_symbolic_build(self, iterator=None, data_batch=None):
        """Does nothing: the model is built, and Keras's own fails on uneven batches."""


class ReplicatedEstimator(_Replicated, tfp_flows.DensityEstimator):
    """A `DensityEstimator` whose replicas train as one."""

    def rows_of(self, data):
        """Returns rows, with their context if any, and weights of a batch, or None."""
        x, _, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        return x, sample_weight

    def nats_of_rows(self, x, sample_weight=None, *, training=False):
        """Returns what the metrics are means of: nats of each row, `[n]`, by name."""
        nats = -self(x, training=training)
        if sample_weight is not None:
            nats *= tf.cast(sample_weight, nats.dtype)
        return {"loss": nats}


class ReplicatedVAE(_Replicated, tfp_flows.VAE):
    """A `VAE` whose replicas train as one."""


def _count(nats):
    return tf.cast(tf.shape(nats["loss"])[0], nats["loss"].dtype)
