"""RealNVP: affine couplings with alternating masks."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tfp_flows.bijectors.flow_chain import FlowChain
from tfp_flows.flows.options import Unpack, VectorFlowOptions, all_arguments, takes_options
from tfp_flows.flows.steps import chain_arguments, coupling_steps
from tfp_flows.transformers.affine import Affine
from tfp_flows.transformers.transformer import Transformer


class RealNVP(FlowChain):
    """Real-valued non-volume-preserving flow, for vectors.

    ```none
    step, data -> latent:   x_b = (y_b - shift(y_a)) * exp(-log_scale(y_a)),   x_a = y_a
    optional, after it:     batch norm or act norm;  a linear mixing
    ```

    Odd and even variables swap roles from step to step. Each direction takes one pass of
    the networks.

    Args:
      event_size: number of variables, D; at least 2.
      num_steps: number of couplings, K.
      hidden_units: widths of the hidden layers of each coupling's network; use wider layers
        for large data.
      activation: activation of the hidden layers.
      dropout: fraction of hidden units dropped in training.
      transformer: elementwise map of the changing variables; `Affine()` by default.
      batch_norm: whether a `BatchNorm` follows each coupling, as in the paper.
      act_norm: whether an `ActNorm` follows each coupling.
      lu_mixing: whether an `InvertibleLinear`, initially the identity, follows each
        coupling.
      context_size: width of the context, an input of every network; 0 if there is none.
      name: name of the bijector.
      **options: see `VectorFlowOptions`.

    Raises:
      ValueError: if `event_size` is below 2 or `num_steps` below 1, or if `batch_norm` is
        combined with `act_norm` or `recompute`.

    >>> import tfp_flows
    >>> flow = tfp_flows.RealNVP(3, seed=0)
    >>> flow.sequential_directions, flow.forward([[1.0, 2.0, 3.0]]).numpy()  # as it starts
    (frozenset(), array([[1., 2., 3.]], dtype=float32))

    Reference:
      Dinh, Sohl-Dickstein, Bengio (2016), Density estimation using Real NVP.
      https://arxiv.org/abs/1605.08803
    """

    @takes_options()
    def __init__(
        self,
        event_size: int,
        *,
        num_steps: int = 8,
        hidden_units: int | Sequence[int] = (32, 32),
        activation: str | Callable = "tanh",
        dropout: float = 0.0,
        transformer: Transformer | None = None,
        batch_norm: bool = False,
        act_norm: bool = False,
        lu_mixing: bool = False,
        context_size: int = 0,
        name: str = "real_nvp",
        **options: Unpack[VectorFlowOptions],
    ) -> None:
        parameters = all_arguments(locals())
        steps = coupling_steps(transformer or Affine(), **parameters)
        super().__init__(**chain_arguments(steps, parameters))
