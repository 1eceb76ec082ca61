"""Training rows whose order and noise are functions of the seed and the epoch.

So a resumed run sees the same batches as an uninterrupted one.
"""

import keras
import tensorflow as tf


class EpochRows(keras.callbacks.Callback):
    """The training rows of each epoch; as a callback it learns the epoch from Keras.

    Args:
      inputs: `[N, D]`, or a tuple of such arrays.
      batch_size: rows per training step.
      seed: integer.
      bin_width: bin width of the first of `inputs`, within which each epoch draws new
        noise; None: no noise.
      flipped_shape: shape `(H, W)` or `(H, W, C)` of the images in the first of `inputs`;
        each epoch mirrors a random half of them; None: no mirroring.
      binarize: whether the first of `inputs` holds probabilities, from which each epoch
        draws zeros and ones.

    Attributes:
      inputs: the rows, as tensors.
      num_rows: N.
    """

    def __init__(
        self,
        inputs,
        *,
        batch_size,
        seed,
        bin_width=None,
        flipped_shape=None,
        binarize=False,
    ):
        super().__init__()
        self.inputs = tf.nest.map_structure(tf.convert_to_tensor, inputs)
        self.num_rows = len(tf.nest.flatten(inputs)[0])
        self._batch_size = batch_size
        self._bin_width = bin_width
        self._flipped_shape = flipped_shape
        self._binarize = binarize
        self._seed = tf.constant([seed, 0], tf.int64)
        self._epoch = tf.Variable(0, dtype=tf.int64, trainable=False)

    def on_epoch_begin(self, epoch, logs=None):
        """Stores the epoch before its first row is read."""
        self._epoch.assign(epoch)

    def as_dataset(self):
        """Returns a `tf.data.Dataset` of the batches of the stored epoch."""
        count = -(-self.num_rows // self._batch_size)
        dataset = tf.data.Dataset.range(1).flat_map(lambda _: self._epoch_batches(count))
        dataset = dataset.apply(tf.data.experimental.assert_cardinality(count))
        return dataset.prefetch(tf.data.AUTOTUNE)

    def _epoch_batches(self, count):
        seed = tf.random.experimental.stateless_fold_in(self._seed, self._epoch)
        order = tf.random.experimental.stateless_shuffle(tf.range(self.num_rows), seed)
        return tf.data.Dataset.range(count).map(lambda i: self._batch(order, seed, i))

    def _batch(self, order, seed, i):
        rows = order[i * self._batch_size : (i + 1) * self._batch_size]
        batch = tf.nest.map_structure(lambda x: tf.gather(x, rows), self.inputs)
        x, *context = batch if isinstance(batch, tuple) else (batch,)
        if self._bin_width is not None:
            x = self._requantize(x, tf.random.experimental.stateless_fold_in(seed, i + 1))
        if self._flipped_shape is not None:
            x = self._flip(x, tf.random.experimental.stateless_fold_in(seed, -(i + 1)))
        if self._binarize:
            x = _binarized(x, tf.random.experimental.stateless_fold_in(seed, i + 1))
        # Keras would take a bare pair as rows and targets.
        return ((x, *context),) if context else x

    def _flip(self, x, seed):
        images = tf.reshape(x, [-1, *self._flipped_shape])
        is_flipped = tf.random.stateless_uniform(tf.shape(x)[:1], seed) < 0.5
        mirrored = tf.reshape(tf.reverse(images, axis=[2]), tf.shape(x))
        return tf.where(is_flipped[:, None], mirrored, x)

    def _requantize(self, x, seed):
        noise = tf.random.stateless_uniform(tf.shape(x), seed, dtype=x.dtype)
        return (tf.floor(x / self._bin_width) + noise) * self._bin_width


def _binarized(x, seed):
    noise = tf.random.stateless_uniform(tf.shape(x), seed, dtype=x.dtype)
    return tf.cast(noise < x, x.dtype)
