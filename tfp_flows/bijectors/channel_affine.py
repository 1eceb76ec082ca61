"""A learned map of each channel, which may depend on a context."""

import tensorflow as tf

from tfp_flows.bijectors.check_conditioner import check_conditioner
from tfp_flows.core.arguments import check_arguments
from tfp_flows.core.flow_bijector import FlowBijector
from tfp_flows.transformers.affine import Affine

__all__ = ["ChannelAffine"]


class ChannelAffine(FlowBijector):
    """Maps every entry by parameters that depend on its channel and on the context only.

    ```none
    parameters = weights + conditioner(context)             one set a channel
    forward:  y = transformer(x; parameters)
    ```

    At the latent end of a flow it is a learned Gaussian prior, conditional on a class if
    there is a context, while the base stays a standard normal. It starts as the identity.

    Args:
      num_channels: length of the last axis.
      conditioner: callable from the context, `[..., context_size]`, to parameters,
        `[..., P * num_channels]`; None without a context.
      context_size: width of the context; 0 if there is none.
      transformer: `Affine()` by default.
      event_ndims: axes of one event: 1 for vectors, 3 for images.
      dtype: of inputs and weights.
      name: name of the bijector.

    Raises:
      ValueError: if one of `conditioner` and `context_size` is given without the other, or
        the conditioner's shapes do not fit.

    Reference:
      Kingma, Dhariwal (2018), Glow, the authors' code (`learntop`, `ycond`).
      https://arxiv.org/abs/1807.03039
    """

    def __init__(
        self,
        num_channels,
        conditioner=None,
        *,
        context_size=0,
        transformer=None,
        event_ndims=3,
        dtype=tf.float32,
        name="channel_affine",
    ):
        parameters = dict(locals())
        check_arguments(parameters)
        if (conditioner is None) != (context_size == 0):
            raise ValueError(
                "Expected both or none of `conditioner` and `context_size`; got "
                f"{conditioner} and {context_size}."
            )
        super().__init__(
            event_ndims=event_ndims,
            event_shape=[None] * (event_ndims - 1) + [num_channels],
            context_size=context_size,
            dtype=dtype,
            parameters=parameters,
            name=name,
        )
        transformer = Affine() if transformer is None else transformer
        if conditioner is not None:
            check_conditioner(conditioner, [context_size], [num_channels], transformer)
        self._conditioner = conditioner
        self._transformer = transformer
        self._num_channels = int(num_channels)
        size = transformer.num_parameters * num_channels
        self._weights = tf.Variable(tf.zeros(size, self.dtype), name="prior")

    def _forward_and_log_det(self, x, context, training):
        y, log_det = self._transformer.forward_and_log_det(x, self._parameters_of(context))
        return y, self._sum(log_det, x)

    def _inverse_and_log_det(self, y, context, training):
        x, log_det = self._transformer.inverse_and_log_det(y, self._parameters_of(context))
        return x, self._sum(log_det, y)

    def _parameters_of(self, context):
        outputs = tf.convert_to_tensor(self._weights)
        if context is not None:
            outputs += self._conditioner(context)
            for _ in range(self.forward_min_event_ndims - 1):
                outputs = tf.expand_dims(outputs, -2)
        return self._transformer.parameters_of(outputs, self._num_channels)

    def _sum(self, log_det, value):
        axes = list(range(-self.forward_min_event_ndims, 0))
        return tf.reduce_sum(tf.broadcast_to(log_det, tf.shape(value)), axis=axes)
