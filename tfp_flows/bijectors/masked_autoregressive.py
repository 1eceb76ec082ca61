"""The step of MAF: density in one pass, sampling one variable after another."""

import tensorflow as tf

from tfp_flows.bijectors.autoregression import Autoregression
from tfp_flows.bijectors.check_conditioner import check_conditioner
from tfp_flows.core.arguments import check_arguments
from tfp_flows.core.flow_bijector import FlowBijector
from tfp_flows.transformers.affine import Affine

__all__ = ["MaskedAutoregressive"]


class MaskedAutoregressive(FlowBijector):
    """Transforms each variable given those before it, in the data.

    ```none
    inverse:  x_i = transformer^-1(y_i; conditioner_i(y_<i, context))    parallel
    log_det:  the sum of the transformer's
    forward:  y_i = transformer(x_i; conditioner_i(y_<i, context))       sequential
    ```

    With a `MaskedMLP` the sequential direction takes the arithmetic of one pass too: see
    `networks/forward_substitution.py`. Any other conditioner is called up to D times.

    Args:
      event_size: number of variables, D.
      conditioner: callable of `(y, context)`, autoregressive in some ordering; returns
        `[..., P * D]`. `Conditioner` makes one of a `MaskedMLP`.
      transformer: `Affine()` by default.
      dtype: of inputs and weights.
      name: name of the bijector.

    Raises:
      ValueError: if the conditioner's shapes do not fit D and the transformer.

    Reference:
      Papamakarios, Pavlakou, Murray (2017), MAF, equations 3 to 5.
      https://arxiv.org/abs/1705.07057
    """

    def __init__(
        self,
        event_size,
        conditioner,
        transformer=None,
        *,
        dtype=tf.float32,
        name="masked_autoregressive",
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
        transformer = Affine() if transformer is None else transformer
        check_conditioner(conditioner, [event_size], [event_size], transformer)
        self._conditioner = conditioner
        self._autoregression = Autoregression(
            conditioner, transformer.inverse_and_log_det, transformer.forward_and_log_det
        )

    @property
    def conditioner(self):
        """The autoregressive network."""
        return self._conditioner

    @property
    def sequential_directions(self):
        """Sampling is."""
        return frozenset({"forward"})

    def _forward_and_log_det(self, x, context, training):
        return self._autoregression.sequential(x, context)

    def _inverse_and_log_det(self, y, context, training):
        return self._autoregression.parallel(y, context, training)
