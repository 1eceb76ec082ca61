"""Neural spline flows: monotone splines in couplings or in autoregressive steps."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Sequence

import tensorflow as tf

from tfp_flows.bijectors.autoregressive import MaskedAutoregressive
from tfp_flows.bijectors.flow_chain import FlowChain
from tfp_flows.core.arguments import check_arguments
from tfp_flows.core.arguments import check_flag
from tfp_flows.flows.ends import between_ends
from tfp_flows.flows.steps import autoregressive_steps
from tfp_flows.flows.steps import coupling_steps
from tfp_flows.transformers.spline import RationalQuadraticSpline

__all__ = ["NeuralSplineFlow"]


class NeuralSplineFlow(FlowChain):
    """Neural spline flow, on vectors.

    ```none
    step, data -> latent:   x_i = spline^-1(y_i; network(the variables that i may see))
    then:                   a linear mixing, the identity at first
    ```

    With `coupling`, odd and even variables swap roles from step to step, and each direction
    takes one pass of the networks. Without it, variable i sees those before it: the density
    takes one pass, and `sample` solves for one variable after another, with about as much
    arithmetic. One variable, with or without a context, has steps of the second kind.

    In the authors' couplings the variables that pass are mapped too, by splines that depend
    on nothing, and a random permutation comes before each mixing.

    Args:
      event_size: number of variables, D.
      coupling: whether steps are couplings; needs D of at least 2.
      num_steps: number of steps, K.
      num_bins: bins of each spline.
      bound: splines act on `[-bound, bound]` and are the identity outside; data are best
        standardised.
      hidden_units: widths of the hidden layers of each network; all equal if `residual`.
      activation: their activation.
      residual: whether they are residual.
      dropout: share of their hidden units that a step of training drops.
      lu_mixing: whether an `InvertibleLinear`, the identity at first, follows each step.
      context_size: width of the context, which every network sees; 0 if there is none.
      standardize_context: whether contexts are standardised (see `FlowChain`).
      standardize: whether data are first standardised by statistics that `initialize` sets.
      decorrelate: whether that takes out their correlations, too (see `Decorrelate`).
      heavy_tails: whether tails are heavier than the base's (see `HeavyTails`); with
        `standardize` only.
      recompute: whether training recomputes what is inside a step for the gradient, to save
        memory (see `FlowChain`); not with `dropout`.
      seed: integer that determines the initial weights; random if None.
      dtype: of inputs and weights.
      name: name of the bijector.

    Raises:
      ValueError: if `event_size` or `num_steps` is below 1, or `event_size` is 1 with
        `coupling`.

    Reference:
      Durkan, Bekasov, Murray, Papamakarios (2019), Neural spline flows.
      https://arxiv.org/abs/1906.04032

    >>> import numpy as np
    >>> import tfp_flows
    >>> flow = tfp_flows.NeuralSplineFlow(1, num_steps=2, context_size=3, seed=0)
    >>> base = tfp_flows.standard_normal(1)
    >>> density = tfp_flows.FlowDistribution(base, flow)  # p(y | c)
    >>> density.log_prob(np.zeros([5, 1]), context=np.zeros([5, 3])).shape.as_list()
    [5]
    """

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
        residual: bool = True,
        dropout: float = 0.0,
        lu_mixing: bool = True,
        context_size: int = 0,
        standardize_context: bool = True,
        standardize: bool = True,
        decorrelate: bool = True,
        heavy_tails: bool = True,
        recompute: bool = False,
        seed: int | None = None,
        dtype: tf.DType | str = tf.float32,
        name: str = "neural_spline_flow",
    ) -> None:
        parameters = dict(locals())
        check_arguments(parameters)
        check_flag("coupling", coupling)
        spline = RationalQuadraticSpline(num_bins, bound)
        if coupling:
            steps = coupling_steps(spline, **parameters)
        else:
            steps = autoregressive_steps(MaskedAutoregressive, spline, **parameters)
        super().__init__(
            between_ends(steps, **parameters),
            standardize_context=standardize_context,
            recompute=recompute,
            parameters=parameters,
            name=name,
        )
