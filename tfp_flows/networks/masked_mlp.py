"""The MADE network: every output depends on variables of lower degree only."""

from __future__ import annotations

import functools
import itertools
import math
import typing
from collections.abc import Callable, Sequence

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf
from tensorflow.types.experimental import TensorLike

from tfp_flows.core.arguments import (
    check_each,
    check_entries,
    check_flag,
    check_seed,
    check_size,
)
from tfp_flows.networks.context_network import (
    ContextNetwork,
    check_width,
    split_context,
)
from tfp_flows.networks.forward_substitution import MaskedNetwork
from tfp_flows.networks.layer_arguments import (
    check_hidden_units,
    dropout_layer,
    get_elementwise_activation,
)
from tfp_flows.networks.network_structure import Structure, Weights
from tfp_flows.networks.orderings import check_ordering, hidden_degrees, take
from tfp_flows.networks.packed_weights import PackedWeights, Part, bias_part, kernel_part


class _Arrays(typing.NamedTuple):
    """The network's arrays, in the order of its `PackedWeights`."""

    layers: list  # (tiles, bias) of each `MaskedDense`
    context: typing.Any  # kernel from the context to the first layer
    direct: list  # tiles of the direct connections; empty without them


@keras.saving.register_keras_serializable(package="tfp_flows")
class MaskedMLP(MaskedNetwork, ContextNetwork):
    """Masked autoregressive network for distribution estimation.

    ```none
    plain:     h <- activation((W * M) h + b)                 for each of hidden_units
               output = (W * M') h + b  [+ (A * M') x, the direct connections]
    residual:  h <- (W * M) h + b                             for the first of them
               h <- h + (V * M) activation((W * M) activation(h) + b) + c
                                                              for each other
               output = (W * M') activation(h) + b  [+ (A * M') x]
    ```

    The first layer also sees the context, of degree 0. All weights are in one variable.

    Args:
      num_parameters: P, outputs for each variable.
      hidden_units: widths of the hidden layers; all equal in a residual network.
      ordering: degree of each variable, a permutation of `1, ..., D`.
      context_size: width of the context, joined to the inputs on the right; 0 if none.
      activation: name of a Keras activation, or a function, that maps each unit by itself.
      residual: whether each hidden layer after the first is a residual pair of layers.
      direct: whether inputs are also connected directly to outputs.
      degree_seed: integer from which hidden degrees are drawn; None spreads them equally.
      dropout: fraction of hidden units that `Conditioner(dropout_in_training=True)` drops.
      zero_last_layer: whether the last layer starts at zero.
      seed: integer that determines the initial weights; random if None.
      **kwargs: `name`, `dtype` of `keras.layers.Layer`.

    Raises:
      ValueError: if `ordering` is not an ordering; `hidden_units` are below 1, or unequal
        with `residual`; or `activation` mixes units, as softmax does.

    >>> import tfp_flows
    >>> network = tfp_flows.MaskedMLP(1, (4,), ordering=[1, 2, 3], seed=0)
    >>> network.layers[-1].mask.astype(int).tolist()
    [[0, 1, 1], [0, 1, 1], [0, 0, 1], [0, 0, 1]]

    Reference:
      Germain, Gregor, Murray, Larochelle (2015), MADE. https://arxiv.org/abs/1502.03509
      Durkan et al. (2019), for residual ones. https://arxiv.org/abs/1906.04032
    """

    def __init__(
        self,
        num_parameters: int,
        hidden_units: int | Sequence[int],
        ordering: npt.ArrayLike,
        *,
        context_size: int = 0,
        activation: str | Callable = "relu",
        residual: bool = False,
        direct: bool = False,
        degree_seed: int | None = None,
        dropout: float = 0.0,
        zero_last_layer: bool = True,
        seed: int | None = None,
        **kwargs: object,
    ) -> None:
        check_size("num_parameters", num_parameters)
        check_size("context_size", context_size, minimum=0)
        check_each(
            check_flag, residual=residual, direct=direct, zero_last_layer=zero_last_layer
        )
        check_each(check_seed, degree_seed=degree_seed, seed=seed)
        super().__init__(**kwargs)
        self.input_spec = keras.layers.InputSpec(ndim=2)
        self.num_parameters = num_parameters
        self.hidden_units = check_hidden_units(hidden_units, residual)
        self.ordering = check_ordering(ordering)
        self.context_size = int(context_size)
        self.activation = get_elementwise_activation(activation, self.compute_dtype)
        self.residual = residual
        self.direct = direct
        self.degree_seed = degree_seed
        self.zero_last_layer = zero_last_layer
        self.seed = seed
        self.dropout = dropout
        self._drop = dropout_layer(dropout, seed, self.dtype_policy)
        self.layers, self.direct_layer = self._masked_layers()

    @property
    def event_size(self) -> int:
        """Number of variables, D."""
        return len(self.ordering)

    def build(self, input_shape: Sequence) -> None:
        """Creates all weights for inputs `[N, D + context_size]`."""
        check_width(input_shape, self.event_size, self.context_size)
        (*hidden, last), zero = self.layers, self.zero_last_layer
        widths = [self.context_size, *[0] * len(hidden)]  # of the context in each layer
        parts = [layer.parts(width) for layer, width in zip(hidden, widths, strict=False)]
        shape = self.context_size, self.layers[0].shape[1]
        num_inputs = self.layers[0].shape[0] + self.context_size
        # The last kernels start at zero, so that a fresh step is the identity.
        self._layout = PackedWeights(
            _Arrays(
                layers=[*parts, last.parts(zero=zero)],
                context=kernel_part(shape, num_inputs, zero=zero and not hidden),
                direct=self.direct_layer.parts(zero=zero)[0] if self.direct else [],
            ),
            seed=self.seed,
        )
        self._packed = self._layout.add_to(self, "kernels_and_biases")
        self.built = True

    def call(
        self, x: TensorLike, context: TensorLike | None = None, training: bool = False
    ) -> tf.Tensor:
        """Maps `[N, D]` and a context to parameters `[N, P * D]`, D for each parameter."""
        x, context = split_context(x, context, self.event_size, self.context_size)
        # Unpacked once in each call, since the gradient of unpacking is a whole vector.
        weights = self._layout.unpack(self._packed)
        x = self._shown(x)

        def layer(k, seen, skip=None):
            seen = self._drop(seen, training=training) if k else seen
            tiles, bias = weights.layers[k]
            value = self.layers[k].product(seen, tiles)
            if k == 0 and self.context_size:
                value += context @ weights.context
            if skip is not None:
                value += skip
            return tf.nn.bias_add(value, bias)  # after the skip, as in `MLP.call`

        _, hidden = self.structure.hidden(layer, x)
        outputs = layer(len(self.layers) - 1, hidden)
        if self.direct:
            outputs += self.direct_layer.product(x, weights.direct)
        return outputs

    def set_output_biases(self, biases: TensorLike) -> None:
        """Assigns the biases of the outputs, `[P * D]`, which a fresh network returns."""
        arrays = self._layout.unpack(self._packed)
        tiles, _ = arrays.layers[-1]
        arrays.layers[-1] = tiles, tf.convert_to_tensor(biases, self.dtype)
        self._packed.assign(self._layout.pack(arrays))

    @functools.cached_property
    def structure(self) -> Structure:  # type: ignore[override]  # elsewhere an attribute
        """The `Structure`, with variables and units in order of their degrees."""
        degrees = [np.sort(layer.out_degrees).tolist() for layer in self.layers[:-1]]
        return Structure(
            self.event_size,
            self.num_parameters,
            tuple(map(tuple, degrees)),
            self.activation,
            self.residual,
            self._num_values,
        )

    def ordered_weights(
        self, context: TensorLike | None
    ) -> tuple[Weights, np.ndarray, np.ndarray]:
        """Returns the `Weights` for a context, and the variables' order and its inverse."""
        weights = self._layout.unpack(self._packed)
        biases = [
            tf.reshape(take(bias, layer.rising_units, axis=0), [-1, 1])
            for layer, (_, bias) in zip(self.layers, weights.layers, strict=True)
        ]
        if self.context_size:
            rising = self.layers[0].rising_units
            biases[0] += take(tf.transpose(context @ weights.context), rising, axis=0)
        kernels = [
            layer.transposed_kernel(tiles)
            for layer, (tiles, _) in zip(self.layers, weights.layers, strict=True)
        ]
        direct = []
        if self.direct:
            direct = [self.direct_layer.transposed_kernel(weights.direct)]
        order = np.argsort(self.ordering)
        return Weights(kernels, biases, direct), order, self.ordering - 1

    def compute_output_shape(self, input_shape: Sequence) -> tuple:
        """Shape of the output for inputs of `input_shape`."""
        return (*input_shape[:-1], self.num_parameters * self.event_size)

    @property
    def _num_values(self):
        """Number of inputs for each variable; a subclass may have more than one."""
        return 1

    def _shown(self, x):
        return x

    def _masked_layers(self):
        """Returns the layers, the output layer last, and the direct layer or None."""
        widths = self.hidden_units
        if self.residual:  # degrees must be the same along the skip connections
            widths = (widths[0],) * (2 * len(widths) - 1)
        from_inputs = np.repeat(self.ordering, self._num_values)
        # Units of degree 0 see only the context; without one they would be constants.
        lowest = 0 if self.context_size else 1
        degrees = [from_inputs]
        for index, width in enumerate(widths):
            if self.residual and index:
                degrees.append(degrees[-1])
                continue
            seed = None if self.degree_seed is None else [self.degree_seed, index]
            degrees.append(hidden_degrees(width, self.event_size, lowest=lowest, seed=seed))
            lowest = degrees[-1].min()
        layers = [MaskedDense(a, b) for a, b in itertools.pairwise(degrees)]
        outputs: dict = {"num_copies": self.num_parameters, "strict": True}
        layers.append(MaskedDense(degrees[-1], self.ordering, **outputs))
        direct = MaskedDense(from_inputs, self.ordering, **outputs) if self.direct else None
        return layers, direct


class MaskedDense:
    """`x @ (kernel * mask) + bias`, with a mask from degrees.

    ```none
    mask[i, o] = in_degrees[i] <= out_degrees[o]     between inputs and hidden units
    mask[i, o] = in_degrees[i] <  out_degrees[o]     towards outputs (strict)
    ```

    A wide kernel is stored as tiles: blocks of 80 units or more, in rising order of
    degrees, each with only its visible inputs. Four tiles have 5/8 of the weights and of
    the arithmetic, two tiles 3/4. Other kernels are one tile, in the given order of
    degrees. Tiles are `[units, inputs]`: forward substitution reads one row for each unit.

    Args:
      in_degrees: degrees of the inputs, `[inputs]`.
      out_degrees: degrees of one copy of the units, `[units / num_copies]`.
      num_copies: number of copies of these units, side by side.
      strict: whether units see only strictly lower degrees, as outputs do.

    Reference:
      Germain, Gregor, Murray, Larochelle (2015), MADE, equations 12 and 13.
      https://arxiv.org/abs/1502.03509
    """

    def __init__(
        self,
        in_degrees: npt.ArrayLike,
        out_degrees: npt.ArrayLike,
        *,
        num_copies: int = 1,
        strict: bool = False,
    ) -> None:
        self.in_degrees = np.asarray(in_degrees)
        check_entries(
            "hidden_units", *np.shape(in_degrees), np.size(out_degrees) * num_copies
        )
        self.out_degrees = np.tile(out_degrees, num_copies)
        self.num_copies = num_copies
        self._is_output = strict
        seen_by = np.less if strict else np.less_equal
        self.mask = seen_by(self.in_degrees[:, None], self.out_degrees[None, :])
        # For a small kernel, several products would cost more than its zeros.
        is_small = math.prod(self.shape) < 2**14
        num_tiles = 1 if is_small else max(1, min(4, self.shape[1] // 80))
        self._is_tiled = num_tiles > 1
        self._tile_masks = [self.mask]
        if self._is_tiled:
            edges = np.linspace(0, self.shape[1], num_tiles + 1).astype(int)
            mask = self.mask[self.rising_inputs][:, self.rising_units]
            self._tile_masks = [
                _without_idle_inputs(mask[:, slice(*pair)])
                for pair in itertools.pairwise(edges)
            ]

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the whole kernel, `(inputs, units)`."""
        return self.mask.shape

    @property
    def rising_inputs(self) -> np.ndarray:
        """Indices of the inputs in rising order of degrees, `[inputs]`."""
        return np.argsort(self.in_degrees, kind="stable")

    @property
    def rising_units(self) -> np.ndarray:
        """Indices of the units in rising order of degrees, `[units]`."""
        return np.argsort(self.out_degrees, kind="stable")

    def parts(self, num_others: int = 0, *, zero: bool = False) -> tuple[list[Part], Part]:
        """Returns the `Part`s of the tiles and of the bias; outputs have zero biases.

        `num_others` counts further inputs of each unit, such as a context.
        """
        num_inputs = self.shape[0] + num_others
        tiles = [
            kernel_part(mask.T.shape, num_inputs, zero=zero) for mask in self._tile_masks
        ]
        return tiles, bias_part(self.shape[1], None if self._is_output else num_inputs)

    def product(self, x: tf.Tensor, tiles: Sequence[tf.Tensor]) -> tf.Tensor:
        """Maps `x`, `[N, inputs]`, to `[N, units]`, without a bias."""
        tiles = self._masked(tiles)
        if not self._is_tiled:
            return tf.matmul(x, tiles[0], transpose_b=True)
        x = take(x, self.rising_inputs, axis=1)
        return self._from_rising(_product_of_tiles(x, *tiles))

    def transposed_kernel(self, tiles: Sequence[tf.Tensor]) -> tf.Tensor:
        """Returns the whole masked kernel, `[units, inputs]`, both in rising order."""
        if not self._is_tiled:
            rows = take(self._masked(tiles)[0], self.rising_units, axis=0)
            return take(rows, self.rising_inputs, axis=1)
        rows = [
            tf.pad(tile, [[0, 0], [0, self.shape[0] - tile.shape[1]]])
            for tile in self._masked(tiles)
        ]
        return tf.concat(rows, axis=0)

    def _from_rising(self, products):
        """Returns `[N, units]` in order; before, copies of a unit are neighbours."""
        per_copy = self.shape[1] // self.num_copies
        if self.num_copies > 1:
            # Not `tf.transpose`, which is slow here.
            products = tf.reshape(products, [-1, per_copy, self.num_copies])
            products = tf.concat(tf.unstack(products, axis=2), axis=1)
        ranks = np.argsort(np.argsort(self.out_degrees[:per_copy], kind="stable"))
        products = tf.reshape(products, [-1, self.num_copies, per_copy])
        return tf.reshape(take(products, ranks, axis=2), [-1, self.shape[1]])

    def _masked(self, tiles):
        return [
            tile * tf.constant(mask.T, tile.dtype)
            for tile, mask in zip(tiles, self._tile_masks, strict=True)
        ]


def _without_idle_inputs(mask):
    """Drops the last inputs, which no unit of the tile sees."""
    return mask[: mask.any(axis=1).sum()]


@tf.custom_gradient
def _product_of_tiles(x, *tiles):
    """Multiplies each tile by its first columns of `x`; results are side by side."""
    seen = [x[:, : tile.shape[1]] for tile in tiles]

    def gradient(upstream):
        # TensorFlow's own gradient would sum the gradients by `x` at full width.
        parts = tf.split(upstream, [tile.shape[0] for tile in tiles], axis=-1)
        from_tiles = [
            tf.matmul(part, columns, transpose_a=True)
            for part, columns in zip(parts, seen, strict=True)
        ]
        from_x: list = []
        share = 0.0
        for index in reversed(range(len(tiles))):
            share += tf.matmul(parts[index], tiles[index])
            narrower = tiles[index - 1].shape[1] if index else 0
            from_x.insert(0, share[:, narrower:])
            share = share[:, :narrower]
        from_x.append(tf.zeros_like(x[:, tiles[-1].shape[1] :]))
        return tf.concat(from_x, axis=-1), *from_tiles

    products = [
        tf.matmul(columns, tile, transpose_b=True)
        for columns, tile in zip(seen, tiles, strict=True)
    ]
    return tf.concat(products, axis=-1), gradient
