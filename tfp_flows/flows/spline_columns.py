"""Columns of a spline flow, on the line or on a circle, and what each kind needs."""

from __future__ import annotations

import functools
from collections.abc import Callable
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfp_flows.bijectors.linear import InvertibleLinear
from tfp_flows.bijectors.on_part import OnPart
from tfp_flows.bijectors.permutation import Permutation
from tfp_flows.bijectors.permutation import random_permutation
from tfp_flows.core.circular import as_circular
from tfp_flows.core.flow_bijector import FlowBijector
from tfp_flows.flows.ends import start_and_tails
from tfp_flows.networks.circular_inputs import CircularInputs
from tfp_flows.networks.circular_inputs import circular_ordering
from tfp_flows.networks.masked_mlp import MaskedMLP
from tfp_flows.networks.mlp import MLP
from tfp_flows.transformers.per_variable import PerVariable
from tfp_flows.transformers.spline import CircularSpline
from tfp_flows.transformers.spline import RationalQuadraticSpline
from tfp_flows.transformers.transformer import Transformer

__all__ = ["SplineColumns"]


class SplineColumns:
    """Splines, networks, ends and mixing for columns of which some are angles.

    An angle has a spline on the circle; networks see its cosine and sine; it is neither
    standardised nor mixed with others linearly, either of which would tear the circle.

    Args:
      event_size: number of columns, D.
      circular: which are angles: indices, or booleans; None if none is.
      num_bins: of each spline.
      bound: of the splines on the line.
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
        """The transformer of the columns `where`, booleans `[D]`."""
        kinds = self.is_circular[where].astype(int).tolist()
        if len(set(kinds)) == 1:
            return self._splines[kinds[0]]
        return PerVariable(self._splines, kinds)

    def mlp(self, where: np.ndarray, **options: Any) -> Callable[..., keras.Layer]:
        """Returns a function that builds an `MLP` which sees the columns `where`."""
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
        """Builds a `MaskedMLP` of all columns; arguments as its own."""
        circular = self.is_circular
        degrees = circular_ordering(ordering, circular)
        network = MaskedMLP(num_parameters, hidden_units, degrees, **options)
        if not circular.any():
            return network
        return CircularInputs(network, circular, num_parameters=num_parameters)

    def between_ends(
        self,
        steps: list[FlowBijector],
        standardize: bool,
        decorrelate: bool,
        heavy_tails: str | bool,
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
        """Returns a linear mixing of the columns on the line, a permutation at first."""
        size, dtype = int(np.sum(~self.is_circular)), self._dtype
        order = random_permutation(size, seed) if random_permutations and size > 1 else None
        if lu_mixing and size:
            return [self._on_line(InvertibleLinear(size, permutation=order, dtype=dtype))]
        return [] if order is None else [self._on_line(Permutation(order, dtype=dtype))]

    def _on_line(self, bijector: FlowBijector) -> FlowBijector:
        circular = self.is_circular
        return OnPart(circular, bijector) if circular.any() else bijector
