"""The two ends of a flow for data: standardisation and heavy tails."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from typing import Literal

import numpy as np
import tensorflow as tf

from tfp_flows.bijectors.heavy_tails import HeavyTails
from tfp_flows.bijectors.partial import Partial
from tfp_flows.bijectors.standardize import Decorrelate
from tfp_flows.bijectors.standardize import Standardize
from tfp_flows.core.arguments import check_choice
from tfp_flows.core.arguments import check_each
from tfp_flows.core.arguments import check_flag
from tfp_flows.core.circular import as_circular
from tfp_flows.core.flow_bijector import FlowBijector

__all__ = ["chain_arguments", "on_line", "with_preprocessing"]
# Above this number of variables, the matrix of `Decorrelate` would outgrow the networks.
_MOST_DECORRELATED = 1024


def with_preprocessing(
    steps: Sequence[FlowBijector],
    *,
    event_size: int,
    standardize: bool,
    decorrelate: bool,
    heavy_tails: str | Literal[False],
    dtype: tf.DType | str,
    circular: Sequence[int] | Sequence[bool] | None = None,
    **others: object,
) -> list[FlowBijector]:
    """Returns `steps`, data side first, between standardisation and heavy tails.

    With `standardize`, a `Decorrelate` comes before the steps, or a `Standardize` without
    `decorrelate` or for more than 1,024 variables. With `heavy_tails`, a `HeavyTails` comes
    after them. Without `standardize` the flow is not for data, and neither is added.
    Neither changes `circular` variables, which are angles. `others` are ignored.
    """
    check_each(check_flag, standardize=standardize, decorrelate=decorrelate)
    check_choice("heavy_tails", heavy_tails, ("student", "sinh", False))
    is_circular = as_circular(circular, event_size)
    size = int(np.sum(~is_circular))
    if not (standardize and size):
        return list(steps)
    joint = decorrelate and size <= _MOST_DECORRELATED
    start = (Decorrelate if joint else Standardize)(size, dtype=dtype)
    between = [on_line(start, is_circular), *steps]
    if heavy_tails:
        tails = HeavyTails(size, kind=heavy_tails, dtype=dtype)
        between.append(on_line(tails, is_circular))
    return between


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
