"""The two ends of a flow for data: standardisation and heavy tails."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import tensorflow as tf

from tfp_flows.bijectors.heavy_tails import HeavyTails
from tfp_flows.bijectors.standardize import Decorrelate
from tfp_flows.bijectors.standardize import Standardize
from tfp_flows.core.arguments import check_choice
from tfp_flows.core.arguments import check_each
from tfp_flows.core.arguments import check_flag
from tfp_flows.core.flow_bijector import FlowBijector

__all__ = ["with_preprocessing", "start_and_tails"]
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
    **others: object,
) -> list[FlowBijector]:
    """Returns `steps`, data side first, between standardisation and heavy tails.

    With `standardize`, a `Decorrelate` comes before the steps, or a `Standardize` without
    `decorrelate` or for more than 1,024 variables. With `heavy_tails`, a `HeavyTails` comes
    after them. Without `standardize` the flow is not for data, and neither is added.
    `others` are ignored.
    """
    start, tails = start_and_tails(event_size, standardize, decorrelate, heavy_tails, dtype)
    return [*start, *steps, *tails]


def start_and_tails(
    event_size: int,
    standardize: bool,
    decorrelate: bool,
    heavy_tails: str | Literal[False],
    dtype: tf.DType | str,
) -> tuple[list[FlowBijector], list[FlowBijector]]:
    """Returns the bijectors before the steps, and those after them."""
    check_each(check_flag, standardize=standardize, decorrelate=decorrelate)
    check_choice("heavy_tails", heavy_tails, ("student", "sinh", False))
    if not standardize:
        return [], []
    joint = decorrelate and event_size <= _MOST_DECORRELATED
    start = (Decorrelate if joint else Standardize)(event_size, dtype=dtype)
    if not heavy_tails:
        return [start], []
    return [start], [HeavyTails(event_size, kind=heavy_tails, dtype=dtype)]
