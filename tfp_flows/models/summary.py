"""Summaries of the flows in a model, as lines of text."""

from __future__ import annotations

import math
from typing import Any

import keras

from tfp_flows.core.flow_bijector import FlowBijector
from tfp_flows.distributions.flow_distribution import FlowDistribution

__all__ = ["count_lines", "structure_lines"]


def structure_lines(part: Any) -> list[str]:
    """Returns the structure of a distribution or bijector, and of its parts, in lines."""
    if isinstance(part, (FlowBijector, FlowDistribution)):
        return str(part).split("\n")
    name = getattr(part, "name", "")
    lines = [f'{type(part).__name__} "{name}"']
    for attribute in ("distribution", "dequantizer", "encoder", "bijector", "flow"):
        inner = getattr(part, attribute, None)
        if inner is not None:
            lines += [f"{attribute}:", *structure_lines(inner)]
    return lines


def count_lines(model: keras.Model) -> list[str]:
    """Returns the numbers of parameters of a model, in three lines like Keras's."""
    counts = [
        sum(math.prod(weight.shape) for weight in weights)
        for weights in (model.trainable_weights, model.non_trainable_weights)
    ]
    return [
        f"Total params: {sum(counts):,}",
        f"Trainable params: {counts[0]:,}",
        f"Non-trainable params: {counts[1]:,}",
    ]
