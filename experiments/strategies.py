"""Training on several devices: each batch is divided among them, and counts as one."""

import os
import signal

import keras
import tensorflow as tf

import tfp_flows
from experiments import cluster
from experiments import workers


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


def make_model(distribution, strategy):
    """Returns the `DensityEstimator` that trains `distribution` under `strategy`."""
    if strategy.num_replicas_in_sync == 1:
        return tfp_flows.DensityEstimator(distribution)
    return ReplicatedEstimator(distribution)


class ReplicatedEstimator(tfp_flows.DensityEstimator):
    """Takes means over the whole batch, however its rows fall to the replicas.

    Keras averages the replicas' means, which is something else where the last batch does
    not divide evenly, and clips gradients before it adds them up. Here each replica hands
    the optimizer the gradient of the whole batch over the number of replicas, which the
    optimizer then adds up to the gradient itself; its clipping norm must be divided
    likewise.
    """

    def train_step(self, data):
        """One gradient step for the whole batch."""
        x, *_ = keras.utils.unpack_x_y_sample_weight(data)
        context = tf.distribute.get_replica_context()
        with tf.GradientTape() as tape:
            log_prob = self(x, training=True)
            loss = -tf.reduce_sum(log_prob)
        gradients = tape.gradient(loss, self.trainable_weights)
        gradients, loss, count = context.all_reduce(
            "SUM", [gradients, loss, _count(log_prob)]
        )
        scale = count * context.num_replicas_in_sync
        gradients = [gradient / scale for gradient in gradients]
        self.optimizer.apply_gradients(zip(gradients, self.trainable_weights, strict=True))
        return self._measured(loss, count)

    def test_step(self, data):
        """Measures a batch."""
        x, *_ = keras.utils.unpack_x_y_sample_weight(data)
        log_prob = self(x, training=False)
        loss = -tf.reduce_sum(log_prob)
        context = tf.distribute.get_replica_context()
        return self._measured(*context.all_reduce("SUM", [loss, _count(log_prob)]))

    def _measured(self, loss, count):
        strategy = self.distribute_strategy
        # Every replica notes the mean over the whole batch, as its share of the rows.
        share = count / strategy.num_replicas_in_sync
        self._loss_tracker.update_state(loss / count, sample_weight=share)
        metrics = self.get_metrics_result()
        if workers.has_others(strategy):
            # Of several workers, Keras takes means along an axis that a scalar lacks.
            return {name: value[tf.newaxis] for name, value in metrics.items()}
        return metrics

    def _maybe_symbolic_build(self, iterator=None, data_batch=None):
        """Does nothing: the model is built, and Keras's own fails on uneven batches."""


def _count(log_prob):
    return tf.cast(tf.shape(log_prob)[0], log_prob.dtype)
