"""Forward substitution through a MADE network, with the arithmetic of one pass."""

import functools
import itertools
import typing

import numpy as np
import tensorflow as tf

from tfp_flows.networks.block_substitution import Layer
from tfp_flows.networks.block_substitution import block_bounds
from tfp_flows.networks.block_substitution import substitute

__all__ = ["Structure", "Weights", "solve", "solve_adjoint"]


class Structure(typing.NamedTuple):
    """Which units see which, of a network whose variables and units rise in degree.

    Equal structures are equal: one trace serves all networks of one structure.

    Attributes:
      event_size: D; variable i has degree i, from 1.
      num_parameters: P.
      degrees: those of each hidden layer's units, rising, from 0 to D - 1: tuples.
      activation: of the hidden layers.
      is_residual: whether each second hidden layer adds what the one before the last summed.
    """

    event_size: int
    num_parameters: int
    degrees: tuple
    activation: typing.Callable
    is_residual: bool

    @property
    def levels(self):
        """The degree up to which each row of each layer sees, less 1 for parameters."""
        parameters = np.repeat(np.arange(self.event_size), self.num_parameters)
        return [*map(np.asarray, self.degrees), parameters]

    def adds_skip(self, k):
        """Whether hidden layer k adds what layer k - 2 has summed."""
        return self.is_residual and 0 < k < len(self.degrees) and k % 2 == 0


class Weights(typing.NamedTuple):
    """The masked kernels of such a network, `[units, what they see]`, and its biases.

    Attributes:
      kernels: of each layer. The last has the P rows of a variable side by side.
      biases: `[units, 1]`, or `[units, N]` with what the context adds.
      direct: `[D * P, D]`, from the variables to the parameters; a list, empty where there are none.
    """

    kernels: list
    biases: list
    direct: list


def solve(structure, weights, values, solve_one):
    return _traced_once(_solve, (structure, solve_one), (weights, values))


def solve_adjoint(structure, weights, u, u_bar, u_by_p, offset):
    tensors = (weights, u, u_bar, u_by_p, offset)
    return _traced_once(_solve_adjoint, (structure,), tensors)


def _solve(structure, solve_one, weights, values):
    def solve_level(inputs, parameters, log_det):
        x, summand = solve_one(*inputs, parameters)
        return x[None], log_det + summand

    layers = [
        Layer(levels, bias, [(k, kernel)], adds_skip=structure.adds_skip(k))
        for k, (levels, kernel, bias) in enumerate(
            zip(structure.levels, weights.kernels, weights.biases, strict=True)
        )
    ]
    layers[-1].kernels.extend((0, kernel) for kernel in weights.direct)
    return substitute(
        np.arange(structure.event_size),
        layers,
        structure.activation,
        [values],
        solve_level,
        tf.zeros_like(values[0, 0]),
    )


def _solve_adjoint(structure, weights, u, u_bar, u_by_p, offset):
    def solve_level(inputs, propagated, _):
        u_bar, u_by_p, offset = inputs
        return u_by_p * (u_bar + propagated) + offset, _

    size, last = structure.event_size, len(weights.kernels) - 1
    seen = [np.arange(1, size + 1), *structure.levels[:-1]]
    slopes = [None, *_slopes(structure, weights, u)]
    layers = []
    for k in range(last, -1, -1):
        kernel = tf.transpose(weights.kernels[k][::-1, ::-1])
        layers.append(
            Layer(
                size - seen[k][::-1],
                tf.zeros([len(seen[k]), 1], u.dtype),
                [(last - k, kernel)],
                None if slopes[k] is None else slopes[k][::-1],
                structure.adds_skip(k + 1),
            )
        )
    for kernel in weights.direct:
        layers[-1].kernels.append((0, tf.transpose(kernel[::-1, ::-1])))
    p_bar, _ = substitute(
        structure.levels[-1],
        layers,
        tf.identity,
        [u_bar[::-1], u_by_p[::-1, ::-1], offset[::-1, ::-1]],
        solve_level,
        tf.zeros([], u.dtype),
    )
    shape = [size, structure.num_parameters, -1]
    return tf.reshape(p_bar[::-1], shape)


def _slopes(structure, weights, u):
    """Derivatives of the activation at each hidden unit, `[units, N]` a layer."""
    sums, seen, seen_levels = [], u, np.arange(1, structure.event_size + 1)
    for k, levels in enumerate(structure.levels[:-1]):
        parts = []
        for first, end in itertools.pairwise(block_bounds(structure.event_size)):
            rows = slice(*np.searchsorted(levels, [first, end]))
            columns = np.searchsorted(seen_levels, end, "left")
            parts.append(weights.kernels[k][rows, :columns] @ seen[:columns])
        sums.append(tf.concat(parts, axis=0) + weights.biases[k])
        if structure.adds_skip(k):
            sums[k] += sums[k - 2]
        seen, seen_levels = structure.activation(sums[k]), levels
    with tf.GradientTape() as tape:
        tape.watch(sums)
        activations = [structure.activation(value) for value in sums]
    return tape.gradient(activations, sums)


def _traced_once(function, key, tensors):
    """Calls `function(*key, *tensors)`; in a graph, one trace serves all equal keys.

    No gradient goes back through it: see `solve`.
    """
    if tf.executing_eagerly():
        return function(*key, *tensors)
    functions = tf.compat.v1.get_collection_ref(__name__)
    known = next((f for k, f in functions if k == (function, *key)), None)
    if known is None:
        known = tf.function(
            functools.partial(function, *key),
            autograph=False,
            # Else the graph would be expanded again before it runs.
            experimental_attributes={"_noinline": True},
        )
        functions.append(((function, *key), known))
    return known(*tf.nest.map_structure(tf.stop_gradient, tensors))
