"""Dropout in conditioners: where `training` applies it, and where it is refused."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tfp_flows.core.flow_bijector import FlowBijector

__all__ = ["in_mode", "refuse_dropout"]


def in_mode(conditioner: Callable, training: bool) -> Callable:
    """Returns the conditioner as a callable of `(x, context)` in training or evaluation.

    Args:
      conditioner: any callable of `(x, context)`; one with a true `dropout_in_training`
        takes `training` too.
      training: whether this is a step of training.
    """
    if not (training and getattr(conditioner, "dropout_in_training", False)):
        return conditioner
    return lambda x, context=None: conditioner(x, context, training=True)


def refuse_dropout(steps: Sequence[FlowBijector], argument: str) -> None:
    """Raises `ValueError` if one of `steps` would drop other units when called again.

    Args:
      steps: list of `FlowBijector`s.
      argument: why they are called again, for the error.
    """
    names = [
        step.name
        for step in steps
        if any(getattr(part, "dropout_in_training", False) for part in step.submodules)
    ]
    if names:
        raise ValueError(
            f"Expected `bijectors` without `dropout_in_training` for {argument}, which "
            f"calls networks again in the gradient; got {names}."
        )
