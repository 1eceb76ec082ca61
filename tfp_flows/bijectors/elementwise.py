"""An elementwise map with learned parameters, which may depend on a context."""

from __future__ import annotations

import functools
from collections.abc import Callable

import tensorflow as tf

from tfp_flows.bijectors.check_conditioner import check_conditioner
from tfp_flows.core.arguments import check_entries, check_integer, check_size, require
from tfp_flows.core.conditioners import in_mode
from tfp_flows.core.flow_bijector import FlowBijector
from tfp_flows.transformers.transformer import Transformer, check_transformer


class Elementwise(FlowBijector):
    """Maps each variable by its own parameters, which depend only on the context.

    ```none
    parameters = weights + conditioner(context)             one set for each variable
    forward:  y = transformer(x; parameters)
    ```

    The weights start at zero. With a `Tail` at the data end of a flow, each side of each
    variable has a learned tail weight, and the steps of the flow see light tails. Heavy
    tailed data have no useful standard deviation: scale them to about unit size by
    quantiles, and standardise after the `Tail`.

    >>> import numpy as np
    >>> import tfp_flows
    >>> tails = tfp_flows.bijectors.Elementwise(2, tfp_flows.transformers.Tail())
    >>> flow = tfp_flows.FlowChain([tails, tfp_flows.MAF(2, num_steps=2, seed=0)])
    >>> density = tfp_flows.FlowDistribution(tfp_flows.standard_normal(2), flow)
    >>> model = tfp_flows.DensityEstimator(density)
    >>> model.compile("adam")
    >>> rows = np.random.default_rng(0).standard_t(2.0, size=(256, 2))
    >>> _ = model.fit(rows, verbose=0)
    >>> bool(np.isfinite(density.log_prob([[1e6, -1e6]])))
    True

    Tails whose weights depend on a context of three numbers:

    >>> network = tfp_flows.MLP(4 * 2, (16,), seed=0)  # 4 parameters of 2 variables
    >>> conditioner = tfp_flows.Conditioner(network, input_shape=3)
    >>> tails = tfp_flows.bijectors.Elementwise(
    ...     2, tfp_flows.transformers.Tail(), conditioner, context_size=3
    ... )

    Args:
      event_size: number of variables or channels, D.
      transformer: the elementwise map.
      conditioner: callable from the context, `[..., context_size]`, to parameters,
        `[..., P * event_size]`; None without a context.
      context_size: width of the context; 0 if there is none.
      event_ndims: axes of one event: 1 for vectors, 3 for images, whose positions share
        the parameters.
      dtype: dtype of inputs and weights.
      name: name of the bijector.

    Raises:
      ValueError: if one of `conditioner` and `context_size` is given without the other, or
        the conditioner's shapes do not fit.

    Reference:
      Hickling, Prangle (2025), Flexible tails for normalizing flows.
      https://arxiv.org/abs/2406.16971
    """

    def __init__(
        self,
        event_size: int,
        transformer: Transformer,
        conditioner: Callable | None = None,
        *,
        context_size: int = 0,
        event_ndims: int = 1,
        dtype: tf.DType | str = tf.float32,
        name: str = "elementwise",
    ) -> None:
        check_size("event_size", event_size)
        check_integer("event_ndims", event_ndims, minimum=0)
        check_transformer(transformer)
        words = "both or none of `conditioner` and `context_size`"
        fits = (conditioner is None) == (context_size == 0)
        require(fits, words, f"{conditioner} and {context_size}")
        super().__init__(
            event_ndims=event_ndims,
            event_shape=[None] * (event_ndims - 1) + [event_size],
            context_size=context_size,
            dtype=dtype,
            name=name,
        )
        if conditioner is not None:
            seen, changing = [context_size], [event_size]
            check_conditioner(conditioner, seen, changing, transformer, self.dtype)
        check_entries("event_size", transformer.num_parameters, event_size)
        self._conditioner = conditioner
        self._transformer = transformer
        self._event_size = int(event_size)
        size = transformer.num_parameters * event_size
        self._weights = tf.Variable(tf.zeros(size, self.dtype), name="parameters")

    @property
    def is_monotone(self) -> bool:
        """Whether the transformer is monotone."""
        return self._transformer.is_monotone

    def _run(self, direction, value, context, training):
        parameters = self._parameters_of(context, training)
        transform = getattr(self._transformer, f"{direction}_and_log_det")
        mapped, log_det = transform(value, parameters)
        log_det = tf.broadcast_to(log_det, tf.shape(value))
        return mapped, tf.reduce_sum(log_det, axis=self._event_axes())

    _forward_and_log_det = functools.partialmethod(_run, "forward")
    _inverse_and_log_det = functools.partialmethod(_run, "inverse")

    def _parameters_of(self, context, training):
        outputs = tf.convert_to_tensor(self._weights)
        if self._conditioner is not None:
            outputs += in_mode(self._conditioner, training)(context)
            for _ in range(self.forward_min_event_ndims - 1):
                outputs = tf.expand_dims(outputs, -2)
        return self._transformer.parameters_of(outputs, self._event_size)
