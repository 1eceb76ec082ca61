"""The sequential direction of an autoregressive map, at about the cost of one pass."""

import numpy as np
import tensorflow as tf

__all__ = ["column_wise"]


def column_wise(network, values, context, solve, num_segments=4):
    """Solves `values_i = map(x_i; parameters_i(x_<i))` for x, one variable after another.

    The obvious way runs the whole network D times. But look at MADE's masks: a hidden unit
    of degree d sees only variables of degree up to d. When the i-th variable is due, all
    before it are final, and so are, for good, all units of degree up to i. So at step i

    ```none
    1. compute the units of degree i, layer by layer: all that they see is final
    2. compute the P parameters of the i-th variable from the units of degree up to i
    3. solve for the variable itself, and go on
    ```

    Each unit is computed once: over all steps, each kernel is multiplied once. Units are
    sorted by degree, so step i reads a few neighbouring rows of each transposed kernel and
    writes neighbouring rows of `[units, N]` arrays. The steps run in segments; in each,
    rows that cannot be known by its end are not read, which saves half the arithmetic.

    Unlike D whole passes, it cannot overflow on coordinates that are not final yet.

    Args:
      network: a built `MaskedMLP`.
      values: `[N, D]`, or `[N, D, V]` where a variable has V numbers.
      context: `[N, context_size]`, or None.
      solve: elementwise function of `values_i`, `[N, V]` (V = 1 for rank 2), and the
        variable's parameters, `[N, P]`, that returns `x_i` and its log-det (or another
        number to sum), `[N, 1]` each.
      num_segments: number of segments.

    Returns:
      `x`, `[N, D]`, and the sum of the log-dets, `[N]`.
    """
    rows = _sorted_rows(network, context)
    event_size = network.event_size
    order = np.argsort(network.ordering)  # order[i] is the variable that comes i-th
    values = values if values.shape.rank == 3 else values[:, :, None]
    sorted_values = tf.gather(tf.transpose(values, [1, 0, 2]), order)
    num_rows = tf.shape(values)[0]
    log_det = tf.zeros([num_rows], values.dtype)
    arrays = [tf.zeros([0, num_rows], values.dtype) for _ in rows]
    edges = np.unique(np.linspace(0, event_size, num_segments + 1).astype(int))
    for start, end in zip(edges[:-1], edges[1:], strict=True):
        # Units and variables that are known by the segment's end, and room for the rows
        # of a step that has fewer units than the largest.
        known = [end, *(layer.known(end) for layer in rows[:-1])]
        room = [1, *(layer.most for layer in rows[:-1])]
        sizes = [size + extra for size, extra in zip(known, room, strict=True)]
        for layer, size, num_inputs in zip(rows, sizes, known, strict=True):
            layer.enter_segment(num_inputs, size)
        step = _step(network, rows, sorted_values, solve)
        arrays = [_grown(array, size) for array, size in zip(arrays, sizes, strict=True)]
        _, log_det, *arrays = tf.while_loop(
            lambda i, *_, end=end: i < end,
            step,
            (tf.constant(start), log_det, *arrays),
            maximum_iterations=end - start,
        )
        arrays = [array[:size] for array, size in zip(arrays, known, strict=True)]
    return tf.transpose(tf.gather(arrays[0], network.ordering - 1)), log_det


def _step(network, rows, sorted_values, solve):
    """The loop's body for the i-th variable."""

    def step(i, log_det, *arrays):
        arrays = list(arrays)
        hidden = None
        for index, layer in enumerate(rows[:-1]):
            value = layer.values(i, arrays[index])
            if network.adds_skip(index):
                value += hidden
            if network.adds_skip(index) or index == 0:
                hidden = value
            arrays[index + 1] = layer.write(i, arrays[index + 1], network.activation(value))
        parameters = rows[-1].values(i, arrays[-1])
        if network.direct:
            parameters += rows[-1].direct_values(i, arrays[0])
        x, column_log_det = solve(sorted_values[i], tf.transpose(parameters))
        arrays[0] = tf.tensor_scatter_nd_update(arrays[0], [[i]], tf.transpose(x))
        return (i + 1, log_det + column_log_det[:, 0], *arrays)

    return step


def _sorted_rows(network, context):
    """Every layer as rows of its transposed kernel, sorted by degree both ways."""
    weights, context_kernel, direct_kernel = network.weight_arrays()
    order = np.argsort(network.ordering)
    event_size, num_parameters = network.event_size, network.num_parameters
    in_order = order
    rows = []
    for index, (layer, (kernel, bias)) in enumerate(
        zip(network.layers, weights, strict=True)
    ):
        transposed = tf.gather(tf.transpose(layer.masked(kernel)), in_order, axis=1)
        bias = bias[:, None]
        if index == 0 and network.context_size:
            bias += tf.matmul(context_kernel, context, transpose_a=True, transpose_b=True)
        if index == len(weights) - 1:
            # The P parameters of one variable beside each other.
            places = order[:, None] + event_size * np.arange(num_parameters)
            rows.append(
                _Rows(
                    transposed,
                    bias,
                    places.ravel(),
                    np.repeat(range(event_size), num_parameters),
                    event_size,
                )
            )
        else:
            units = np.arange(len(layer.out_degrees))
            rows.append(_Rows(transposed, bias, units, layer.out_degrees, event_size))
            in_order = units
    if network.direct:
        transposed = tf.transpose(network.direct_layer.masked(direct_kernel))
        rows[-1].add_direct(tf.gather(transposed, order, axis=1), places.ravel())
    return rows


class _Rows:
    """The units of one layer, sorted by the step at which they become computable."""

    def __init__(self, transposed_kernel, bias, order, steps, event_size):
        self._edges = np.searchsorted(steps, np.arange(event_size + 1))
        self._starts = tf.constant(self._edges[:-1], tf.int32)
        self._counts = tf.constant(np.diff(self._edges), tf.int32)
        self.most = max(int(np.diff(self._edges).max()), 1)
        # A slice past the end would be shifted back, so there are rows to spare.
        self._kernel = _grown(tf.gather(transposed_kernel, order), len(order) + self.most)
        self._bias = _grown(tf.gather(bias, order), len(order) + self.most)

    def known(self, end):
        """Number of units that are computable before step `end`."""
        return int(self._edges[end])

    def enter_segment(self, num_inputs, size):
        """Leaves out inputs from `num_inputs` on; `size` is how many rows they have."""
        columns = [[0, 0], [0, size - num_inputs]]
        self._segment = tf.pad(self._kernel[:, :num_inputs], columns)

    def values(self, i, inputs):
        """Pre-activations of the units of step i, `[most, N]`; spare rows are arbitrary."""
        begin = [self._starts[i], 0]
        kernel = tf.slice(self._segment, begin, [self.most, inputs.shape[0]])
        bias = tf.slice(self._bias, begin, [self.most, -1])
        return kernel @ inputs + bias

    def write(self, i, array, values):
        """Returns `array` with the units of step i; spare rows become zero."""
        spare = tf.range(self.most) >= self._counts[i]
        values = tf.where(spare[:, None], tf.zeros_like(values), values)
        places = self._starts[i] + tf.range(self.most)
        return tf.tensor_scatter_nd_update(array, places[:, None], values)

    def add_direct(self, transposed_kernel, order):
        """Adds the direct connections from the variables."""
        self._direct = _grown(tf.gather(transposed_kernel, order), len(order) + self.most)

    def direct_values(self, i, variables):
        """What the direct connections add to the parameters of the i-th variable."""
        known = variables.shape[0] - 1  # without the spare row
        kernel = tf.slice(self._direct, [self._starts[i], 0], [self.most, known])
        return kernel @ variables[:-1]


def _grown(array, rows):
    """Appends rows of zeros up to `rows`."""
    return tf.pad(array, [[0, rows - array.shape[0]], [0, 0]])
