"""Neural spline flows: monotone splines in couplings or in autoregressive steps."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from tensorflow.types.experimental import TensorLike

from tfp_flows.bijectors.flow_chain import FlowChain
from tfp_flows.core.circular import as_circular
from tfp_flows.core.circular import warn_of_degrees
from tfp_flows.flows.options import all_arguments
from tfp_flows.flows.options import takes_options
from tfp_flows.flows.preprocessing import chain_arguments
from tfp_flows.flows.spline_steps import spline_steps

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from tfp_flows.flows.options import VectorFlowOptions

__all__ = ["NeuralSplineFlow"]


class NeuralSplineFlow(FlowChain):
    """Neural spline flow, on vectors.

    ```none
    step, data -> latent:   a linear mixing, a drawn permutation at first
                            x_i = spline^-1(y_i; network(the variables that i may see))
    at the latent end:      another mixing
    ```

    With `coupling`, odd and even variables swap roles from step to step, and each direction
    takes one pass of the networks. Without it, steps are autoregressive: the density takes
    one pass, and `sample` solves for one variable after another, with about the same
    arithmetic. A flow of one variable, with or without a context, is autoregressive.

    As in the authors' flows for tables, the networks are residual, the mixings start as
    permutations, and the passing variables of a coupling are mapped by splines whose
    parameters are weights, after the network has seen them
    (`apply_unconditional_transform`).

    A column may be an angle in radians (`circular`). It has a spline on the circle,
    networks see its cosine and sine, and it is neither standardised nor mixed linearly. The
    density is one on the circle, for any angle, and samples are in `[-pi, pi]`. Training
    angles that span more than one turn, such as degrees, cause a warning. The base must be
    uniform on the circle (`circular_base`). Without `coupling`, sampling then takes a pass
    of the network for each variable.

    Args:
      event_size: number of variables, D.
      coupling: whether steps are couplings; needs D of at least 2.
      num_steps: number of steps, K.
      num_bins: bins of each spline.
      bound: splines act on `[-bound, bound]` and are the identity outside.
      hidden_units: widths of the hidden layers of each network; all equal if `residual`.
      activation: activation of the hidden layers.
      dropout: fraction of hidden units dropped in training; not with `recompute`.
      lu_mixing: whether an `InvertibleLinear` comes before each step and at the latent end.
      random_permutations: whether each mixing starts as a permutation drawn from `seed`
        instead of the identity; without `lu_mixing`, whether there are permutations.
      apply_unconditional_transform: whether the passing variables of a coupling are mapped
        by unconditional splines; no effect without `coupling`.
      circular: columns that are angles: a list of indices, or D booleans; None: none.
      context_size: width of the context, an input of every network; 0 if there is none.
      name: name of the bijector.
      **options: see `VectorFlowOptions`; `residual` is True by default.

    Raises:
      ValueError: if `event_size` or `num_steps` is below 1, `event_size` is 1 with
        `coupling`, or `circular` is not a list of columns.

    Reference:
      Durkan, Bekasov, Murray, Papamakarios (2019), Neural spline flows.
      https://arxiv.org/abs/1906.04032
      Rezende et al. (2020), Normalizing flows on tori and spheres.
      https://arxiv.org/abs/2002.02428

    >>> import numpy as np
    >>> import tfp_flows
    >>> flow = tfp_flows.NeuralSplineFlow(1, num_steps=2, context_size=3, seed=0)
    >>> base = tfp_flows.standard_normal(1)
    >>> density = tfp_flows.FlowDistribution(base, flow)  # p(y | c)
    >>> density.log_prob(np.zeros([5, 1]), context=np.zeros([5, 3])).shape.as_list()
    [5]

    Two angles and a length:

    >>> flow = tfp_flows.NeuralSplineFlow(3, coupling=True, circular=[0, 1], seed=0)
    >>> base = tfp_flows.circular_base(3, circular=[0, 1])
    >>> density = tfp_flows.FlowDistribution(base, flow)
    >>> angles = density.sample(100, seed=1)[:, :2]
    >>> bool(np.abs(angles).max() <= np.pi)
    True
    """

    @takes_options(residual=True)
    def __init__(
        self,
        event_size: int,
        *,
        coupling: bool = False,
        num_steps: int = 5,
        num_bins: int = 8,
        bound: float = 3.0,
        hidden_units: int | Sequence[int] = (64, 64, 64),
        activation: str | Callable = "tanh",
        dropout: float = 0.0,
        lu_mixing: bool = True,
        random_permutations: bool = True,
        apply_unconditional_transform: bool = True,
        circular: Sequence[int] | Sequence[bool] | None = None,
        context_size: int = 0,
        name: str = "neural_spline_flow",
        **options: Unpack[VectorFlowOptions],
    ) -> None:
        parameters = all_arguments(locals())
        steps = spline_steps(**parameters)
        super().__init__(**chain_arguments(steps, parameters))
        self._is_circular = as_circular(circular, event_size)

    @property
    def is_circular(self) -> np.ndarray:
        """Which columns are angles, booleans `[D]`."""
        return self._is_circular

    def check_support(self, data: TensorLike, *, argument: str = "data") -> None:
        """Checks `data`, and warns if circular columns seem to be in degrees."""
        super().check_support(data, argument=argument)
        warn_of_degrees(data, self.is_circular, argument)
