"""Recipes for flows: steps with their networks, and the ends that flows for data have.

A flow's constructor passes all its arguments to a recipe. The recipe checks and uses the
arguments that it names, and ignores the rest (`others`).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, Literal

import keras
import numpy as np
import tensorflow as tf

from tfp_flows.bijectors.act_norm import ActNorm
from tfp_flows.bijectors.batch_norm import BatchNorm
from tfp_flows.bijectors.coupling import Coupling
from tfp_flows.bijectors.gaussianize import Gaussianize
from tfp_flows.bijectors.heavy_tails import HeavyTails
from tfp_flows.bijectors.linear import InvertibleLinear
from tfp_flows.bijectors.masks import alternating
from tfp_flows.bijectors.multi_scale import MultiScale
from tfp_flows.bijectors.normal_scores import NormalScores
from tfp_flows.bijectors.partial import Partial
from tfp_flows.bijectors.partition import partition
from tfp_flows.bijectors.permutation import Permutation, random_permutation
from tfp_flows.bijectors.preprocessing import Logit
from tfp_flows.bijectors.standardize import Decorrelate, Standardize
from tfp_flows.core.arguments import (
    check_choice,
    check_each,
    check_flag,
    check_integer,
    check_network_dtype,
    check_size,
)
from tfp_flows.core.circular import as_circular
from tfp_flows.core.flow_bijector import FlowBijector
from tfp_flows.networks.conditioner import Conditioner
from tfp_flows.networks.layer_arguments import split_seed
from tfp_flows.networks.masked_mlp import MaskedMLP
from tfp_flows.networks.mlp import MLP
from tfp_flows.networks.orderings import natural_ordering, reversed_ordering
from tfp_flows.transformers.transformer import Transformer, check_transformer

# Above this number of variables, the matrix of `Decorrelate` would outgrow the networks.
_MOST_DECORRELATED = 1024


def coupling_steps(
    transformer: Transformer,
    /,
    *,
    event_size: int,
    num_steps: int,
    hidden_units: int | Sequence[int],
    activation: str | Callable,
    residual: bool,
    seed: int | None,
    dtype: tf.DType | str,
    dropout: float = 0.0,
    **others: Any,
) -> list[FlowBijector]:
    """Returns couplings in which odd and even variables swap roles, data side first.

    `transformer` is the elementwise map of the changing variables. The other arguments are
    those of `RealNVP`; `others` are those of `coupling` and `norm_and_mixing`.
    """
    refuse_one_variable(event_size)
    check_size("num_steps", num_steps)
    make_mlp = functools.partial(
        MLP,
        hidden_units=hidden_units,
        activation=activation,
        residual=residual,
        dropout=dropout,
    )
    steps: list[FlowBijector] = []
    for step, step_seed in enumerate(split_seed(seed, num_steps)):
        mask = alternating(event_size, start=step % 2 == 0)
        network = functools.partial(make_mlp, seed=step_seed)
        steps.append(coupling(mask, transformer, network, dtype=dtype, **others))
        steps += norm_and_mixing(event_size, dtype, **others)
    return steps


def coupling(
    mask: np.ndarray,
    transformer: Transformer,
    make_network: Callable[..., keras.layers.Layer],
    /,
    *,
    context_size: int,
    dtype: tf.DType | str,
    network_dtype: str | None = None,
    **others: object,
) -> Coupling:
    """Builds a `Coupling` with a network whose sizes fit `mask`.

    `make_network` is a function of the number of outputs (on the last axis) and `dtype`.
    The other arguments are those of a flow; `others` are ignored.
    """
    parts = partition(mask)
    # An explicit dtype keeps a global mixed-precision policy away from log-dets.
    policy = check_network_dtype("network_dtype", network_dtype, dtype)
    check_transformer(transformer)
    num_outputs = transformer.num_parameters * parts.changing_shape[-1]
    network = make_network(num_outputs, dtype=policy)
    conditioner = Conditioner(
        network,
        parts.seen_shape,
        context_size=context_size,
        dropout_in_training=bool(getattr(network, "dropout", 0.0)),
    )
    return Coupling(mask, conditioner, transformer, dtype=dtype)


def autoregressive_steps(
    make_step: Callable[..., FlowBijector],
    transformer: Transformer,
    /,
    *,
    event_size: int,
    num_steps: int,
    seed: int | None,
    dtype: tf.DType | str,
    random_orderings: bool = False,
    **others: Any,
) -> list[FlowBijector]:
    """Returns autoregressive steps in alternating or drawn orders.

    `make_step` is `MaskedAutoregressive` or `InverseAutoregressive`, and `transformer` the
    elementwise map of the variables. The other arguments are those of `MAF`; `others` are
    those of `autoregressive_step` and `norm_and_mixing`.
    """
    check_flag("random_orderings", random_orderings)
    check_size("num_steps", num_steps)
    steps: list[FlowBijector] = []
    for step, step_seed in enumerate(split_seed(seed, num_steps)):
        if random_orderings and step:
            permutation = random_permutation(event_size, step_seed)
            steps.append(Permutation(permutation, dtype=dtype))
        steps.append(
            autoregressive_step(
                make_step,
                transformer,
                event_size=event_size,
                reverse=step % 2 == 1 and not random_orderings,
                seed=step_seed,
                dtype=dtype,
                **others,
            )
        )
        steps += norm_and_mixing(event_size, dtype, **others)
    return steps


def autoregressive_step(
    make_step: Callable[..., FlowBijector],
    transformer: Transformer,
    /,
    *,
    event_size: int,
    hidden_units: int | Sequence[int],
    reverse: bool,
    activation: str | Callable,
    residual: bool,
    context_size: int,
    seed: int | None,
    dtype: tf.DType | str,
    network_dtype: str | None = None,
    direct: bool = False,
    degree_seed: int | None = None,
    dropout: float = 0.0,
    make_network: Callable[..., keras.layers.Layer] = MaskedMLP,
    **others: object,
) -> FlowBijector:
    """Builds an autoregressive step with a `MaskedMLP` as its network.

    `make_step` is `MaskedAutoregressive` or `InverseAutoregressive`, and `transformer` the
    elementwise map of the variables. The other arguments are those of `MADE`; `others` are
    ignored. `make_network` takes the arguments of `MaskedMLP`.
    """
    check_transformer(transformer)
    check_flag("reverse", reverse)
    ordering = reversed_ordering if reverse else natural_ordering
    network = make_network(
        transformer.num_parameters,
        hidden_units,
        ordering(event_size),
        context_size=context_size,
        activation=activation,
        residual=residual,
        direct=direct,
        degree_seed=degree_seed,
        dropout=dropout,
        seed=seed,
        dtype=check_network_dtype("network_dtype", network_dtype, dtype),
    )
    drops: dict[str, Any] = {"dropout_in_training": dropout > 0.0}
    conditioner = Conditioner(network, event_size, context_size=context_size, **drops)
    return make_step(event_size, conditioner, transformer, dtype=dtype)


def norm_and_mixing(
    event_size: int,
    dtype: tf.DType | str,
    *,
    batch_norm: bool = False,
    act_norm: bool = False,
    lu_mixing: bool = False,
    **others: object,
) -> list[FlowBijector]:
    """Returns the norm and the linear mixing that follow a step; `others` are ignored."""
    refuse_two_norms(batch_norm, act_norm)
    check_flag("lu_mixing", lu_mixing)
    wanted = {BatchNorm: batch_norm, ActNorm: act_norm, InvertibleLinear: lu_mixing}
    return [
        make(event_size, dtype=dtype) for make, is_wanted in wanted.items() if is_wanted
    ]


def refuse_one_variable(event_size: int) -> None:
    """Raises `ValueError` unless `event_size` is an integer of at least 2."""
    if check_size("event_size", event_size) < 2:
        raise ValueError(
            "Expected `event_size` of at least 2, since a coupling needs variables that "
            f"pass and others that change; got {event_size}. Flows of one variable, with "
            "a context or without, are `NeuralSplineFlow(1)` and `MAF(1, transformer=...)`."
        )


def refuse_two_norms(batch_norm: bool, act_norm: bool) -> None:
    """Raises `ValueError` if both norms are wanted, or one is not True or False."""
    check_each(check_flag, batch_norm=batch_norm, act_norm=act_norm)
    if batch_norm and act_norm:
        raise ValueError("Expected one of `batch_norm` and `act_norm`; got both.")


def multi_scale_steps(
    levels: list[FlowBijector],
    *,
    image_shape: Sequence[int],
    logit_alpha: float | None,
    normal_scores: int | None,
    dtype: tf.DType | str,
    **others: object,
) -> list[FlowBijector]:
    """Returns a `MultiScale` of `levels` after `pixel_steps`."""
    steps = pixel_steps(image_shape, logit_alpha, normal_scores, dtype)
    return [*steps, MultiScale(levels, image_shape)]


def pixel_steps(
    image_shape: Sequence[int],
    logit_alpha: float | None,
    normal_scores: int | None,
    dtype: tf.DType | str,
) -> list[FlowBijector]:
    """Returns the map of pixels in [0, 1] to the line: `NormalScores`, `Logit`, or none.

    The arguments are those of `Glow`; `normal_scores` replaces the `Logit`.
    """
    if normal_scores is not None:
        check_integer("normal_scores", normal_scores, 2)
        return [NormalScores(image_shape, normal_scores, dtype=dtype)]
    if logit_alpha is not None:
        return [Logit(logit_alpha, event_ndims=3, dtype=dtype)]
    return []


def with_preprocessing(
    steps: Sequence[FlowBijector],
    *,
    event_size: int,
    standardize: bool,
    num_quantiles: int | None,
    decorrelate: bool,
    heavy_tails: str | Literal[False],
    dtype: tf.DType | str,
    circular: Sequence[int] | Sequence[bool] | None = None,
    **others: object,
) -> list[FlowBijector]:
    """Returns `steps`, data side first, between standardisation and heavy tails.

    With `standardize`, a `Decorrelate` comes before the steps, or a `Standardize` without
    `decorrelate` or for more than 1,024 variables. With `num_quantiles`, a `Standardize`
    and a `Gaussianize` come before it. With `heavy_tails`, a `HeavyTails` comes after the
    steps. Without `standardize` the flow is not for data, and nothing is added.
    `circular` variables, which are angles, do not change. `others` are ignored.
    """
    check_each(check_flag, standardize=standardize, decorrelate=decorrelate)
    check_choice("heavy_tails", heavy_tails, ("student", "sinh", False))
    is_circular = as_circular(circular, event_size)
    size = int(np.sum(~is_circular))
    if not (standardize and size):
        return list(steps)
    joint = decorrelate and size <= _MOST_DECORRELATED
    first: list[FlowBijector] = []
    if num_quantiles is not None:
        first += [Standardize(size, dtype=dtype)]
        first += [Gaussianize(size, num_quantiles, dtype=dtype)]
    first += [Decorrelate(size, dtype=dtype)] if joint else []
    first = first or [Standardize(size, dtype=dtype)]
    last = [HeavyTails(size, kind=heavy_tails, dtype=dtype)] if heavy_tails else []
    before = [on_line(bijector, is_circular) for bijector in first]
    after = [on_line(bijector, is_circular) for bijector in last]
    return [*before, *steps, *after]


def chain_arguments(
    steps: Sequence[FlowBijector], parameters: dict[str, Any]
) -> dict[str, Any]:
    """Returns the arguments of `FlowChain` for a flow of these steps and arguments."""
    shared = {k: parameters[k] for k in ("standardize_context", "recompute", "name")}
    bijectors = with_preprocessing(steps, **parameters)
    return {"bijectors": bijectors, "parameters": parameters, **shared}


def on_line(bijector: FlowBijector, is_circular: np.ndarray) -> FlowBijector:
    """Returns a bijector that passes angles, booleans `[D]`, and maps the others."""
    return Partial(is_circular, bijector) if is_circular.any() else bijector
