"""IAF: gated autoregressive steps that sample in one pass."""

import tensorflow as tf

from tfp_flows.bijectors.autoregressive import InverseAutoregressive
from tfp_flows.bijectors.flow_chain import FlowChain
from tfp_flows.core.arguments import check_arguments
from tfp_flows.flows.masked_conditioner import masked_conditioner
from tfp_flows.networks.seeds import split_seed
from tfp_flows.transformers.gated import Gated

__all__ = ["IAF"]


class IAF(FlowChain):
    """Inverse autoregressive flow, for posteriors.

    ```none
    step, latent -> data:   y_i = gate_i * x_i + (1 - gate_i) * shift_i
                            gate_i, shift_i = functions of x_<i and the context
    ```

    `sample`, and the density of those samples, cost one pass of each network. The density
    of a foreign point is solved for one variable after another, with as much arithmetic
    (`networks/column_wise.py`). The order is reversed from step to step.

    Args:
      event_size: number of variables, D.
      num_steps: number of steps, K; 2 to 8 in the paper.
      hidden_units: widths of the hidden layers of each step's `MaskedMLP`; two layers of
        320 or 1920 in the paper.
      activation: its activation; the paper's is ELU.
      residual: whether it is residual.
      direct: whether inputs are connected to outputs directly, too.
      degree_seed: integer that hidden degrees are drawn from; None spreads them equally.
      transformer: elementwise map of the variables; `Gated()` by default, whose gate starts
        at `sigmoid(2)`.
      context_size: width of the context, such as an encoder's output, which every step
        sees; 0 if there is none.
      standardize_context: whether contexts of data are standardised (see `FlowChain`); an
        encoder's output never is.
      recompute: whether training keeps of each step only what it was given, and applies it
        once more for the gradient, to save memory (see `FlowChain`).
      seed: integer that determines the initial weights; random if None.
      dtype: of inputs and weights.
      name: name of the bijector.

    Raises:
      ValueError: if `event_size` or `num_steps` is below 1.

    Reference:
      Kingma et al. (2016), Improved variational inference with inverse autoregressive flow.
      https://arxiv.org/abs/1606.04934
    """

    def __init__(
        self,
        event_size,
        *,
        num_steps=4,
        hidden_units=(64, 64),
        activation="elu",
        residual=False,
        direct=False,
        degree_seed=None,
        transformer=None,
        context_size=0,
        standardize_context=True,
        recompute=False,
        seed=None,
        dtype=tf.float32,
        name="iaf",
    ):
        parameters = dict(locals())
        check_arguments(parameters)
        dtype = tf.as_dtype(dtype)
        transformer = transformer or Gated()
        # The list runs from the data side: the last of it is the first to sample.
        steps = [
            InverseAutoregressive(
                event_size,
                masked_conditioner(
                    event_size,
                    transformer,
                    hidden_units,
                    reverse=step % 2 == 1,
                    activation=activation,
                    residual=residual,
                    direct=direct,
                    degree_seed=degree_seed,
                    context_size=context_size,
                    seed=step_seed,
                    dtype=dtype,
                ),
                transformer,
                dtype=dtype,
            )
            for step, step_seed in enumerate(split_seed(seed, num_steps))
        ]
        super().__init__(
            steps[::-1],
            standardize_context=standardize_context,
            recompute=recompute,
            parameters=parameters,
            name=name,
        )
