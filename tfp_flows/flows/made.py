"""MADE as a density of real vectors: one autoregressive step with Gaussian conditionals."""

import tensorflow as tf

from tfp_flows.bijectors.autoregressive import MaskedAutoregressive
from tfp_flows.bijectors.flow_chain import FlowChain
from tfp_flows.bijectors.preprocessing import Standardize
from tfp_flows.core.arguments import check_arguments
from tfp_flows.flows.masked_conditioner import masked_conditioner
from tfp_flows.transformers.affine import Affine

__all__ = ["MADE"]


class MADE(FlowChain):
    """Masked autoencoder for distribution estimation, on real vectors.

    ```none
    p(y) = product over i of  Normal(y_i; shift_i(y_<i), exp(log_scale_i(y_<i)))
    ```

    with a standard normal base. It is the one-step `MAF`; the network itself, for use in
    other steps, is `MaskedMLP`.

    Args:
      event_size: number of variables, D.
      hidden_units: widths of the hidden layers.
      reverse: whether the last variable comes first.
      activation: of the hidden layers.
      residual: whether they are residual.
      direct: whether inputs are connected to outputs directly, too.
      degree_seed: integer that hidden degrees are drawn from; None spreads them equally.
      transformer: elementwise map of the variables; `Affine()` by default.
      context_size: width of the context; 0 if there is none.
      standardize_context: whether contexts are standardised (see `FlowChain`).
      standardize: whether a `Standardize`, fitted by `initialize`, stands at the data end.
      seed: integer that determines the initial weights; random if None.
      dtype: of inputs and weights.
      name: name of the bijector.

    Raises:
      ValueError: if `event_size` is below 1.

    Reference:
      Germain, Gregor, Murray, Larochelle (2015), MADE. https://arxiv.org/abs/1502.03509
      Papamakarios, Pavlakou, Murray (2017), MAF, section 2.2 (real data).
      https://arxiv.org/abs/1705.07057
    """

    def __init__(
        self,
        event_size,
        *,
        hidden_units=(64, 64),
        reverse=False,
        activation="relu",
        residual=False,
        direct=False,
        degree_seed=None,
        transformer=None,
        context_size=0,
        standardize_context=True,
        standardize=True,
        seed=None,
        dtype=tf.float32,
        name="made",
    ):
        parameters = dict(locals())
        check_arguments(parameters)
        dtype = tf.as_dtype(dtype)
        transformer = transformer or Affine()
        conditioner = masked_conditioner(
            event_size,
            transformer,
            hidden_units,
            reverse=reverse,
            activation=activation,
            residual=residual,
            direct=direct,
            degree_seed=degree_seed,
            context_size=context_size,
            seed=seed,
            dtype=dtype,
        )
        step = MaskedAutoregressive(event_size, conditioner, transformer, dtype=dtype)
        preprocessing = [Standardize(event_size, dtype=dtype)] if standardize else []
        super().__init__(
            [*preprocessing, step],
            standardize_context=standardize_context,
            parameters=parameters,
            name=name,
        )
