"""IAF: a chain of autoregressive steps that samples in one pass."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from tfp_flows.bijectors.autoregressive import InverseAutoregressive
from tfp_flows.bijectors.flow_chain import FlowChain
from tfp_flows.core.arguments import check_size
from tfp_flows.flows.options import Unpack, VectorFlowOptions, all_arguments, takes_options
from tfp_flows.flows.steps import autoregressive_steps, chain_arguments
from tfp_flows.transformers.affine import Affine
from tfp_flows.transformers.gated import Gated
from tfp_flows.transformers.transformer import Transformer


class IAF(FlowChain):
    """Inverse autoregressive flow, for posteriors.

    ```none
    step, latent -> data:   y_i = gate_i * x_i + (1 - gate_i) * shift_i
                            gate_i, shift_i = functions of x_<i and the context
    ```

    `sample` takes one pass of each network, and so does the density of these samples. The
    density of any other point is solved for one variable after another, with about the same
    arithmetic. The order of the variables is reversed from step to step. `MAF` has the same
    steps in the other direction.

    A step with gate g contracts by g, and K steps by g^K; the inverse stretches by the same
    factor. Initial gates are therefore more open for more steps, so that all steps together
    contract by 0.58 or more.

    Gates do not widen a variable by themselves. After `flow_posterior`'s affine map, or a
    VAE's Gaussian, they need not. A posterior of your own on a base of deviation 1 takes
    `transformer=Affine()`: for a normal target of deviation 5, draws have deviation 1 with
    gates, and 5 with it.

    With `standardize`, the flow is fitted to data and trained in the inverse direction,
    where the stretch of gates is unbounded and accumulates over variables: gates and ELU
    would overflow for some rows. The default for data is therefore an affine map of bounded
    scale and tanh, as in `MAF`.

    Args:
      event_size: number of variables, D.
      num_steps: number of steps, K; 2 to 8 in the paper.
      hidden_units: widths of the hidden layers of each step's `MaskedMLP`; two layers of
        320 or 1920 in the paper.
      activation: activation of the hidden layers; by default ELU, as in the paper, and
        tanh with `standardize`.
      direct: whether inputs are also connected directly to outputs.
      degree_seed: integer from which hidden degrees are drawn; None spreads them equally.
      transformer: elementwise map of the variables. The default is a `Gated` whose gate
        starts at `sigmoid(2)`, or `sigmoid(2 + log(K / 4))` for more than four steps; with
        `standardize` it is an `Affine`.
      context_size: width of the context, an input of every network, such as an encoder's
        output; 0 if there is none. The output of an encoder is never standardised.
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
        super().__init__(**chain_arguments(steps[::-1], parameters))


def _first_bias(num_steps: int) -> float:
    check_size("num_steps", num_steps)
    # sigmoid(bias)^K is 0.60 at K = 4 and falls to exp(-4 exp(-2)) = 0.58 for large K.
    return 2.0 + math.log(max(num_steps / 4.0, 1.0))
