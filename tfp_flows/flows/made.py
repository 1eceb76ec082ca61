"""MADE as a density of real vectors: one autoregressive step, Gaussian conditionals."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tfp_flows.bijectors.autoregressive import MaskedAutoregressive
from tfp_flows.bijectors.flow_chain import FlowChain
from tfp_flows.flows.options import Unpack, VectorFlowOptions, all_arguments, takes_options
from tfp_flows.flows.steps import autoregressive_step, chain_arguments
from tfp_flows.transformers.affine import Affine
from tfp_flows.transformers.transformer import Transformer


class MADE(FlowChain):
    """Masked autoencoder for distribution estimation, on real vectors.

    ```none
    p(y) = product over i of  Normal(y_i; shift_i(y_<i), exp(log_scale_i(y_<i)))
    ```

    with a standard normal base. This is a `MAF` of one step. Its network is `MaskedMLP`.

    Args:
      event_size: number of variables, D.
      hidden_units: widths of the hidden layers.
      reverse: whether the last variable comes first.
      activation: activation of the hidden layers.
      direct: whether inputs are also connected directly to outputs.
      degree_seed: integer from which hidden degrees are drawn; None spreads them equally.
      transformer: elementwise map of the variables; `Affine()` by default.
      context_size: width of the context, an input of the network; 0 if there is none.
      name: name of the bijector.
      **options: see `VectorFlowOptions`.

    Raises:
      ValueError: if `event_size` is below 1.

    >>> import tfp_flows
    >>> flow = tfp_flows.MADE(3, seed=0)
    >>> flow.sequential_directions, flow.inverse([[1.0, 2.0, 3.0]]).numpy()  # as it starts
    (frozenset({'forward'}), array([[1., 2., 3.]], dtype=float32))

    Reference:
      Germain, Gregor, Murray, Larochelle (2015), MADE. https://arxiv.org/abs/1502.03509
      Papamakarios, Pavlakou, Murray (2017), MAF, section 2.2 (real data).
      https://arxiv.org/abs/1705.07057
    """

    @takes_options()
    def __init__(
        self,
        event_size: int,
        *,
        hidden_units: int | Sequence[int] = (64, 64),
        reverse: bool = False,
        activation: str | Callable = "tanh",
        direct: bool = False,
        degree_seed: int | None = None,
        transformer: Transformer | None = None,
        context_size: int = 0,
        name: str = "made",
        **options: Unpack[VectorFlowOptions],
    ) -> None:
        parameters = all_arguments(locals())
        step = autoregressive_step(
            MaskedAutoregressive, transformer or Affine(), **parameters
        )
        super().__init__(**chain_arguments([step], parameters))
