"""Many kernels and biases as parts of one variable."""

import math

import keras
import tensorflow as tf

from tfp_flows.networks.seeds import split_seed

__all__ = ["PackedWeights"]


class PackedWeights:
    """The layout of several arrays in one vector.

    A flow has many small networks. A training step that reads, differentiates and updates
    one variable a network, instead of one an array, is a quarter shorter (measured in
    BUILD_NOTES.md).

    Args:
      shapes: of the arrays: `(..., inputs, units)` for a kernel, `(units,)` for a bias.
      zero_kernels: indices into `shapes` of kernels that start at zero.
      constants: index -> value that a vector starts at; 0 for the others.
      initial_kernel: function of `(shape, dtype, seed)` that draws a kernel; Glorot's
        uniform one by default.
      seed: integer that determines the initial kernels; random if None.
    """

    def __init__(
        self,
        shapes,
        *,
        zero_kernels=(),
        constants=None,
        initial_kernel=None,
        seed=None,
    ):
        self._shapes = [tuple(shape) for shape in shapes]
        self._sizes = [math.prod(shape) for shape in self._shapes]
        self._zero_kernels = zero_kernels
        self._constants = constants or {}
        self._initial_kernel = initial_kernel or _glorot
        self._seed = seed

    def add_to(self, layer, name):
        """Returns a new weight of the Keras `layer` that holds all arrays."""
        return layer.add_weight(
            name=name, shape=(sum(self._sizes),), initializer=self._initial_values
        )

    def unpack(self, vector):
        """Returns the arrays, of `shapes`, that `vector` holds."""
        parts = tf.split(tf.convert_to_tensor(vector), self._sizes)
        pairs = zip(parts, self._shapes, strict=True)
        return [part if len(s) == 1 else tf.reshape(part, s) for part, s in pairs]

    def pack(self, arrays):
        """Returns the vector that holds `arrays`, of `shapes`."""
        return tf.concat([tf.reshape(array, [-1]) for array in arrays], axis=0)

    def _initial_values(self, shape, dtype):
        """Drawn kernels and constant biases, one after the other."""
        del shape
        seeds = split_seed(self._seed, len(self._shapes))
        arrays = [
            self._initial_kernel(shape, dtype, seed)
            if len(shape) > 1 and index not in self._zero_kernels
            else tf.fill(shape, tf.cast(self._constants.get(index, 0.0), dtype))
            for index, (shape, seed) in enumerate(zip(self._shapes, seeds, strict=True))
        ]
        return self.pack(arrays)


def _glorot(shape, dtype, seed):
    return keras.initializers.GlorotUniform(seed=seed)(shape, dtype)
