"""MAF: a chain of masked autoregressive steps."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tfp_flows.bijectors.autoregressive import MaskedAutoregressive
from tfp_flows.bijectors.flow_chain import FlowChain
from tfp_flows.flows.options import Unpack, VectorFlowOptions, all_arguments, takes_options
from tfp_flows.flows.steps import autoregressive_steps, chain_arguments
from tfp_flows.transformers.affine import Affine
from tfp_flows.transformers.transformer import Transformer


class MAF(FlowChain):
    """Masked autoregressive flow, on vectors.

    ```none
    step, data -> latent:   x_i = (y_i - shift_i(y_<i)) * exp(-log_scale_i(y_<i))
    optional, after it:     batch norm or act norm;  a linear mixing
    ```

    `log_prob` takes one pass of each network. `sample` solves for one variable after
    another, with about the same arithmetic. The order of the variables is reversed from
    step to step, or drawn for each step. `IAF` has the same steps in the other direction.

    With `residual` and `lu_mixing`, this is the affine baseline in the paper of neural
    spline flows. It reaches 12.35 nats on GAS and 0.45 on POWER; the paper of MAF has 10.08
    and 0.24. With one variable, a step is a monotone map that depends on the context, and
    the flow has an exact `cdf` and `quantile`.

    Args:
      event_size: number of variables, D.
      num_steps: number of steps, K.
      hidden_units: widths of the hidden layers of each step's `MaskedMLP`.
      activation: activation of the hidden layers.
      dropout: fraction of hidden units dropped in training.
      direct: whether inputs are also connected directly to outputs.
      degree_seed: integer from which hidden degrees are drawn; None spreads them equally.
      transformer: elementwise map of the variables; `Affine()` by default.
      random_orderings: whether orders are drawn from `seed` (and saved with the weights)
        instead of reversed.
      batch_norm: whether a `BatchNorm` follows each step, as in the paper.
      act_norm: whether an `ActNorm` follows each step.
      lu_mixing: whether an `InvertibleLinear`, initially the identity, follows each step.
      context_size: width of the context, an input of every network; 0 if there is none.
      name: name of the bijector.
      **options: see `VectorFlowOptions`.

    Raises:
      ValueError: if `event_size` or `num_steps` is below 1, or if `batch_norm` is combined
        with `act_norm` or `recompute`.

    >>> import tfp_flows
    >>> flow = tfp_flows.MAF(3, seed=0)
    >>> flow.sequential_directions, flow.inverse([[1.0, 2.0, 3.0]]).numpy()  # as it starts
    (frozenset({'forward'}), array([[1., 2., 3.]], dtype=float32))

    Reference:
      Papamakarios, Pavlakou, Murray (2017), Masked autoregressive flow for density
      estimation. https://arxiv.org/abs/1705.07057
      Durkan, Bekasov, Murray, Papamakarios (2019), Neural spline flows, table 1.
      https://arxiv.org/abs/1906.04032
    """

    @takes_options()
    def __init__(
        self,
        event_size: int,
        *,
        num_steps: int = 5,
        hidden_units: int | Sequence[int] = (64, 64),
        activation: str | Callable = "tanh",
        dropout: float = 0.0,
        direct: bool = False,
        degree_seed: int | None = None,
        transformer: Transformer | None = None,
        random_orderings: bool = False,
        batch_norm: bool = False,
        act_norm: bool = False,
        lu_mixing: bool = False,
        context_size: int = 0,
        name: str = "maf",
        **options: Unpack[VectorFlowOptions],
    ) -> None:
        parameters = all_arguments(locals())
        transformer = transformer or Affine()
        steps = autoregressive_steps(MaskedAutoregressive, transformer, **parameters)
        super().__init__(**chain_arguments(steps, parameters))
