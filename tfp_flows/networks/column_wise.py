"""The sequential direction of an autoregressive map, with the arithmetic of one pass."""

import numpy as np
import tensorflow as tf

from tfp_flows.networks.orderings import take
from tfp_flows.networks.staircase import Layer
from tfp_flows.networks.staircase import climb

__all__ = ["column_wise", "column_wise_adjoint"]


def column_wise(network, values, context, solve):
    """Solves `values_i = map(x_i; parameters_i(x_<i))` for x, one variable after another.

    The obvious way runs the whole network D times. But look at MADE's masks: a hidden unit
    of degree d sees only variables of degree up to d. When the i-th variable is due, all
    before it are final, and so are, for good, all units of degree up to i. So at step i

    ```none
    1. compute the units of degree i, layer by layer: all that they see is final
    2. compute the P parameters of the i-th variable from the units of degree up to i
    3. solve for the variable itself, and go on
    ```

    Each unit is computed once: over all steps, each kernel is multiplied once. With units
    sorted by degree the kernels look like staircases; `staircase.py` climbs them.

    Unlike D whole passes, it cannot overflow on coordinates that are not final yet.

    Args:
      network: a built `MaskedMLP`.
      values: `[N, D]`, or `[N, D, V]` where V numbers a variable are needed.
      context: `[N, context_size]`, or None.
      solve: function of `values_i`, `[V, N]` (V = 1 if there is no such axis), and the
        variable's parameters, `[P, N]`, that returns `x_i` and a log-det, `[N]` each.

    Returns:
      `x`, `[N, D]`, and the sum of the log-dets, `[N]`.
    """
    last = len(network.layers) - 1
    order = np.argsort(network.ordering)  # order[i] is the variable that comes i-th
    values = values[..., None] if values.shape.rank == 2 else values
    values = take(tf.transpose(values, [1, 2, 0]), order, axis=0)

    def step(stage, log_det):
        sums = []
        for k in range(last):
            sums.append(stage.value(k))
            if network.adds_skip(k):
                sums[k] += sums[k - 2]
            stage.write(k, network.activation(sums[k]))
        x, summand = solve(stage.inputs, stage.value(last))
        return x[None], log_det + summand

    x, log_det = climb(
        np.arange(network.event_size),
        _layers(network, context),
        values,
        step,
        tf.zeros_like(values[0, 0]),
    )
    return take(tf.transpose(x), network.ordering - 1, axis=1), log_det


def column_wise_adjoint(network, inputs, adjoint, slope, offset):
    """Solves `p = slope * (adjoint + J^T p) + offset` for p, the last variable first.

    J is the derivative of the parameters by the variables, strictly triangular. This is
    back-propagation through `column_wise`, and its mirror image: the adjoint of a unit of
    degree d is final as soon as those of the parameters of all variables after the d-th
    are. It costs about as much.

    Args:
      network: a built `MaskedMLP`.
      inputs: `[N, D + context_size]`, where J is taken.
      adjoint: `[N, D]`, of the solution.
      slope: `[N, P * D]`, derivative of the solution by the parameters, for fixed values.
      offset: `[N, P * D]`.

    Returns:
      `p`, the adjoint of the parameters, `[N, P * D]`.
    """
    last = len(network.layers) - 1
    order = np.argsort(network.ordering)
    adjoint = take(tf.transpose(adjoint), order[::-1], axis=0)
    slopes, offsets = (_mirrored(network, array, order) for array in (slope, offset))

    def step(stage, carry):
        adjoints = []
        for k in range(last):  # from the last hidden layer to the first
            adjoints.append(stage.value(k) * stage.companion(k))
            if network.adds_skip(last + 1 - k):
                adjoints[k] += adjoints[k - 2]
            stage.write(k, adjoints[k])
        adjoint, slope, offset = stage.inputs
        w = adjoint + stage.value(last)[0]
        return slope * w + offset, carry

    p, _ = climb(
        np.repeat(np.arange(network.event_size), network.num_parameters),
        _mirrored_layers(network, inputs),
        (adjoint, slopes, offsets),
        step,
        (),
    )
    p = tf.reshape(p, [network.event_size, network.num_parameters, -1])
    p = take(tf.transpose(p[::-1, ::-1], [2, 1, 0]), network.ordering - 1, axis=2)
    return tf.reshape(p, tf.shape(slope))


def _layers(network, context):
    """The layers as they are evaluated: rows are units, sorted by degree."""
    weights = network.weight_arrays
    layers = []
    for k, (layer, (tiles, bias)) in enumerate(
        zip(network.layers, weights.layers, strict=True)
    ):
        kernels = [(k, layer.transposed_kernel(tiles))]
        base = take(bias, layer.rising_units, axis=0)[:, None]
        if k == 0 and network.context_size:
            base += tf.matmul(weights.context, context, transpose_a=True, transpose_b=True)
        layers.append(Layer(np.sort(layer.out_degrees), base, kernels))
    if network.direct:
        direct = network.direct_layer.transposed_kernel(weights.direct)
        layers[-1].kernels.append((0, direct))
    # The parameters of the i-th variable are due at stage i, from 0.
    return [*layers[:-1], layers[-1]._replace(stages=layers[-1].stages - 1)]


def _mirrored_layers(network, inputs):
    """The layers as back-propagation goes through them: rows are what a layer sees."""
    weights = network.weight_arrays
    slopes = network.activation_slopes(inputs)
    layers = []
    for k, (layer, (tiles, _)) in enumerate(
        zip(network.layers[::-1], weights.layers[::-1], strict=True)
    ):
        kernel = tf.transpose(layer.transposed_kernel(tiles)[::-1, ::-1])
        stages = network.event_size - np.sort(layer.in_degrees)[::-1]
        base = tf.zeros([layer.shape[0], 1], kernel.dtype)
        companion = tf.transpose(slopes.pop())[::-1] if slopes else None
        layers.append(Layer(stages, base, [(k, kernel)], companion))
    if network.direct:
        direct = network.direct_layer.transposed_kernel(weights.direct)
        layers[-1].kernels.append((0, tf.transpose(direct[::-1, ::-1])))
    return layers


def _mirrored(network, array, order):
    """From `[N, P * D]` to `[D, P, N]`, the last variable and parameter first."""
    shape = [-1, network.num_parameters, network.event_size]
    array = tf.transpose(tf.reshape(array, shape), [2, 1, 0])
    return take(array, order[::-1], axis=0)[:, ::-1]
