"""Steps of neural spline flows, as couplings or autoregressive, and their mixings."""

from __future__ import annotations

import functools
from collections.abc import Callable
from collections.abc import Sequence
from typing import Any
from typing import Literal

import keras
import numpy as np
import tensorflow as tf

from tfp_flows.bijectors.autoregressive import MaskedAutoregressive
from tfp_flows.bijectors.elementwise import Elementwise
from tfp_flows.bijectors.linear import InvertibleLinear
from tfp_flows.bijectors.masks import alternating
from tfp_flows.bijectors.partial import Partial
from tfp_flows.bijectors.permutation import Permutation
from tfp_flows.bijectors.permutation import random_permutation
from tfp_flows.core.arguments import check_each
from tfp_flows.core.arguments import check_flag
from tfp_flows.core.arguments import check_integer
from tfp_flows.core.circular import as_circular
from tfp_flows.core.flow_bijector import FlowBijector
from tfp_flows.flows.preprocessing import start_and_tails
from tfp_flows.flows.steps import autoregressive_step
from tfp_flows.flows.steps import coupling as coupling_of
from tfp_flows.flows.steps import refuse_one_variable
from tfp_flows.networks.circular_inputs import CircularInputs
from tfp_flows.networks.circular_inputs import circular_ordering
from tfp_flows.networks.layer_arguments import split_seed
from tfp_flows.networks.masked_mlp import MaskedMLP
from tfp_flows.networks.mlp import MLP
from tfp_flows.transformers.per_variable import PerVariable
from tfp_flows.transformers.spline import CircularSpline
from tfp_flows.transformers.spline import RationalQuadraticSpline
from tfp_flows.transformers.transformer import Transformer

__all__ = ["spline_steps"]


def spline_steps(
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
    standardize: bool,
    decorrelate: bool,
    heavy_tails: str | Literal[False],
    seed: int | None,
    dtype: tf.DType | str,
    **network: Any,
) -> list[FlowBijector]:
    """Returns the steps of a `NeuralSplineFlow`, data side first.

    The arguments are those of the flow; `network` are those of its conditioners.

    Raises:
      ValueError: if `event_size` is 1 with `coupling`.
    """
    check_integer("event_size", event_size)
    check_integer("num_steps", num_steps)
    check_each(
        check_flag,
        coupling=coupling,
        apply_unconditional_transform=apply_unconditional_transform,
        random_permutations=random_permutations,
        lu_mixing=lu_mixing,
    )
    columns = SplineColumns(event_size, circular, num_bins, bound, dtype)
    make: Callable[..., list[FlowBijector]] = _autoregressive_spline
    if coupling:
        refuse_one_variable(event_size)
        make = functools.partial(
            _spline_coupling, apply_unconditional_transform=apply_unconditional_transform
        )
    steps: list[FlowBijector] = []
    *seeds, last = split_seed(seed, num_steps + 1)
    for step, step_seed in enumerate(seeds):
        steps += columns.mixing(random_permutations, lu_mixing, step_seed)
        is_odd = step % 2 == 1
        steps += make(columns, is_odd, seed=step_seed, dtype=dtype, **network)
    steps += columns.mixing(random_permutations, lu_mixing, last)
    return columns.with_preprocessing(steps, standardize, decorrelate, heavy_tails)


def _spline_coupling(
    columns: SplineColumns,
    is_odd: bool,
    /,
    *,
    apply_unconditional_transform: bool,
    hidden_units: int | Sequence[int],
    activation: str | Callable,
    residual: bool,
    dropout: float,
    context_size: int,
    seed: int | None,
    dtype: tf.DType | str,
    network_dtype: str | None,
    **others: object,
) -> list[FlowBijector]:
    """Returns a coupling, and the unconditional splines of its passing variables."""
    mask = alternating(len(columns.is_circular), start=not is_odd)
    make_network = columns.mlp(
        mask,
        hidden_units=hidden_units,
        activation=activation,
        residual=residual,
        dropout=dropout,
        seed=seed,
    )
    spline = columns.spline(~mask)
    options: dict[str, Any] = {"context_size": context_size, "dtype": dtype}
    options["network_dtype"] = network_dtype
    steps: list[FlowBijector] = [coupling_of(mask, spline, make_network, **options)]
    if apply_unconditional_transform:
        size, from_passing = int(np.sum(mask)), columns.spline(mask)
        steps.append(Partial(~mask, Elementwise(size, from_passing, dtype=dtype)))
    return steps


def _autoregressive_spline(
    columns: SplineColumns, is_odd: bool, /, **network: Any
) -> list[FlowBijector]:
    size = len(columns.is_circular)
    return [
        autoregressive_step(
            MaskedAutoregressive,
            columns.spline(np.ones(size, bool)),
            event_size=size,
            reverse=is_odd,
            make_network=columns.masked_mlp,
            **network,
        )
    ]


class SplineColumns:
    """Splines, networks, ends and mixings for columns, some of which are angles.

    An angle has a spline on the circle, and networks see its cosine and sine. It is neither
    standardised nor mixed linearly, since both would tear the circle.

    Args:
      event_size: number of columns, D.
      circular: columns that are angles: indices, or booleans; None: none.
      num_bins: bins of each spline.
      bound: bound of the splines on the line.
      dtype: of inputs and weights.
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
        on_line, on_circle = (
            RationalQuadraticSpline(num_bins, bound),
            CircularSpline(num_bins),
        )
        self._splines: list[Transformer] = [on_line, on_circle]
        self._dtype = dtype

    def spline(self, where: np.ndarray) -> Transformer:
        """Returns the transformer of the columns `where`, booleans `[D]`."""
        kinds = self.is_circular[where].astype(int).tolist()
        if len(set(kinds)) == 1:
            return self._splines[kinds[0]]
        return PerVariable(self._splines, kinds)

    def mlp(self, where: np.ndarray, **options: Any) -> Callable[..., keras.Layer]:
        """Returns a function that builds an `MLP` of the columns `where`."""
        make: Callable[..., keras.Layer] = functools.partial(MLP, **options)
        circular = self.is_circular[where]
        if not circular.any():
            return make
        return lambda units, dtype: CircularInputs(make(units, dtype=dtype), circular)

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

    def with_preprocessing(
        self,
        steps: list[FlowBijector],
        standardize: bool,
        decorrelate: bool,
        heavy_tails: str | Literal[False],
    ) -> list[FlowBijector]:
        """Returns `steps` between the start and the tails of the columns on the line."""
        size = int(np.sum(~self.is_circular))
        if not size:
            return steps
        start, tails = start_and_tails(
            size, standardize, decorrelate, heavy_tails, self._dtype
        )
        return [*map(self._on_line, start), *steps, *map(self._on_line, tails)]

    def mixing(
        self, random_permutations: bool, lu_mixing: bool, seed: int | None
    ) -> list[FlowBijector]:
        """Returns a linear mixing of the columns on the line, initially a permutation."""
        size, dtype = int(np.sum(~self.is_circular)), self._dtype
        order = random_permutation(size, seed) if random_permutations and size > 1 else None
        if lu_mixing and size:
            return [self._on_line(InvertibleLinear(size, permutation=order, dtype=dtype))]
        return [] if order is None else [self._on_line(Permutation(order, dtype=dtype))]

    def _on_line(self, bijector: FlowBijector) -> FlowBijector:
        circular = self.is_circular
        return Partial(circular, bijector) if circular.any() else bijector
