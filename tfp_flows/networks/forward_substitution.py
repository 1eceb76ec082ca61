"""Forward substitution through a MADE network, with the arithmetic of one pass.

`v_i = map(u_i; p_i(u_<i))` is solved for u one variable after another. The obvious way runs
the whole network D times. But a unit of degree d sees variables of degree up to d only: it
is final once they are, and need be computed once. With three variables and two hidden
units, h_1 and h_2, of degree 1 and 2, that is

```none
level 0:  p_1 = b_1                            u_1 from v_1 and p_1
level 1:  h_1 = relu(K_11 u_1)
          p_2 = b_2 + L_21 h_1                 u_2 from v_2 and p_2
level 2:  h_2 = relu(K_21 u_1 + K_22 u_2)
          p_3 = b_3 + L_31 h_1 + L_32 h_2      u_3 from v_3 and p_3
```

A row is a unit, a variable or a parameter, with the part of a kernel that makes it; a level
is all rows of one degree, which become computable at once. Over all levels each kernel is
multiplied once, which costs about as much as one pass; and nothing can overflow at
variables that are not final yet. `block_substitution.py` takes many levels in blocks.
"""

import abc
import functools
import itertools
import typing
from typing import Any

import numpy as np
import tensorflow as tf

from tfp_flows.core.compiled_call import is_compiled_by_xla
from tfp_flows.networks.block_substitution import Layer
from tfp_flows.networks.block_substitution import block_bounds
from tfp_flows.networks.block_substitution import substitute
from tfp_flows.networks.network_structure import Structure
from tfp_flows.networks.network_structure import Weights
from tfp_flows.networks.orderings import take

__all__ = ["AutoregressiveNetwork"]


class AutoregressiveNetwork(abc.ABC):
    """A network with MADE's masks, which can be solved for its variables.

    No gradient goes back through `solve` and `solve_adjoint`; arguments and results are
    those of `AutoregressiveConditioner` with one batch axis. Networks of one structure
    and with equal (==) `solve_one` are traced once.

    Attributes:
      structure: the `Structure` that it has under each of its masks.
      num_masks: their number.
    """

    structure: Structure
    num_masks = 1

    def member(self, index: Any) -> Any:
        """Returns the network under mask `index`, an integer or a scalar tensor."""
        return self

    @abc.abstractmethod
    def ordered_weights(self, context: Any) -> tuple[Weights, Any, Any]:
        """Returns the `Weights` for a context, and the variables' order and ranks."""

    def solve(self, values: Any, context: Any, solve_one: typing.Callable) -> tuple:
        """Solves for the variables: `values` is `[N, D]`, or `[N, D, V]` for V each."""
        weights, order, ranks = self.ordered_weights(context)
        values = values[..., None] if values.shape.rank == 2 else values
        values = take(tf.transpose(values, [1, 2, 0]), order, axis=0)
        u, log_det = _traced_once(_solve, (self.structure, solve_one), (weights, values))
        return take(tf.transpose(u), ranks, axis=1), log_det

    def solve_adjoint(
        self, u: Any, context: Any, u_bar: Any, u_by_p: Any, offset: Any
    ) -> tf.Tensor:
        """Solves `p_bar = u_by_p * (u_bar + J^T p_bar) + offset`, the last variable first.

        This is back-propagation through the network, by substitution too: the adjoint of a
        unit of degree d is final once those of all parameters of higher degree are.
        """
        weights, order, ranks = self.ordered_weights(context)
        given = u[:, None], u_bar[:, None], u_by_p, offset
        arrays = [take(tf.transpose(a, [2, 1, 0]), order, axis=0) for a in given]
        p_bar = _traced_once(_solve_adjoint, (self.structure,), (weights, *arrays))
        return take(tf.transpose(p_bar, [2, 1, 0]), ranks, axis=2)


def _traced_once(function, key, tensors):
    """Calls `function(*key, *tensors)`; in a graph, one trace serves all equal keys.

    The steps of a flow are mostly of one structure, and differ in their weights.
    """
    # Without gradients: a tape would have those of the call traced at once.
    tensors = tf.nest.map_structure(tf.stop_gradient, tensors)
    # XLA may fail on loops of a called function.
    if tf.executing_eagerly() or is_compiled_by_xla():
        return function(*key, *tensors)
    traced = tf.compat.v1.get_collection_ref(__name__)  # it lives as long as the graph
    call = next((f for known, f in traced if known == (function, key)), None)
    if call is None:
        call = tf.function(
            functools.partial(function, *key),
            autograph=False,
            # Else the graph would be expanded again before it runs.
            experimental_attributes={"_noinline": True},
        )
        traced.append(((function, key), call))
    return call(*tensors)


def _solve(structure, solve_one, weights, values):
    def solve_level(inputs, parameters, log_det):
        u, summand = solve_one(*inputs, parameters)
        return structure.shown(u), log_det + summand

    layers = [
        Layer(levels, bias, [(k, kernel)], adds_skip=structure.adds_skip(k))
        for k, (levels, kernel, bias) in enumerate(
            zip(structure.levels, weights.kernels, weights.biases, strict=True)
        )
    ]
    layers[-1].kernels.extend((0, kernel) for kernel in weights.direct)
    shown, log_det = substitute(
        structure.seen_degrees[0] - 1,
        layers,
        structure.activation,
        [values],
        solve_level,
        tf.zeros_like(values[0, 0]),
    )
    return structure.variables_of(shown), log_det


def _solve_adjoint(structure, weights, u, u_bar, u_by_p, offset):
    def solve_level(inputs, propagated, nothing):
        u_bar, u_by_p, offset = inputs
        return u_by_p * (u_bar + propagated) + offset, nothing

    # What a layer sees become the rows, and the highest degree comes first.
    layers: list[Layer] = []
    of_layers = zip(
        structure.seen_degrees,
        weights.kernels,
        [None, *_slopes(structure, weights, u[:, 0])],
        strict=True,
    )
    for k, (degrees, kernel, slopes) in reversed(list(enumerate(of_layers))):
        layers.append(
            Layer(
                structure.event_size - degrees[::-1],
                None,
                [(len(layers), _reversed_transpose(kernel))],
                slopes if slopes is None else slopes[::-1],
                structure.adds_skip(k + 1),
            )
        )
    layers[-1].kernels.extend((0, _reversed_transpose(k)) for k in weights.direct)
    p_bar, _ = substitute(
        structure.levels[-1],
        layers,
        tf.identity,
        [u_bar[::-1], u_by_p[::-1, ::-1], offset[::-1, ::-1]],
        solve_level,
        u[0, 0, 0],  # not used
    )
    return tf.reshape(p_bar[::-1], tf.shape(offset))


def _reversed_transpose(kernel):
    return tf.transpose(kernel[::-1, ::-1])


def _slopes(structure, weights, u):
    """Derivatives of the activation at each hidden unit, `[rows, N]` a layer."""

    def layer(k, seen, skip):  # without the products with what is zero in kernels
        products = []
        for first, end in itertools.pairwise(block_bounds(structure.event_size)):
            rows = slice(*np.searchsorted(structure.levels[k], [first, end]))
            count = np.searchsorted(structure.seen_degrees[k], end)
            products.append(weights.kernels[k][rows, :count] @ seen[:count])
        value = tf.concat(products, axis=0) + weights.biases[k]
        return value if skip is None else value + skip

    sums, _ = structure.hidden(layer, u)
    with tf.GradientTape() as tape:
        tape.watch(sums)
        activations = [structure.activation(value) for value in sums]
    return tape.gradient(activations, sums)
