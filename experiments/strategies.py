"""Training on several devices: each batch is divided among them, and counts as one."""

import keras
import tensorflow as tf

import tfp_flows


def make_strategy(name):
    """Returns the `tf.distribute.Strategy` that a flag names."""
    return STRATEGIES[name]()


def _mirrored():
    # One replica a GPU; without any, one a logical CPU, of which there is usually one.
    gpus = tf.config.list_logical_devices("GPU")
    devices = gpus or tf.config.list_logical_devices("CPU")
    return tf.distribute.MirroredStrategy([device.name for device in devices])


STRATEGIES = {"none": tf.distribute.get_strategy, "mirrored": _mirrored}


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
        count = tf.cast(tf.shape(log_prob)[0], loss.dtype)
        gradients, count = context.all_reduce("SUM", [gradients, count])
        scale = count * context.num_replicas_in_sync
        gradients = [gradient / scale for gradient in gradients]
        self.optimizer.apply_gradients(zip(gradients, self.trainable_weights, strict=True))
        return self._measured(log_prob)

    def test_step(self, data):
        """Measures a batch."""
        x, *_ = keras.utils.unpack_x_y_sample_weight(data)
        return self._measured(self(x, training=False))

    def _measured(self, log_prob):
        # Row by row, so that a replica without rows changes nothing.
        self._loss_tracker.update_state(-log_prob, sample_weight=tf.ones_like(log_prob))
        return self.get_metrics_result()

    def _maybe_symbolic_build(self, iterator=None, data_batch=None):
        """Does nothing: the model is built, and Keras's own fails on uneven batches."""
