"""Steps of neural spline flows, as couplings or autoregressive, with what is between."""

from __future__ import annotations

import functools
from collections.abc import Callable
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfp_flows.bijectors.autoregressive import MaskedAutoregressive
from tfp_flows.bijectors.elementwise import Elementwise
from tfp_flows.bijectors.masks import alternating
from tfp_flows.bijectors.on_part import OnPart
from tfp_flows.core.flow_bijector import FlowBijector
from tfp_flows.flows.refusals import refuse_one_variable
from tfp_flows.flows.spline_columns import SplineColumns
from tfp_flows.flows.steps import autoregressive_step
from tfp_flows.flows.steps import coupling as coupling_of
from tfp_flows.networks.seeds import split_seed

__all__ = ["spline_steps"]


def spline_steps(
    *,
    event_size: int,
    coupling: bool,
    num_steps: int,
    num_bins: int,
    bound: float,
    circular: Sequence[int] | Sequence[bool] | None,
    passing_spline: bool,
    random_permutations: bool,
    lu_mixing: bool,
    standardize: bool,
    decorrelate: bool,
    heavy_tails: str | bool,
    seed: int | None,
    dtype: tf.DType | str,
    **network: Any,
) -> list[FlowBijector]:
    """Returns the steps of a `NeuralSplineFlow`, data side first.

    The arguments are its own; `network` are those of the conditioners.

    Raises:
      ValueError: if `event_size` is 1 with `coupling`.
    """
    columns = SplineColumns(event_size, circular, num_bins, bound, dtype)
    make: Callable[..., list[FlowBijector]] = _autoregressive_spline
    if coupling:
        refuse_one_variable(event_size)
        make = functools.partial(_spline_coupling, passing_spline=passing_spline)
    steps: list[FlowBijector] = []
    *seeds, last = split_seed(seed, num_steps + 1)
    for step, step_seed in enumerate(seeds):
        steps += columns.mixing(random_permutations, lu_mixing, step_seed)
        is_odd = step % 2 == 1
        steps += make(columns, is_odd, seed=step_seed, dtype=dtype, **network)
    steps += columns.mixing(random_permutations, lu_mixing, last)
    return columns.between_ends(steps, standardize, decorrelate, heavy_tails)


def _spline_coupling(
    columns: SplineColumns,
    is_odd: bool,
    /,
    *,
    passing_spline: bool,
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
    """Returns a coupling, and the map of what has passed, by a spline of no network."""
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
    if passing_spline:
        size, of_passing = int(np.sum(mask)), columns.spline(mask)
        steps.append(OnPart(~mask, Elementwise(size, of_passing, dtype=dtype)))
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
