"""Neural spline flows: monotone splines in couplings or in autoregressive steps."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tensorflow.types.experimental import TensorLike

from tfp_flows.bijectors.autoregressive import MaskedAutoregressive
from tfp_flows.bijectors.elementwise import Elementwise
from tfp_flows.bijectors.flow_chain import FlowChain
from tfp_flows.bijectors.linear import InvertibleLinear
from tfp_flows.bijectors.masks import alternating
from tfp_flows.bijectors.partial import Partial
from tfp_flows.bijectors.permutation import Permutation, random_permutation
from tfp_flows.core.arguments import check_each, check_flag, check_size
from tfp_flows.core.circular import as_circular, warn_of_degrees
from tfp_flows.core.flow_bijector import FlowBijector
from tfp_flows.flows.options import Unpack, VectorFlowOptions, all_arguments, takes_options
from tfp_flows.flows.steps import (
    autoregressive_step,
    chain_arguments,
    coupling,
    on_line,
    refuse_one_variable,
)
from tfp_flows.networks.circular_inputs import CircularInputs, circular_ordering
from tfp_flows.networks.layer_arguments import split_seed
from tfp_flows.networks.masked_mlp import MaskedMLP
from tfp_flows.networks.mlp import MLP
from tfp_flows.transformers.per_variable import PerVariable
from tfp_flows.transformers.spline import CircularSpline, RationalQuadraticSpline
from tfp_flows.transformers.transformer import Transformer


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

    As in the authors' flows for tables, networks are residual and mixings start as
    permutations. After the network has seen the passing variables of a coupling, splines
    whose parameters are weights map these, too (`apply_unconditional_transform`).

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
      circular: columns that are angles: a list of indices, or D booleans; None if none is.
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
        steps = _spline_steps(**parameters)
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


def _spline_steps(
    *,
    event_size: int,
    coupling: bool,
    num_steps: int,
    num_bins: int,
    bound: float,
    circular: Sequence[int] | Sequence[bool] | None,
    apply_unconditional_transform: bool,
    random_permutations: bool,
    lu_mixing: bool,
    seed: int | None,
    dtype: tf.DType | str,
    **network: Any,
) -> list[FlowBijector]:
    """Returns the steps of a `NeuralSplineFlow`, data side first.

    `network` are arguments of the conditioners; the others are arguments of the flow.
    """
    check_each(check_size, event_size=event_size, num_steps=num_steps)
    check_each(
        check_flag,
        coupling=coupling,
        apply_unconditional_transform=apply_unconditional_transform,
        random_permutations=random_permutations,
        lu_mixing=lu_mixing,
    )
    if coupling:
        refuse_one_variable(event_size)
    columns = _SplineColumns(event_size, circular, num_bins, bound, dtype)
    steps: list[FlowBijector] = []
    *seeds, last = split_seed(seed, num_steps + 1)
    for step, step_seed in enumerate(seeds):
        steps += columns.mixing(random_permutations, lu_mixing, step_seed)
        varying: dict[str, Any] = {"is_odd": step % 2 == 1, "seed": step_seed}
        if coupling:
            steps += columns.coupling(apply_unconditional_transform, **varying, **network)
        else:
            steps.append(columns.autoregressive_step(**varying, **network))
    return [*steps, *columns.mixing(random_permutations, lu_mixing, last)]


class _SplineColumns:
    """Splines, networks and mixings for columns, some of which are angles.

    An angle has a spline on the circle, and networks see its cosine and sine. It is not
    mixed linearly, which would tear the circle.
    """

    def __init__(
        self,
        event_size: int,
        circular: Sequence[int] | Sequence[bool] | None,
        num_bins: int,
        bound: float,
        dtype: tf.DType | str,
    ) -> None:
        self.is_circular = as_circular(circular, event_size)
        on_circle = CircularSpline(num_bins)
        self._splines = [RationalQuadraticSpline(num_bins, bound), on_circle]
        self._dtype = dtype

    def coupling(
        self,
        apply_unconditional_transform: bool,
        /,
        *,
        is_odd: bool,
        hidden_units: int | Sequence[int],
        activation: str | Callable,
        residual: bool,
        dropout: float,
        seed: int | None,
        **others: Any,
    ) -> list[FlowBijector]:
        """Returns a coupling, and the unconditional splines of its passing variables."""
        mask, dtype = alternating(len(self.is_circular), start=not is_odd), self._dtype
        make: Callable[..., keras.Layer] = functools.partial(
            MLP,
            hidden_units=hidden_units,
            activation=activation,
            residual=residual,
            dropout=dropout,
            seed=seed,
        )
        make = functools.partial(_with_circular_inputs, make, self.is_circular[mask])
        spline = self.spline(~mask)
        steps: list[FlowBijector] = [coupling(mask, spline, make, dtype=dtype, **others)]
        if apply_unconditional_transform:
            passing = Elementwise(int(np.sum(mask)), self.spline(mask), dtype=dtype)
            steps.append(Partial(~mask, passing))
        return steps

    def autoregressive_step(self, *, is_odd: bool, **others: Any) -> FlowBijector:
        """Returns an autoregressive step on all columns, or in reversed order if odd."""
        size = len(self.is_circular)
        spline = self.spline(np.ones(size, bool))
        return autoregressive_step(
            MaskedAutoregressive,
            spline,
            event_size=size,
            reverse=is_odd,
            dtype=self._dtype,
            make_network=self.masked_mlp,
            **others,
        )

    def spline(self, where: np.ndarray) -> Transformer:
        """Returns the transformer of the columns `where`, booleans `[D]`."""
        kinds = self.is_circular[where].astype(int).tolist()
        if len(set(kinds)) == 1:
            return self._splines[kinds[0]]
        return PerVariable(self._splines, kinds)

    def masked_mlp(
        self,
        num_parameters: int,
        hidden_units: int | Sequence[int],
        ordering: np.ndarray,
        **options: Any,
    ) -> keras.Layer:
        """Builds a `MaskedMLP` of all columns, from the arguments of `MaskedMLP`."""
        circular = self.is_circular
        degrees = circular_ordering(ordering, circular)
        network = MaskedMLP(num_parameters, hidden_units, degrees, **options)
        if not circular.any():
            return network
        return CircularInputs(network, circular, num_parameters=num_parameters)

    def mixing(
        self, random_permutations: bool, lu_mixing: bool, seed: int | None
    ) -> list[FlowBijector]:
        """Returns a linear mixing of the columns on the line, initially a permutation."""
        size, dtype = int(np.sum(~self.is_circular)), self._dtype
        order = random_permutation(size, seed) if random_permutations and size > 1 else None
        if lu_mixing and size:
            mixing: FlowBijector = InvertibleLinear(size, permutation=order, dtype=dtype)
        elif order is not None:
            mixing = Permutation(order, dtype=dtype)
        else:
            return []
        return [on_line(mixing, self.is_circular)]


def _with_circular_inputs(
    make: Callable[..., keras.Layer], circular: np.ndarray, units: int, *, dtype: str
) -> keras.Layer:
    network = make(units, dtype=dtype)
    return CircularInputs(network, circular) if circular.any() else network
