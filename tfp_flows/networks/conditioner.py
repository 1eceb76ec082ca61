"""The adapter from a Keras network to the conditioner of a bijector."""

from __future__ import annotations

import contextlib
import copy
import warnings
from collections.abc import Callable, Sequence

import keras
import tensorflow as tf
from tensorflow.types.experimental import TensorLike

from tfp_flows.core.arguments import check_event_shape, check_instance, check_size, require
from tfp_flows.core.conditioners import AutoregressiveConditioner
from tfp_flows.core.freezing import FrozenByNetworks
from tfp_flows.core.inputs import check_context, check_value
from tfp_flows.core.rows import (
    at_least_one_row,
    initialize_part,
    rows_of_positive_weight,
    sample_of_rows,
)
from tfp_flows.core.serialization import ConfiguredByAttributes
from tfp_flows.core.statistics import check_finite
from tfp_flows.networks import built_network
from tfp_flows.networks.context_network import ContextNetwork, join_context
from tfp_flows.networks.forward_substitution import AutoregressiveNetwork

# Rows that set data-dependent state (256 in Glow); more would only cost memory.
_INITIALIZATION_ROWS = 512
# Layers of random noise; Keras's spatial dropouts are `Dropout`s.
_NOISE = (
    keras.layers.AlphaDropout,
    keras.layers.Dropout,
    keras.layers.GaussianDropout,
    keras.layers.GaussianNoise,
)


class Conditioner(
    ConfiguredByAttributes, FrozenByNetworks, tf.Module, AutoregressiveConditioner
):
    """A Keras layer as a function of variables and context, with visible weights.

    A Keras 3 layer is not a `tf.Module`, so a TFP object that holds one lists none of its
    weights. A `Conditioner` is a `tf.Module`. It builds the network at once and shows its
    `tf.Variable`s to every `tf.Module` above it: bijector, chain and distribution.

    Batch axes are merged before the network is called. A `ContextNetwork`, as ours are, is
    called with x, `[N, C]` (or `[N, H, W, C]` for images), and the context,
    `[N, context_size]`; a functional `keras.Model` of two inputs with a list of both; any
    other layer with the two joined on the last axis. It is called in evaluation mode:
    dropout or batch statistics inside a conditioner would make the two directions of a
    coupling disagree. A warning names layers that have no effect in that mode. With
    `dropout_in_training`, dropout is applied in one-pass maps with `training=True`, as in
    `fit`: for any dropped units, the step is a bijector with the right log-det.

    The network's output is cast to the dtype of its input, so that log-dets keep the
    bijector's precision under policies such as "mixed_float16".

    Args:
      network: a `keras.layers.Layer` that returns parameters. It is called once, with
        zeros, so that it has its weights.
      input_shape: shape of its input from the bijector, without batch axes.
      context_size: width of the context; 0 if there is none.
      dropout_in_training: whether the network's dropout is applied in training; refused
        where gradients call the network again (`recompute`, `Glow`).
      name: name of the module.

    Raises:
      ValueError: if the network refuses its arguments, or uses weights that Keras does not
        find in it; with `dropout_in_training`, if it has no dropout, or batch
        normalisation.

    >>> import keras
    >>> import tensorflow as tf
    >>> import tfp_flows
    >>> layers = [keras.layers.Dense(8, "relu"), keras.layers.Dropout(0.1)]
    >>> network = keras.Sequential([*layers, keras.layers.Dense(2)])
    >>> options = {"context_size": 3, "dropout_in_training": True}
    >>> conditioner = tfp_flows.Conditioner(network, input_shape=1, **options)
    >>> conditioner(tf.ones([5, 1]), tf.ones([5, 3])).shape
    TensorShape([5, 2])
    """

    def __init__(
        self,
        network: keras.layers.Layer,
        input_shape: int | Sequence[int],
        *,
        context_size: int = 0,
        dropout_in_training: bool = False,
        name: str | None = None,
    ) -> None:
        super().__init__(name=name)
        check_instance("network", network, keras.layers.Layer, "a `keras.layers.Layer`")
        self._input_shape = check_event_shape("input_shape", input_shape)
        self.context_size = check_size("context_size", context_size, minimum=0)
        # Not tracked: TensorFlow's checkpoints overlook layers in a list of a Keras layer.
        # The variables below are tracked instead.
        object.__setattr__(self, "network", network)
        self._substitutes: list | None = None
        self._output_shape = self._build()
        check_training_behaviour(network, dropout_in_training)
        self.dropout_in_training = bool(dropout_in_training)
        self._link_variables()

    @property
    def has_data_dependent_state(self) -> bool:
        """Whether the network has an `initialize`, as `ConvNet` and `ResNet` have."""
        return hasattr(self.network, "initialize")

    @property
    def is_initialized(self) -> bool:
        """Whether the network's data-dependent state is set; True if there is none."""
        return getattr(self.network, "is_initialized", True)

    def initialize(
        self,
        x: TensorLike,
        context: TensorLike | None = None,
        sample_weight: TensorLike | None = None,
    ) -> None:
        """Sets the network's data-dependent state from its inputs, once.

        Args:
          x: `[N, *input_shape]`; at most 512 of the rows are used.
          context: `[N, context_size]`, if there is a context.
          sample_weight: `[N]`; None if all weights are equal.
        """
        if self.is_initialized:
            return
        x = check_value(x, "x", *self._input, None)
        rows = rows_of_positive_weight(x, context, sample_weight)
        x, context, weight = sample_of_rows(rows, _INITIALIZATION_ROWS)
        check_finite(x, "x")
        x, *contexts = self._arguments(x, context)
        initialize_part(self.network, x, contexts[0] if contexts else None, weight)

    def __call__(
        self, x: TensorLike, context: TensorLike | None = None, *, training: bool = False
    ) -> tf.Tensor:
        """Returns the network's output for `x`, `[..., *input_shape]`.

        Args:
          x: input from the bijector, `[..., *input_shape]`.
          context: `[..., context_size]`, with the batch axes of `x`.
          training: whether dropout is applied, if there is `dropout_in_training`.

        Returns:
          `[..., *output_shape]`.

        Raises:
          ValueError: if an argument has another shape.
        """
        x = check_value(x, "x", *self._input, None)
        batch_ndims = x.shape.rank - len(self._input_shape)
        dtype = None if tf.is_tensor(context) else x.dtype
        context = check_context(context, self.context_size, dtype, self.network.name)
        if context is not None:
            batch = x.shape[:batch_ndims]
            words = (
                f"`context` of shape {batch.concatenate(self.context_size)}, as `x` has it"
            )
            require(batch.is_compatible_with(context.shape[:-1]), words, context.shape)
        training = training and self.dropout_in_training
        if batch_ndims == 1:
            return self._call_network(x, context, training)
        inputs = tf.reshape(x, [-1, *self._input_shape])
        outputs = self._call_network(inputs, context, training)
        shape = tf.concat([tf.shape(x)[:batch_ndims], outputs.shape[1:]], axis=0)
        return tf.reshape(outputs, shape)

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of its input from the bijector, without batch axes and context."""
        return self._input_shape

    @property
    def output_shape(self) -> tuple[int, ...]:
        """Shape of the parameters that it returns, without batch axes."""
        return self._output_shape

    def can_solve(self, dtype: tf.DType | str) -> bool:
        """Whether `solve` and `solve_adjoint` work: masked networks of that dtype can."""
        network = self.network
        # In another dtype, `solve` would invert another map.
        dtypes = {tf.as_dtype(d) for d in (network.variable_dtype, network.compute_dtype)}
        return isinstance(network, AutoregressiveNetwork) and dtypes == {tf.as_dtype(dtype)}

    def solve(
        self, values: TensorLike, context: TensorLike | None, solve_one: Callable
    ) -> tf.Tensor:
        """Solves the network's triangular map: see `AutoregressiveConditioner`."""
        (size,) = self._input_shape
        rows = tf.reshape(values, [-1, size])
        rows, context, as_given = at_least_one_row(rows, self._rows(context))
        with self._substituted_weights():
            x, log_det = as_given(self.network.solve(rows, context, solve_one))
        return tf.reshape(x, tf.shape(values)), tf.reshape(log_det, tf.shape(values)[:-1])

    def solve_adjoint(
        self,
        u: TensorLike,
        context: TensorLike | None,
        u_bar: TensorLike,
        u_by_p: TensorLike,
        offset: TensorLike,
    ) -> tf.Tensor:
        """Back-propagates through `solve`: see `AutoregressiveConditioner`."""
        (size,) = self._input_shape
        u, u_bar = (tf.reshape(a, [-1, size]) for a in (u, u_bar))
        shape = [-1, self.network.num_parameters, size]
        by_p = [tf.reshape(a, shape) for a in (u_by_p, offset)]
        *arguments, as_given = at_least_one_row(u, self._rows(context), u_bar, *by_p)
        with self._substituted_weights():
            (p_bar,) = as_given([self.network.solve_adjoint(*arguments)])
        return tf.reshape(p_bar, tf.shape(offset))

    def replace_variables(self, tensors: dict[object, tf.Tensor]) -> Conditioner:
        """Returns a conditioner that calls the network with other weights.

        Args:
          tensors: tensors by the `ref()` of the variables that they replace.
        """
        twin = copy.copy(self)
        substitutes = [(v, tensors[v.value.ref()]) for v in self.network.variables]
        # Not tracked: the copy has no variables.
        twin.__dict__.update(_substitutes=substitutes, _variables=())
        return twin

    def get_config(self) -> dict:
        """Returns the constructor's arguments.

        Raises:
          ValueError: if a network of a user's class could not be built from them.
        """
        built_network.check_can_be_rebuilt(self.network, *self._shapes)
        return super().get_config()

    def _build(self):
        """Makes the network create its weights; returns the shape of its output."""
        if not built_network.is_of_this_package(self.network):
            return built_network.call_once(self.network, *self._shapes)
        joined = (None, *_joined_shape(self._input_shape, (self.context_size,)))
        size = getattr(self.network, "context_size", self.context_size)
        words = f"`context_size` of {size}, as `{self.network.name}` has it"
        require(size == self.context_size, words, self.context_size)
        if not self.network.built:
            self.network.build(joined)
        return tuple(self.network.compute_output_spec(keras.KerasTensor(joined)).shape[1:])

    @property
    def _input(self) -> tuple[int, tf.TensorShape]:
        """Number of axes and shape of its input from the bijector."""
        return len(self._input_shape), tf.TensorShape(self._input_shape)

    @property
    def _takes_list(self):
        """Whether it is a functional model of two inputs, variables and context."""
        inputs = getattr(self.network, "inputs", None)
        return isinstance(inputs, list) and len(inputs) == 2

    @property
    def _shapes(self):
        """The shape of a row of each argument of the network."""
        context = (self.context_size,)
        return self._arranged(self._input_shape, context, _joined_shape)

    def _call_network(self, x, context, training):
        """Returns the network's output in the dtype of `x`."""
        # Keras casts inputs to the compute dtype of a layer, but not its outputs back.
        with self._substituted_weights():
            outputs = self.network(*self._arguments(x, context), training=training)
        return tf.cast(outputs, x.dtype) if x.dtype.is_floating else outputs

    def _arguments(self, x, context):
        """Returns the network's arguments: `(x, context)`, a list, or both joined."""
        return self._arranged(x, self._rows(context), join_context)

    def _arranged(self, x, context, join):
        if not self.context_size:
            return (x,)
        if isinstance(self.network, ContextNetwork):
            return x, context
        return ([x, context],) if self._takes_list else (join(x, context),)

    def _substituted_weights(self):
        if self._substitutes is None:
            return contextlib.nullcontext()
        return keras.StatelessScope(state_mapping=self._substitutes)

    def _rows(self, context):
        return None if context is None else tf.reshape(context, [-1, self.context_size])

    def _link_variables(self):
        # All weights, each once, for `tf.Module` and checkpoints.
        self._variables = tuple(variable.value for variable in self.network.variables)

    def __setstate__(self, state: dict) -> None:
        # A copied or unpickled network has new variables.
        self.__dict__.update(state)
        self._link_variables()


def _joined_shape(shape, context_shape):
    *leading, channels = shape
    return (*leading, channels + context_shape[0])


def check_training_behaviour(network: keras.Layer, dropout_in_training: bool) -> None:
    """Warns of layers of a built network that have no effect in a conditioner.

    With `dropout_in_training`, refuses a network without dropout; or with batch
    normalisation, which would make the density of a row depend on the others.
    """

    def names(is_wanted):
        # Keras has no public way to list the layers inside a layer.
        return [layer.name for layer in network._flatten_layers() if is_wanted(layer)]

    noise = names(lambda layer: isinstance(layer, _NOISE))
    batch_norm = names(lambda layer: isinstance(layer, keras.layers.BatchNormalization))
    penalties = names(lambda layer: getattr(layer, "activity_regularizer", None))
    spectral = names(lambda layer: isinstance(layer, keras.layers.SpectralNormalization))
    if dropout_in_training:
        require(noise, "a `network` with dropout for `dropout_in_training`", "none")
        words = "a `network` without batch normalisation for `dropout_in_training`"
        why = "since a density must not depend on other rows"
        require(not batch_norm, f"{words}, {why}", batch_norm)
    noisy = names(lambda layer: isinstance(layer, _NOISE) and _is_noisy(layer))
    if noisy and not dropout_in_training:
        _warn(noisy, "dropout is never applied; `dropout_in_training=True` would apply it")
    if batch_norm:
        _warn(batch_norm, "batch normalisation never updates its averages")
    if penalties:
        _warn(penalties, "a penalty on activations is not part of any loss")
    if spectral:
        _warn(spectral, "spectral normalisation divides weights in training mode only")


def _is_noisy(layer):
    """Whether a layer of noise has any; `MultiHeadAttention` holds a dropout of rate 0."""
    return getattr(layer, "rate", None) != 0.0 and getattr(layer, "stddev", None) != 0.0


def _warn(names, what):
    warnings.warn(
        f"Layers {names} of a conditioner's network have no effect, since it is called in "
        f"evaluation mode: {what}.",
        stacklevel=4,
    )
