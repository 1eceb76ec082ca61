"""The step of IAF: sampling in one pass, scoring of foreign points one after another."""

import tensorflow as tf

from tfp_flows.bijectors.autoregression import Autoregression
from tfp_flows.bijectors.check_conditioner import check_conditioner
from tfp_flows.core.arguments import check_arguments
from tfp_flows.core.flow_bijector import FlowBijector
from tfp_flows.transformers.affine import Gated

__all__ = ["InverseAutoregressive"]


class InverseAutoregressive(FlowBijector):
    """Transforms each variable given those before it, in the latent.

    ```none
    forward:  y_i = transformer(x_i; conditioner_i(x_<i, context))       parallel
    log_det:  the sum of the transformer's
    inverse:  x_i = transformer^-1(y_i; conditioner_i(x_<i, context))    sequential
    ```

    With a `MaskedMLP` the sequential direction takes the arithmetic of one pass too: see
    `networks/forward_substitution.py`. Any other conditioner is called up to D times.

    Args:
      event_size: number of variables, D.
      conditioner: callable of `(x, context)`, autoregressive in some ordering; returns
        `[..., P * D]`. `Conditioner` makes one of a `MaskedMLP`.
      transformer: `Gated()` by default, the paper's stable form.
      dtype: of inputs and weights.
      name: name of the bijector.

    Raises:
      ValueError: if the conditioner's shapes do not fit D and the transformer.

    Reference:
      Kingma et al. (2016), IAF, Algorithm 1. https://arxiv.org/abs/1606.04934
    """

    def __init__(
        self,
        event_size,
        conditioner,
        transformer=None,
        *,
        dtype=tf.float32,
        name="inverse_autoregressive",
    ):
        parameters = dict(locals())
        check_arguments(parameters, optional=["dtype"])
        super().__init__(
            event_ndims=1,
            event_shape=[event_size],
            context_size=getattr(conditioner, "context_size", 0),
            dtype=dtype,
            parameters=parameters,
            name=name,
        )
        transformer = Gated() if transformer is None else transformer
        check_conditioner(conditioner, [event_size], [event_size], transformer)
        self._conditioner = conditioner
        self._autoregression = Autoregression(
            conditioner, transformer.forward_and_log_det, transformer.inverse_and_log_det
        )

    @property
    def conditioner(self):
        """The autoregressive network."""
        return self._conditioner

    @property
    def sequential_directions(self):
        """The density of foreign points is."""
        return frozenset({"inverse"})

    def _forward_and_log_det(self, x, context, training):
        return self._autoregression.parallel(x, context, training)

    def _inverse_and_log_det(self, y, context, training):
        return self._autoregression.sequential(y, context)
