"""The bridge from a Keras network to what a bijector calls a conditioner."""

import contextlib
import copy

import keras
import tensorflow as tf

from tfp_flows.core.arguments import check_event_shape
from tfp_flows.core.arguments import check_instance
from tfp_flows.core.arguments import check_integer
from tfp_flows.core.autoregressive_conditioner import AutoregressiveConditioner
from tfp_flows.networks.training_behaviour import check_training_behaviour

__all__ = ["Conditioner"]

# What Glow takes is 256; hidden activations of more would only cost memory.
_INITIALIZATION_ROWS = 512


class Conditioner(tf.Module, AutoregressiveConditioner):
    """A Keras layer as a function of variables and context, with visible weights.

    Keras 3 layers are no `tf.Module`s, so a TFP object that holds one lists none of its
    weights. A `Conditioner` is one, builds the network at once and shows its
    `tf.Variable`s to every `tf.Module` above it: bijector, chain and distribution.

    Batch axes are merged before the network is called, which sees `[N, input_size]`
    (rank 1 + event axes for images), with the context joined on the last axis. It is
    called in evaluation mode: dropout or batch statistics inside a conditioner would make
    the two directions of a coupling disagree. Layers that have no effect there are warned
    of. With `dropout_in_training`, dropout is applied where a step maps with
    `training=True` in one pass, as `fit` does; whatever it drops, the step is a bijector
    with the log-det that it says.

    The network's output is cast to the dtype of what it was shown, so that log-dets keep
    the bijector's precision where the network computes in less, as under the policy
    "mixed_float16".

    ```python
    network = keras.Sequential([keras.layers.Dense(64, "relu"), keras.layers.Dropout(0.1),
                                keras.layers.Dense(2)])
    conditioner = tfp_flows.Conditioner(network, 1, dropout_in_training=True)
    step = tfp_flows.Coupling(tfp_flows.masks.half(2), conditioner)
    ```

    Args:
      network: a `keras.layers.Layer`, from `[N, *input_shape[:-1], C + context_size]` to
        parameters.
      input_shape: shape of what the bijector shows to it, without batch axes.
      context_size: width of the context; 0 if there is none.
      dropout_in_training: whether the network's dropout is applied in training; not where
        gradients call the network again (`recompute`, `LikeSteps`), which refuse it.
      name: name of the module.

    Raises:
      ValueError: with `dropout_in_training`, if the network has no dropout, or batch
        normalisation.
    """

    def __init__(
        self,
        network,
        input_shape,
        *,
        context_size=0,
        dropout_in_training=False,
        name=None,
    ):
        super().__init__(name=name)
        check_instance("network", network, keras.layers.Layer, "a `keras.layers.Layer`")
        self._input_shape = check_event_shape("input_shape", input_shape)
        self.context_size = check_integer("context_size", context_size, minimum=0)
        # Not tracked: TensorFlow's checkpoints overlook the layers that a Keras layer
        # holds in a list. The variables below are tracked instead.
        object.__setattr__(self, "network", network)
        self._substitutes = None
        *leading, channels = self._input_shape
        if not network.built:
            network.build((None, *leading, channels + self.context_size))
        check_training_behaviour(network, dropout_in_training)
        self.dropout_in_training = bool(dropout_in_training)
        self._link_variables()

    @property
    def has_data_dependent_state(self):
        """Whether the network has an `initialize`, as `ConvNet` and `ResNet` have."""
        return hasattr(self.network, "initialize")

    @property
    def is_initialized(self):
        """Whether the network's data-dependent state is set; True where there is none."""
        return getattr(self.network, "is_initialized", True)

    def initialize(self, x, context=None):
        """Sets the network's data-dependent state from what it will see, once.

        Args:
          x: `[N, *input_shape]`; the first 512 rows count.
          context: `[N, context_size]`, where there is one.
        """
        if self.is_initialized:
            return
        x = tf.convert_to_tensor(x[:_INITIALIZATION_ROWS])
        context = None if context is None else context[:_INITIALIZATION_ROWS]
        self.network.initialize(self._with_context(x, context))

    def __call__(self, x, context=None, *, training=False):
        """Returns the network's output for `x`, `[..., *input_shape]`.

        Args:
          x: what the bijector shows to the network.
          context: `[..., context_size]`, with the batch axes of `x`.
          training: whether dropout is applied, if there is `dropout_in_training`.

        Returns:
          `[..., *output_shape]`.
        """
        event_ndims = len(self._input_shape)
        batch_shape = tf.shape(x)[: x.shape.rank - event_ndims]
        merged = x.shape.rank == event_ndims + 1
        inputs = x if merged else tf.reshape(x, [-1, *self._input_shape])
        outputs = self._call_network(
            self._with_context(inputs, context), training and self.dropout_in_training
        )
        if merged:
            return outputs
        return tf.reshape(outputs, tf.concat([batch_shape, outputs.shape[1:]], axis=0))

    @property
    def input_shape(self):
        """Shape of what the bijector shows to it, without batch axes or context."""
        return self._input_shape

    @property
    def output_shape(self):
        """Shape of the parameters that it returns, without batch axes."""
        *leading, channels = self._input_shape
        inputs = keras.KerasTensor((None, *leading, channels + self.context_size))
        # Not `compute_output_shape`, which not every layer has.
        return tuple(self.network.compute_output_spec(inputs).shape[1:])

    def can_solve(self, dtype):
        """Whether the network solves for variables one by one, in `dtype`."""
        return (
            hasattr(self.network, "column_wise")
            and tf.as_dtype(self.network.variable_dtype) == dtype
        )

    def solve(self, values, context, solve_one):
        """Solves for all variables, one after another."""
        batch_shape = tf.shape(values)[: values.shape.rank - 1]
        (size,) = self._input_shape
        rows = tf.reshape(values, [-1, size])
        x, log_det = self.network.column_wise(rows, self._rows(context), solve_one)
        return tf.reshape(x, tf.shape(values)), tf.reshape(log_det, batch_shape)

    def solve_adjoint(self, u, context, u_bar, u_by_p, offset):
        """Solves for the adjoint of the parameters, the last variable first."""
        (size,) = self._input_shape
        inputs = tf.reshape(u, [-1, size])
        if self.context_size:
            inputs = tf.concat([inputs, self._rows(context)], axis=-1)
        u_bar = tf.reshape(u_bar, [-1, size])
        width = u_by_p.shape[-2] * size
        slope, offset = (tf.reshape(a, [-1, width]) for a in (u_by_p, offset))
        p_bar = self.network.column_wise_adjoint(inputs, u_bar, slope, offset)
        return tf.reshape(p_bar, tf.shape(u_by_p))

    def replace_variables(self, tensors):
        """Returns a conditioner that calls the network with other weights.

        Args:
          tensors: tensors by the `ref()` of the variables that they stand for.
        """
        twin = copy.copy(self)
        substitutes = [(v, tensors[v.value.ref()]) for v in self.network.variables]
        # Not tracked: the copy has no variables.
        vars(twin).update(_substitutes=substitutes, _variables=())
        return twin

    def get_config(self):
        """Returns the constructor's arguments."""
        return {
            "network": self.network,
            "input_shape": self._input_shape,
            "context_size": self.context_size,
            "dropout_in_training": self.dropout_in_training,
            "name": self.name,
        }

    @classmethod
    def from_config(cls, config):
        """Builds the conditioner that `config` describes."""
        return cls(**config)

    def _call_network(self, inputs, training=False):
        """The network's output in the dtype of `inputs`, whatever it computes in."""
        # Keras casts the inputs to what a layer computes in, and leaves the outputs there.
        with self._substituted_weights():
            return tf.cast(self.network(inputs, training=training), inputs.dtype)

    def _substituted_weights(self):
        if self._substitutes is None:
            return contextlib.nullcontext()
        return keras.StatelessScope(state_mapping=self._substitutes)

    def _rows(self, context):
        return None if context is None else tf.reshape(context, [-1, self.context_size])

    def _context_maps(self, context):
        """The context as one constant map a channel, over the spatial axes if any."""
        spatial = self._input_shape[:-1]
        context = tf.reshape(context, [-1] + [1] * len(spatial) + [self.context_size])
        if not spatial:
            return context
        shape = tf.concat([tf.shape(context)[:1], spatial, [self.context_size]], axis=0)
        return tf.broadcast_to(context, shape)

    def _with_context(self, inputs, context):
        if not self.context_size:
            return inputs
        return tf.concat([inputs, self._context_maps(context)], axis=-1)

    def _link_variables(self):
        # What `tf.Module` and checkpoints find: all weights, each once.
        self._variables = tuple(variable.value for variable in self.network.variables)

    def __setstate__(self, state):
        # A copied or unpickled network has new variables.
        self.__dict__.update(state)
        self._link_variables()
