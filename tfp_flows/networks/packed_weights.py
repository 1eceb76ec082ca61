"""Many kernels and biases as parts of one variable."""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf
from tensorflow.types.experimental import TensorLike

from tfp_flows.networks.seeds import split_seed

__all__ = ["PackedWeights", "Part", "bias_part", "kernel_part"]


@dataclasses.dataclass(frozen=True)
class Part:
    """One array of a `PackedWeights`: its shape, and how it starts.

    Args:
      shape: of the array.
      limit: it starts uniform between `-limit` and `limit`.
      initial: function of `(shape, dtype, seed)` that draws the start instead; or None.
    """

    shape: tuple
    limit: float = 0.0
    initial: Callable | None = None


def kernel_part(
    shape: tuple[int, ...], *, whole: tuple[int, ...] | None = None, zero: bool = False
) -> Part:
    """A kernel that starts at zero, or uniform as in Glorot, Bengio (2010).

    Args:
      shape: `(inputs, units)`.
      whole: shape of the kernel that it is a part of, whose widths set the limit.
      zero: whether it starts at zero.
    """
    return Part(tuple(shape), 0.0 if zero else math.sqrt(6.0 / sum(whole or shape)))


def bias_part(units: int) -> Part:
    """A bias of `units`, which starts at zero."""
    return Part((units,))


class PackedWeights:
    """The layout of several arrays in one vector.

    A flow has many small networks. A training step that reads, differentiates and updates
    one variable a network, instead of one an array, is a quarter shorter (measured in
    BUILD_NOTES.md).

    Args:
      parts: the arrays' `Part`s, in any nest of lists and tuples.
      seed: integer that determines the initial values; random if None.
    """

    def __init__(self, parts: Any, *, seed: int | None = None) -> None:
        self._nest = parts
        self._parts = tf.nest.flatten(parts)
        self._sizes = [math.prod(part.shape) for part in self._parts]
        self._seed = seed

    def add_to(self, layer: keras.Layer, name: str) -> keras.Variable:
        """Returns a new weight of the Keras `layer` that holds all arrays."""
        return layer.add_weight(
            name=name, shape=(sum(self._sizes),), initializer=self._initial_values
        )

    def unpack(self, vector: TensorLike) -> Any:
        """Returns the arrays that `vector` holds, in the nest of their parts."""
        arrays = tf.split(tf.convert_to_tensor(vector), self._sizes)
        arrays = [
            array if len(part.shape) == 1 else tf.reshape(array, part.shape)
            for array, part in zip(arrays, self._parts, strict=True)
        ]
        return tf.nest.pack_sequence_as(self._nest, arrays)

    def pack(self, arrays: Any) -> tf.Tensor:
        """Returns the vector that holds `arrays`, in the nest of their parts."""
        flat = [tf.reshape(array, [-1]) for array in tf.nest.flatten(arrays)]
        return tf.concat(flat, axis=0)

    def _initial_values(self, shape, dtype):
        del shape
        seeds = split_seed(self._seed, len(self._parts))
        arrays = [
            _initial_value(part, seed, dtype)
            for part, seed in zip(self._parts, seeds, strict=True)
        ]
        return self.pack(arrays)


def _initial_value(part, seed, dtype):
    if part.initial is not None:
        return part.initial(part.shape, dtype, seed)
    uniform = keras.initializers.RandomUniform(-part.limit, part.limit, seed=seed)
    return uniform(part.shape, dtype) if part.limit else tf.zeros(part.shape, dtype)
