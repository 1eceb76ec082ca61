"""The coupling step: passing variables determine how the others change."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy.typing as npt
import tensorflow as tf

from tfp_flows.bijectors.check_conditioner import check_conditioner
from tfp_flows.bijectors.partition import check_mask, partition
from tfp_flows.core.conditioners import in_mode
from tfp_flows.core.flow_bijector import FlowBijector
from tfp_flows.core.rows import initialize_part
from tfp_flows.transformers.affine import Affine
from tfp_flows.transformers.transformer import Transformer


class Coupling(FlowBijector):
    """Transforms the masked-out variables given the others.

    ```none
    x_a = x[mask],  x_b = x[~mask]
    forward:  y_a = x_a,  y_b = transformer(x_b; conditioner(x_a, context))
    log_det:  sum of the transformer's log-dets over b
    inverse:  x_a = y_a,  x_b = transformer^-1(y_b; conditioner(y_a, context))
    ```

    Both directions cost one call of the conditioner. With a mask that varies along the
    last axis only (vectors; channels), the conditioner sees the passing entries,
    `[..., A]`, and returns the parameters of the others, `[..., P * B]`. With any other
    mask (checkerboards) it sees the event with zeros for the changing entries, and
    returns parameters for every entry, `[..., P * C]`. P is the transformer's
    `num_parameters`.

    Args:
      mask: boolean array of the event's shape; True passes unchanged.
      conditioner: callable of `(x, context)`; `Conditioner` makes one of a Keras layer.
        Its `context_size`, if it has one, becomes the bijector's.
      transformer: `Affine()` by default.
      dtype: dtype of inputs and weights.
      name: name of the bijector.

    Raises:
      ValueError: if `mask` is not boolean or has only one value, or the conditioner's
        shapes do not fit the mask and the transformer.

    >>> import tfp_flows
    >>> network = tfp_flows.MLP(2, (16,), seed=0)  # of one variable: two numbers
    >>> step = tfp_flows.Coupling([True, False], tfp_flows.Conditioner(network, 1))
    >>> step.forward([[1.0, 2.0]]).numpy()  # the identity, until it is trained
    array([[1., 2.]], dtype=float32)

    Reference:
      Dinh, Sohl-Dickstein, Bengio (2016), RealNVP, section 3.2 to 3.4.
      https://arxiv.org/abs/1605.08803
    """

    def __init__(
        self,
        mask: npt.ArrayLike,
        conditioner: Callable,
        transformer: Transformer | None = None,
        *,
        dtype: tf.DType | str = tf.float32,
        name: str = "coupling",
    ) -> None:
        mask = check_mask(mask)
        super().__init__(
            event_ndims=mask.ndim,
            event_shape=mask.shape,
            context_size=getattr(conditioner, "context_size", 0),
            dtype=dtype,
            name=name,
        )
        parts = partition(mask)
        transformer = Affine() if transformer is None else transformer
        seen_shape, changing_shape = parts.seen_shape, parts.changing_shape
        check_conditioner(conditioner, seen_shape, changing_shape, transformer, self.dtype)
        self._partition = parts
        self._conditioner: Any = conditioner
        self._transformer = transformer

    @property
    def conditioner(self) -> Callable:
        """The network that sees the unchanged variables and returns parameters."""
        return self._conditioner

    @property
    def is_monotone(self) -> bool:
        """Whether the transformer is monotone."""
        return self._transformer.is_monotone

    @property
    def has_data_dependent_state(self) -> bool:
        """Whether the conditioner has a state that `initialize` sets."""
        return getattr(self._conditioner, "has_data_dependent_state", False)

    @property
    def is_initialized(self) -> bool:
        """Whether the conditioner's data-dependent state is set."""
        return getattr(self._conditioner, "is_initialized", True)

    def _initialize(self, data, context, weight):
        if not self.is_initialized:
            seen, _ = self._partition.split(tf.convert_to_tensor(data, self.dtype))
            if context is not None:
                context = tf.convert_to_tensor(context, self.dtype)
            initialize_part(self._conditioner, seen, context, weight)

    # The conditioner sees the passing entries, which are the same at both ends.
    _initialize_inverted = _initialize

    def _run(self, direction, value, context, training):
        seen, changing = self._partition.split(value)
        outputs = in_mode(self._conditioner, training)(seen, context)
        size = self._partition.changing_shape[-1]
        parameters = self._transformer.parameters_of(outputs, size)
        transform = getattr(self._transformer, f"{direction}_and_log_det")
        changed, log_det = transform(changing, parameters)
        return self._partition.join(seen, changed), self._partition.sum(log_det)

    _forward_and_log_det = functools.partialmethod(_run, "forward")
    _inverse_and_log_det = functools.partialmethod(_run, "inverse")
