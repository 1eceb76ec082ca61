"""Many kernels and biases as parts of one variable."""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf
from tensorflow.types.experimental import TensorLike

from tfp_flows.networks.layer_arguments import split_seed


@dataclasses.dataclass(frozen=True)
class Part:
    """One array of a `PackedWeights`: its shape, and how it starts.

    Args:
      shape: shape of the array.
      limit: bound of its initial values, which are uniform between `-limit` and `limit`: a
        number, or an array that broadcasts against `shape`.
      initial: function of `(shape, dtype, seed)` that returns other values; or None.
    """

    shape: tuple
    limit: float | np.ndarray = 0.0
    initial: Callable | None = None

    def initial_value(self, dtype: str, seed: int | None) -> tf.Tensor:
        """Returns the initial values, which the integer `seed` determines."""
        if self.initial is not None:
            return self.initial(self.shape, dtype, seed)
        if not np.any(self.limit):
            return tf.zeros(self.shape, dtype)
        uniform = keras.initializers.RandomUniform(-1.0, 1.0, seed=seed)(self.shape, dtype)
        return uniform * tf.cast(self.limit, uniform.dtype)


def kernel_part(
    shape: tuple[int, ...], num_inputs: npt.ArrayLike | None = None, *, zero: bool = False
) -> Part:
    """A kernel that starts at zero, or uniform with a variance of `1 / num_inputs`.

    A unit then starts with variance 1 for standardised inputs (LeCun, Bottou, Orr, Müller
    1998, Efficient backprop, section 4.6). If a mask hides some inputs, `num_inputs` still
    counts all of them: with variance 1 from a few visible inputs, flows of hundreds of
    variables overfit (docs/tried_and_dropped.md, "How networks start").

    The shape is `(..., inputs, units)`. `num_inputs` broadcasts against it; None counts the
    inputs of this kernel.
    """
    inputs = shape[-2] if num_inputs is None else num_inputs
    return Part(tuple(shape), 0.0 if zero else math.sqrt(3.0) * _per_root(inputs))


def bias_part(
    shape: int | tuple[int, ...], num_inputs: npt.ArrayLike | None = None
) -> Part:
    """A bias that starts uniform between +- `1 / sqrt(num_inputs)`, or at zero for None.

    With one input x, a ReLU unit bends at `x = -bias / weight`. With zero biases all units
    would bend at 0, and would learn slowly to bend elsewhere.
    """
    shape = (shape,) if isinstance(shape, int) else tuple(shape)
    return Part(shape, 0.0 if num_inputs is None else _per_root(num_inputs))


def _per_root(num_inputs):
    """Returns `1 / sqrt(num_inputs)`; 1 if there are none."""
    return np.maximum(num_inputs, 1) ** -0.5


class PackedWeights:
    """The layout of several arrays in one vector.

    A flow has many small networks. With one variable for each network, instead of one for
    each array, a training step is a quarter shorter (docs/benchmarks.md).

    Args:
      parts: any nest of `Part`s.
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
            part.initial_value(dtype, seed)
            for part, seed in zip(self._parts, seeds, strict=True)
        ]
        return self.pack(arrays)


def dense(x: tf.Tensor, layer: Any) -> tf.Tensor:
    """Returns `x @ kernel + bias` for x, `[N, inputs]`, and `layer`, (kernel, bias)."""
    kernel, bias = layer
    return tf.nn.bias_add(x @ kernel, bias)
