"""Levels of a flow on images, behind a `Logit` where pixels are in the unit interval."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

from tfp_flows.bijectors.multi_scale import MultiScale
from tfp_flows.bijectors.preprocessing import Logit
from tfp_flows.core.flow_bijector import FlowBijector

__all__ = ["multi_scale_steps"]


def multi_scale_steps(
    levels: list[FlowBijector],
    *,
    image_shape: Sequence[int],
    logit_alpha: float | None,
    dtype: tf.DType | str,
    **others: object,
) -> list[FlowBijector]:
    """Returns a `MultiScale` of `levels`, after a `Logit` unless `logit_alpha` is None."""
    steps = [MultiScale(levels, image_shape)]
    if logit_alpha is not None:
        steps.insert(0, Logit(logit_alpha, event_ndims=3, dtype=dtype))
    return steps
