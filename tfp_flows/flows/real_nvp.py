"""RealNVP: affine couplings with alternating masks."""

import tensorflow as tf

from tfp_flows.bijectors.flow_chain import FlowChain
from tfp_flows.bijectors.masks import alternating
from tfp_flows.bijectors.standardize import Standardize
from tfp_flows.core.arguments import check_arguments
from tfp_flows.flows.between_steps import between_steps
from tfp_flows.flows.nice import check_coupling_size
from tfp_flows.flows.vector_coupling import vector_coupling
from tfp_flows.networks.seeds import split_seed
from tfp_flows.transformers.affine import Affine

__all__ = ["RealNVP"]


class RealNVP(FlowChain):
    """Real-valued non-volume-preserving flow, for vectors.

    ```none
    step, data -> latent:   x_b = (y_b - shift(y_a)) * exp(-log_scale(y_a)),   x_a = y_a
    then, where asked for:  batch norm or act norm;  a linear mixing
    ```

    Odd and even variables swap roles from step to step. Both directions cost one pass.

    Args:
      event_size: number of variables, D; at least 2.
      num_steps: number of couplings, K.
      hidden_units: widths of the hidden layers of each coupling's network.
      activation: its activation.
      residual: whether it is residual.
      transformer: elementwise map of the changing variables; `Affine()` by default.
      batch_norm: whether a `BatchNorm` follows each coupling, as in the paper.
      act_norm: whether an `ActNorm` follows each coupling.
      lu_mixing: whether an `InvertibleLinear`, the identity at first, follows too.
      context_size: width of the context, which every network sees; 0 if there is none.
      standardize_context: whether contexts are standardised (see `FlowChain`).
      standardize: whether a `Standardize`, fitted by `initialize`, stands at the data end.
      recompute: whether training keeps of each step only what it was given, and applies it
        once more for the gradient, to save memory (see `FlowChain`).
      seed: integer that determines the initial weights; random if None.
      dtype: of inputs and weights.
      name: name of the bijector.

    Raises:
      ValueError: if `event_size` is below 2 or `num_steps` below 1, or both norms are
        asked for, or `batch_norm` with `recompute`.

    Reference:
      Dinh, Sohl-Dickstein, Bengio (2016), Density estimation using Real NVP.
      https://arxiv.org/abs/1605.08803
    """

    def __init__(
        self,
        event_size,
        *,
        num_steps=8,
        hidden_units=(64, 64),
        activation="relu",
        residual=False,
        transformer=None,
        batch_norm=False,
        act_norm=False,
        lu_mixing=False,
        context_size=0,
        standardize_context=True,
        standardize=True,
        recompute=False,
        seed=None,
        dtype=tf.float32,
        name="real_nvp",
    ):
        parameters = dict(locals())
        check_arguments(parameters)
        check_coupling_size(event_size)
        dtype = tf.as_dtype(dtype)
        bijectors = [Standardize(event_size, dtype=dtype)] if standardize else []
        for step, step_seed in enumerate(split_seed(seed, num_steps)):
            bijectors.append(
                vector_coupling(
                    alternating(event_size, start=step % 2 == 0),
                    transformer or Affine(),
                    hidden_units,
                    activation=activation,
                    residual=residual,
                    context_size=context_size,
                    seed=step_seed,
                    dtype=dtype,
                )
            )
            bijectors += between_steps(
                event_size,
                batch_norm=batch_norm,
                act_norm=act_norm,
                lu_mixing=lu_mixing,
                dtype=dtype,
            )
        super().__init__(
            bijectors,
            standardize_context=standardize_context,
            recompute=recompute,
            parameters=parameters,
            name=name,
        )
