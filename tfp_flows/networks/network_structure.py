"""The structure of an autoregressive network: which units see which."""

import typing

import numpy as np
import tensorflow as tf


class Structure(typing.NamedTuple):
    """Which rows see which, with variables and units in rising order of degree.

    Attributes:
      event_size: D; the i-th variable has degree i, from 1.
      num_parameters: P.
      degrees: degrees of the units of each hidden layer, from 0 to D - 1, in rising order;
        a tuple of tuples.
      activation: activation of the hidden layers.
      is_residual: whether every second hidden layer adds the sums of the layer two before.
      num_values: number of inputs for each variable: 1, the variable itself; or V, its
        one-hot vector, if it is one of the integers `0, ..., V - 1`.
    """

    event_size: int
    num_parameters: int
    degrees: tuple
    activation: typing.Callable
    is_residual: bool
    num_values: int = 1

    @property
    def seen_degrees(self) -> list[np.ndarray]:
        """Degrees of the inputs of each layer, one array for each."""
        variables = np.repeat(np.arange(1, self.event_size + 1), self.num_values)
        return [variables, *map(np.array, self.degrees)]

    def shown(self, u: tf.Tensor) -> tf.Tensor:
        """Returns the inputs, `[num_values, N]`, that show values `[N]` of a variable."""
        if self.num_values == 1:
            return u[None]
        return tf.one_hot(tf.cast(u, tf.int32), self.num_values, axis=0, dtype=u.dtype)

    def variables_of(self, shown: tf.Tensor) -> tf.Tensor:
        """Returns the variables, `[D, N]`, from the inputs, `[D * num_values, N]`."""
        if self.num_values == 1:
            return shown
        values = tf.range(self.num_values, dtype=shown.dtype)
        by_variable = tf.reshape(shown, [self.event_size, self.num_values, -1])
        return tf.einsum("dvn,v->dn", by_variable, values)

    @property
    def levels(self) -> list[np.ndarray]:
        """Levels of the rows of each layer: a row sees degrees up to its level."""
        parameters = np.repeat(np.arange(self.event_size), self.num_parameters)
        return [*map(np.array, self.degrees), parameters]

    def hidden(self, layer: typing.Callable, x: tf.Tensor) -> tuple[list, tf.Tensor]:
        """Returns the sums of all hidden layers, a list, and the output of the last.

        `layer` is a function of k, the input of hidden layer k, and a skip to add (or
        None), that returns the sums of the layer.
        """
        sums: list = []
        for k in range(len(self.degrees)):
            sums.append(layer(k, x, sums[k - 2] if self.adds_skip(k) else None))
            x = self.activation(sums[k])
        return sums, x

    def adds_skip(self, k: int) -> bool:
        """Whether hidden layer k adds the sums of layer k - 2."""
        return self.is_residual and 0 < k < len(self.degrees) and k % 2 == 0


class Weights(typing.NamedTuple):
    """Masked kernels and biases, with rows and inputs in rising order of degree.

    Attributes:
      kernels: kernel of each layer, `[rows, inputs]`. The P rows of a variable stand side
        by side.
      biases: `[rows, 1]`, or `[rows, N]` with the term of the context.
      direct: list of the kernel from variables to parameters; empty without one.
    """

    kernels: list
    biases: list
    direct: list
