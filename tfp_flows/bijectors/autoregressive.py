"""The steps of MAF and of IAF: an autoregressive map, applied or undone."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

from tfp_flows.bijectors.autoregressive_map import AutoregressiveMap
from tfp_flows.transformers.affine import Affine
from tfp_flows.transformers.gated import Gated
from tfp_flows.transformers.transformer import Transformer

__all__ = ["InverseAutoregressive", "MaskedAutoregressive"]


class MaskedAutoregressive(AutoregressiveMap):
    """Transforms each variable given those before it, in the data.

    ```none
    inverse:  x_i = transformer^-1(y_i; conditioner_i(y_<i, context))    parallel
    log_det:  the sum of the transformer's
    forward:  y_i = transformer(x_i; conditioner_i(y_<i, context))       sequential
    ```

    Args:
      event_size: number of variables, D.
      conditioner: callable of `(y, context)`, autoregressive in some ordering; returns
        `[..., P * D]`. `Conditioner` makes one of a `MaskedMLP`.
      transformer: `Affine()` by default.
      dtype: of inputs and weights.
      name: name of the bijector.

    Raises:
      ValueError: if the conditioner's shapes do not fit D and the transformer.

    >>> import tfp_flows
    >>> network = tfp_flows.MaskedMLP(2, (16,), tfp_flows.natural_ordering(3), seed=0)
    >>> step = tfp_flows.MaskedAutoregressive(3, tfp_flows.Conditioner(network, 3))
    >>> step.sequential_directions
    frozenset({'forward'})

    Reference:
      Papamakarios, Pavlakou, Murray (2017), MAF, equations 3 to 5.
      https://arxiv.org/abs/1705.07057
    """

    def __init__(
        self,
        event_size: int,
        conditioner: Callable,
        transformer: Transformer | None = None,
        *,
        dtype: tf.DType | str = tf.float32,
        name: str = "masked_autoregressive",
    ) -> None:
        super().__init__(dict(locals()), Affine() if transformer is None else transformer)

    @property
    def sequential_directions(self) -> frozenset[str]:
        """The forward direction, which `sample` takes."""
        return frozenset({"forward"})

    def _forward_and_log_det(self, x, context, training):
        return self._sequential(x, context)

    def _inverse_and_log_det(self, y, context, training):
        return self._parallel(y, context, training)

    @property
    def _transform(self):
        return self._transformer.inverse_and_log_det

    @property
    def _transform_back(self):
        return self._transformer.forward_and_log_det


class InverseAutoregressive(AutoregressiveMap):
    """Transforms each variable given those before it, in the latent.

    ```none
    forward:  y_i = transformer(x_i; conditioner_i(x_<i, context))       parallel
    log_det:  the sum of the transformer's
    inverse:  x_i = transformer^-1(y_i; conditioner_i(x_<i, context))    sequential
    ```

    Args:
      event_size: number of variables, D.
      conditioner: callable of `(x, context)`, autoregressive in some ordering; returns
        `[..., P * D]`. `Conditioner` makes one of a `MaskedMLP`.
      transformer: `Gated()` by default, the paper's stable form.
      dtype: of inputs and weights.
      name: name of the bijector.

    Raises:
      ValueError: if the conditioner's shapes do not fit D and the transformer.

    >>> import tfp_flows
    >>> network = tfp_flows.MaskedMLP(2, (16,), tfp_flows.natural_ordering(3), seed=0)
    >>> step = tfp_flows.InverseAutoregressive(3, tfp_flows.Conditioner(network, 3))
    >>> step.sequential_directions
    frozenset({'inverse'})

    Reference:
      Kingma et al. (2016), IAF, Algorithm 1. https://arxiv.org/abs/1606.04934
    """

    def __init__(
        self,
        event_size: int,
        conditioner: Callable,
        transformer: Transformer | None = None,
        *,
        dtype: tf.DType | str = tf.float32,
        name: str = "inverse_autoregressive",
    ) -> None:
        super().__init__(dict(locals()), Gated() if transformer is None else transformer)

    @property
    def sequential_directions(self) -> frozenset[str]:
        """The inverse, which the density of points from elsewhere takes."""
        return frozenset({"inverse"})

    def _forward_and_log_det(self, x, context, training):
        return self._parallel(x, context, training)

    def _inverse_and_log_det(self, y, context, training):
        return self._sequential(y, context)

    @property
    def _transform(self):
        return self._transformer.forward_and_log_det

    @property
    def _transform_back(self):
        return self._transformer.inverse_and_log_det
