"""IAF: autoregressive steps that sample in one pass."""

from __future__ import annotations

import math
from collections.abc import Callable
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tfp_flows.bijectors.autoregressive import InverseAutoregressive
from tfp_flows.bijectors.flow_chain import FlowChain
from tfp_flows.core.arguments import check_integer
from tfp_flows.flows.options import all_arguments
from tfp_flows.flows.options import takes_options
from tfp_flows.flows.preprocessing import with_preprocessing
from tfp_flows.flows.steps import autoregressive_steps
from tfp_flows.transformers.affine import Affine
from tfp_flows.transformers.gated import Gated

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from tfp_flows.flows.options import VectorFlowOptions
    from tfp_flows.transformers.transformer import Transformer

__all__ = ["IAF"]


class IAF(FlowChain):
    """Inverse autoregressive flow, for posteriors.

    ```none
    step, latent -> data:   y_i = gate_i * x_i + (1 - gate_i) * shift_i
                            gate_i, shift_i = functions of x_<i and the context
    ```

    `sample` takes one pass of each network, and so does the density of those samples. The
    density of any other point is solved for one variable after another, with about as much
    arithmetic. The order of the variables is reversed from step to step. `MAF` has the same
    steps in the other direction.

    A step whose gate is open by g contracts by g, and K of them by g^K; the other direction
    stretches by as much, and its networks see what is stretched. So the more steps, the
    further open fresh gates are: those of any number contract to 0.58 or more together.

    Fitted to data (`standardize`), it is trained in that other direction. Nothing bounds
    what a gate stretches by there, and each variable depends on those before it, stretched
    too: with gates and ELU, some rows would end beyond any float. So its steps are affine
    for data, with bounded scales, and its activation is tanh, as in `MAF`.

    Args:
      event_size: number of variables, D.
      num_steps: number of steps, K; 2 to 8 in the paper.
      hidden_units: widths of the hidden layers of each step's `MaskedMLP`; two layers of
        320 or 1920 in the paper.
      activation: its activation; by default ELU, as in the paper, and tanh for data.
      direct: whether inputs are connected to outputs directly, too.
      degree_seed: integer that hidden degrees are drawn from; None spreads them equally.
      transformer: elementwise map of the variables; by default a `Gated` whose gate starts
        at `sigmoid(2)`, and for more than four steps at `sigmoid(2 + log(K / 4))`; for data
        an `Affine`.
      context_size: width of the context, such as an encoder's output, which every network
        sees; 0 if there is none.
      name: name of the bijector.
      **options: see `VectorFlowOptions`; `standardize` is False by default.

    Raises:
      ValueError: if `event_size` or `num_steps` is below 1.

    >>> import tfp_flows
    >>> flow = tfp_flows.IAF(3, seed=0)
    >>> flow.sequential_directions, flow.inverse([[1.0, 2.0, 3.0]]).numpy()  # as it starts
    (frozenset({'inverse'}), array([[1.6614854, 3.3229709, 4.984456 ]], dtype=float32))

    Reference:
      Kingma et al. (2016), Improved variational inference with inverse autoregressive flow.
      https://arxiv.org/abs/1606.04934
    """

    @takes_options(standardize=False)
    def __init__(
        self,
        event_size: int,
        *,
        num_steps: int = 4,
        hidden_units: int | Sequence[int] = (64, 64),
        activation: str | Callable | None = None,
        direct: bool = False,
        degree_seed: int | None = None,
        transformer: Transformer | None = None,
        context_size: int = 0,
        name: str = "iaf",
        **options: Unpack[VectorFlowOptions],
    ) -> None:
        parameters = all_arguments(locals())
        for_data = options["standardize"]
        # The saved arguments name the defaults chosen here.
        if activation is None:
            parameters["activation"] = "tanh" if for_data else "elu"
        if transformer is None:
            transformer = Affine() if for_data else Gated(_first_bias(num_steps))
        parameters["transformer"] = transformer
        steps = autoregressive_steps(InverseAutoregressive, transformer, **parameters)
        # A chain lists its steps from the data side: the first to sample is its last.
        super().__init__(
            with_preprocessing(steps[::-1], **parameters),
            standardize_context=options["standardize_context"],
            recompute=options["recompute"],
            parameters=parameters,
            name=name,
        )


def _first_bias(num_steps: int) -> float:
    check_integer("num_steps", num_steps)
    # sigmoid(bias)^K is 0.60 up to K = 4, and falls to exp(-4 exp(-2)) = 0.58 from there.
    return 2.0 + math.log(max(num_steps / 4.0, 1.0))
