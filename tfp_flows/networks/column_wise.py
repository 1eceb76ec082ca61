"""The sequential direction of an autoregressive map, at about the cost of one pass."""

import numpy as np
import tensorflow as tf

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
      solve: function of `values_i`, `[N, V]` (V = 1 if there is no such axis), and the
        variable's parameters, `[N, P]`, that returns `x_i` and a log-det, `[N, 1]` each.

    Returns:
      `x`, `[N, D]`, and the sum of the log-dets, `[N]`.
    """
    last = len(network.layers) - 1
    order = np.argsort(network.ordering)  # order[i] is the variable that comes i-th
    values = values[..., None] if values.shape.rank == 2 else values
    values = tf.gather(tf.transpose(values, [1, 0, 2]), order)

    def step(stage, log_det):
        sums = []
        for k in range(last):
            sums.append(stage.value(k))
            if network.adds_skip(k):
                sums[k] += sums[k - 2]
            stage.write(k, network.activation(sums[k]))
        x, summand = solve(values[stage.index], tf.transpose(stage.value(last)))
        return tf.transpose(x), log_det + summand[:, 0]

    x, log_det = climb(
        np.arange(network.event_size),
        _layers(network, context, order),
        step,
        tf.zeros_like(values[0, :, 0]),
        tf.shape(values)[1],
    )
    return tf.transpose(tf.gather(x, network.ordering - 1)), log_det


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
    order = np.argsort(network.ordering)[::-1]
    adjoint = tf.gather(tf.transpose(adjoint), order)
    slope, offset = (_by_variable(network, array, order) for array in (slope, offset))

    def step(stage, carry):
        adjoints = []
        for k in range(last):  # from the last hidden layer to the first
            adjoints.append(stage.value(k) * stage.companion(k))
            if network.adds_skip(last + 1 - k):
                adjoints[k] += adjoints[k - 2]
            stage.write(k, adjoints[k])
        w = adjoint[stage.index] + stage.value(last)[0]
        return slope[stage.index] * w + offset[stage.index], carry

    p, _ = climb(
        np.repeat(np.arange(network.event_size), network.num_parameters),
        _mirrored_layers(network, inputs, order),
        step,
        (),
        tf.shape(adjoint)[1],
    )
    places = np.argsort(_places(network, order))
    return tf.transpose(tf.gather(p, places))


def _layers(network, context, order):
    """The layers as they are evaluated: rows are units, sorted by degree."""
    weights = network.weight_arrays
    layers = []
    for k, (layer, (tiles, bias)) in enumerate(
        zip(network.layers, weights.layers, strict=True)
    ):
        kernel, base = tf.transpose(layer.kernel(tiles)), bias[:, None]
        if k == 0:
            kernel = tf.gather(kernel, order, axis=1)
            if network.context_size:
                base += tf.matmul(
                    weights.context, context, transpose_a=True, transpose_b=True
                )
        layers.append(Layer(layer.out_degrees, base, [(k, kernel)]))
    places = _places(network, order)
    outputs = layers.pop()
    kernels = [(k, tf.gather(kernel, places)) for k, kernel in outputs.kernels]
    if network.direct:
        direct = tf.transpose(network.direct_layer.kernel(weights.direct))
        kernels.append((0, tf.gather(tf.gather(direct, places), order, axis=1)))
    stages = np.repeat(np.arange(network.event_size), network.num_parameters)
    return [*layers, Layer(stages, tf.gather(outputs.base, places), kernels)]


def _mirrored_layers(network, inputs, order):
    """The layers as back-propagation goes through them: rows are what a layer sees."""
    weights = network.weight_arrays
    last = len(network.layers) - 1
    slopes = network.activation_slopes(inputs)
    places = _places(network, order)
    layers, columns = [], places
    for k, (layer, (tiles, _)) in enumerate(
        zip(network.layers[::-1], weights.layers[::-1], strict=True)
    ):
        kernel = tf.gather(layer.kernel(tiles), columns, axis=1)
        base = tf.zeros([layer.shape[0], 1], kernel.dtype)
        if k < last:
            columns = np.arange(layer.shape[0])[::-1]
            stages = network.event_size - layer.in_degrees[columns]
            companion = tf.gather(tf.transpose(slopes[last - 1 - k]), columns)
            kernels = [(k, tf.gather(kernel, columns))]
            layers.append(Layer(stages, base, kernels, companion))
    kernels = [(last, tf.gather(kernel, order))]
    if network.direct:
        direct = network.direct_layer.kernel(weights.direct)
        kernels.append((0, tf.gather(tf.gather(direct, places, axis=1), order)))
    return [*layers, Layer(np.arange(network.event_size), base, kernels)]


def _places(network, order):
    """Where the outputs are that are the P parameters of each variable, in order."""
    groups = network.event_size * np.arange(network.num_parameters)
    return (order[:, None] + groups).ravel()


def _by_variable(network, array, order):
    """From `[N, P * D]` to `[D, P, N]`, in order."""
    shape = [network.event_size, network.num_parameters, -1]
    return tf.reshape(tf.gather(tf.transpose(array), _places(network, order)), shape)
