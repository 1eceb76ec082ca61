"""MAF: steps of MADE, each of which normalises what the one before has left."""

import tensorflow as tf

from tfp_flows.bijectors.autoregressive import MaskedAutoregressive
from tfp_flows.bijectors.flow_chain import FlowChain
from tfp_flows.bijectors.permutation import Permutation
from tfp_flows.bijectors.permutation import random_permutation
from tfp_flows.bijectors.preprocessing import Standardize
from tfp_flows.core.arguments import check_arguments
from tfp_flows.flows.between_steps import between_steps
from tfp_flows.flows.masked_conditioner import masked_conditioner
from tfp_flows.networks.seeds import split_seed
from tfp_flows.transformers.affine import Affine

__all__ = ["MAF"]


class MAF(FlowChain):
    """Masked autoregressive flow, on vectors.

    ```none
    step, data -> latent:   x_i = (y_i - shift_i(y_<i)) * exp(-log_scale_i(y_<i))
    then, where asked for:  batch norm or act norm;  a linear mixing
    ```

    `log_prob` costs one pass of each network. `sample` solves for one variable after
    another, with as much arithmetic (`networks/column_wise.py`). The order of the variables
    is reversed from step to step, or drawn anew.

    Args:
      event_size: number of variables, D.
      num_steps: number of steps, K.
      hidden_units: widths of the hidden layers of each step's `MaskedMLP`.
      activation: its activation.
      residual: whether it is residual.
      direct: whether inputs are connected to outputs directly, too.
      degree_seed: integer that hidden degrees are drawn from; None spreads them equally.
      transformer: elementwise map of the variables; `Affine()` by default.
      random_orderings: whether orders are drawn from `seed` (saved with the weights)
        instead of reversed.
      batch_norm: whether a `BatchNorm` follows each step, as in the paper.
      act_norm: whether an `ActNorm` follows each step.
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
      ValueError: if `event_size` or `num_steps` is below 1, or both norms are asked for, or
        `batch_norm` with `recompute`.

    Reference:
      Papamakarios, Pavlakou, Murray (2017), Masked autoregressive flow for density
      estimation. https://arxiv.org/abs/1705.07057
    """

    def __init__(
        self,
        event_size,
        *,
        num_steps=5,
        hidden_units=(64, 64),
        activation="relu",
        residual=False,
        direct=False,
        degree_seed=None,
        transformer=None,
        random_orderings=False,
        batch_norm=False,
        act_norm=False,
        lu_mixing=False,
        context_size=0,
        standardize_context=True,
        standardize=True,
        recompute=False,
        seed=None,
        dtype=tf.float32,
        name="maf",
    ):
        parameters = dict(locals())
        check_arguments(parameters)
        dtype = tf.as_dtype(dtype)
        transformer = transformer or Affine()
        bijectors = [Standardize(event_size, dtype=dtype)] if standardize else []
        for step, step_seed in enumerate(split_seed(seed, num_steps)):
            if random_orderings and step:
                permutation = random_permutation(event_size, step_seed)
                bijectors.append(Permutation(permutation, dtype=dtype))
            conditioner = masked_conditioner(
                event_size,
                transformer,
                hidden_units,
                reverse=step % 2 == 1 and not random_orderings,
                activation=activation,
                residual=residual,
                direct=direct,
                degree_seed=degree_seed,
                context_size=context_size,
                seed=step_seed,
                dtype=dtype,
            )
            bijectors.append(
                MaskedAutoregressive(event_size, conditioner, transformer, dtype=dtype)
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
